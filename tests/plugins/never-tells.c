/* Goes from OPENING to WAITING after the first call of state(), and never calls changed(). */
#include "base.h"
static int32_t begin(const etatuki_backend *self, const char *code) {
    (void)self;
    if (code == NULL) return ETATUKI_E_NULL;
    base_state_now = ETATUKI_STATE_OPENING;
    return ETATUKI_OK;
}
static uint32_t look(const etatuki_backend *self) {
    uint32_t now = base_state_now;
    (void)self;
    if (now == ETATUKI_STATE_OPENING) base_state_now = ETATUKI_STATE_WAITING;
    return now;
}
PLUGIN("never-tells", "1.0.0", .open = begin, .state = look)
