/* etatuki_backend.h: the interface between Etätuki's plugin host and a backend in a dynamic library, version 1.
 *
 * A plugin is a library that exports one symbol, `etatuki_backend_v1`, a constant descriptor. It is loaded in a child
 * process of the launcher, which holds no keys, and is never unloaded. The guide is docs/plugins.md, an example in
 * plain C is crates/backend-api/examples/c.
 *
 * Every function has a tag for who calls it and when:
 *
 *   [call]      by the host, on its call thread: one call at a time, never two at once, always the same thread.
 *               It must return within two seconds, or the process is killed. Long work goes to threads of your own.
 *   [any]       from any thread, also several at once, also while a [call] function runs. It must not block.
 *   & STATE,..  the states in which the call is allowed. In others it returns ETATUKI_E_STATE and changes nothing; that goes
 *               without saying at each function.
 *
 * `self` is never null but in destroy(); E_NULL is for the other pointers. Of several errors that fit, any may be
 * returned. changed() and log() may be called from anywhere, also from within a call of the host's, until destroy() has
 * returned; never while you hold a lock that an [any] function takes. Call changed() after every change of state that no call of
 * the host's made just then; after one that did it is allowed.
 *
 * States of an instance, and who moves it on:
 *
 *                 open()                the plugin               attach()
 *      CLOSED ---------------> OPENING ------------> WAITING <--------------> ATTACHED
 *         ^                       |                     |      the stream's      |
 *         | the plugin            |                     |          end           |
 *      CLOSING <----- close() ----+---------------------+------------------------+
 *         ^                       |                     |                        |
 *         +------- close() ---- FAILED <-- the plugin --+------------------------+
 *
 * Status codes come in bands that say who is at fault: 1xx the caller, 2xx the plugin, 3xx the tool, the machine around
 * it or the remote side. A plugin may return any number of the right band; those named here have a meaning.
 *
 * Texts are UTF-8. Those that a caller passes in end in NUL and belong to the caller; they are valid for the call only.
 * Those that come out are written into a buffer of the caller's (etatuki_text). Nothing that one side allocated is
 * freed by the other.
 *
 * Growth: within version 1 the structs only grow at their end. `struct_size` is what the side that filled the struct in
 * knew: a field is there only if `struct_size` covers it. etatuki_text never grows. Everything else comes as an
 * extension with a name. A change that breaks this makes another symbol, `etatuki_backend_v2`.
 *
 * No enum, no bool and no bit-field crosses; neither does an exception, a panic or a longjmp.
 */
#ifndef ETATUKI_BACKEND_H
#define ETATUKI_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before the definition of etatuki_backend_v1. */
#if defined(_WIN32)
#define ETATUKI_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define ETATUKI_EXPORT __attribute__((visibility("default")))
#else
#define ETATUKI_EXPORT
#endif

/* ---- status codes --------------------------------------------------------------------------------------------- */

#define ETATUKI_OK 0

#define ETATUKI_E_CALLER 100   /* the caller is at fault, and nothing below fits */
#define ETATUKI_E_NULL 101     /* a pointer was null that must not be */
#define ETATUKI_E_STATE 102    /* not allowed in this state */
#define ETATUKI_E_BUFFER 103   /* the buffer is too small; `length` says what is needed */
#define ETATUKI_E_ARGUMENT 104 /* not UTF-8, not a handle, not in the form that was announced */

#define ETATUKI_E_PLUGIN 200    /* the plugin is at fault, and nothing below fits */
#define ETATUKI_E_INTERNAL 201  /* it caught a bug of its own */
#define ETATUKI_E_RESOURCES 202 /* it got no thread, memory or handle */

#define ETATUKI_E_TOOL 300     /* the tool, the machine or the remote side is at fault, and nothing below fits */
#define ETATUKI_E_UNUSABLE 301 /* probe(): the backend can't be used on this machine as it is now */

/* ---- other numbers -------------------------------------------------------------------------------------------- */

#define ETATUKI_STATE_CLOSED 0u   /* nothing is open; the first state */
#define ETATUKI_STATE_OPENING 1u  /* open() was called, the code isn't there yet */
#define ETATUKI_STATE_WAITING 2u  /* the code is there; attach() may come */
#define ETATUKI_STATE_ATTACHED 3u /* a stream is attached and being served */
#define ETATUKI_STATE_CLOSING 4u  /* close() was called, things are being put away */
#define ETATUKI_STATE_FAILED 5u   /* it went wrong; last_error() says how, close() leads out of it */

