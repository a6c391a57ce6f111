/* Hangs in open, with a tool running. */
#include "base.h"
static int32_t hang(const etatuki_backend *self, const char *code) {
    (void)self, (void)code;
    if (fork() == 0) execlp("sleep", "sleep", "1000", (char *)NULL);
    base_hang();
    return ETATUKI_OK;
}
PLUGIN("hang-in-open", "1.0.0", .open = hang)
