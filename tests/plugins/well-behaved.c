/* Breaks no rule. */
#include "base.h"
PLUGIN("well-behaved", "1.4.0", .reserved = 0)
