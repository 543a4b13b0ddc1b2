// TLS of the generator, by OpenSSL. It trusts every certificate: who answers is known, and the measured side is the broker.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_st;

// `version` is 12 or 13, for TLS 1.2 or 1.3 and no other. With a certificate connections can be accepted too.
void secure_start(int version, const char *certificate, const char *key);
// A connection on a non-blocking socket, whose handshake has not begun. No session is ever resumed.
struct ssl_st *secure_begin(int fd, bool as_server);
// Goes on with the handshake: 1 done, 0 waiting for the peer, -1 failed.
int secure_greet(struct ssl_st *tls);
// As recv() and send(): a count, 0 at the end, or -1 with errno, which is EAGAIN when there is nothing to do now.
ssize_t secure_read(struct ssl_st *tls, uint8_t *to, size_t room);
ssize_t secure_write(struct ssl_st *tls, const uint8_t *bytes, size_t length);
// Says goodbye, without waiting for the peer's, and frees it.
void secure_end(struct ssl_st *tls);
