/* Logs, prints and calls changed() very often in open(). */
#include "base.h"
static int32_t flood(const etatuki_backend *self, const char *code) {
    static char line[5000];
    memset(line, 'x', sizeof line - 1);
    for (int at = 0; at < 20000; at++) {
        base_host->log(base_host, ETATUKI_LOG_INFO, line);
        base_host->changed(base_host);
        if (at % 10 == 0) puts(line);
    }
    return base_open(self, code);
}
PLUGIN("floods", "1.0.0", .open = flood)
