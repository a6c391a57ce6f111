/* Has a version that is none. */
#include "base.h"
PLUGIN("odd-version", "latest", .reserved = 0)
