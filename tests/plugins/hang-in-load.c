/* Hangs in its initialiser, before any call. */
#include "base.h"
__attribute__((constructor)) static void at_load(void) { base_hang(); }
PLUGIN("hang-in-load", "1.0.0", .reserved = 0)
