/* etatuki_backend.h: the interface between Etätuki's plugin host and a backend in a dynamic
 * library, version 1.
 *
 * A plugin is a library that exports one symbol, `etatuki_backend_v1`, a constant descriptor. It is
 * loaded into a child process of the launcher, which holds no keys, and is never unloaded. The
 * guide is docs/plugins.md, and an example in plain C is crates/backend-api/examples/c.
 *
 * Each function has a tag for its caller and its states:
 *
 *   [call]      The host calls it on its call thread: always one thread, one call at a time. It must
 *               return within two seconds, or the process is killed. Long work belongs to threads of
 *               the plugin.
 *   [any]       It may be called from any thread, by several threads at once, and while a [call]
 *               function runs. It must not block.
 *   & STATE,..  The states in which the call is allowed. In other states it returns ETATUKI_E_STATE and
 *               changes nothing; the functions' comments don't repeat this.
 *
 * `self` is never null, except in destroy(); E_NULL is for the other pointers. Of several errors
 * that apply, any may be returned. A plugin may call changed() and log() from anywhere until
 * destroy() has returned, also within a call of the host, but never while it holds a lock that an
 * [any] function takes. It must call changed() after every change of state, except one that it
 * makes within a [call] function; there the call is optional.
 *
 * States of an instance, and the cause of each transition:
 *
 *                 open()                the plugin               attach()
 *      CLOSED ---------------> OPENING ------------> WAITING <--------------> ATTACHED
 *         ^                       |                     |      the stream's      |
 *         | the plugin            |                     |          end           |
 *      CLOSING <----- close() ----+---------------------+------------------------+
 *         ^                       |                     |                        |
 *         +------- close() ---- FAILED <-- the plugin --+------------------------+
 *
 * Status codes have bands that say who is at fault: 1xx the caller, 2xx the plugin, 3xx the tool,
 * the machine around it or the remote side. A plugin may return any number of the right band; the
 * named ones have a meaning.
 *
 * Texts are UTF-8. A text that a caller passes in ends in NUL, belongs to the caller, and is valid
 * during the call only. A text that comes out is written into the caller's buffer (etatuki_text).
 * Neither side frees memory that the other one allocated.
 *
 * Growth: within version 1, structs grow at their end only. `struct_size` is the size that the side
 * which filled in the struct knew; a field exists only if `struct_size` covers it. etatuki_text
 * never grows. Everything else is added as a named extension. A change that breaks this makes
 * another symbol, `etatuki_backend_v2`.
 *
 * No enum, bool or bit-field crosses the interface; nor does an exception, a panic or a longjmp.
 */
#ifndef ETATUKI_BACKEND_H
#define ETATUKI_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Goes before the definition of etatuki_backend_v1. */
#if defined(_WIN32)
#define ETATUKI_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define ETATUKI_EXPORT __attribute__((visibility("default")))
#else
#define ETATUKI_EXPORT
#endif

/* ---- status codes --------------------------------------------------------------------------- */

#define ETATUKI_OK 0

#define ETATUKI_E_CALLER 100   /* general fault of the caller */
#define ETATUKI_E_NULL 101     /* null pointer where none is allowed */
#define ETATUKI_E_STATE 102    /* not allowed in this state */
#define ETATUKI_E_BUFFER 103   /* buffer too small; `length` is the needed size */
#define ETATUKI_E_ARGUMENT 104 /* not UTF-8, not a handle, or not in the announced form */

#define ETATUKI_E_PLUGIN 200    /* general fault of the plugin */
#define ETATUKI_E_INTERNAL 201  /* bug in the plugin, which it caught */
#define ETATUKI_E_RESOURCES 202 /* no thread, memory or handle for the plugin */

#define ETATUKI_E_TOOL 300     /* general fault of the tool, the machine or the remote side */
#define ETATUKI_E_UNUSABLE 301 /* probe(): the backend can't be used on this machine as it is now */

/* ---- other numbers -------------------------------------------------------------------------- */

#define ETATUKI_STATE_CLOSED 0u   /* nothing is open; the first state */
#define ETATUKI_STATE_OPENING 1u  /* open() was called; there is no code yet */
#define ETATUKI_STATE_WAITING 2u  /* there is a code; attach() is allowed */
#define ETATUKI_STATE_ATTACHED 3u /* a stream is being served */
#define ETATUKI_STATE_CLOSING 4u  /* close() was called; resources are being released */
#define ETATUKI_STATE_FAILED 5u   /* the session failed: see last_error(); close() leads out */

