/* Sleeps for three seconds in open() instead of on a thread of its own. */
#include "base.h"
static int32_t slow(const etatuki_backend *self, const char *code) {
    if (code != NULL) sleep(3);
    return base_open(self, code);
}
PLUGIN("slow-open", "1.0.0", .open = slow)