/* etatuki_backend_descriptor.capabilities. Bits that aren't defined are 0. */
#define ETATUKI_CAP_INPUT (UINT64_C(1) << 0)         /* takes keys and the pointer */
#define ETATUKI_CAP_CLIPBOARD (UINT64_C(1) << 1)     /* carries the clipboard */
#define ETATUKI_CAP_RESIZE (UINT64_C(1) << 2)        /* obeys SetDesktopSize */
#define ETATUKI_CAP_OWN_CODE (UINT64_C(1) << 3)      /* makes its own code, whatever open() was given */
#define ETATUKI_CAP_OWN_TRANSPORT (UINT64_C(1) << 4) /* brings its own transport; attach() is never called */
#define ETATUKI_CAP_NETWORK (UINT64_C(1) << 5)       /* needs the network itself */

/* permissions() */
#define ETATUKI_PERMISSION_VIEW 1u    /* the customer allowed looking */
#define ETATUKI_PERMISSION_CONTROL 2u /* the customer allowed keys and pointer; never without VIEW */

/* log() */
#define ETATUKI_LOG_ERROR 1u /* something failed */
#define ETATUKI_LOG_WARN 2u  /* something is odd */
#define ETATUKI_LOG_INFO 3u  /* something happened that support wants to know */
#define ETATUKI_LOG_DEBUG 4u /* only for those who hunt a bug */

/* ---- a buffer for one text ------------------------------------------------------------------------------------ */

/* The caller sets `data` and `capacity`; the callee writes the text with a closing NUL, and `length`.
 * The text is written whole or not at all: if it doesn't fit, the callee returns ETATUKI_E_BUFFER, `length` says how
 * long the text is, and data[0] is 0 if there is any room. `data` null with `capacity` 0 asks for the length alone and
 * returns ETATUKI_OK; `data` null with another capacity is ETATUKI_E_NULL. An empty text is a text.
 * Where there are several, each that fits is written and each `length` is set. After another error than E_BUFFER the
 * caller looks at none of them. No text is longer than 65535 bytes. */
typedef struct etatuki_text {
    char *data;        /* of the caller */
    uint32_t capacity; /* bytes at `data`, room for the NUL included */
    uint32_t length;   /* out: bytes of the text without its NUL, also when it didn't fit */
} etatuki_text;

/* ---- what the host offers ------------------------------------------------------------------------------------- */

/* Owned by the host; valid from create() until destroy() has returned. No function of it may be called after that. */
typedef struct etatuki_backend_host {
    uint32_t struct_size; /* sizeof(etatuki_backend_host) as the host was built */
    uint32_t reserved;    /* 0 */
    void *host_data;      /* the host's; don't touch */

    /* Says: something about me has changed, read state(), session_code() and last_error() again. Several of them may
     * be answered by one reading. The host reads later, on its call thread, never from within this call.
     * [any] Doesn't block, can't fail. */
    void (*changed)(const struct etatuki_backend_host *host);

    /* Writes a line to the launcher's log. Never the session code. Cut off after 1000 bytes; too many lines at once
     * are dropped and counted.
     * [any] `message` stays the plugin's. Doesn't block, can't fail. */
    void (*log)(const struct etatuki_backend_host *host, uint32_t level, const char *message);

    /* The backend's options from the registry: a JSON object, or `null`.
     * [any] Into the caller's buffer. Errors: E_NULL, E_BUFFER. */
    int32_t (*options)(const struct etatuki_backend_host *host, etatuki_text *json);

    /* The customer's language: `fi`, `sv` or `en`.
     * [any] Into the caller's buffer. Errors: E_NULL, E_BUFFER. */
    int32_t (*language)(const struct etatuki_backend_host *host, etatuki_text *code);

    /* An extension of the host's by its name, or null. None is defined yet.
     * [any] What is returned belongs to the host and lives as long as it. */
    const void *(*extension)(const struct etatuki_backend_host *host, const char *name);
} etatuki_backend_host;

