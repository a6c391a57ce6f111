/* Writes the session code to the log. */
#include "base.h"
static int32_t tell(const etatuki_backend *self, const char *code) {
    if (code != NULL) base_host->log(base_host, ETATUKI_LOG_INFO, code);
    return base_open(self, code);
}
PLUGIN("logs-code", "1.0.0", .open = tell)
