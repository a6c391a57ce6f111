/* Serves RFB with the one fault that its options name: {"fault":"no-clip"}. Without a fault it
 * breaks no rule. Its screen shows stripes, which move with every key press. */
#include "base.h"
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

enum { WIDTH = 64, HEIGHT = 48 };

static char fault_name[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the variables down to `stream` */
static uint32_t state = ETATUKI_STATE_CLOSED;
static char code_now[64];
static int stream = -1;
static pthread_t thread;
static bool thread_started;
static atomic_int looks_at_closing; /* calls of state() that gave CLOSING since the last close() */
static atomic_bool leaving;         /* destroy() was called: no more calls of state() */

/* ---- the stream; only its thread uses these variables --------------------------------------- */

static const unsigned char FIRST_FORMAT[16] = {32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0};
static unsigned char format[16];
static unsigned picture;              /* number of moves of the stripes */
static unsigned sent[HEIGHT][WIDTH];  /* `picture` of the pixel at the client, plus 1; 0: none */
static int wanted[4];                 /* incremental request: left, top, right, bottom */

static bool fault(const char *name) { return strcmp(fault_name, name) == 0; }

static bool get(void *to, size_t count) {
    for (unsigned char *next = to; count > 0;) {
        ssize_t got = recv(stream, next, count, 0);
        if (got <= 0) return false;
        next += got, count -= (size_t)got;
    }
    return true;
}

static bool skip(size_t count) {
    unsigned char byte;
    while (count-- > 0)
        if (!get(&byte, 1)) return false;
    return true;
}

static bool put(const void *from, size_t count) {
    for (const unsigned char *next = from; count > 0;) {
        ssize_t gone = send(stream, next, count, fault("sigpipe") ? 0 : MSG_NOSIGNAL);
        if (gone <= 0) return false;
        next += gone, count -= (size_t)gone;
    }
    return true;
}

static int get16(const unsigned char *from) { return from[0] << 8 | from[1]; }
static void put16(unsigned char *to, int value) { to[0] = (unsigned char)(value >> 8), to[1] = (unsigned char)value; }

static size_t put_pixel(unsigned char *to, int x) {
    static const unsigned char colours[4][3] = {{200, 30, 60}, {20, 180, 90}, {250, 240, 10}, {40, 60, 220}};
    const unsigned char *colour = colours[((unsigned)x / 8 + picture) % 4];
    unsigned size = format[0] / 8;
    uint32_t number = 0;
    for (int part = 0; part < 3; part++)
        number |= (uint32_t)(colour[part] * get16(format + 4 + 2 * part) + 127) / 255 << format[10 + part];
    for (unsigned i = 0; i < size; i++) to[format[2] ? size - 1 - i : i] = (unsigned char)(number >> 8 * i);
    return size;
}

static bool use_format(const unsigned char *wire) {
    if (wire[3] == 0 || (wire[0] != 8 && wire[0] != 16 && wire[0] != 32)) return false;
    for (int part = 0; part < 3; part++)
        if (wire[10 + part] >= wire[0] || ((uint64_t)get16(wire + 4 + 2 * part) << wire[10 + part]) >> wire[0] != 0)
            return false;
    if (fault("one-format")) return true;
    memcpy(format, wire, sizeof format);
    if (fault("one-endian")) format[2] = 0;
    return true;
}

/* Sends what a server may send besides, and too much of it. */
static bool send_extras(void) {
    static unsigned char bells[1000], text[8 + (2 << 20)] = {3, 0, 0, 0, 0, 0x20, 0, 0};
    memset(bells, 2, sizeof bells);
    if (fault("bells")) return put(bells, sizeof bells);
    return !fault("long-text") || put(text, sizeof text);
}

static bool send_update(const int area[4]) {
    unsigned char row[2 * WIDTH * 4] = {0};
    if (!send_extras()) return false;
    int bottom = fault("half-picture") && area[3] - area[1] > 1 ? area[1] + (area[3] - area[1]) / 2 : area[3];
    put16(row + 2, fault("announces-nine") ? 9 : 1);
    put16(row + 4, area[0]), put16(row + 6, area[1]);
    put16(row + 8, area[2] - area[0]), put16(row + 10, bottom - area[1]);
    if (!put(row, 16)) return false;
    for (int y = area[1]; y < bottom; y++) {
        size_t length = 0;
        for (int x = area[0]; x < area[2]; x++) {
            length += put_pixel(row + length, x);
            if (x < WIDTH && y < HEIGHT) sent[y][x] = picture + 1;
        }
        if (!put(row, length)) return false;
    }
    return true;
}

static bool answer_wanted(void) {
    int area[4];
    bool changed = false;
    for (int y = wanted[1]; y < wanted[3]; y++)
        for (int x = wanted[0]; x < wanted[2]; x++) changed = changed || sent[y][x] != picture + 1;
    if (!changed || fault("never-incremental")) return true;
    memcpy(area, wanted, sizeof area);
    memset(wanted, 0, sizeof wanted);
    return send_update(area);
}

static bool on_request(const unsigned char *body) {
    int x = get16(body + 1), y = get16(body + 3), w = get16(body + 5), h = get16(body + 7);
    int area[4] = {x, y, x + w, y + h};
    bool clips = !fault("no-clip") || w > WIDTH || h > HEIGHT; /* a larger request would mean megabytes */
    if (clips && area[2] > WIDTH) area[2] = WIDTH;
    if (clips && area[3] > HEIGHT) area[3] = HEIGHT;
    if (area[0] >= area[2] || area[1] >= area[3] || (body[0] == 0 && fault("no-answer"))) return true;
    if (body[0] == 0) return send_update(area);
    memcpy(wanted, area, sizeof wanted);
    return answer_wanted();
}

static bool on_message(void) {
    unsigned char type, body[19];
    if (!get(&type, 1)) return false;
    switch (type) {
    case 0: return get(body, 19) && use_format(body + 3);
    case 2: return get(body, 3) && (fault("reads-no-encodings") || skip(4 * (size_t)get16(body + 1)));
    case 3: return get(body, 9) && on_request(body);
    case 4:
        if (!get(body, 7)) return false;
        picture += body[0] != 0;
        return answer_wanted();
    case 5: return get(body, 5);
    case 6: return get(body, 7) && (fault("reads-no-text") || skip((size_t)get16(body + 3) << 16 | (size_t)get16(body + 5)));
    default:
        if (fault("rubbish-crashes")) abort();
        if (fault("rubbish-hangs")) base_hang();
        return false;
    }
}

static bool handshake(void) {
    unsigned char answer[12], init[24 + 3] = {0, WIDTH, 0, HEIGHT};
    if (!put("RFB 003.008\n", 12) || !get(answer, 12)) return false;
    if (fault("only-version")) return skip(SIZE_MAX);
    if (memcmp(answer, "RFB 003.008\n", 12) != 0) return false;
    if (!put(fault("password") ? "\1\2" : "\1\1", 2) || !get(answer, 1) || answer[0] != 1) return false;
    if (!put("\0\0\0\0", 4) || !get(answer, 1)) return false;
    memcpy(init + 4, FIRST_FORMAT, 16);
    if (fault("odd-init")) init[4] = 24;
    memcpy(init + 20, "\0\0\0\3bad", 7);
    return put(init, sizeof init);
}

/* ---- the end of the stream ------------------------------------------------------------------ */

/* Keeps CLOSING until the checker has seen it: its second call of state() means that the first one
 * has been evaluated. */
static void wait_for_looks(void) {
    bool unseen = fault("code-in-closing") || fault("closed-untold");
    while (unseen && looks_at_closing < 2 && !leaving) {
        pthread_mutex_lock(&lock);
        unseen = state == ETATUKI_STATE_CLOSING;
        pthread_mutex_unlock(&lock);
        usleep(200);
    }
}

static void *serve(void *nothing) {
    bool closed, told;
    memcpy(format, FIRST_FORMAT, sizeof format);
    memset(sent, 0, sizeof sent);
    if (!fault("stale")) memset(wanted, 0, sizeof wanted);
    if (handshake())
        while (on_message()) continue;
    shutdown(stream, SHUT_RDWR);
    wait_for_looks();
    pthread_mutex_lock(&lock);
    if (!fault("leaks-socket")) close(stream);
    stream = -1;
    closed = state == ETATUKI_STATE_CLOSING;
    state = closed ? ETATUKI_STATE_CLOSED : fault("fails-nameless") ? ETATUKI_STATE_FAILED : ETATUKI_STATE_WAITING;
    told = !fault(closed ? "closed-untold" : "end-untold");
    if (fault("tells-locked")) base_host->changed(base_host);
    pthread_mutex_unlock(&lock);
    if (told) base_host->changed(base_host);
    return nothing;
}

static void join(void) {
    if (thread_started) pthread_join(thread, NULL);
    thread_started = false;
}

/* ---- the instance --------------------------------------------------------------------------- */

static int32_t probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    if (tool == NULL || version == NULL) return ETATUKI_E_NULL;
    if (state != ETATUKI_STATE_CLOSED && !fault("probes-open")) return ETATUKI_E_STATE;
    return base_probe(self, tool, version);
}

