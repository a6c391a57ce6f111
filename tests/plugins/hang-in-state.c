/* Opens, and then hangs where nobody waits for an answer: in state. */
#include "base.h"
static uint32_t hang(const etatuki_backend *self) {
    (void)self;
    if (base_state_now != ETATUKI_STATE_CLOSED) base_hang();
    return base_state_now;
}
PLUGIN("hang-in-state", "1.0.0", .state = hang)
