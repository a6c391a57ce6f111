/* Gives texts that would move a terminal's cursor, forge a line of the log, or read backwards. */
#include "base.h"
static int32_t dirty_probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    int32_t status = base_put(tool, "vnc\x1b]0;pwned\x07");
    (void)self;
    return status != ETATUKI_OK ? status : base_put(version, "1.0\xe2\x80\xae" "2.0");
}
static int32_t dirty_open(const etatuki_backend *self, const char *code) {
    base_host->log(base_host, ETATUKI_LOG_INFO, "one\nWARN forged\r\xe2\x80\x8b!");
    fprintf(stderr, "\x1b[31mred\n");
    return base_open(self, code);
}
PLUGIN("dirty-text", "1.0.0", .probe = dirty_probe, .open = dirty_open)
