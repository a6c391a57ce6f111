/* Declares in its descriptor that it needs the network. */
#include "base.h"
INSTANCE(.reserved = 0)
DESCRIPTOR(etatuki_backend_v1, "wants-network", "1.0.0", .capabilities = ETATUKI_CAP_NETWORK)
