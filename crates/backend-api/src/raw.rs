//! `include/etatuki_backend.h` once more, as `repr(C)`: same names in Rust's spelling, same order, same offsets
//! (`tests/header.rs` compares the two). What the functions promise is written in the header and only there.
//! Nothing else belongs here: no logic, no safe wrapper.

use std::ffi::{CStr, c_char, c_void};

/// Major version of the interface, the number in [`SYMBOL`].
pub const MAJOR: u32 = 1;
/// The one symbol that a plugin exports; it is a [`Descriptor`], not a function.
pub const SYMBOL: &CStr = c"etatuki_backend_v1";

/// The call did what it says.
pub const OK: i32 = 0;
/// The caller is at fault, and no better code fits.
pub const E_CALLER: i32 = 100;
/// A pointer that must not be null was.
pub const E_NULL: i32 = 101;
/// The call isn't allowed in the state that the instance is in.
pub const E_STATE: i32 = 102;
/// The buffer is too small; `length` says what is needed.
pub const E_BUFFER: i32 = 103;
/// The argument isn't UTF-8, or isn't in the form that was announced.
pub const E_ARGUMENT: i32 = 104;
/// The plugin is at fault, and no better code fits.
pub const E_PLUGIN: i32 = 200;
/// The plugin hit a bug of its own (a panic, an assertion) and caught it.
pub const E_INTERNAL: i32 = 201;
/// The plugin couldn't get a thread, memory or a handle.
pub const E_RESOURCES: i32 = 202;
/// The tool, the machine around it or the remote side is at fault, and no better code fits.
pub const E_TOOL: i32 = 300;
/// `probe` only: the backend can't be used on this machine as it is now.
pub const E_UNUSABLE: i32 = 301;

/// Nothing is open.
pub const STATE_CLOSED: u32 = 0;
/// `open` was called, the code isn't there yet.
pub const STATE_OPENING: u32 = 1;
/// The code is there; `attach` may come.
pub const STATE_WAITING: u32 = 2;
/// A socket is attached and being served.
pub const STATE_ATTACHED: u32 = 3;
/// `close` was called, things are being put away.
pub const STATE_CLOSING: u32 = 4;
/// It went wrong; `last_error` says how, `close` leads out of it.
pub const STATE_FAILED: u32 = 5;

/// The backend takes keys and the pointer.
pub const CAP_INPUT: u64 = 1;
/// The backend carries the clipboard.
pub const CAP_CLIPBOARD: u64 = 1 << 1;
/// The backend obeys SetDesktopSize.
pub const CAP_RESIZE: u64 = 1 << 2;
/// The backend makes its own code, whatever `open` was given.
pub const CAP_OWN_CODE: u64 = 1 << 3;
/// The backend brings its own transport and never gets `attach`.
pub const CAP_OWN_TRANSPORT: u64 = 1 << 4;
/// The backend needs the network itself.
pub const CAP_NETWORK: u64 = 1 << 5;

/// `permissions`: the customer allowed looking.
pub const PERMISSION_VIEW: u32 = 1;
/// `permissions`: the customer allowed control.
pub const PERMISSION_CONTROL: u32 = 1 << 1;

/// `log`: something failed.
pub const LOG_ERROR: u32 = 1;
/// `log`: something is odd.
pub const LOG_WARN: u32 = 2;
/// `log`: something happened that support wants to know.
pub const LOG_INFO: u32 = 3;
/// `log`: only for those who hunt a bug.
pub const LOG_DEBUG: u32 = 4;

/// Bytes that a host of version 1 has at the least.
pub const BACKEND_HOST_SIZE_1: usize =
    std::mem::offset_of!(Host, extension) + size_of::<unsafe extern "C" fn()>();

/// A buffer of the caller's for one text. Never grows.
#[repr(C)]
#[derive(Debug)]
pub struct Text {
    /// Where to write, or null to ask for the length alone.
    pub data: *mut c_char,
    /// Bytes at `data`, the closing NUL included.
    pub capacity: u32,
    /// Out: bytes of the whole text without its NUL, also when it didn't fit.
    pub length: u32,
}

/// What the host offers to a plugin.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Host {
    pub struct_size: u32,
    pub reserved: u32,
    pub host_data: *mut c_void,
    pub changed: Option<unsafe extern "C" fn(host: *const Host)>,
    pub log: Option<unsafe extern "C" fn(host: *const Host, level: u32, message: *const c_char)>,
    pub options: Option<unsafe extern "C" fn(host: *const Host, out: *mut Text) -> i32>,
    pub language: Option<unsafe extern "C" fn(host: *const Host, out: *mut Text) -> i32>,
    pub extension:
        Option<unsafe extern "C" fn(host: *const Host, name: *const c_char) -> *const c_void>,
}

/// One session of a backend: the table of its functions.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Instance {
    pub struct_size: u32,
    pub reserved: u32,
    pub plugin_data: *mut c_void,
    pub probe: Option<
        unsafe extern "C" fn(this: *const Instance, tool: *mut Text, version: *mut Text) -> i32,
    >,
    pub open: Option<unsafe extern "C" fn(this: *const Instance, code: *const c_char) -> i32>,
    pub close: Option<unsafe extern "C" fn(this: *const Instance) -> i32>,
    pub state: Option<unsafe extern "C" fn(this: *const Instance) -> u32>,
    pub session_code: Option<unsafe extern "C" fn(this: *const Instance, code: *mut Text) -> i32>,
    pub last_error: Option<
        unsafe extern "C" fn(
            this: *const Instance,
            status: *mut i32,
            name: *mut Text,
            text: *mut Text,
        ) -> i32,
    >,
    pub attach: Option<unsafe extern "C" fn(this: *const Instance, handle: isize) -> i32>,
    pub permissions: Option<unsafe extern "C" fn(this: *const Instance, permissions: u32) -> i32>,
    pub extension:
        Option<unsafe extern "C" fn(this: *const Instance, name: *const c_char) -> *const c_void>,
    pub destroy: Option<unsafe extern "C" fn(this: *const Instance)>,
}

/// The name of [`Scope`].
pub const SCOPE: &CStr = c"etatuki.scope/1";

/// The extension of the plugin's by that name: it can share one program alone.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Scope {
    pub struct_size: u32,
    pub reserved: u32,
    pub limit:
        Option<unsafe extern "C" fn(this: *const Instance, pids: *const u32, count: u32) -> i32>,
}

/// What the exported symbol is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Descriptor {
    pub struct_size: u32,
    pub reserved: u32,
    pub capabilities: u64,
    pub id: *const c_char,
    pub name: *const c_char,
    pub vendor: *const c_char,
    pub version: *const c_char,
    pub code_form: *const c_char,
    pub create: Option<unsafe extern "C" fn(host: *const Host, out: *mut *const Instance) -> i32>,
}

// SAFETY: a descriptor is read-only for the whole life of its library, and points to read-only texts and code.
unsafe impl Sync for Descriptor {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Descriptor {}
