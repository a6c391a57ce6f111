/* A whole plugin in plain C: what comes in on the attached stream goes out again.
 *
 * The shape to copy: one mutex guards the state; changed() is called after it was let go; the one thread of ours serves
 * the stream, ends when the stream is shut down, and is joined before the next one starts and in destroy(). */
#define _POSIX_C_SOURCE 200809L

#include "etatuki_backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct session {
    etatuki_backend table;
    const etatuki_backend_host *host;
    pthread_mutex_t lock; /* guards what follows */
    uint32_t state;
    char code[64];
    int stream;
    pthread_t thread;
    int has_thread; /* started and not joined yet */
} session;

static session *of(const etatuki_backend *self) { return (session *)self->plugin_data; }

static int32_t put(etatuki_text *out, const char *text) {
    size_t length = strlen(text);
    if (out == NULL) return ETATUKI_E_NULL;
    out->length = (uint32_t)length;
    if (out->data == NULL) return out->capacity == 0 ? ETATUKI_OK : ETATUKI_E_NULL;
    if (out->capacity <= length) {
        if (out->capacity > 0) out->data[0] = 0;
        return ETATUKI_E_BUFFER;
    }
    memcpy(out->data, text, length + 1);
    return ETATUKI_OK;
}

static void join(session *s) {
    if (s->has_thread) pthread_join(s->thread, NULL);
    s->has_thread = 0;
}

/* ---- the stream ------------------------------------------------------------------------------------------------ */

static int send_all(int stream, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(stream, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static void *serve(void *data) {
    session *s = (session *)data;
    int stream = s->stream; /* set before this thread was started, and again only after it was joined */
    char buffer[4096];
    ssize_t length;
    while ((length = recv(stream, buffer, sizeof buffer, 0)) > 0)
        if (send_all(stream, buffer, (size_t)length) != 0) break;

    pthread_mutex_lock(&s->lock);
    close(stream);
    s->stream = -1;
    s->state = s->state == ETATUKI_STATE_CLOSING ? ETATUKI_STATE_CLOSED : ETATUKI_STATE_WAITING;
    pthread_mutex_unlock(&s->lock);
    s->host->changed(s->host);
    return NULL;
}

/* ---- the interface --------------------------------------------------------------------------------------------- */

static int32_t echo_probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    int32_t status;
    (void)self;
    status = put(tool, "echo in C");
    return status != ETATUKI_OK ? status : put(version, "0.3");
}

static int32_t echo_open(const etatuki_backend *self, const char *code) {
    session *s = of(self);
    if (code == NULL) return ETATUKI_E_NULL;
    if (strlen(code) >= sizeof s->code) return ETATUKI_E_ARGUMENT;
    pthread_mutex_lock(&s->lock);
    if (s->state != ETATUKI_STATE_CLOSED) {
        pthread_mutex_unlock(&s->lock);
        return ETATUKI_E_STATE;
    }
    strcpy(s->code, code);
    s->state = ETATUKI_STATE_WAITING; /* nothing to wait for */
    pthread_mutex_unlock(&s->lock);
    s->host->log(s->host, ETATUKI_LOG_INFO, "open");
    s->host->changed(s->host);
    return ETATUKI_OK;
}

static int32_t echo_close(const etatuki_backend *self) {
    session *s = of(self);
    pthread_mutex_lock(&s->lock);
    memset(s->code, 0, sizeof s->code);
    if (s->state == ETATUKI_STATE_ATTACHED) {
        s->state = ETATUKI_STATE_CLOSING; /* serve() makes it CLOSED */
        shutdown(s->stream, SHUT_RDWR);
    } else if (s->state != ETATUKI_STATE_CLOSING) {
        s->state = ETATUKI_STATE_CLOSED;
    }
    pthread_mutex_unlock(&s->lock);
    s->host->changed(s->host);
    return ETATUKI_OK;
}

static uint32_t echo_state(const etatuki_backend *self) {
    session *s = of(self);
    uint32_t state;
    pthread_mutex_lock(&s->lock);
    state = s->state;
    pthread_mutex_unlock(&s->lock);
    return state;
}

static int32_t echo_session_code(const etatuki_backend *self, etatuki_text *code) {
    session *s = of(self);
    int32_t status = ETATUKI_E_STATE;
    pthread_mutex_lock(&s->lock);
    if (s->state == ETATUKI_STATE_WAITING || s->state == ETATUKI_STATE_ATTACHED) status = put(code, s->code);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* Nothing here can fail in a way that the status codes don't say already. */
static int32_t echo_last_error(const etatuki_backend *self, int32_t *status, etatuki_text *name, etatuki_text *text) {
    int32_t written;
    (void)self;
    if (status != NULL) *status = ETATUKI_OK;
    written = put(name, "");
    return written != ETATUKI_OK ? written : put(text, "");
}

static int32_t echo_attach(const etatuki_backend *self, intptr_t handle) {
    session *s = of(self);
    int32_t status = ETATUKI_OK;
    if (handle < 0) return ETATUKI_E_ARGUMENT;
    pthread_mutex_lock(&s->lock);
    if (s->state != ETATUKI_STATE_WAITING) {
        status = ETATUKI_E_STATE;
    } else {
        join(s); /* in WAITING a thread that is left has let go of the lock for good */
        s->stream = (int)handle;
        s->state = ETATUKI_STATE_ATTACHED;
        if (pthread_create(&s->thread, NULL, serve, s) == 0) {
            s->has_thread = 1;
        } else {
            s->stream = -1; /* still the host's */
            s->state = ETATUKI_STATE_WAITING;
            status = ETATUKI_E_RESOURCES;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (status == ETATUKI_OK) s->host->changed(s->host);
    return status;
}

static int32_t echo_permissions(const etatuki_backend *self, uint32_t permissions) {
    (void)self;
    (void)permissions;
    return ETATUKI_OK;
}

static const void *echo_extension(const etatuki_backend *self, const char *name) {
    (void)self;
    (void)name;
    return NULL;
}

static void echo_destroy(const etatuki_backend *self) {
    session *s;
    if (self == NULL) return;
    s = of(self);
    echo_close(self);
    join(s);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int32_t echo_create(const etatuki_backend_host *host, const etatuki_backend **out) {
    static const etatuki_backend functions = {
        sizeof(etatuki_backend), 0, NULL, echo_probe, echo_open, echo_close, echo_state, echo_session_code,
        echo_last_error, echo_attach, echo_permissions, echo_extension, echo_destroy};
    session *s;
    if (out == NULL) return ETATUKI_E_NULL;
    *out = NULL;
    if (host == NULL) return ETATUKI_E_NULL;
    if (host->struct_size < sizeof(etatuki_backend_host)) return ETATUKI_E_ARGUMENT;
    s = (session *)calloc(1, sizeof *s);
    if (s == NULL) return ETATUKI_E_RESOURCES;
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return ETATUKI_E_RESOURCES;
    }
    s->table = functions;
    s->table.plugin_data = s;
    s->host = host;
    s->stream = -1;
    *out = &s->table;
    return ETATUKI_OK;
}

const etatuki_backend_descriptor etatuki_backend_v1 = {
    sizeof(etatuki_backend_descriptor),
    0,
    ETATUKI_CAP_INPUT,
    "echo-c",
    "Echo in C",
    "Etätuki",
    "0.3.0",
    "remoteus",
    echo_create,
};
