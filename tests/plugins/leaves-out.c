/* Leaves *out as it is when create() fails. */
#include "base.h"
INSTANCE(.reserved = 0)
static int32_t create(const etatuki_backend_host *host, const etatuki_backend **out) {
    if (out == NULL || host == NULL) return ETATUKI_E_NULL;
    return base_create(host, out);
}
DESCRIPTOR(etatuki_backend_v1, "leaves-out", "1.0.0", .create = create)
