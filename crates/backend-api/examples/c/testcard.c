/* testcard.c: a whole plugin for Etätuki in plain C. It paints a test card with a square on it, which moves when a key
 * is pressed and goes where the pointer is pressed. Copy it; your picture and input go into paint() and move_square().
 *
 * It has two parts. The stream speaks RFB 3.8 (RFC 6143) as the server, on a thread of its own for each socket, with
 * plain blocking calls. The instance, the functions of etatuki_backend.h, only looks at the state and moves it on,
 * under one mutex, and so returns at once. They meet in few places: attach() starts the thread; close() shuts the
 * socket down, which ends any read or write that the thread is in; the thread, at its end, closes the socket and moves
 * the state on. */
#define _POSIX_C_SOURCE 200809L /* sockets with MSG_NOSIGNAL, and threads, also under -std=c99 */

#include "etatuki_backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 200, SIDE = 20, CODE_LENGTH = 12, UPDATE_HEADER = 16, MOST_CUT_TEXT = 16 << 20 };
enum { STRIPES = 7, BLACK = 7, COLOURS = 8, NEVER_SENT = 255 }; /* the stripes have colours 0 to 6 */

struct area {
    int x0, y0, x1, y1; /* without x1 and y1 themselves; all 0 is the empty one */
};

/* Only the stream's thread touches it. */
struct stream {
    int square_x, square_y;
    unsigned char pixels[COLOURS][4]; /* each colour as the client wants it, the first pixel_size bytes */
    size_t pixel_size;
    struct area wanted;                /* asked for incrementally, and not answered yet */
    unsigned char sent[HEIGHT][WIDTH]; /* the colours that the client has on its screen */
    unsigned char update[UPDATE_HEADER + WIDTH * HEIGHT * 4];
};

struct instance {
    etatuki_backend functions; /* what the host holds; its plugin_data leads back here */
    const etatuki_backend_host *host;
    pthread_mutex_t lock; /* guards what follows, up to `socket` */
    uint32_t state, permissions;
    char code[CODE_LENGTH + 1];
    bool no_thread;      /* the one thing that can fail here, for last_error() */
    int socket;          /* the thread reads it unlocked: while it lives, nobody else changes it */
    pthread_t thread;    /* of the newest stream. Only calls from the host, which come one at a time, use these two */
    bool thread_started; /* it must be joined, though it may have ended long ago */
    struct stream stream;
};

/* ---- bytes on the socket; here and below, `bool` says whether the stream goes on --------------------------------- */

