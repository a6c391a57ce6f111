/* Opens, then hangs in state(), on which no caller waits. */
#include "base.h"
static uint32_t hang(const etatuki_backend *self) {
    (void)self;
    if (base_state_now != ETATUKI_STATE_CLOSED) base_hang();
    return base_state_now;
}
PLUGIN("hang-in-state", "1.0.0", .state = hang)
