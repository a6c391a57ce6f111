//! A plugin's instance: every function of the interface, callable with any arguments, and the waits
//! for its states.

use std::ffi::{CStr, c_char, c_void};
use std::time::Duration;

use etatuki_backend_api::{raw, text};

use super::clock::poll_until;
use super::outcome::{Outcome, Stop, ensure, failed, status_name};

/// Longest wait until a plugin reports a state, or does something on its stream.
pub(super) const STATE_TIMEOUT: Duration = Duration::from_secs(5);

macro_rules! table {
    ($($name:ident: fn($($argument:ident: $type:ty),*) -> $result:ty),+ $(,)?) => {
        /// An instance with the functions of its table. Several threads may use it for functions
        /// that the header tags `[any]`.
        #[derive(Clone, Copy)]
        pub(super) struct Instance {
            this: *const raw::Instance,
            $($name: unsafe extern "C" fn(*const raw::Instance, $($type),*) -> $result),+
        }

        impl Instance {
            /// Checks that the table has every function.
            pub(super) fn new(this: *const raw::Instance, table: raw::Instance) -> Outcome<Self> {
                let missing = |name: &str| Stop::Failed(format!("the instance's function {name} is null"));
                Ok(Self { this, $($name: table.$name.ok_or_else(|| missing(stringify!($name)))?),+ })
            }

            $(pub(super) fn $name(&self, $($argument: $type),*) -> $result {
                // SAFETY: a live instance; arguments that the contract allows, or for which it
                // defines an error.
                unsafe { (self.$name)(self.this, $($argument),*) }
            })+
        }
    };
}

table! {
    probe: fn(tool: *mut raw::Text, version: *mut raw::Text) -> i32,
    open: fn(code: *const c_char) -> i32,
    close: fn() -> i32,
    state: fn() -> u32,
    session_code: fn(code: *mut raw::Text) -> i32,
    last_error: fn(status: *mut i32, name: *mut raw::Text, text: *mut raw::Text) -> i32,
    attach: fn(handle: isize) -> i32,
    permissions: fn(permissions: u32) -> i32,
    extension: fn(name: *const c_char) -> *const c_void,
    destroy: fn() -> (),
}

// SAFETY: only functions that the contract lets be called from any thread are called from several.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Calls `destroy(NULL)`.
    pub(super) fn destroy_null(&self) {
        // SAFETY: the contract allows null.
        unsafe { (self.destroy)(std::ptr::null()) }
    }

    /// Returns the last failure: status, name, text.
    pub(super) fn failure(&self) -> (i32, String, String) {
        let mut status = raw::OK;
        let texts =
            text::read_several(|[name, message]| self.last_error(&raw mut status, name, message));
        let [name, message] = texts.unwrap_or_default();
        (status, name.to_string(), message.to_string())
    }

    /// Returns the session code.
    pub(super) fn code(&self) -> Outcome<String> {
        text::read(|out| self.session_code(out))
            .map(|code| code.to_string())
            .or_else(|status| failed(format!("session_code returned {}", status_name(status))))
    }

    /// Calls `open` with a valid code, and checks its status.
    pub(super) fn open_checked(&self, code: &CStr) -> Outcome<()> {
        let status = self.open(code.as_ptr());
        ensure(status == raw::OK, || {
            format!(
                "open returned {}{}",
                status_name(status),
                self.failure_suffix()
            )
        })
    }

    /// Opens the session, and waits for WAITING.
    pub(super) fn open_to_waiting(&self, code: &CStr) -> Outcome<()> {
        self.open_checked(code)?;
        self.wait_for(raw::STATE_WAITING, "after open()")
    }

    /// Closes the session, and waits for CLOSED.
    pub(super) fn close_to_closed(&self) -> Outcome<()> {
        let status = self.close();
        ensure(status == raw::OK, || {
            format!("close returned {}", status_name(status))
        })?;
        self.wait_for(raw::STATE_CLOSED, "after close()")
    }

    /// Returns the plugin's last failure as the end of a sentence.
    pub(super) fn failure_suffix(&self) -> String {
        match self.failure() {
            (_, name, _) if name.is_empty() => "; last_error() has no name".to_owned(),
            (_, name, message) => format!("; last_error() is {name}: {message}"),
        }
    }

    /// Fails unless this is the state now.
    pub(super) fn expect_state(&self, expected: u32) -> Outcome<()> {
        let state = self.state();
        ensure(state == expected, || {
            format!(
                "the state is {}, not {}",
                state_name(state),
                state_name(expected)
            )
        })
    }

    /// Waits for a state; `when` says at which point it must come, such as `after open()`.
    pub(super) fn wait_for(&self, awaited: u32, when: &str) -> Outcome<()> {
        let expected = format!("{} was expected {when}", state_name(awaited));
        let reached = poll_until(STATE_TIMEOUT, || match self.state() {
            state if state == awaited => Some(Ok(())),
            raw::STATE_FAILED => Some(failed(format!(
                "the state is FAILED{}; {expected}",
                self.failure_suffix()
            ))),
            state if !state_exists(state) => {
                Some(failed(format!("state() gave {state}, which doesn't exist")))
            }
            _ => None,
        });
        reached.unwrap_or_else(|| {
            let state = state_name(self.state());
            failed(format!(
                "the state is {state} for {} s already; {expected}",
                STATE_TIMEOUT.as_secs()
            ))
        })
    }
}

pub(super) fn state_exists(state: u32) -> bool {
    state <= raw::STATE_FAILED
}

pub(super) fn state_name(state: u32) -> &'static str {
    const NAMES: [&str; 6] = [
        "CLOSED", "OPENING", "WAITING", "ATTACHED", "CLOSING", "FAILED",
    ];
    usize::try_from(state)
        .ok()
        .and_then(|state| NAMES.get(state))
        .copied()
        .unwrap_or("a state that doesn't exist")
}
