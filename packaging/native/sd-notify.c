/*
 * Datagrams to Unix sockets, which Node.js cannot send: to systemd's notification socket (sd_notify(3)) and to its journal.
 *
 * send(path, bytes) returns 0, or the errno of what failed. It never waits: a receiver whose queue is full gives EAGAIN, since
 * the broker's event loop has clients to serve. A path that begins with "@" is an abstract name.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <node_api.h>

/* One for all receivers, opened with the first datagram; children don't inherit it. */
static int descriptor = -1;

static int send_datagram(const char *path, size_t path_length, const void *bytes, size_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  socklen_t address_length;

  if (path_length >= sizeof address.sun_path) return ENAMETOOLONG;
  memcpy(address.sun_path, path, path_length);
  /* An abstract name has a length and no end; a path has a zero behind it. */
  if (path_length > 0 && path[0] == '@') {
    address.sun_path[0] = '\0';
    address_length = offsetof(struct sockaddr_un, sun_path) + path_length;
  } else {
    address_length = sizeof address;
  }
  if (descriptor < 0) descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  for (;;) {
    ssize_t sent = sendto(descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, address_length);
    if (sent >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

static napi_value send_from_script(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  napi_value result;
  size_t count = 2;
  /* Longer than any that fits, so that one too long is noticed. */
  char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 2];
  size_t path_length;
  napi_typedarray_type type;
  size_t length;
  void *bytes;

  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 2 ||
      napi_get_value_string_utf8(env, arguments[0], path, sizeof path, &path_length) != napi_ok ||
      napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array) {
    napi_throw_type_error(env, NULL, "send(path: string, bytes: Uint8Array)");
    return NULL;
  }
  if (napi_create_int32(env, send_datagram(path, path_length, bytes, length), &result) != napi_ok) return NULL;
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;

  if (napi_create_function(env, "send", NAPI_AUTO_LENGTH, send_from_script, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "send", function) != napi_ok) {
    napi_throw_error(env, NULL, "sd-notify could not be set up");
    return NULL;
  }
  return exports;
}
