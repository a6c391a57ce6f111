/* Closes every descriptor in open(), also the host's own. */
#include "base.h"
static int32_t close_all(const etatuki_backend *self, const char *code) {
    fprintf(stderr, "closing everything\n");
    for (int fd = 0; fd < 1024; fd++) close(fd);
    (void)self, (void)code;
    for (;;) pause();
}
PLUGIN("closes-pipe", "1.0.0", .open = close_all)
