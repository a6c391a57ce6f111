//! What is still to be said when the process ends by itself. Xlib calls `exit` when its display dies, and the window
//! library of a program sits on Xlib: no error comes back to anybody.

use std::sync::OnceLock;

/// Has something to say, and to do, before the process ends; then the exit code.
pub type LastWords = fn() -> Option<u8>;

static LAST_WORDS: OnceLock<LastWords> = OnceLock::new();

/// Calls `last_words` once when the process ends by `exit`: also when it ends as it should, and on whatever thread
/// called `exit`, while the others go on. Some code replaces the one that the process was to end with, and nothing
/// else is run afterwards. Later calls change nothing.
pub fn at_exit(last_words: LastWords) {
    if LAST_WORDS.set(last_words).is_ok() {
        // SAFETY: the handler is a function of this program's, which is never unloaded, and unwinds nowhere.
        let registered = unsafe { libc::atexit(speak) };
        debug_assert_eq!(registered, 0, "32 handlers are always possible");
    }
}

/// A panic in it aborts, for it can't unwind into C.
extern "C" fn speak() {
    let code = LAST_WORDS.get().and_then(|last_words| last_words());
    if let Some(code) = code {
        // SAFETY: ends the process here and now, which touches no memory of ours.
        unsafe { libc::_exit(i32::from(code)) }
    }
}
