/* Has a version of 60,000 characters, none of which can be printed. Breaks no rule. */
#include "base.h"
static int32_t probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    static char text[60001];
    int32_t status = base_put(tool, "tool");
    (void)self;
    memset(text, 27, sizeof text - 1);
    return status != ETATUKI_OK ? status : base_put(version, text);
}
PLUGIN("long-version", "1.0.0", .probe = probe)