/* Bits of etatuki_backend_descriptor.capabilities. Undefined bits are 0. */
#define ETATUKI_CAP_INPUT (UINT64_C(1) << 0)         /* takes keys and the pointer */
#define ETATUKI_CAP_CLIPBOARD (UINT64_C(1) << 1)     /* carries the clipboard */
#define ETATUKI_CAP_RESIZE (UINT64_C(1) << 2)        /* obeys SetDesktopSize */
#define ETATUKI_CAP_OWN_CODE (UINT64_C(1) << 3)      /* makes its own code */
#define ETATUKI_CAP_OWN_TRANSPORT (UINT64_C(1) << 4) /* has its own transport: no attach() */
#define ETATUKI_CAP_NETWORK (UINT64_C(1) << 5)       /* needs the network itself */

/* Bits of permissions(). */
#define ETATUKI_PERMISSION_VIEW 1u    /* the customer allowed view */
#define ETATUKI_PERMISSION_CONTROL 2u /* the customer allowed input; never without VIEW */

/* Levels of log(). */
#define ETATUKI_LOG_ERROR 1u /* something failed */
#define ETATUKI_LOG_WARN 2u  /* something is odd */
#define ETATUKI_LOG_INFO 3u  /* something happened that support wants to know */
#define ETATUKI_LOG_DEBUG 4u /* detail for debugging */

/* ---- a buffer for one text ------------------------------------------------------------------ */

/* Buffer for one text. The caller sets `data` and `capacity`; the callee writes the text with a
 * final NUL, and sets `length`. The text is written whole or not at all. If it doesn't fit, the
 * callee returns ETATUKI_E_BUFFER, sets `length` to the text's length, and data[0] to 0 if there
 * is any room. `data` null with `capacity` 0 asks for the length alone and returns ETATUKI_OK;
 * `data` null with another capacity is ETATUKI_E_NULL. A text may be empty. A function with
 * several texts writes each that fits, and sets each `length`. After another error than E_BUFFER
 * the caller ignores all of them. No text is longer than 65535 bytes. */
typedef struct etatuki_text {
    char *data;        /* the caller's memory */
    uint32_t capacity; /* bytes at `data`, the NUL included */
    uint32_t length;   /* result: bytes of the text without its NUL, also when it didn't fit */
} etatuki_text;

/* ---- the host's functions ------------------------------------------------------------------- */

/* The host, as a plugin sees it. The host owns it. It is valid from create() until destroy() has
 * returned; no function of it may be called after that. */
typedef struct etatuki_backend_host {
    uint32_t struct_size; /* sizeof(etatuki_backend_host) as the host was built */
    uint32_t reserved;    /* 0 */
    void *host_data;      /* private to the host */

    /* Asks the host to read state(), session_code() and last_error() again, since one of them has
     * changed. The host reads later, on its call thread, never within this call; one reading may
     * serve several calls.
     * [any] Doesn't block, can't fail. */
    void (*changed)(const struct etatuki_backend_host *host);

    /* Writes a line to the launcher's log. It must not contain the session code. It is cut off
     * after 1000 bytes; too many lines at once are dropped and counted.
     * [any] `message` belongs to the plugin. Doesn't block, can't fail. */
    void (*log)(const struct etatuki_backend_host *host, uint32_t level, const char *message);

    /* Writes the backend's options from the registry: a JSON object, or `null`.
     * [any] Into the caller's buffer. Errors: E_NULL, E_BUFFER. */
    int32_t (*options)(const struct etatuki_backend_host *host, etatuki_text *json);

    /* Writes the customer's language: `fi`, `sv` or `en`.
     * [any] Into the caller's buffer. Errors: E_NULL, E_BUFFER. */
    int32_t (*language)(const struct etatuki_backend_host *host, etatuki_text *code);

    /* Returns the host's extension of this name, or null. None is defined yet.
     * [any] The extension belongs to the host and lives as long as it. */
    const void *(*extension)(const struct etatuki_backend_host *host, const char *name);
} etatuki_backend_host;

/* Smallest `struct_size` of a host of version 1. Compare with this, never with sizeof, which
 * grows with the header: a plugin built with a newer one would refuse today's hosts. */
