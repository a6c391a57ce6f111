/* Tries one action that the plugin host forbids; the options say which. probe() reports the result
 * as the tool's name: `done`, or the error's number. */
#include "base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static int try_connect(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
}

/* Makes a call by its second number on x86-64. A kernel without these returns ENOSYS, but only
 * after the filter. */
static int try_x32(void) {
#ifdef __x86_64__
    return (int)syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0);
#else
    errno = EACCES;
    return -1;
#endif
}

static int try_memory_of(pid_t pid) {
    char name[64], byte;
    struct iovec here = {&byte, 1}, there = {(void *)&try_memory_of, 1};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) == 1) return 0;
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0) return 0;
    snprintf(name, sizeof name, "/proc/%d/mem", (int)pid);
    return open(name, O_RDONLY) < 0 ? -1 : 0;
}

static int try(const char *what) {
    char word[32] = "", rest[512] = "";
    sscanf(what, "%31s %511s", word, rest);
    if (strcmp(word, "connect") == 0) return try_connect(atoi(rest));
    if (strcmp(word, "udp") == 0) return socket(AF_INET6, SOCK_DGRAM, 0);
    if (strcmp(word, "x32") == 0) return try_x32();
    if (strcmp(word, "ring") == 0) return (int)syscall(SYS_io_uring_setup, 1, rest);
    if (strcmp(word, "read") == 0) return open(rest, O_RDONLY);
    if (strcmp(word, "write") == 0) return open(rest, O_WRONLY | O_CREAT, 0600);
    if (strcmp(word, "empty") == 0) return truncate(rest, 0);
    if (strcmp(word, "mode") == 0) return chmod(rest, 0666);
    if (strcmp(word, "mode2") == 0) return (int)syscall(452 /* fchmodat2 */, AT_FDCWD, rest, 0666, 0);
    if (strcmp(word, "label") == 0) return setxattr(rest, "user.label", "x", 1, 0);
    if (strcmp(word, "signal") == 0) return kill(atoi(rest), 0);
    if (strcmp(word, "memory") == 0) return try_memory_of(atoi(rest));
    if (strcmp(word, "allocate") == 0) return malloc(UINT64_C(4) << 30) == NULL ? -1 : 0;
    if (strcmp(word, "run") == 0) return execl(rest, rest, "-c", "exit 0", (char *)NULL);
    errno = 0;
    return -1;
}

static int32_t probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    char json[1024] = "", result[64];
    etatuki_text options = {json, sizeof json, 0};
    char *what, *end;
    (void)self;
    if (base_host->options(base_host, &options) != ETATUKI_OK) return ETATUKI_E_INTERNAL;
    what = strstr(json, "\"try\":\"");
    if (what == NULL || (end = strchr(what + 7, '"')) == NULL) return ETATUKI_E_INTERNAL;
    *end = 0;
    if (try(what + 7) < 0) snprintf(result, sizeof result, "error %d", errno);
    else snprintf(result, sizeof result, "done");
    return base_put(tool, result) != ETATUKI_OK ? ETATUKI_E_INTERNAL : base_put(version, "");
}

PLUGIN("breaks-out", "1.0.0", .probe = probe)
