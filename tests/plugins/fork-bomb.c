/* Starts ten children that start nothing more and never end; half of them leave the process
 * group. */
#include "base.h"
static int32_t bomb(const etatuki_backend *self, const char *code) {
    for (int child = 0; child < 10; child++) {
        if (fork() == 0) {
            if (child % 2 == 0) setsid();
            base_hang();
        }
    }
    return base_open(self, code);
}
PLUGIN("fork-bomb", "1.0.0", .open = bomb)
