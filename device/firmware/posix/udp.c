#define _DEFAULT_SOURCE

#include "udp.h"

#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

bool udp_open(udp *to, const char *host, const char *port) {
  struct addrinfo hints;
  struct addrinfo *found = NULL;
  const struct addrinfo *at;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_DGRAM;
  to->fd = -1;
  if (getaddrinfo(host, port, &hints, &found) != 0) return false;
  for (at = found; at != NULL && to->fd < 0; at = at->ai_next) {
    int fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (fd < 0) continue;
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
      to->fd = fd;
    } else {
      close(fd);
    }
  }
  freeaddrinfo(found);
  return to->fd >= 0;
}

void udp_send(void *context, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length) {
  const udp *to = context;
  struct iovec both[2];
  struct msghdr message;
  memset(&message, 0, sizeof message);
  /* writev's interface does not know const. */
  both[0].iov_base = (void *)(uintptr_t)head;
  both[0].iov_len = head_length;
  both[1].iov_base = (void *)(uintptr_t)body;
  both[1].iov_len = body_length;
  message.msg_iov = both;
  message.msg_iovlen = 2;
  /* Refused (nobody listens there yet) or no room: lost, as any datagram may be. */
  if (sendmsg(to->fd, &message, MSG_NOSIGNAL) < 0) return;
}

size_t udp_receive(void *context, const uint8_t **message) {
  udp *from = context;
  ssize_t length = recv(from->fd, from->message, sizeof from->message, 0);
  *message = from->message;
  return length > 0 ? (size_t)length : 0;
}
