/* Opens a file with every session, and closes none. */
#include "base.h"
#include <fcntl.h>
static int32_t leak(const etatuki_backend *self, const char *code) {
    if (code != NULL && open("/dev/null", O_RDONLY) < 0) return ETATUKI_E_RESOURCES;
    return base_open(self, code);
}
PLUGIN("leaks-handle", "1.0.0", .open = leak)
