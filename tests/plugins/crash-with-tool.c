/* Crashes while two tools run: one releases its resources at SIGTERM, and says so, and one ignores
 * SIGTERM. */
#include "base.h"
#include <signal.h>
static void put_away(int signal) {
    static const char said[] = "put away\n";
    (void)signal;
    _exit(write(STDERR_FILENO, said, sizeof said - 1) < 0);
}
static int32_t crash(const etatuki_backend *self, const char *code) {
    int ready[2];
    char byte;
    (void)self, (void)code;
    if (pipe(ready) != 0) return ETATUKI_E_RESOURCES;
    for (int tool = 0; tool < 2; tool++) {
        if (fork() == 0) {
            signal(SIGTERM, tool == 0 ? put_away : SIG_IGN);
            if (write(ready[1], "x", 1) == 1) base_hang();
        }
    }
    for (int tool = 0; tool < 2; tool++)
        if (read(ready[0], &byte, 1) != 1) break;
    abort();
}
PLUGIN("crash-with-tool", "1.0.0", .open = crash)
