/* Base of plugins that do one thing wrong: it does nothing, and breaks no rule.
 *
 *     #include "base.h"
 *     static int32_t hang(const etatuki_backend *self, const char *code) { ... }
 *     PLUGIN("hang-in-open", "1.0.0", .open = hang)
 *
 * A plugin's id here is its file's name. One instance in a process is enough, so the state is
 * global. */
#ifndef BASE_H
#define BASE_H
#define _GNU_SOURCE

#include "etatuki_backend.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const etatuki_backend_host *base_host;
static _Atomic uint32_t base_state_now = ETATUKI_STATE_CLOSED;
static char base_code[64] = "123456789012";

static inline int32_t base_put(etatuki_text *out, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    if (out == NULL) return ETATUKI_E_NULL;
    out->length = length;
    if (out->data == NULL) return out->capacity == 0 ? ETATUKI_OK : ETATUKI_E_NULL;
    if (out->capacity <= length) {
        if (out->capacity > 0) out->data[0] = 0;
        return ETATUKI_E_BUFFER;
    }
    memcpy(out->data, text, length + 1);
    return ETATUKI_OK;
}

static inline int32_t base_set(uint32_t state) {
    base_state_now = state;
    base_host->changed(base_host);
    return ETATUKI_OK;
}

static inline void base_hang(void) {
    for (;;) pause();
}

static int32_t base_probe(const etatuki_backend *self, etatuki_text *tool, etatuki_text *version) {
    int32_t status = base_put(tool, "");
    (void)self;
    return status != ETATUKI_OK ? status : base_put(version, "");
}

static int32_t base_open(const etatuki_backend *self, const char *code) {
    (void)self;
    if (code == NULL) return ETATUKI_E_NULL;
    if (base_state_now != ETATUKI_STATE_CLOSED) return ETATUKI_E_STATE;
    snprintf(base_code, sizeof base_code, "%s", code);
    return base_set(ETATUKI_STATE_WAITING);
}

static int32_t base_close(const etatuki_backend *self) {
    (void)self;
    return base_set(ETATUKI_STATE_CLOSED);
}

static uint32_t base_state(const etatuki_backend *self) {
    (void)self;
    return base_state_now;
}

static int32_t base_session_code(const etatuki_backend *self, etatuki_text *code) {
    (void)self;
    return base_state_now == ETATUKI_STATE_WAITING ? base_put(code, base_code) : ETATUKI_E_STATE;
}

static int32_t base_last_error(const etatuki_backend *self, int32_t *status, etatuki_text *name, etatuki_text *text) {
    int32_t written = base_put(name, "");
    (void)self;
    if (status != NULL) *status = ETATUKI_OK;
    return written != ETATUKI_OK ? written : base_put(text, "");
}

static int32_t base_attach(const etatuki_backend *self, intptr_t handle) {
    (void)self;
    close((int)handle);
    return ETATUKI_OK;
}

static int32_t base_permissions(const etatuki_backend *self, uint32_t permissions) {
    (void)self;
    (void)permissions;
    return ETATUKI_OK;
}

static const void *base_extension(const etatuki_backend *self, const char *name) {
    (void)self;
    (void)name;
    return NULL;
}

static void base_destroy(const etatuki_backend *self) { (void)self; }

#define INSTANCE(...)                                                                                                   \
    static const etatuki_backend base_instance = {                                                                      \
        .struct_size = sizeof(etatuki_backend), .probe = base_probe, .open = base_open, .close = base_close,            \
        .state = base_state, .session_code = base_session_code, .last_error = base_last_error, .attach = base_attach,   \
        .permissions = base_permissions, .extension = base_extension, .destroy = base_destroy, __VA_ARGS__};            \
    static int32_t base_create(const etatuki_backend_host *host, const etatuki_backend **out) {                         \
        if (out == NULL) return ETATUKI_E_NULL;                                                                         \
        *out = NULL;                                                                                                    \
        if (host == NULL) return ETATUKI_E_NULL;                                                                        \
        if (host->struct_size < sizeof *host) return ETATUKI_E_ARGUMENT;                                                \
        base_host = host;                                                                                               \
        *out = &base_instance;                                                                                          \
        return ETATUKI_OK;                                                                                              \
    }

#define DESCRIPTOR(SYMBOL, ID, VERSION, ...)                                                                            \
    extern ETATUKI_EXPORT const etatuki_backend_descriptor SYMBOL;                                                      \
    const etatuki_backend_descriptor SYMBOL = {.struct_size = sizeof(etatuki_backend_descriptor),                       \
                                               .id = ID,                                                                \
                                               .name = "A test",                                                        \
                                               .vendor = "Tests",                                                       \
                                               .version = VERSION,                                                      \
                                               .code_form = "remoteus",                                                 \
                                               .create = base_create,                                                   \
                                               __VA_ARGS__};

/* `...` overrides functions of the instance. */
#define PLUGIN(ID, VERSION, ...)                                                                                        \
    INSTANCE(__VA_ARGS__)                                                                                               \
    DESCRIPTOR(etatuki_backend_v1, ID, VERSION, .reserved = 0)

#endif
