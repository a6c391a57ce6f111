/* Crashes on a thread of its own, a second after open(), while the customer reads the code
 * aloud. */
#include "base.h"
#include <pthread.h>
static void *crash(void *nothing) {
    sleep(1);
    *(volatile int *)nothing = 1;
    return NULL;
}
static int32_t begin(const etatuki_backend *self, const char *code) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, crash, NULL) != 0) return ETATUKI_E_RESOURCES;
    return base_open(self, code);
}
PLUGIN("segfault-waiting", "1.0.0", .open = begin)
