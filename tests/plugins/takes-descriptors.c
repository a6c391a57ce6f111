/* Opens files until it may not open any more. */
#include "base.h"
#include <fcntl.h>
static int32_t take(const etatuki_backend *self, const char *code) {
    while (open("/dev/null", O_RDONLY) >= 0) {
    }
    return base_open(self, code);
}
PLUGIN("takes-descriptors", "1.0.0", .open = take)
