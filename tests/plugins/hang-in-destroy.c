/* Hangs in destroy(). */
#include "base.h"
static void hang(const etatuki_backend *self) {
    (void)self;
    base_hang();
}
PLUGIN("hang-in-destroy", "1.0.0", .destroy = hang)
