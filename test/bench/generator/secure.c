#include "secure.h"
#include "report.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

// Several records are fetched by one system call: OpenSSL would use two for each otherwise.
enum { READ_AHEAD_BYTES = 64 * 1024 };

static SSL_CTX *as_client, *as_server;

static const char *reason(void) {
  const char *text = ERR_reason_error_string(ERR_peek_last_error());
  return text ? text : "unknown reason";
}

static SSL_CTX *context(const SSL_METHOD *method, int version) {
  SSL_CTX *made = SSL_CTX_new(method);
  if (!made) fail("Cannot use TLS: %s", reason());
  int protocol = version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL_CTX_set_min_proto_version(made, protocol);
  SSL_CTX_set_max_proto_version(made, protocol);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(made, 1);
  SSL_CTX_set_default_read_buffer_len(made, READ_AHEAD_BYTES);
  return made;
}

void secure_start(int version, const char *certificate, const char *key) {
  as_client = context(TLS_client_method(), version);
  SSL_CTX_set_verify(as_client, SSL_VERIFY_NONE, NULL);
  if (!certificate) return;
  as_server = context(TLS_server_method(), version);
  if (SSL_CTX_use_certificate_chain_file(as_server, certificate) != 1) {
    fail("Cannot use the certificate %s: %s", certificate, reason());
  }
  if (!key || SSL_CTX_use_PrivateKey_file(as_server, key, SSL_FILETYPE_PEM) != 1) {
    fail("Cannot use the key %s: %s", key ? key : "that --key did not name", reason());
  }
}

struct ssl_st *secure_begin(int fd, bool accepted) {
  if (accepted && !as_server) fail("To accept TLS a certificate is needed: --certificate and --key");
  SSL *tls = SSL_new(accepted ? as_server : as_client);
  if (!tls || SSL_set_fd(tls, fd) != 1) fail("Cannot use TLS: %s", reason());
  if (accepted) {
    SSL_set_accept_state(tls);
  } else {
    SSL_set_connect_state(tls);
  }
  return tls;
}

int secure_greet(SSL *tls) {
  ERR_clear_error();
  int result = SSL_do_handshake(tls);
  if (result == 1) return 1;
  // What one side says in a handshake fits the buffer of a socket, so that there is never a wait for writing.
  return SSL_get_error(tls, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

static ssize_t outcome(SSL *tls, int result, size_t count) {
  if (result == 1) return (ssize_t)count;
  switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
      if (errno) return -1;
      // fall through
    default: errno = EPROTO; return -1;
  }
}

ssize_t secure_read(SSL *tls, uint8_t *to, size_t room) {
  size_t count = 0;
  errno = 0;
  ERR_clear_error();
  int result = SSL_read_ex(tls, to, room, &count);
  return outcome(tls, result, count);
}

ssize_t secure_write(SSL *tls, const uint8_t *bytes, size_t length) {
  size_t count = 0;
  errno = 0;
  ERR_clear_error();
  int result = SSL_write_ex(tls, bytes, length, &count);
  return outcome(tls, result, count);
}

void secure_end(SSL *tls) {
  ERR_clear_error();
  if (SSL_is_init_finished(tls)) SSL_shutdown(tls);
  SSL_free(tls);
}
