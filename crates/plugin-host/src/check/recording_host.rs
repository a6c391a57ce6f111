//! The host that a plugin under test is given: it counts and records the plugin's calls.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use etatuki_backend_api::{raw, text};

use super::clock::poll_until;
use super::instance::STATE_TIMEOUT;

/// Lines of the log that are kept.
const MAX_LOG_LINES: usize = 10_000;

/// A host. It is never freed: the plugin may call it late.
#[repr(C)]
pub(super) struct RecordingHost {
    raw: raw::Host,
    changes: AtomicU64,
    /// Calls after the end of the instance.
    late_calls: AtomicU64,
    instance_ended: AtomicBool,
    log_lines: Mutex<Vec<String>>,
    /// Run within each `changed`.
    on_changed: Mutex<Option<Box<dyn Fn() + Send>>>,
    options: String,
}

// SAFETY: the pointer in `raw` is null, and everything else may be shared.
unsafe impl Sync for RecordingHost {}
// SAFETY: as above.
unsafe impl Send for RecordingHost {}

impl RecordingHost {
    /// Returns a host whose `struct_size` is `size`.
    pub(super) fn leak(options: String, size: u32) -> &'static Self {
        let raw = raw::Host {
            struct_size: size,
            reserved: 0,
            host_data: std::ptr::null_mut(),
            changed: Some(changed),
            log: Some(log),
            options: Some(self::options),
            language: Some(language),
            extension: Some(extension),
        };
        Box::leak(Box::new(Self {
            raw,
            changes: AtomicU64::new(0),
            late_calls: AtomicU64::new(0),
            instance_ended: AtomicBool::new(false),
            log_lines: Mutex::default(),
            on_changed: Mutex::default(),
            options,
        }))
    }

    pub(super) fn as_raw(&'static self) -> *const raw::Host {
        std::ptr::from_ref(self).cast()
    }

    /// Returns the number of calls of `changed`.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Waits for a call of `changed` beyond the first `before`; returns whether it came. The call
    /// comes after the state, perhaps a moment later.
    pub(super) fn is_notified(&self, before: u64) -> bool {
        poll_until(STATE_TIMEOUT, || (self.changes() > before).then_some(())).is_some()
    }

    /// Runs this within each `changed` from now on, before that returns.
    pub(super) fn run_within_changed(&self, run: impl Fn() + Send + 'static) {
        if let Ok(mut slot) = self.on_changed.lock() {
            *slot = Some(Box::new(run));
        }
    }

    /// Counts every call from now on as late.
    pub(super) fn set_instance_ended(&self) {
        self.instance_ended.store(true, Ordering::SeqCst);
    }

    /// Returns the number of late calls.
    pub(super) fn late_calls(&self) -> u64 {
        self.late_calls.load(Ordering::SeqCst)
    }

    /// Returns the log so far.
    pub(super) fn log(&self) -> String {
        let lines = self.log_lines.lock();
        lines.map(|lines| lines.join("\n")).unwrap_or_default()
    }

    fn count_call(&self) {
        if self.instance_ended.load(Ordering::SeqCst) {
            self.late_calls.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Returns the host behind a plugin's pointer, and counts the call.
fn called_host(host: *const raw::Host) -> Option<&'static RecordingHost> {
    // SAFETY: null, or what `as_raw` gave; `raw` is the first field, and it is never freed.
    let host = unsafe { host.cast::<RecordingHost>().as_ref() }?;
    host.count_call();
    Some(host)
}

unsafe extern "C" fn changed(host: *const raw::Host) {
    if let Some(host) = called_host(host) {
        host.changes.fetch_add(1, Ordering::SeqCst);
        if let Ok(slot) = host.on_changed.lock()
            && let Some(run) = &*slot
        {
            run();
        }
    }
}

unsafe extern "C" fn log(host: *const raw::Host, _level: u32, message: *const c_char) {
    let Some(host) = called_host(host) else {
        return;
    };
    if message.is_null() {
        return;
    }
    // SAFETY: a C string of the plugin's, by the contract.
    let line = unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned();
    if let Ok(mut lines) = host.log_lines.lock()
        && lines.len() < MAX_LOG_LINES
    {
        lines.push(line);
    }
}

unsafe extern "C" fn options(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    let Some(host) = called_host(host) else {
        return raw::E_NULL;
    };
    // SAFETY: a text of the plugin's or null, by the contract.
    unsafe { text::write(out, &host.options) }
}

unsafe extern "C" fn language(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    if called_host(host).is_none() {
        return raw::E_NULL;
    }
    // SAFETY: as above.
    unsafe { text::write(out, "en") }
}

unsafe extern "C" fn extension(host: *const raw::Host, _name: *const c_char) -> *const c_void {
    let _ = called_host(host);
    std::ptr::null()
}
