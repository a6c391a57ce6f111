/* Was built for a later version of the interface. It must not be called at all. */
#include "base.h"
INSTANCE(.reserved = 0)
DESCRIPTOR(etatuki_backend_v2, "wrong-major", "1.0.0", .reserved = 0)
