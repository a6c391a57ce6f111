/* Is in a state that doesn't exist. */
#include "base.h"
static uint32_t odd(const etatuki_backend *self) {
    (void)self;
    return base_state_now == ETATUKI_STATE_CLOSED ? ETATUKI_STATE_CLOSED : 77;
}
PLUGIN("odd-state", "1.0.0", .state = odd)