#define ETATUKI_BACKEND_HOST_SIZE_1 (offsetof(etatuki_backend_host, extension) + sizeof(void (*)(void)))

/* ---- one session of a backend --------------------------------------------------------------- */

/* An instance of a backend. The plugin owns it; create() makes it, destroy() frees it. No
 * function may be null. */
typedef struct etatuki_backend {
    uint32_t struct_size; /* sizeof(etatuki_backend) as the plugin was built */
    uint32_t reserved;    /* 0 */
    void *plugin_data;    /* private to the plugin */

    /* Checks whether the backend can be used on this machine now. It finds the tool that the
     * backend drives and asks for its version, without a lasting effect: it opens nothing, and
     * leaves nothing running.
     * [call & CLOSED] Into the caller's buffers: `tool` is the tool's name, `version` its version
     * in its own words; both may be empty, and are empty for a plugin that drives no tool.
     * Errors: E_UNUSABLE, after which last_error() has a stable name (`tool-missing`,
     * `tool-too-old`, `display-missing` or one of the plugin's own) and a sentence for a person;
     * E_NULL, E_BUFFER, 2xx. */
    int32_t (*probe)(const struct etatuki_backend *self, etatuki_text *tool, etatuki_text *version);

    /* Starts a session. It returns at once, in the state OPENING or, without anything to wait for,
     * WAITING. Long work runs on the plugin's own threads, which set WAITING or FAILED and call
     * changed(). With OWN_TRANSPORT they also set ATTACHED while somebody is connected, and
     * CLOSING, then CLOSED, when the customer ended the tool.
     * [call & CLOSED] `code` is a freshly minted session code in the descriptor's form (for `own`:
     * eight digits, for a tool that takes a password). It belongs to the caller and is valid during
     * the call only. A backend with OWN_CODE may ignore it. Never write it to a log, a file or a
     * command line.
     * Errors: E_NULL, E_ARGUMENT, E_STATE, 2xx, 3xx; the state stays CLOSED then. */
    int32_t (*open)(const struct etatuki_backend *self, const char *code);

    /* Ends the session with its stream and tool. It returns at once, in the state CLOSING, which
     * changed() and CLOSED follow, or in CLOSED if nothing is left to release. In CLOSED and
     * CLOSING it does nothing and returns ETATUKI_OK.
     * [call] Errors: only E_NULL and 2xx. */
    int32_t (*close)(const struct etatuki_backend *self);

    /* Returns the state now: one of ETATUKI_STATE_*.
     * [any] Can't fail. */
    uint32_t (*state)(const struct etatuki_backend *self);

    /* Writes the session code now, in the descriptor's form, at most 64 bytes. The host gets the
     * code from here alone. It may be empty only with OWN_TRANSPORT: then the tool's own window
     * shows it.
     * [any & WAITING, ATTACHED] Into the caller's buffer. Errors: E_NULL, E_BUFFER, E_STATE. */
    int32_t (*session_code)(const struct etatuki_backend *self, etatuki_text *code);

    /* Writes the last failure: the status code (0: none yet), a stable name for programs in lower
     * case with hyphens, and an English text for the log and for support. A failure is a call that
     * returned 2xx or 3xx, or the state FAILED; errors of the caller (1xx) don't change it. open()
     * clears it. The launcher has a sentence for the customer for these names, and treats others as
     * `plugin-failed`: `tool-missing`, `tool-too-old`, `tool-failed` (it didn't start),
     * `tool-died`, `display-missing`, `display-unsupported`, `display-lost`, `registry-broken` (the
     * options are wrong), `plugin-failed`.
     * [any] Into the caller's buffers and into *status, which may be null. Errors: E_NULL,
     * E_BUFFER. */
    int32_t (*last_error)(const struct etatuki_backend *self, int32_t *status, etatuki_text *name, etatuki_text *text);

    /* Hands over a connected stream socket, on which the plugin speaks RFB as the server. Plain RFB
     * 3.8 with security type None and Raw is enough. It returns at once, in the state ATTACHED.
     * When the stream has ended the state is WAITING again (perhaps before attach() has returned),
     * and attach() may be called with a new socket. Every end of the stream leads to WAITING, also
     * a client's breach of the protocol; FAILED means that this session can't continue. Never
     * called with OWN_TRANSPORT.
     * [call & WAITING] `handle` is a file descriptor, or a SOCKET on Windows, in its whole width: a
     * blocking, close-on-exec Unix or TCP socket. SIGPIPE may have its default action: write so
     * that none is raised.
     * Ownership: after ETATUKI_OK the plugin owns the handle and closes it. After an error the host
     * still owns it, and the plugin must not have touched it.
     * Errors: E_ARGUMENT, E_STATE, 2xx, 3xx. */
    int32_t (*attach)(const struct etatuki_backend *self, intptr_t handle);

    /* Sets what the customer allows from now on: a set of ETATUKI_PERMISSION_*, empty at first and
     * after close(). In force when it returns: the agent's first key may come right after that.
     * Called before attach(), and at each change. The launcher attaches nothing
     * without VIEW, and passes on no input that isn't allowed, so this is a second lock, for tools
     * that have one. Ignore unknown bits.
     * [call] In any state; in WAITING and ATTACHED every set is accepted. Errors: 2xx, 3xx. */
    int32_t (*permissions)(const struct etatuki_backend *self, uint32_t permissions);

    /* Returns the plugin's extension of this name, or null. The defined ones are at the end of this
     * file.
     * [any] The extension belongs to the plugin and lives as long as the instance. */
    const void *(*extension)(const struct etatuki_backend *self, const char *name);

    /* Closes the session, joins the plugin's threads, ends its tools, and frees the instance. The
     * plugin calls no function of the host after it has returned.
     * [call] In any state, as the last call; no other call is under way then. Null is allowed.
     * Can't fail. */
    void (*destroy)(const struct etatuki_backend *self);
} etatuki_backend;

