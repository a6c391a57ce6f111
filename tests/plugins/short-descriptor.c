/* Has a descriptor that ends before `create`. */
#include "base.h"
INSTANCE(.reserved = 0)
DESCRIPTOR(etatuki_backend_v1, "short-descriptor", "1.0.0", .struct_size = 32)
