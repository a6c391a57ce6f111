/* Closes the host's sockets in open(), and goes on. */
#include "base.h"
#include <sys/socket.h>
static int32_t close_sockets(const etatuki_backend *self, const char *code) {
    for (int fd = 3; fd < 1024; fd++) {
        int kind;
        socklen_t length = sizeof kind;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &length) == 0 && kind == SOCK_SEQPACKET) close(fd);
    }
    return base_open(self, code);
}
PLUGIN("closes-socket", "1.0.0", .open = close_sockets)
