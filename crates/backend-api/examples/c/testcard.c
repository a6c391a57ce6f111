/* testcard.c: a whole plugin for Etätuki in plain C. It paints a test card with a square, which
 * moves at a key press and goes to a pressed pointer. Copy it; your picture and input go into
 * paint() and move_square().
 *
 * It has two parts. The stream speaks RFB 3.8 (RFC 6143) as the server, on a thread for each
 * socket, with plain blocking calls. The instance, with the functions of etatuki_backend.h, only
 * reads and changes the state under one mutex, and so returns at once. The parts meet in few
 * places: attach() starts the thread; close() shuts the socket down, which ends any read or
 * write of the thread; the thread, at its end, closes the socket and changes the state. */
#define _POSIX_C_SOURCE 200809L /* sockets with MSG_NOSIGNAL, and threads, also under -std=c99 */

#include "etatuki_backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 200, SQUARE_SIZE = 20, CODE_LENGTH = 12, UPDATE_HEADER = 16, MAX_CUT_TEXT = 16 << 20 };
enum { STRIPES = 7, BLACK = 7, COLOURS = 8, NEVER_SENT = 255 }; /* the stripes have colours 0 to 6 */

struct area {
    int x0, y0, x1, y1; /* x1 and y1 are excluded; all 0 is the empty area */
};

/* State of the stream; only its thread uses it. */
struct stream {
    int square_x, square_y;
    unsigned char pixels[COLOURS][4]; /* each colour in the client's format; pixel_size bytes */
    size_t pixel_size;
    struct area requested;                /* incremental requests without an update yet */
    unsigned char sent[HEIGHT][WIDTH]; /* the colours on the client's screen */
    unsigned char update[UPDATE_HEADER + WIDTH * HEIGHT * 4];
};

struct instance {
    etatuki_backend functions; /* the host's pointer; plugin_data points back here */
    const etatuki_backend_host *host;
    pthread_mutex_t lock; /* guards the fields down to `socket` */
    uint32_t state, permissions;
    char code[CODE_LENGTH + 1];
    bool no_thread;      /* the only possible failure, for last_error() */
    int socket;          /* read by the thread without the lock: nobody else changes it meanwhile */
    pthread_t thread;    /* of the newest stream; only [call] functions use these two fields */
    bool thread_started; /* the thread must be joined, even if it has ended */
    struct stream stream;
};

/* ---- bytes on the socket; a function returns false when the stream has ended ---------------- */

static bool receive(int socket, void *to, size_t count) {
    for (unsigned char *next = to; count > 0;) {
        ssize_t got = recv(socket, next, count, 0); /* may return fewer bytes */
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0) { /* else a signal interrupted it */
            next += got;
            count -= (size_t)got;
        }
    }
    return true;
}

static bool skip(int socket, size_t count) {
    unsigned char rest[4096];
    for (size_t now; count > 0; count -= now) {
        now = count < sizeof rest ? count : sizeof rest;
        if (!receive(socket, rest, now))
            return false;
    }
    return true;
}

/* Sends all bytes. A client that never reads blocks the thread here, which is harmless: close()
 * ends it. */
static bool transmit(int socket, const void *from, size_t count) {
    for (const unsigned char *next = from; count > 0;) {
        ssize_t put = send(socket, next, count, MSG_NOSIGNAL); /* SIGPIPE would kill the process */
        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            next += put;
            count -= (size_t)put;
        }
    }
    return true;
}

/* RFB's numbers are big-endian. */
static int get16(const unsigned char *from) {
    return from[0] << 8 | from[1];
}

static void put16(unsigned char *to, int value) {
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
}

/* ---- the picture ---------------------------------------------------------------------------- */

static const unsigned char RGB[COLOURS][3] = {{255, 255, 255}, {255, 255, 0}, {0, 255, 255}, {0, 255, 0},
                                              {255, 0, 255},   {255, 0, 0},   {0, 0, 255},   {0, 0, 0}};

/* Pixel format of ServerInit: 32 bits, depth 24, little-endian, true colour; red, green and blue
 * up to 255 at bits 16, 8 and 0. */
static const unsigned char INITIAL_FORMAT[16] = {32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0};

static unsigned char paint(const struct stream *stream, int x, int y) {
    int right = x - stream->square_x, down = y - stream->square_y;
    bool in_square = right >= 0 && right < SQUARE_SIZE && down >= 0 && down < SQUARE_SIZE;
    return (unsigned char)(in_square ? BLACK : x * STRIPES / WIDTH);
}

