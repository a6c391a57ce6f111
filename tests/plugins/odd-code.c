/* Has a session code with a control character. */
#include "base.h"
static int32_t odd(const etatuki_backend *self, etatuki_text *code) {
    (void)self;
    return base_put(code, "1\n2");
}
PLUGIN("odd-code", "1.0.0", .session_code = odd)
