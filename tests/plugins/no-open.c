/* Has a null function in its table. */
#include "base.h"
PLUGIN("no-open", "1.0.0", .open = NULL)
