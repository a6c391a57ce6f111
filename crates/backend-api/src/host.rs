//! The host, as a backend uses it: safe to keep, and to call from any thread.

use std::ffi::{CStr, CString};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::backend_instance::Job;
use crate::machine::Machine;
use crate::{Failure, LogLevel, State, raw, text};

/// A handle on the host; all clones are equal. It may outlive the instance, and does nothing then.
#[derive(Clone)]
pub struct Host(pub(crate) Arc<Shared>);

impl Host {
    /// Reports the code by which the session can be reached: the one that `open` was given, or the
    /// tool's own. A backend may report again while waiting, when the tool changed its code.
    /// Returns false when it is too late.
    pub fn waiting(&self, code: &str) -> bool {
        self.0.apply(|machine| machine.waiting(code))
    }

    /// Reports that somebody has connected by the backend's own transport; for backends with
    /// [`Capabilities::OWN_TRANSPORT`](crate::Capabilities::OWN_TRANSPORT). Returns false unless
    /// the state is `waiting`.
    pub fn attached(&self) -> bool {
        self.0.apply(Machine::attach)
    }

    /// Reports that the peer of [`attached`](Self::attached) left. Returns false when nobody was
    /// there.
    pub fn detached(&self) -> bool {
        self.0.apply(Machine::detached)
    }

    /// Reports that the session failed. Returns false when it is too late.
    pub fn failed(&self, failure: Failure) -> bool {
        self.0.apply(|machine| machine.failed(failure))
    }

    /// Reports that the session ended by itself, without a fault. `close` is called soon.
    pub fn closed(&self) {
        self.0.begin_close();
    }

    /// Returns whether `close` was called, or nothing is open. Long work polls this, and gives up.
    pub fn is_closing(&self) -> bool {
        matches!(self.0.machine().state(), State::Closed | State::Closing)
    }

    /// Asks the host to read state, code and failure again. The reports above do so by themselves.
    pub fn changed(&self) {
        self.0.changed();
    }

    /// Writes a line into the launcher's log. It must not contain the code.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.0.log(level, message);
    }

    /// Returns the backend's options from the registry; null when there are none.
    pub fn options(&self) -> &serde_json::Value {
        &self.0.options
    }

    /// Returns the customer's language: `fi`, `sv` or `en`.
    pub fn language(&self) -> &str {
        &self.0.language
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("state", &self.0.machine().state())
            .finish_non_exhaustive()
    }
}

/// State that the host's handle, the worker and the interface's functions share.
pub(crate) struct Shared {
    /// `None` after `destroy`, so that a thread left behind calls nobody.
    host: RwLock<Option<HostTable>>,
    machine: Mutex<Machine>,
    jobs: Mutex<Sender<Job>>,
    options: serde_json::Value,
    language: String,
}

impl Shared {
    /// # Safety
    /// `host` is null, or a host table that stays valid until [`Shared::forget_host`].
    pub(crate) unsafe fn new(host: *const raw::Host, jobs: Sender<Job>) -> Option<Self> {
        // SAFETY: the caller guarantees it.
        let host = unsafe { HostTable::read(host) }?;
        let options = host.text(host.table.options);
        let language = host.text(host.table.language);
        Some(Self {
            host: RwLock::new(Some(host)),
            machine: Mutex::new(Machine::new()),
            jobs: Mutex::new(jobs),
            options: options
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
            language: language.map_or_else(|| "en".to_owned(), |text| text.to_string()),
        })
    }

    /// Locks state, code and failure. Don't hold the lock during a call of the host.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a transition, and notifies the host if it is allowed; returns whether it is.
    pub(crate) fn apply<E>(&self, transition: impl FnOnce(&mut Machine) -> Result<(), E>) -> bool {
        let allowed = transition(&mut self.machine()).is_ok();
        if allowed {
            self.changed();
        }
        allowed
    }

    /// Goes from any open state to `closing`, and queues the worker's `close`. Returns false when
    /// nothing is open.
    pub(crate) fn begin_close(&self) -> bool {
        let closing = self.apply(Machine::close);
        if closing {
            self.queue(Job::Close);
        }
        closing
    }

    /// Queues a job for the worker, which lives until `destroy`; later jobs are dropped.
    pub(crate) fn queue(&self, job: Job) {
        let _ = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(job);
    }

    pub(crate) fn changed(&self) {
        self.with_host(|host| {
            if let Some(changed) = host.table.changed {
                // SAFETY: the table is valid until `forget_host`, which waits for the lock that is
                // held here.
                unsafe { changed(host.original) }
            }
        });
    }

    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        self.with_host(|host| {
            if let Some(log) = host.table.log {
                // SAFETY: as in `changed`; the message lives through the call.
                unsafe { log(host.original, level.to_raw(), message.as_ptr()) }
            }
        });
    }

    /// Forgets the host. When it returns, no call of the host is under way, and none follows.
    pub(crate) fn forget_host(&self) {
        *self.host.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with_host(&self, call: impl FnOnce(&HostTable)) {
        if let Some(host) = &*self.host.read().unwrap_or_else(PoisonError::into_inner) {
            call(host);
        }
    }
}

/// The host's table: its address, which its functions want, and a copy of it.
struct HostTable {
    original: *const raw::Host,
    table: raw::Host,
}

// SAFETY: the header lets a plugin call the host from any thread.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

impl HostTable {
    /// Copies the table; returns `None` when it is null or shorter than version 1.0.
    ///
    /// # Safety
    /// `host` is null or points to at least its own `struct_size` bytes.
    unsafe fn read(host: *const raw::Host) -> Option<Self> {
        if host.is_null() {
            return None;
        }
        // SAFETY: `struct_size` comes first and is always there.
        let size = unsafe { (&raw const (*host).struct_size).read() } as usize;
        if size < size_of::<raw::Host>() {
            return None;
        }
        // SAFETY: it is as long as ours, or longer.
        let table = unsafe { host.read() };
        Some(Self {
            original: host,
            table,
        })
    }

    fn text(
        &self,
        function: Option<unsafe extern "C" fn(*const raw::Host, *mut raw::Text) -> i32>,
    ) -> Option<Zeroizing<String>> {
        let function = function?;
        // SAFETY: called from within `create`, with a buffer that `read` owns.
        text::read(|out| unsafe { function(self.original, out) }).ok()
    }
}

/// Borrows a C string of the caller's; returns the status to return when it is null or not UTF-8.
///
/// # Safety
/// `text` is null or NUL-terminated and lives for `'a`.
pub(crate) unsafe fn c_text<'a>(text: *const std::ffi::c_char) -> Result<&'a str, i32> {
    if text.is_null() {
        return Err(raw::E_NULL);
    }
    // SAFETY: the caller guarantees it.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| raw::E_ARGUMENT)
}
