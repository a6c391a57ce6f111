/* Starts a tool that leaves the process group and the session, as daemons do. */
#include "base.h"
static int32_t run(const etatuki_backend *self, const char *code) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) execlp("sleep", "sleep", "1000", (char *)NULL);
        _exit(0);
    }
    return base_open(self, code);
}
PLUGIN("runaway-tool", "1.0.0", .open = run)
