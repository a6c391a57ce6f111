/* Leaves a thread behind with every session. */
#include "base.h"
#include <pthread.h>
static void *forever(void *nothing) {
    base_hang();
    return nothing;
}
static int32_t leak(const etatuki_backend *self, const char *code) {
    pthread_t thread;
    if (code != NULL && pthread_create(&thread, NULL, forever, NULL) != 0) return ETATUKI_E_RESOURCES;
    return base_open(self, code);
}
PLUGIN("leaks-thread", "1.0.0", .open = leak)
