//! A hook that runs when the process ends by `exit`. Xlib calls `exit` when its display dies, and a
//! program's window library sits on Xlib: no caller gets an error back.

use std::sync::OnceLock;

/// Runs before the process ends. Returns the exit code to end with instead, or `None` to keep the
/// code that `exit` was called with.
pub type ExitHook = fn() -> Option<u8>;

static EXIT_HOOK: OnceLock<ExitHook> = OnceLock::new();

/// Registers `hook` to run once when the process ends by `exit`: after an orderly end too, and on
/// whatever thread called `exit`, while the others go on. A replaced exit code ends the process at
/// once: no later exit handler runs. Calls after the first one change nothing.
pub fn set_exit_hook(hook: ExitHook) {
    if EXIT_HOOK.set(hook).is_ok() {
        // SAFETY: the handler is a function of this program's, which is never unloaded, and unwinds
        // nowhere.
        let registered = unsafe { libc::atexit(run_exit_hook) };
        debug_assert_eq!(registered, 0, "32 handlers are always possible");
    }
}

/// A panic in the hook aborts: it can't unwind into C.
extern "C" fn run_exit_hook() {
    let code = EXIT_HOOK.get().and_then(|hook| hook());
    if let Some(code) = code {
        // SAFETY: ends the process here and now, which touches no memory of ours.
        unsafe { libc::_exit(i32::from(code)) }
    }
}