/* What a host of version 1 has at the least. Compare its `struct_size` with this, never with sizeof: that grows with the
 * header, and a plugin built with a newer one would refuse today's hosts. */
#define ETATUKI_BACKEND_HOST_SIZE_1 (offsetof(etatuki_backend_host, extension) + sizeof(void (*)(void)))

/* ---- one session of a backend --------------------------------------------------------------------------------- */

/* Owned by the plugin; made by create(), gone after destroy(). All functions must be there. */
typedef struct etatuki_backend {
    uint32_t struct_size; /* sizeof(etatuki_backend) as the plugin was built */
    uint32_t reserved;    /* 0 */
    void *plugin_data;    /* the plugin's; the host doesn't touch it */

    /* Is the backend usable on this machine, now? Finds the tool that it would drive and asks for its version, with no
     * lasting effect: nothing is opened, nothing is left running.
     * [call & CLOSED] Into the caller's buffers: `tool` is the tool's name, `version` its version as it says it; both
     * may be empty, and are for a plugin that drives no tool.
     * Errors: E_UNUSABLE, and last_error() then has a stable name (`tool-missing`, `tool-too-old`, `display-missing`
     * or one of your own) and a sentence for a person; E_NULL, E_BUFFER, 2xx. */
    int32_t (*probe)(const struct etatuki_backend *self, etatuki_text *tool, etatuki_text *version);

    /* Starts a session. Returns at once, with the state OPENING or, if there is nothing to wait for, WAITING. What takes
     * time happens on the plugin's own threads, which set WAITING or FAILED and call changed(). With OWN_TRANSPORT they
     * also set ATTACHED while somebody is connected, and CLOSING, then CLOSED, when the tool was ended by the customer.
     * [call & CLOSED] `code` is a freshly minted session code in the descriptor's form (for `own`: eight digits, for a
     * tool that takes a password), the caller's, valid for the call only. A backend with OWN_CODE may ignore it. Never write it to a log, a file or a command line.
     * Errors: E_NULL, E_ARGUMENT, E_STATE, 2xx, 3xx; the state stays CLOSED then. */
    int32_t (*open)(const struct etatuki_backend *self, const char *code);

    /* Ends the session: the stream, the tool, everything. Returns at once, with the state CLOSING or, if nothing is left
     * to put away, CLOSED; otherwise changed() and CLOSED follow. In CLOSED and CLOSING it does nothing and returns ETATUKI_OK.
     * [call] Errors: none but E_NULL and 2xx. */
    int32_t (*close)(const struct etatuki_backend *self);

    /* The state now: one of ETATUKI_STATE_*.
     * [any] Can't fail. */
    uint32_t (*state)(const struct etatuki_backend *self);

    /* The session code now, in the descriptor's form. This is the only place from which the host takes the code. At most
     * 64 bytes. Empty only with OWN_TRANSPORT: then the tool's own window shows it.
     * [any & WAITING, ATTACHED] Into the caller's buffer. Errors: E_NULL, E_BUFFER, E_STATE. */
    int32_t (*session_code)(const struct etatuki_backend *self, etatuki_text *code);

    /* The last thing that failed: the status code (0: nothing yet), a stable name for programs in lower case with
     * hyphens, and English words for the log and for support. It is about calls that returned 2xx or 3xx and about the
     * state FAILED; what a caller does wrong (1xx) leaves it alone. open() sets it back to nothing.
     * The customer has a sentence for these names; others are told as `plugin-failed`: `tool-missing`, `tool-too-old`,
     * `tool-failed` (it didn't start), `tool-died`, `display-missing`, `display-unsupported`, `display-lost`,
     * `registry-broken` (the options are wrong), `plugin-failed`.
     * [any] Into the caller's buffers and into *status, which may be null. Errors: E_NULL, E_BUFFER. */
    int32_t (*last_error)(const struct etatuki_backend *self, int32_t *status, etatuki_text *name, etatuki_text *text);

    /* Here is a connected stream socket: speak RFB on it, as the server. Plain RFB 3.8 with security type None and Raw
     * will do. Returns at once, with the state ATTACHED; when the stream has ended the state is WAITING again (perhaps
     * before attach() has returned), and attach() may come once more, with a new socket. Whatever ends the stream, a
     * client that breaks the protocol too, leads to WAITING; FAILED is for when this session can't go on. Not called
     * with OWN_TRANSPORT.
     * [call & WAITING] `handle` is a file descriptor, or a SOCKET on Windows, in its whole width; close-on-exec, blocking;
     * of a Unix or a TCP socket. SIGPIPE may be at its default: write so that none is raised.
     * Ownership: after ETATUKI_OK it is the plugin's, which closes it. After anything else it is the host's still, and
     * the plugin must not have touched it.
     * Errors: E_ARGUMENT, E_STATE, 2xx, 3xx. */
    int32_t (*attach)(const struct etatuki_backend *self, intptr_t handle);

    /* What the customer allows from now on: a set of ETATUKI_PERMISSION_*; nothing at first, and nothing after close().
     * Comes before attach(), and at each change. The launcher attaches nothing without VIEW and lets no input through
     * that isn't allowed, so this is a second lock, for tools that have one. Bits that you don't know mean nothing.
     * [call] In any state; in WAITING and ATTACHED every set is taken. Errors: 2xx, 3xx. */
    int32_t (*permissions)(const struct etatuki_backend *self, uint32_t permissions);

    /* An extension of the plugin's by its name, or null. Those that are defined are at the end of this file.
     * [any] What is returned belongs to the plugin and lives as long as the instance. */
    const void *(*extension)(const struct etatuki_backend *self, const char *name);

    /* Closes what is open, joins the plugin's threads, ends its tools, frees the instance. No function of the host is
     * called after it returned.
     * [call] In any state, as the last call; no other call is under way then. Null is allowed. Can't fail. */
    void (*destroy)(const struct etatuki_backend *self);
} etatuki_backend;

