/* Opens, then crashes on a thread of its own after permissions(). */
#include "base.h"
#include <pthread.h>
static void *crash(void *nothing) {
    *(volatile int *)nothing = 1;
    return NULL;
}
static int32_t later(const etatuki_backend *self, uint32_t permissions) {
    pthread_t thread;
    (void)self, (void)permissions;
    pthread_create(&thread, NULL, crash, NULL);
    return ETATUKI_OK;
}
PLUGIN("segfault-later", "1.0.0", .permissions = later)
