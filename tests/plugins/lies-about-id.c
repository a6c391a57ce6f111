/* Has another plugin's id. Its create() must not be called. */
#include "base.h"
INSTANCE(.reserved = 0)
static int32_t never(const etatuki_backend_host *host, const etatuki_backend **out) {
    (void)base_create, (void)host, (void)out;
    abort();
}
DESCRIPTOR(etatuki_backend_v1, "ecom", "1.0.0", .create = never)
