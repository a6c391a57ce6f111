/* Has a version that is not semver. */
#include "base.h"
PLUGIN("odd-version", "latest", .reserved = 0)