static int32_t begin(const etatuki_backend *self, const char *code) {
    static bool served;
    (void)self;
    if (code == NULL) return ETATUKI_E_NULL;
    served = served || thread_started;
    if (state != ETATUKI_STATE_CLOSED || (served && fault("opens-once"))) return ETATUKI_E_STATE;
    pthread_mutex_lock(&lock);
    snprintf(code_now, sizeof code_now, "%s", code);
    state = ETATUKI_STATE_WAITING;
    pthread_mutex_unlock(&lock);
    if (fault("prints-code")) printf("the code is %s\n", code);
    if (fault("prints-code-as-error")) fprintf(stderr, "the code is %s\n", code);
    return ETATUKI_OK;
}

static int32_t end(const etatuki_backend *self) {
    (void)self;
    pthread_mutex_lock(&lock);
    looks_at_closing = 0;
    if (state == ETATUKI_STATE_ATTACHED) {
        if (stream >= 0) shutdown(stream, fault("shuts-reading") ? SHUT_RD : SHUT_RDWR);
        state = ETATUKI_STATE_CLOSING;
    } else if (state != ETATUKI_STATE_CLOSING) {
        state = ETATUKI_STATE_CLOSED;
    }
    pthread_mutex_unlock(&lock);
    return ETATUKI_OK;
}

