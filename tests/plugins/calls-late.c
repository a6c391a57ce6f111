/* Calls the host after destroy() has returned. */
#include "base.h"
#include <pthread.h>
static void *later(void *nothing) {
    usleep(50000);
    base_host->changed(base_host);
    return nothing;
}
static void destroy(const etatuki_backend *self) {
    pthread_t thread;
    if (self != NULL && pthread_create(&thread, NULL, later, NULL) == 0) pthread_detach(thread);
}
PLUGIN("calls-late", "1.0.0", .destroy = destroy)
