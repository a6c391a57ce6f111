/* Computes on 64 threads from open() on, and calls changed() all the time. */
#include "base.h"
#include <pthread.h>
static void *spin(void *nothing) {
    for (;;) base_host->changed(base_host);
    return nothing;
}
static int32_t begin(const etatuki_backend *self, const char *code) {
    pthread_t thread;
    for (int at = 0; at < 64; at++)
        if (pthread_create(&thread, NULL, spin, NULL) != 0) return ETATUKI_E_RESOURCES;
    return base_open(self, code);
}
PLUGIN("spins", "1.0.0", .open = begin)