/* Sets the client's pixel format, and converts each colour to it, so that an update only copies.
 * Returns false for colour maps and impossible formats. The depth is ignored: maxima and shifts
 * say everything. */
static bool use_format(struct stream *stream, const unsigned char *format) {
    unsigned bits = format[0], big_endian = format[2], true_colour = format[3];
    uint32_t pixels[COLOURS] = {0};
    if (!true_colour || (bits != 8 && bits != 16 && bits != 32))
        return false;
    for (int part = 0; part < 3; part++) {
        uint32_t max = (uint32_t)get16(format + 4 + 2 * part), shift = format[10 + part];
        if (shift >= bits || ((uint64_t)max << shift) >> bits != 0) /* the colour would reach out of the pixel */
            return false;
        for (int colour = 0; colour < COLOURS; colour++)
            pixels[colour] |= (RGB[colour][part] * max + 127) / 255 << shift;
    }
    stream->pixel_size = bits / 8;
    for (int colour = 0; colour < COLOURS; colour++)
        for (unsigned i = 0; i < bits / 8; i++)
            stream->pixels[colour][big_endian ? bits / 8 - 1 - i : i] = (unsigned char)(pixels[colour] >> 8 * i);
    return true;
}

static bool is_empty(struct area area) {
    return area.x0 >= area.x1 || area.y0 >= area.y1;
}

/* Returns the bounding box of two areas, of which the second isn't empty. */
static struct area bounding_box(struct area a, struct area b) {
    if (is_empty(a))
        return b;
    return (struct area){a.x0 < b.x0 ? a.x0 : b.x0, a.y0 < b.y0 ? a.y0 : b.y0,
                         a.x1 > b.x1 ? a.x1 : b.x1, a.y1 > b.y1 ? a.y1 : b.y1};
}

/* Returns the smallest area of `within` that holds every pixel which differs from the client's.
 * Comparing with the sent picture is simpler than tracking changes, and right for any areas that
 * a client requests. */
static struct area changes(const struct stream *stream, struct area within) {
    struct area changed = {0, 0, 0, 0};
    for (int y = within.y0; y < within.y1; y++)
        for (int x = within.x0; x < within.x1; x++)
            if (stream->sent[y][x] != paint(stream, x, y))
                changed = bounding_box(changed, (struct area){x, y, x + 1, y + 1});
    return changed;
}

/* ---- the stream ----------------------------------------------------------------------------- */

/* Logs why the stream ends. It must not log the client's bytes: they may be a password. */
static bool give_up(struct instance *self, const char *why) {
    self->host->log(self->host, ETATUKI_LOG_WARN, why);
    return false;
}

/* Sends one update with one Raw rectangle; `area` isn't empty and lies on the screen. */
static bool send_update(struct instance *self, struct area area) {
    struct stream *stream = &self->stream;
    unsigned char *next = stream->update + UPDATE_HEADER;
    memset(stream->update, 0, UPDATE_HEADER); /* FramebufferUpdate is 0, and so is Raw */
    put16(stream->update + 2, 1);             /* one rectangle */
    put16(stream->update + 4, area.x0);
    put16(stream->update + 6, area.y0);
    put16(stream->update + 8, area.x1 - area.x0);
    put16(stream->update + 10, area.y1 - area.y0);
    for (int y = area.y0; y < area.y1; y++) {
        for (int x = area.x0; x < area.x1; x++, next += stream->pixel_size) {
            stream->sent[y][x] = paint(stream, x, y);
            memcpy(next, stream->pixels[stream->sent[y][x]], stream->pixel_size);
        }
    }
    return transmit(self->socket, stream->update, (size_t)(next - stream->update));
}

/* Answers the incremental requests if their area has changed; else they stay open. */
static bool answer_wanted(struct instance *self) {
    struct area changed = changes(&self->stream, self->stream.requested);
    if (is_empty(changed))
        return true;
    self->stream.requested = (struct area){0, 0, 0, 0};
    return send_update(self, changed);
}

static int between(int low, int value, int high) {
    return value < low ? low : value > high ? high : value;
}

/* Clips a request to the screen, and ignores one wholly outside. */
static bool on_update_request(struct instance *self, const unsigned char *body) {
    int x = get16(body + 1), y = get16(body + 3);
    struct area area = {x, y, between(0, x + get16(body + 5), WIDTH), between(0, y + get16(body + 7), HEIGHT)};
    if (is_empty(area))
        return true;
    if (body[0] == 0) /* not incremental: the whole area now */
        return send_update(self, area);
    self->stream.requested = bounding_box(self->stream.requested, area);
    return answer_wanted(self);
}