static bool receive(int socket, void *to, size_t count) {
    for (unsigned char *next = to; count > 0;) {
        ssize_t got = recv(socket, next, count, 0); /* fewer than we asked for is usual */
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0) { /* else a signal came, and nothing happened to the stream */
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

/* A client that never reads keeps the thread in here. That harms nobody, and close() gets it out. */
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

/* RFB's numbers are big-endian, whatever the machine is. */
static int get16(const unsigned char *from) {
    return from[0] << 8 | from[1];
}

static void put16(unsigned char *to, int value) {
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static const unsigned char RGB[COLOURS][3] = {{255, 255, 255}, {255, 255, 0}, {0, 255, 255}, {0, 255, 0},
                                              {255, 0, 255},   {255, 0, 0},   {0, 0, 255},   {0, 0, 0}};

/* As RFB has it: 32 bits, depth 24, little-endian, true colour; the three go up to 255, at bits 16, 8 and 0. */
static const unsigned char FIRST_FORMAT[16] = {32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0};

static unsigned char paint(const struct stream *stream, int x, int y) {
    int right = x - stream->square_x, down = y - stream->square_y;
    bool in_square = right >= 0 && right < SIDE && down >= 0 && down < SIDE;
    return (unsigned char)(in_square ? BLACK : x * STRIPES / WIDTH);
}

/* Turns each colour into a pixel of the client's, so that an update only copies. False for colour maps and for what
 * can't be. The depth needs no look: the maxima and shifts say it all. */
static bool use_format(struct stream *stream, const unsigned char *format) {
    unsigned bits = format[0], big_endian = format[2], true_colour = format[3];
    uint32_t pixels[COLOURS] = {0};
    if (!true_colour || (bits != 8 && bits != 16 && bits != 32))
        return false;
    for (int part = 0; part < 3; part++) {
        uint32_t max = (uint32_t)get16(format + 4 + 2 * part), shift = format[10 + part];
        if (shift >= bits || ((uint64_t)max << shift) >> bits != 0) /* it would reach out of the pixel */
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

/* The smallest area that holds two, of which the second isn't empty. */
static struct area both(struct area a, struct area b) {
    if (is_empty(a))
        return b;
    return (struct area){a.x0 < b.x0 ? a.x0 : b.x0, a.y0 < b.y0 ? a.y0 : b.y0,
                         a.x1 > b.x1 ? a.x1 : b.x1, a.y1 > b.y1 ? a.y1 : b.y1};
}

/* The smallest area of `within` that holds all that the client hasn't got as it is now. To compare with what was sent
 * is simpler than to keep books of what changed, and right for whatever areas a client asks for. */
static struct area changes(const struct stream *stream, struct area within) {
    struct area changed = {0, 0, 0, 0};
    for (int y = within.y0; y < within.y1; y++)
        for (int x = within.x0; x < within.x1; x++)
            if (stream->sent[y][x] != paint(stream, x, y))
                changed = both(changed, (struct area){x, y, x + 1, y + 1});
    return changed;
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

/* Tells support why the stream ends. Never say what the client sent: it may be a password. */
static bool give_up(struct instance *self, const char *why) {
    self->host->log(self->host, ETATUKI_LOG_WARN, why);
    return false;
}

/* `area` isn't empty and lies on the screen. */
static bool send_update(struct instance *self, struct area area) {
    struct stream *stream = &self->stream;
    unsigned char *next = stream->update + UPDATE_HEADER;
    memset(stream->update, 0, UPDATE_HEADER); /* the message FramebufferUpdate is 0, the encoding Raw too */
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

/* Answers the incremental requests if something in their area has changed. Otherwise they go on waiting. */
static bool answer_wanted(struct instance *self) {
    struct area changed = changes(&self->stream, self->stream.wanted);
    if (is_empty(changed))
        return true;
    self->stream.wanted = (struct area){0, 0, 0, 0};
    return send_update(self, changed);
}

static int between(int low, int value, int high) {
    return value < low ? low : value > high ? high : value;
}

/* Of a request that reaches beyond the screen we answer what lies on it, and of one wholly outside nothing. */
static bool on_update_request(struct instance *self, const unsigned char *body) {
    int x = get16(body + 1), y = get16(body + 3);
    struct area area = {x, y, between(0, x + get16(body + 5), WIDTH), between(0, y + get16(body + 7), HEIGHT)};
    if (is_empty(area))
        return true;
    if (body[0] == 0) /* not incremental: all of it, now */
        return send_update(self, area);
    self->stream.wanted = both(self->stream.wanted, area);
    return answer_wanted(self);
}

/* The launcher lets only input through that the customer allows. This is the second lock. */
static bool move_square(struct instance *self, int x, int y) {
    pthread_mutex_lock(&self->lock);
    bool allowed = (self->permissions & ETATUKI_PERMISSION_CONTROL) != 0;
    pthread_mutex_unlock(&self->lock);
    if (!allowed)
        return true;
    self->stream.square_x = between(0, x, WIDTH - SIDE);
    self->stream.square_y = between(0, y, HEIGHT - SIDE);
    return answer_wanted(self);
}

/* Any key that goes down moves the square to the next place, as one reads. */
static bool on_key(struct instance *self, const unsigned char *body) {
    const int columns = WIDTH / SIDE, places = columns * (HEIGHT / SIDE);
    int place = (self->stream.square_y / SIDE * columns + self->stream.square_x / SIDE + 1) % places;
    return body[0] == 0 || move_square(self, place % columns * SIDE, place / columns * SIDE);
}

/* The square's middle goes where one of the three buttons is held down; the other bits are the wheel. */
static bool on_pointer(struct instance *self, const unsigned char *body) {
    return (body[0] & 7) == 0 || move_square(self, get16(body + 1) - SIDE / 2, get16(body + 3) - SIDE / 2);
}

static bool on_cut_text(struct instance *self, const unsigned char *body) {
    uint32_t length = (uint32_t)get16(body + 3) << 16 | (uint32_t)get16(body + 5);
    return length <= MOST_CUT_TEXT ? skip(self->socket, length) : give_up(self, "the client's clipboard is too long");
}

static bool on_message(struct instance *self) {
    static const unsigned char lengths[] = {19, 0, 3, 9, 7, 5, 7}; /* by type, without it; 0: there is no such type */
    unsigned char type, body[19];
    if (!receive(self->socket, &type, 1))
        return false;
    if (type >= sizeof lengths || lengths[type] == 0) /* where the next message begins, nobody knows */
        return give_up(self, "the client sent a message of an unknown type");
    if (!receive(self->socket, body, lengths[type]))
        return false;
    switch (type) {
    case 0: return use_format(&self->stream, body + 3) || give_up(self, "the client wants an impossible pixel format");
    case 2: return skip(self->socket, 4 * (size_t)get16(body + 1)); /* encodings. Everybody must take Raw */
    case 3: return on_update_request(self, body);
    case 4: return on_key(self, body);
    case 5: return on_pointer(self, body);
    default: return on_cut_text(self, body);
    }
}

static bool handshake(struct instance *self) {
    static const char version[] = "RFB 003.008\n", name[] = "\0\0\0\10testcard";
    unsigned char answer[sizeof version - 1], init[4 + sizeof FIRST_FORMAT];
    if (!transmit(self->socket, version, sizeof version - 1) || !receive(self->socket, answer, sizeof answer))
        return false;
    if (memcmp(answer, version, sizeof answer) != 0)
        return give_up(self, "the client doesn't speak RFB 3.8");
    if (!transmit(self->socket, "\1\1", 2) || !receive(self->socket, answer, 1)) /* one security type: None */
        return false;
    if (answer[0] != 1)
        return give_up(self, "the client wants a security type that wasn't offered");
    if (!transmit(self->socket, "\0\0\0\0", 4) || !receive(self->socket, answer, 1)) /* it's in, shared or not */
        return false;
    put16(init, WIDTH);
    put16(init + 2, HEIGHT);
    memcpy(init + 4, FIRST_FORMAT, sizeof FIRST_FORMAT);
    return transmit(self->socket, init, sizeof init) && transmit(self->socket, name, sizeof name - 1);
}

/* A socket closed with bytes unread is reset, and the client may lose the last that we said. So those that are there
 * are read, up to a bound: no client can keep us here. */
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
    use_format(&self->stream, FIRST_FORMAT);
    if (handshake(self))
        while (on_message(self))
            continue;
    end_connection(self->socket);
    pthread_mutex_lock(&self->lock);
    close(self->socket); /* under the lock, or backend_close() might shut down another one that got the same number */
    self->socket = -1;
    self->state = self->state == ETATUKI_STATE_CLOSING ? ETATUKI_STATE_CLOSED : ETATUKI_STATE_WAITING;
    pthread_mutex_unlock(&self->lock);
    self->host->changed(self->host);
    return NULL;
}

/* ---- the instance ------------------------------------------------------------------------------------------------ */

/* Most functions begin with enter() and, unless that gave null, end with leave(). */
static struct instance *enter(const etatuki_backend *backend) {
    struct instance *self = backend != NULL ? backend->plugin_data : NULL;
    if (self != NULL)
        pthread_mutex_lock(&self->lock);
    return self;
}

/* The host is told without the lock: it may do what it likes in there. */
static int32_t leave(struct instance *self, int32_t status, bool changed) {
    pthread_mutex_unlock(&self->lock);
    if (changed)
        self->host->changed(self->host);
    return status;
}

/* Whole or not at all; `length` always. */
static int32_t put_text(etatuki_text *to, const char *text) {
    size_t length = strlen(text);
    if (to->data == NULL && to->capacity != 0)
        return ETATUKI_E_NULL;
    to->length = (uint32_t)length;
    if (to->data == NULL) /* only the length is asked for */
        return ETATUKI_OK;
    if (to->capacity > length)
        memcpy(to->data, text, length + 1);
    else if (to->capacity > 0)
        to->data[0] = '\0';
    return to->capacity > length ? ETATUKI_OK : ETATUKI_E_BUFFER;
}

/* The second is put also if the first didn't fit, so that the host learns both lengths at once. */
static int32_t put_texts(etatuki_text *first, const char *one, etatuki_text *second, const char *two) {
    int32_t status = put_text(first, one), other = put_text(second, two);
    return status != ETATUKI_OK ? status : other;
}

/* Look for your tool here. This plugin drives none, so it can be used everywhere. */
static int32_t backend_probe(const etatuki_backend *backend, etatuki_text *tool, etatuki_text *version) {
    struct instance *self = tool != NULL && version != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    bool closed = self->state == ETATUKI_STATE_CLOSED;
    return leave(self, closed ? put_texts(tool, "", version, "") : ETATUKI_E_STATE, false);
}

/* There is nothing to wait for, so the state OPENING is left out. */
static int32_t backend_open(const etatuki_backend *backend, const char *code) {
    struct instance *self = code != NULL ? enter(backend) : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (self->state != ETATUKI_STATE_CLOSED)
        return leave(self, ETATUKI_E_STATE, false);
    if (strlen(code) != CODE_LENGTH || strspn(code, "0123456789") != CODE_LENGTH)
        return leave(self, ETATUKI_E_ARGUMENT, false);
    memcpy(self->code, code, sizeof self->code); /* a copy: the text is the host's, and only there during the call */
    self->no_thread = false;
    self->state = ETATUKI_STATE_WAITING;
    return leave(self, ETATUKI_OK, true);
}

/* Doesn't wait for the stream's thread, which makes CLOSED out of CLOSING. */
static int32_t backend_close(const etatuki_backend *backend) {
    struct instance *self = enter(backend);
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (self->state == ETATUKI_STATE_CLOSED || self->state == ETATUKI_STATE_CLOSING)
        return leave(self, ETATUKI_OK, false);
    if (self->state == ETATUKI_STATE_ATTACHED)
        shutdown(self->socket, SHUT_RDWR); /* not close(): the thread may be about to use the number */
    self->state = self->state == ETATUKI_STATE_ATTACHED ? ETATUKI_STATE_CLOSING : ETATUKI_STATE_CLOSED;
    memset(self->code, 0, sizeof self->code); /* neither of these is for the next session */
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

/* Takes no time: the thread is at its end, or its socket has been shut down. Not under the lock, which it needs. */
static void join_thread(struct instance *self) {
    if (self->thread_started)
        pthread_join(self->thread, NULL);
    self->thread_started = false;
}

static int32_t backend_attach(const etatuki_backend *backend, intptr_t handle) {
    struct instance *self = backend != NULL ? backend->plugin_data : NULL;
    if (self == NULL)
        return ETATUKI_E_NULL;
    if (backend_state(backend) != ETATUKI_STATE_WAITING) /* it stays so: only another call leads out of WAITING */
        return ETATUKI_E_STATE;
    if (!is_stream_socket(handle))
        return ETATUKI_E_ARGUMENT;
    join_thread(self); /* the last stream's */
    pthread_mutex_lock(&self->lock);
    self->socket = (int)handle;
    self->no_thread = pthread_create(&self->thread, NULL, stream_thread, self) != 0;
    self->thread_started = !self->no_thread;
    if (self->no_thread) {
        self->socket = -1; /* it is the host's still */
        return leave(self, ETATUKI_E_RESOURCES, false);
    }
    self->state = ETATUKI_STATE_ATTACHED; /* the thread can't have set WAITING before: we have the lock */
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
    join_thread(self); /* after this nobody is left who might call the host */
    pthread_mutex_destroy(&self->lock);
    free(self);
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

static int32_t create(const etatuki_backend_host *host, const etatuki_backend **out) {
    if (out != NULL)
        *out = NULL;
    if (out == NULL || host == NULL)
        return ETATUKI_E_NULL;
    if (host->struct_size < ETATUKI_BACKEND_HOST_SIZE_1)
        return ETATUKI_E_ARGUMENT;
    struct instance *self = calloc(1, sizeof *self); /* all 0: CLOSED, nothing allowed, no thread */
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
