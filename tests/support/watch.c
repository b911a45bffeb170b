/* Loaded into a process (LD_PRELOAD): writes down each connection to another machine, which it
   refuses, each look-up of a name, and each file that is opened for writing.

   Lines go to the file that WATCH_LOG names. Loopback addresses and sockets of the machine itself
   pass. A call that a library makes inside of itself, or without libc, is not seen. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void note(const char *what, const char *which) {
  const char *path = getenv("WATCH_LOG");
  char line[8192];
  int size = snprintf(line, sizeof line, "%s %s\n", what, which);
  if (path == NULL || size < 0 || size >= (int)sizeof line) return;
  long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  syscall(SYS_write, file, line, size);
  syscall(SYS_close, file);
}

static int is_elsewhere(const struct sockaddr *address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address == NULL) return 0;
  if (address->sa_family == AF_INET) {
    const struct in_addr *ip = &((const struct sockaddr_in *)address)->sin_addr;
    if (ntohl(ip->s_addr) >> 24 == 127) return 0;
    inet_ntop(AF_INET, ip, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_LOOPBACK(ip)) return 0;
    inet_ntop(AF_INET6, ip, text, sizeof text);
  } else {
    return 0;
  }
  note("connect", text);
  errno = ENETUNREACH;
  return 1;
}

int connect(int socket, const struct sockaddr *address, socklen_t size) {
  return is_elsewhere(address) ? -1 : NEXT(connect)(socket, address, size);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags,
               const struct sockaddr *address, socklen_t length) {
  return is_elsewhere(address) ? -1 : NEXT(sendto)(socket, data, size, flags, address, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  return is_elsewhere(message->msg_name) ? -1 : NEXT(sendmsg)(socket, message, flags);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  struct in6_addr ip;
  if (host == NULL || strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &ip) == 1 ||
      inet_pton(AF_INET6, host, &ip) == 1)
    return NEXT(getaddrinfo)(host, service, hints, found);
  note("look-up", host);
  return EAI_AGAIN;
}

struct hostent *gethostbyname(const char *host) {
  note("look-up", host);
  h_errno = TRY_AGAIN;
  return NULL;
}

static void note_file(int folder, const char *path) {
  char place[64], start[4096], whole[8192];
  if (path[0] == '/') {
    note("write", path);
    return;
  }
  snprintf(place, sizeof place, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t size = readlink(place, start, sizeof start - 1);
  start[size < 0 ? 0 : size] = '\0';
  snprintf(whole, sizeof whole, "%s/%s", start, path);
  note("write", whole);
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define MODE(flags, mode)                              \
  mode_t mode = 0;                                     \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {             \
    va_list more;                                      \
    va_start(more, flags);                             \
    mode = va_arg(more, mode_t);                       \
    va_end(more);                                      \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  if (WRITES(flags)) note_file(AT_FDCWD, path);
  return NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  if (WRITES(flags)) note_file(AT_FDCWD, path);
  return NEXT(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  MODE(flags, mode)
  if (WRITES(flags)) note_file(folder, path);
  return NEXT(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags, mode)
  if (WRITES(flags)) note_file(folder, path);
  return NEXT(openat64)(folder, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
  if (strpbrk(mode, "wa+")) note_file(AT_FDCWD, path);
  return NEXT(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode) {
  if (strpbrk(mode, "wa+")) note_file(AT_FDCWD, path);
  return NEXT(fopen64)(path, mode);
}
