/* Allocates four gigabytes in pieces, writes into a part of each, and keeps all that it got but
 * one. */
#include "base.h"
static int32_t allocate(const etatuki_backend *self, const char *code) {
    const size_t piece = (size_t)64 << 20;
    void *last = NULL;
    for (int count = 0; count < 64; count++) {
        void *memory = malloc(piece);
        if (memory == NULL) {
            free(last);
            return ETATUKI_E_RESOURCES;
        }
        memset(last = memory, 1, piece / 8);
    }
    return base_open(self, code);
}
PLUGIN("allocates", "1.0.0", .open = allocate)
