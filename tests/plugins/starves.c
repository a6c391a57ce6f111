/* Breaks no rule, on a busy machine: for three seconds in open() its thread has the lowest priority,
 * on a processor that another program uses fully. */
#include "base.h"
#include <sched.h>
#include <signal.h>
#include <time.h>
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
static int32_t starve(const etatuki_backend *self, const char *code) {
    struct sched_param none = {.sched_priority = 0};
    int cpu = sched_getcpu();
    double end = now() + 3;
    pid_t other;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu < 0 ? 0 : cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    if ((other = fork()) == 0) {
        for (;;) {
        }
    }
    sched_setscheduler(0, SCHED_IDLE, &none);
    while (now() < end) {
    }
    kill(other, SIGKILL);
    sched_setscheduler(0, SCHED_OTHER, &none);
    return base_open(self, code);
}
PLUGIN("starves", "1.0.0", .open = starve)