/* The launcher passes on only input that the customer allows. This check is a second lock. */
static bool move_square(struct instance *self, int x, int y) {
    pthread_mutex_lock(&self->lock);
    bool allowed = (self->permissions & ETATUKI_PERMISSION_CONTROL) != 0;
    pthread_mutex_unlock(&self->lock);
    if (!allowed)
        return true;
    self->stream.square_x = between(0, x, WIDTH - SQUARE_SIZE);
    self->stream.square_y = between(0, y, HEIGHT - SQUARE_SIZE);
    return answer_wanted(self);
}

/* Moves the square to the next position, in reading order, at any key press. */
static bool on_key(struct instance *self, const unsigned char *body) {
    const int columns = WIDTH / SQUARE_SIZE, places = columns * (HEIGHT / SQUARE_SIZE);
    int place = (self->stream.square_y / SQUARE_SIZE * columns + self->stream.square_x / SQUARE_SIZE + 1) % places;
    return body[0] == 0 || move_square(self, place % columns * SQUARE_SIZE, place / columns * SQUARE_SIZE);
}

/* Moves the middle of the square to the pointer while one of the three buttons is held; the
 * other bits are the wheel. */
static bool on_pointer(struct instance *self, const unsigned char *body) {
    return (body[0] & 7) == 0 || move_square(self, get16(body + 1) - SQUARE_SIZE / 2, get16(body + 3) - SQUARE_SIZE / 2);
}

static bool on_cut_text(struct instance *self, const unsigned char *body) {
    uint32_t length = (uint32_t)get16(body + 3) << 16 | (uint32_t)get16(body + 5);
    return length <= MAX_CUT_TEXT ? skip(self->socket, length) : give_up(self, "the client's clipboard is too long");
}

static bool on_message(struct instance *self) {
    static const unsigned char lengths[] = {19, 0, 3, 9, 7, 5, 7}; /* by type, without it; 0: unknown type */
    unsigned char type, body[19];
    if (!receive(self->socket, &type, 1))
        return false;
    if (type >= sizeof lengths || lengths[type] == 0) /* so the next message's start is unknown */
        return give_up(self, "the client sent a message of an unknown type");
    if (!receive(self->socket, body, lengths[type]))
        return false;
    switch (type) {
    case 0: return use_format(&self->stream, body + 3) || give_up(self, "the client wants an impossible pixel format");
    case 2: return skip(self->socket, 4 * (size_t)get16(body + 1)); /* encodings; every client accepts Raw */
    case 3: return on_update_request(self, body);
    case 4: return on_key(self, body);
    case 5: return on_pointer(self, body);
    default: return on_cut_text(self, body);
    }
}

static bool handshake(struct instance *self) {
    static const char version[] = "RFB 003.008\n", name[] = "\0\0\0\10testcard";
    unsigned char answer[sizeof version - 1], init[4 + sizeof INITIAL_FORMAT];
    if (!transmit(self->socket, version, sizeof version - 1) || !receive(self->socket, answer, sizeof answer))
        return false;
    if (memcmp(answer, version, sizeof answer) != 0)
        return give_up(self, "the client doesn't speak RFB 3.8");
    if (!transmit(self->socket, "\1\1", 2) || !receive(self->socket, answer, 1)) /* one security type: None */
        return false;
    if (answer[0] != 1)
        return give_up(self, "the client wants a security type that wasn't offered");
    if (!transmit(self->socket, "\0\0\0\0", 4) || !receive(self->socket, answer, 1)) /* SecurityResult OK; ClientInit, whose flag is ignored */
        return false;
    put16(init, WIDTH);
    put16(init + 2, HEIGHT);
    memcpy(init + 4, INITIAL_FORMAT, sizeof INITIAL_FORMAT);
    return transmit(self->socket, init, sizeof init) && transmit(self->socket, name, sizeof name - 1);
}

/* Shuts the connection down, and reads what is there, up to a bound: a socket that is closed
 * with unread bytes is reset, and the client may lose our last bytes. */
