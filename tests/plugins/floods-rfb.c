/* Serves RFB, and after the first picture it sends one message after the other, each kind for half a
 * second, as many as the client takes. It logs how many those were. At last it stops in the middle
 * of a rectangle. */
#include "base.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { SIDE = 1024, WINDOW_MS = 300, FILL_MS = 300, PIECE = 1000 };

static int stream = -1;

static long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool get(void *to, size_t count) { return recv(stream, to, count, MSG_WAITALL) == (ssize_t)count; }

static bool put(const void *from, size_t count) { return send(stream, from, count, MSG_NOSIGNAL) == (ssize_t)count; }

/* Sends a block again and again for a time, a piece whenever the last one was taken; returns the
 * bytes that were sent, or -1 at the end. */
static long pour(const unsigned char *block, size_t length, long duration, size_t *at) {
    char requests[1000];
    long sent = 0;
    for (long end = now_ms() + duration; now_ms() < end;) {
        int waiting = 0;
        while (recv(stream, requests, sizeof requests, MSG_DONTWAIT) > 0) {
        }
        if (ioctl(stream, SIOCOUTQ, &waiting) != 0) return -1;
        if (waiting > 0) {
            usleep(100);
            continue;
        }
        size_t piece = length - *at < PIECE ? length - *at : PIECE;
        ssize_t gone = send(stream, block + *at, piece, MSG_NOSIGNAL);
        if (gone <= 0) return -1;
        sent += gone, *at = (*at + (size_t)gone) % length;
    }
    return sent;
}

/* Floods with one message of this size. It counts once the client has worked off the kind before. */
static bool flood(const char *name, const unsigned char *message, size_t size) {
    static unsigned char block[64 << 10];
    char line[100];
    size_t count = sizeof block / size, at = 0;
    for (size_t i = 0; i < count; i++) memcpy(block + i * size, message, size);
    long start, sent;
    if (pour(block, count * size, FILL_MS, &at) < 0) return false;
    start = now_ms();
    if ((sent = pour(block, count * size, WINDOW_MS, &at)) < 0) return false;
    snprintf(line, sizeof line, "flood of %s: %ld in %ld ms", name, sent / (long)size, now_ms() - start);
    base_host->log(base_host, ETATUKI_LOG_INFO, line);
    /* The last message may be half sent. */
    return at % size == 0 || send(stream, block + at, size - at % size, MSG_NOSIGNAL) > 0;
}

static bool handshake(void) {
    static const unsigned char init[27] = {SIDE >> 8, 0,  SIDE >> 8, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255,
                                           16,        8, 0,         0, 0,  0,  0, 0, 0, 3,   'b', 'a', 'd'};
    char answer[12];
    return put("RFB 003.008\n", 12) && get(answer, 12) && put("\1\1", 2) && get(answer, 1) && put("\0\0\0\0", 4) &&
           get(answer, 1) && put(init, sizeof init);
}

static bool send_first_picture(void) {
    static unsigned char update[16 + 4 * SIDE * SIDE] = {0, 0, 0, 1, 0, 0, 0, 0, SIDE >> 8, 0, SIDE >> 8, 0};
    fcntl(stream, F_SETFL, fcntl(stream, F_GETFL) & ~O_NONBLOCK);
    return put(update, sizeof update);
}

static void *serve(void *nothing) {
    static const unsigned char bell[] = {2}, end_of_updates[] = {150}, fence[] = {248, 0, 0, 0, 0, 0, 0, 0, 0},
                               text[8 + 500] = {3, 0, 0, 0, 0, 0, 500 >> 8, 500 & 255, 'x'}, empty_update[] = {0, 0, 0, 0},
                               pixel[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0},
                               copy[] = {0, 0, 0, 1, 0, 0, 0, 0, 3, 255, 4, 0, 0, 0, 0, 1, 0, 1, 0, 0};
    static unsigned char pixels[4 + 100 * 16] = {0, 0, 0, 100};
    char answer[1];
    (void)nothing;
    for (int at = 0; at < 100; at++) memcpy(pixels + 4 + 16 * at, pixel + 4, 16);
    if (!handshake() || !send_first_picture()) return NULL;
    if (flood("bells", bell, sizeof bell) && flood("ends", end_of_updates, sizeof end_of_updates) &&
        flood("fences", fence, sizeof fence) && flood("texts", text, sizeof text) &&
        flood("empty updates", empty_update, sizeof empty_update) && flood("pixels", pixel, sizeof pixel) &&
        flood("copies", copy, sizeof copy) &&
        flood("rectangles", pixels, sizeof pixels))
        put(pixel, 18);
    while (get(answer, 1)) {
    }
    return NULL;
}

static int32_t attach(const etatuki_backend *self, intptr_t handle) {
    pthread_t thread;
    (void)self;
    stream = (int)handle;
    if (pthread_create(&thread, NULL, serve, NULL) != 0) return ETATUKI_E_RESOURCES;
    pthread_detach(thread);
    return base_set(ETATUKI_STATE_ATTACHED);
}

static int32_t session_code(const etatuki_backend *self, etatuki_text *code) {
    (void)self;
    return base_put(code, base_code);
}

PLUGIN("floods-rfb", "1.0.0", .attach = attach, .session_code = session_code)