/* ---- extensions of the plugin's ------------------------------------------------------------- */

/* The extension `etatuki.scope/1`, app sharing: the plugin can share the windows of one app
 * instead of the whole screen. The launcher offers that to the customer only if the plugin has
 * this extension. */
typedef struct etatuki_scope {
    uint32_t struct_size; /* sizeof(etatuki_scope) as the plugin was built */
    uint32_t reserved;    /* 0 */

    /* Restricts attached streams, from now on until close(), to the windows of these processes. A
     * stream shows these windows alone, with their menus and dialogs, as far as they are visible on
     * the screen; everything else is one colour, at every moment, also while windows move. Keys and
     * pointer reach nothing else, and text that other programs copy isn't sent. A process that ends
     * is excluded for good. A plugin that can't guarantee all of this must not have this extension.
     * [call & WAITING] `pids` are `count` process ids; they belong to the caller and are valid
     * during the call only.
     * Errors: E_NULL, E_ARGUMENT (`count` is 0), E_STATE, 2xx, 3xx. Nothing is attached after an
     * error. */
    int32_t (*limit)(const struct etatuki_backend *self, const uint32_t *pids, uint32_t count);
} etatuki_scope;

/* ---- the library ---------------------------------------------------------------------------- */

/* The plugin's description of itself: constant, valid as long as the library is loaded, and read
 * before any code of the plugin is called. No text is null, empty or longer than 127 bytes. */
typedef struct etatuki_backend_descriptor {
    uint32_t struct_size;  /* sizeof(etatuki_backend_descriptor) as the plugin was built */
    uint32_t reserved;     /* 0 */
    uint64_t capabilities; /* a set of ETATUKI_CAP_* */
    const char *id;        /* id in the registry, such as `ecom`; the host refuses another one */
    const char *name;      /* name for people */
    const char *vendor;    /* vendor of the plugin */
    const char *version;   /* version of the plugin, semver: `1.4.0` */
    const char *code_form; /* `remoteus`: 12 digits; `ecom`: 9 digits, space, 6; `own`: any */

    /* Makes an instance, in the state CLOSED. It is cheap, and touches neither display nor tool.
     * The host makes one for each process; the checker makes several, one after the other.
     * [call] `host` belongs to the host and outlives the instance. *out belongs to the plugin until
     * destroy(), and is null unless ETATUKI_OK is returned.
     * Errors: E_NULL, E_ARGUMENT (the host's struct is too short), 2xx. */
    int32_t (*create)(const etatuki_backend_host *host, const etatuki_backend **out);
} etatuki_backend_descriptor;

/* The only symbol that a plugin exports. */
extern ETATUKI_EXPORT const etatuki_backend_descriptor etatuki_backend_v1;

#ifdef __cplusplus
}
#endif

#endif
