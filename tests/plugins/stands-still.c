/* Breaks no rule, on a machine that stands still at times: this process is stopped for a second at
 * load and in open(), and for six seconds in OPENING. */
#include "base.h"
#include <pthread.h>
#include <signal.h>
static void stand_still(unsigned seconds) {
    pid_t here = getpid();
    if (fork() == 0) {
        sleep(seconds);
        kill(here, SIGCONT);
        _exit(0);
    }
    kill(here, SIGSTOP);
}
__attribute__((constructor)) static void at_load(void) { stand_still(1); }
static void *opening(void *nothing) {
    usleep(300000); /* lets open() return first */
    stand_still(6);
    base_set(ETATUKI_STATE_WAITING);
    return nothing;
}
static int32_t begin(const etatuki_backend *self, const char *code) {
    pthread_t thread;
    (void)self, (void)code;
    stand_still(1);
    base_state_now = ETATUKI_STATE_OPENING;
    return pthread_create(&thread, NULL, opening, NULL) == 0 ? ETATUKI_OK : ETATUKI_E_RESOURCES;
}
PLUGIN("stands-still", "1.0.0", .open = begin)
