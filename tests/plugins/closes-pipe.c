/* Closes every descriptor in open(), also the host's own. */
#include "base.h"

#include <fcntl.h>
#include <sys/socket.h>

/* Puts a silent socket in their places: a debug build of the host aborts when it closes one that isn't open, and any
 * build ends by itself when it can't read. */
static int32_t close_all(const etatuki_backend *self, const char *code) {
    int silent[2];
    fprintf(stderr, "closing everything\n");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, silent) != 0) abort();
    for (int fd = 0; fd < 1024; fd++) {
        if (fd != silent[0] && fd != silent[1] && fcntl(fd, F_GETFD) != -1) dup2(silent[0], fd);
    }
    (void)self, (void)code;
    for (;;) pause();
}
PLUGIN("closes-pipe", "1.0.0", .open = close_all)
