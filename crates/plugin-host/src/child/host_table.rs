//! The host's side of the C interface: functions that a plugin may call from any thread, at any
//! time.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use etatuki_backend_api::{raw, text};

use super::call_thread::Job;
use super::message_writer::MessageWriter;
use crate::log_lines::{MAX_UNREDACTED_LINE, truncate};
use crate::wire::ChildMessage;

/// The table of functions, and their data. It is never freed: a thread that a plugin forgot to join
/// may still call it.
#[repr(C)]
pub(super) struct HostTable {
    raw: raw::Host,
    queue: Sender<Job>,
    writer: MessageWriter,
    /// Whether a [`Job::Changed`] is queued; another one would add nothing.
    change_queued: AtomicBool,
    options: String,
    language: String,
}

// SAFETY: the pointer in `raw` is null, and nothing in the table is written but the atomic.
unsafe impl Sync for HostTable {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for HostTable {}

impl HostTable {
    pub(super) fn leak(
        options: String,
        language: String,
        queue: Sender<Job>,
        writer: MessageWriter,
    ) -> &'static Self {
        let raw = raw::Host {
            struct_size: size_of::<raw::Host>() as u32,
            reserved: 0,
            host_data: std::ptr::null_mut(),
            changed: Some(changed),
            log: Some(log),
            options: Some(self::options),
            language: Some(self::language),
            extension: Some(extension),
        };
        let table = Self {
            raw,
            queue,
            writer,
            change_queued: AtomicBool::new(false),
            options,
            language,
        };
        Box::leak(Box::new(table))
    }

    /// Returns the plugin's pointer, which has the provenance of the whole table.
    pub(super) fn as_raw(&'static self) -> *const raw::Host {
        std::ptr::from_ref(self).cast()
    }

    /// Lets the next `changed` queue a job again. Call it before the status is read.
    pub(super) fn clear_change(&self) {
        self.change_queued.store(false, Ordering::SeqCst);
    }
}

/// Returns the table of a pointer that a plugin passed in.
fn table(host: *const raw::Host) -> Option<&'static HostTable> {
    // SAFETY: null, or what `as_raw` gave, by the header's terms; `raw` is the first field, and it
    // is never freed.
    unsafe { host.cast::<HostTable>().as_ref() }
}

unsafe extern "C" fn changed(host: *const raw::Host) {
    if let Some(table) = table(host)
        && !table.change_queued.swap(true, Ordering::SeqCst)
    {
        let _ = table.queue.send(Job::Changed);
    }
}

unsafe extern "C" fn log(host: *const raw::Host, level: u32, message: *const c_char) {
    let Some(table) = table(host) else { return };
    if message.is_null() {
        return;
    }
    // SAFETY: a C string of the plugin's, by the header's terms.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    // The parent cuts it, once the session codes in it are redacted.
    let text = truncate(&message, MAX_UNREDACTED_LINE).to_owned();
    table.writer.try_send(&ChildMessage::Log { level, text });
}

unsafe extern "C" fn options(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    let Some(table) = table(host) else {
        return raw::E_NULL;
    };
    // SAFETY: a text of the plugin's or null, by the header's terms.
    unsafe { text::write(out, &table.options) }
}

unsafe extern "C" fn language(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    let Some(table) = table(host) else {
        return raw::E_NULL;
    };
    // SAFETY: as above.
    unsafe { text::write(out, &table.language) }
}

/// Returns null: no extension of the host is defined yet.
unsafe extern "C" fn extension(_host: *const raw::Host, _name: *const c_char) -> *const c_void {
    std::ptr::null()
}
