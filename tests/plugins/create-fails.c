/* Fails in create(). */
#include "base.h"
INSTANCE(.reserved = 0)
static int32_t fail(const etatuki_backend_host *host, const etatuki_backend **out) {
    (void)base_create, (void)host;
    *out = NULL;
    return ETATUKI_E_RESOURCES;
}
DESCRIPTOR(etatuki_backend_v1, "create-fails", "1.0.0", .create = fail)
