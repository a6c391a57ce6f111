/* Needs a function that nobody has. */
#include "base.h"
extern void nobody_has_this(void);
static void call(const etatuki_backend *self) {
    (void)self;
    nobody_has_this();
}
PLUGIN("missing-symbol", "1.0.0", .destroy = call)
