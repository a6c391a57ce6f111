/* Prints, logs and calls changed() without end, on three threads, as fast as it can. */
#include "base.h"
#include <pthread.h>
static char line[1000];
static void *print(void *nothing) {
    for (;;)
        if (write(STDOUT_FILENO, line, sizeof line) < 0) return nothing;
}
static void *log_on(void *nothing) {
    (void)nothing;
    for (;;) base_host->log(base_host, ETATUKI_LOG_INFO, line);
}
static void *change(void *nothing) {
    (void)nothing;
    for (;;) base_host->changed(base_host);
}
static int32_t begin(const etatuki_backend *self, const char *code) {
    void *(*const endless[])(void *) = {print, log_on, change};
    pthread_t thread;
    memset(line, 'x', sizeof line - 2);
    line[sizeof line - 2] = '\n';
    for (int each = 0; each < 3; each++)
        if (pthread_create(&thread, NULL, endless[each], NULL) != 0) return ETATUKI_E_RESOURCES;
    return base_open(self, code);
}
PLUGIN("endless-output", "1.0.0", .open = begin)
