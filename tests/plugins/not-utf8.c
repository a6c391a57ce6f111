/* Has a vendor that isn't UTF-8. */
#include "base.h"
INSTANCE(.reserved = 0)
DESCRIPTOR(etatuki_backend_v1, "not-utf8", "1.0.0", .vendor = "Tilitoimisto \xc4mm\xe4l\xe4")