static void end_connection(int socket) {
    unsigned char rest[4096];
    shutdown(socket, SHUT_RDWR);
    for (int i = 0; i < 256 && recv(socket, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
        continue;
}

static void *stream_thread(void *data) {
    struct instance *self = data;
    memset(&self->stream, 0, sizeof self->stream);
    memset(self->stream.sent, NEVER_SENT, sizeof self->stream.sent);
    use_format(&self->stream, INITIAL_FORMAT);
    if (handshake(self))
        while (on_message(self))
            continue;
    end_connection(self->socket);
    pthread_mutex_lock(&self->lock);
    close(self->socket); /* under the lock, else backend_close() might shut down another socket with this number */
    self->socket = -1;
    self->state = self->state == ETATUKI_STATE_CLOSING ? ETATUKI_STATE_CLOSED : ETATUKI_STATE_WAITING;
    pthread_mutex_unlock(&self->lock);
    self->host->changed(self->host);
    return NULL;
}

/* ---- the instance --------------------------------------------------------------------------- */

/* Most functions begin with enter(), and end with leave() unless that returned null. */
static struct instance *enter(const etatuki_backend *backend) {
    struct instance *self = backend != NULL ? backend->plugin_data : NULL;
    if (self != NULL)
        pthread_mutex_lock(&self->lock);
    return self;
}

/* Calls the host without the lock, since it may call back. */
static int32_t leave(struct instance *self, int32_t status, bool changed) {
    pthread_mutex_unlock(&self->lock);
    if (changed)
        self->host->changed(self->host);
    return status;
}

/* Writes a text, whole or not at all, and sets `length` in any case. */
static int32_t put_text(etatuki_text *to, const char *text) {
    size_t length = strlen(text);
    if (to->data == NULL && to->capacity != 0)
        return ETATUKI_E_NULL;
    to->length = (uint32_t)length;
    if (to->data == NULL) /* a query of the length alone */
        return ETATUKI_OK;
    if (to->capacity > length)
        memcpy(to->data, text, length + 1);
    else if (to->capacity > 0)
        to->data[0] = '\0';
    return to->capacity > length ? ETATUKI_OK : ETATUKI_E_BUFFER;
}

/* Writes two texts. The second is written also if the first doesn't fit, so that the host learns
 * both lengths at once. */
static int32_t put_texts(etatuki_text *first, const char *one, etatuki_text *second, const char *two) {
    int32_t status = put_text(first, one), other = put_text(second, two);
    return status != ETATUKI_OK ? status : other;
}

/* Look for your tool here. This plugin drives none, so it is always usable. */
static int32_t backend_probe(const etatuki_backend *backend, etatuki_text *tool, etatuki_text *version) {
    struct instance *self = tool != NULL && version != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    bool closed = self->state == ETATUKI_STATE_CLOSED;
    return leave(self, closed ? put_texts(tool, "", version, "") : ETATUKI_E_STATE, false);
}

/* Opens at once, without the state OPENING, since there is nothing to wait for. */
static int32_t backend_open(const etatuki_backend *backend, const char *code) {
    struct instance *self = code != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (self->state != ETATUKI_STATE_CLOSED)
        return leave(self, ETATUKI_E_STATE, false);
    if (strlen(code) != CODE_LENGTH || strspn(code, "0123456789") != CODE_LENGTH)
        return leave(self, ETATUKI_E_ARGUMENT, false);
    memcpy(self->code, code, sizeof self->code); /* a copy: the text is valid during the call only */
    self->no_thread = false;
    self->state = ETATUKI_STATE_WAITING;
    return leave(self, ETATUKI_OK, true);
}

/* Doesn't wait for the stream's thread, which changes CLOSING to CLOSED. */
static int32_t backend_close(const etatuki_backend *backend) {
    struct instance *self = enter(backend);
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (self->state == ETATUKI_STATE_CLOSED || self->state == ETATUKI_STATE_CLOSING)
        return leave(self, ETATUKI_OK, false);
    if (self->state == ETATUKI_STATE_ATTACHED)
        shutdown(self->socket, SHUT_RDWR); /* not close(): the thread may be about to use the number */
    self->state = self->state == ETATUKI_STATE_ATTACHED ? ETATUKI_STATE_CLOSING : ETATUKI_STATE_CLOSED;
    memset(self->code, 0, sizeof self->code); /* not for the next session */
    self->permissions = 0;
    return leave(self, ETATUKI_OK, true);
}

static uint32_t backend_state(const etatuki_backend *backend) {
    struct instance *self = enter(backend);
    uint32_t state = self != NULL ? self->state : ETATUKI_STATE_CLOSED;
    if (self != NULL)
        leave(self, ETATUKI_OK, false);
    return state;
}

static int32_t backend_session_code(const etatuki_backend *backend, etatuki_text *code) {
    struct instance *self = code != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    bool there = self->state == ETATUKI_STATE_WAITING || self->state == ETATUKI_STATE_ATTACHED;
    return leave(self, there ? put_text(code, self->code) : ETATUKI_E_STATE, false);
}

static int32_t backend_last_error(const etatuki_backend *backend, int32_t *status, etatuki_text *name,
                                  etatuki_text *text) {
    struct instance *self = name != NULL && text != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (status != NULL)
        *status = self->no_thread ? ETATUKI_E_RESOURCES : ETATUKI_OK;
    const char *words = self->no_thread ? "the system gave no thread for the stream" : "";
    return leave(self, put_texts(name, self->no_thread ? "no-thread" : "", text, words), false);
}

static bool is_stream_socket(intptr_t handle) {
    int type = 0, fd = (int)handle;
    socklen_t size = sizeof type;
    return fd == handle && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Joins the thread, which ends at once: its socket has been shut down. Not under the lock, which
 * the thread needs. */
static void join_thread(struct instance *self) {
    if (self->thread_started)
        pthread_join(self->thread, NULL);
    self->thread_started = false;
}

static int32_t backend_attach(const etatuki_backend *backend, intptr_t handle) {
    struct instance *self = backend != NULL ? backend->plugin_data : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (backend_state(backend) != ETATUKI_STATE_WAITING) /* the state stays: only another call leads out of WAITING */
        return ETATUKI_E_STATE;
    if (!is_stream_socket(handle))
        return ETATUKI_E_ARGUMENT;
    join_thread(self); /* the last stream's thread */
    pthread_mutex_lock(&self->lock);
    self->socket = (int)handle;
    self->no_thread = pthread_create(&self->thread, NULL, stream_thread, self) != 0;
    self->thread_started = !self->no_thread;
    if (self->no_thread) {
        self->socket = -1; /* the host still owns it */
        return leave(self, ETATUKI_E_RESOURCES, false);
    }
    self->state = ETATUKI_STATE_ATTACHED; /* the thread can't set WAITING before: we have the lock */
    return leave(self, ETATUKI_OK, true);
}

static int32_t backend_permissions(const etatuki_backend *backend, uint32_t permissions) {
    struct instance *self = enter(backend);
    if (self == NULL)
        return ETATUKI_E_NULL;
    self->permissions = permissions;
    return leave(self, ETATUKI_OK, false);
}

static const void *backend_extension(const etatuki_backend *backend, const char *name) {
    (void)backend, (void)name;
    return NULL;
}

static void backend_destroy(const etatuki_backend *backend) {
    if (backend_close(backend) != ETATUKI_OK)
        return;
    struct instance *self = backend->plugin_data;
    join_thread(self); /* after this no thread is left to call the host */
    pthread_mutex_destroy(&self->lock);
    free(self);
}

/* ---- the library ---------------------------------------------------------------------------- */

static int32_t create(const etatuki_backend_host *host, const etatuki_backend **out) {
    if (out != NULL)
        *out = NULL;
    if (out == NULL || host == NULL)
        return ETATUKI_E_NULL;
    if (host->struct_size < ETATUKI_BACKEND_HOST_SIZE_1)
        return ETATUKI_E_ARGUMENT;
    struct instance *self = calloc(1, sizeof *self); /* all 0: CLOSED, no permissions, no thread */
    if (self == NULL || pthread_mutex_init(&self->lock, NULL) != 0) {
        free(self);
        return ETATUKI_E_RESOURCES;
    }
    self->functions = (etatuki_backend){
        .struct_size = sizeof(etatuki_backend), .plugin_data = self,
        .probe = backend_probe, .open = backend_open, .close = backend_close,
        .state = backend_state, .session_code = backend_session_code, .last_error = backend_last_error,
        .attach = backend_attach, .permissions = backend_permissions,
        .extension = backend_extension, .destroy = backend_destroy,
    };
    self->host = host;
    self->socket = -1;
    *out = &self->functions;
    return ETATUKI_OK;
}

const etatuki_backend_descriptor etatuki_backend_v1 = {
    .struct_size = sizeof(etatuki_backend_descriptor), .capabilities = ETATUKI_CAP_INPUT,
    .id = "testcard", .name = "Test card", .vendor = "Example Ltd", .version = "1.0.0",
    .code_form = "remoteus", .create = create,
};
