/* Fails an assertion of its own, with a last output and a tool running. */
#include "base.h"
static int32_t crash(const etatuki_backend *self, const char *code) {
    (void)self, (void)code;
    if (fork() == 0) execlp("sleep", "sleep", "1000", (char *)NULL);
    fprintf(stderr, "assertion failed: everything is fine\n");
    abort();
}
PLUGIN("abort-in-open", "1.0.0", .open = crash)