static uint32_t look(const etatuki_backend *self) {
    uint32_t now;
    (void)self;
    pthread_mutex_lock(&lock);
    now = state;
    pthread_mutex_unlock(&lock);
    if (now == ETATUKI_STATE_CLOSING) looks_at_closing++;
    if (now == ETATUKI_STATE_ATTACHED && fault("slow-state")) sleep(3);
    return now;
}

static int32_t session_code(const etatuki_backend *self, etatuki_text *code) {
    int32_t status = ETATUKI_E_STATE;
    (void)self;
    pthread_mutex_lock(&lock);
    if (state == ETATUKI_STATE_WAITING || state == ETATUKI_STATE_ATTACHED ||
        (state == ETATUKI_STATE_CLOSING && fault("code-in-closing")))
        status = base_put(code, code_now);
    pthread_mutex_unlock(&lock);
    return status;
}

static bool is_stream_socket(intptr_t handle) {
    int type = 0;
    socklen_t size = sizeof type;
    return handle == (int)handle && getsockopt((int)handle, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static int32_t refuse(intptr_t handle, int32_t status) {
    if (fault("closes-refused") && handle == (int)handle && handle >= 0) close((int)handle);
    return status;
}

static int32_t attach(const etatuki_backend *self, intptr_t handle) {
    (void)self;
    if (state != ETATUKI_STATE_WAITING) return refuse(handle, ETATUKI_E_STATE);
    if (!is_stream_socket(handle)) return refuse(handle, ETATUKI_E_ARGUMENT);
    join();
    pthread_mutex_lock(&lock);
    stream = (int)handle;
    thread_started = pthread_create(&thread, NULL, serve, NULL) == 0;
    if (thread_started) state = ETATUKI_STATE_ATTACHED;
    pthread_mutex_unlock(&lock);
    return thread_started ? ETATUKI_OK : ETATUKI_E_RESOURCES;
}

static int32_t permissions(const etatuki_backend *self, uint32_t set) {
    (void)self;
    return set == 0 && fault("refuses-none") ? ETATUKI_E_PLUGIN : ETATUKI_OK;
}

static void destroy(const etatuki_backend *self) {
    if (self == NULL) return;
    leaving = true;
    end(self);
    join();
    leaving = false;
    state = ETATUKI_STATE_CLOSED;
}

INSTANCE(.probe = probe, .open = begin, .close = end, .state = look, .session_code = session_code, .attach = attach,
         .permissions = permissions, .destroy = destroy)

static int32_t create(const etatuki_backend_host *host, const etatuki_backend **out) {
    int32_t status = base_create(host, out);
    char json[256] = "", *name, *end;
    etatuki_text options = {json, sizeof json, 0};
    if (status != ETATUKI_OK || host->options(host, &options) != ETATUKI_OK) return status;
    name = strstr(json, "\"fault\":\"");
    if (name != NULL && (end = strchr(name + 9, '"')) != NULL)
        snprintf(fault_name, sizeof fault_name, "%.*s", (int)(end - name - 9), name + 9);
    return ETATUKI_OK;
}

DESCRIPTOR(etatuki_backend_v1, "bad-rfb", "1.0.0", .capabilities = ETATUKI_CAP_INPUT, .create = create)
