/* Refuses every socket, and leaves it open, as it must. */
#include "base.h"
static int32_t refuse(const etatuki_backend *self, intptr_t handle) {
    (void)self, (void)handle;
    return ETATUKI_E_TOOL;
}
static int32_t error(const etatuki_backend *self, int32_t *status, etatuki_text *name, etatuki_text *text) {
    (void)self;
    if (status != NULL) *status = ETATUKI_E_TOOL;
    base_put(name, "tool-died");
    return base_put(text, "the tool is not there any more");
}
PLUGIN("refuses-attach", "1.0.0", .attach = refuse, .last_error = error)