/* ---- extensions of the plugin's ------------------------------------------------------------------------------- */

/* The extension `etatuki.scope/1`: the plugin can share one program alone instead of the whole screen. The customer is
 * offered that only where the plugin has this. */
typedef struct etatuki_scope {
    uint32_t struct_size; /* sizeof(etatuki_scope) as the plugin was built */
    uint32_t reserved;    /* 0 */

    /* From now on until close() whoever is on an attached stream sees nothing but the windows of these processes, as far as
     * they can be seen on the screen: menus and dialogs with them, everything else in one colour, at every moment, also
     * while windows move. Keys and pointer reach nothing else; what other programs copy isn't told. A process that
     * ends is out of it for good.
     * A plugin that can't keep all of that must not have this extension.
     * [call & WAITING] `pids` are `count` process ids, the caller's, valid for the call only.
     * Errors: E_NULL, E_ARGUMENT (`count` is 0), E_STATE, 2xx, 3xx. Nothing is attached after an error. */
    int32_t (*limit)(const struct etatuki_backend *self, const uint32_t *pids, uint32_t count);
} etatuki_scope;

/* ---- the library ---------------------------------------------------------------------------------------------- */

/* Constant, valid as long as the library is loaded; read before any code of the plugin is called. No text is null,
 * empty or longer than 127 bytes. */
typedef struct etatuki_backend_descriptor {
    uint32_t struct_size;  /* sizeof(etatuki_backend_descriptor) as the plugin was built */
    uint32_t reserved;     /* 0 */
    uint64_t capabilities; /* a set of ETATUKI_CAP_* */
    const char *id;        /* the plugin's id in the registry: `ecom`. Another one is refused. */
    const char *name;      /* for people */
    const char *vendor;    /* who made the plugin */
    const char *version;   /* of the plugin, semver: `1.4.0` */
    const char *code_form; /* `remoteus`: 12 digits without spaces; `ecom`: 9 digits, a space, 6; `own`: as the tool has it */

    /* Makes an instance, in the state CLOSED. Cheap: neither display nor tool is touched. The host makes one per
     * process; the checker makes several, one after the other.
     * [call] `host` is the host's and outlives the instance. *out is the plugin's until destroy(), and null unless
     * ETATUKI_OK is returned.
     * Errors: E_NULL, E_ARGUMENT (the host's struct is too short), 2xx. */
    int32_t (*create)(const etatuki_backend_host *host, const etatuki_backend **out);
} etatuki_backend_descriptor;

/* The one symbol that a plugin exports. */
extern ETATUKI_EXPORT const etatuki_backend_descriptor etatuki_backend_v1;

#ifdef __cplusplus
}
#endif

#endif
