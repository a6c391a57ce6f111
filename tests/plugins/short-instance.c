/* Has an instance that ends before `destroy`. */
#include "base.h"
PLUGIN("short-instance", "1.0.0", .struct_size = 64)
