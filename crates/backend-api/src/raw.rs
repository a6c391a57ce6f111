//! Mirror of `include/etatuki_backend.h` as `repr(C)`: equal names in Rust's spelling, order and
//! offsets (`tests/header.rs` compares the two). The functions' contract is written in the header
//! alone. No logic and no safe wrapper belongs here.

use std::ffi::{CStr, c_char, c_void};

/// Major version of the interface, the number in [`SYMBOL`].
pub const MAJOR: u32 = 1;
/// The only symbol that a plugin exports: a [`Descriptor`], not a function.
pub const SYMBOL: &CStr = c"etatuki_backend_v1";

/// Success.
pub const OK: i32 = 0;
/// General fault of the caller.
pub const E_CALLER: i32 = 100;
/// Null pointer where none is allowed.
pub const E_NULL: i32 = 101;
/// Call that the instance's state doesn't allow.
pub const E_STATE: i32 = 102;
/// Buffer that is too small; `length` is the needed size.
pub const E_BUFFER: i32 = 103;
/// Argument that isn't UTF-8, or not in the announced form.
pub const E_ARGUMENT: i32 = 104;
/// General fault of the plugin.
pub const E_PLUGIN: i32 = 200;
/// Bug in the plugin (a panic, an assertion) that it caught.
pub const E_INTERNAL: i32 = 201;
/// No thread, memory or handle for the plugin.
pub const E_RESOURCES: i32 = 202;
/// General fault of the tool, the machine around it or the remote side.
pub const E_TOOL: i32 = 300;
/// Result of `probe` alone: the backend can't be used on this machine as it is now.
pub const E_UNUSABLE: i32 = 301;

/// Nothing is open.
pub const STATE_CLOSED: u32 = 0;
/// `open` was called; there is no code yet.
pub const STATE_OPENING: u32 = 1;
/// There is a code; `attach` is allowed.
pub const STATE_WAITING: u32 = 2;
/// A socket is attached and being served.
pub const STATE_ATTACHED: u32 = 3;
/// `close` was called; resources are being released.
pub const STATE_CLOSING: u32 = 4;
/// The session failed: `last_error` has the reason, and `close` leads out.
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

/// Bit of `permissions`: the customer allowed view.
pub const PERMISSION_VIEW: u32 = 1;
/// Bit of `permissions`: the customer allowed control.
pub const PERMISSION_CONTROL: u32 = 1 << 1;

/// Level of `log`: something failed.
pub const LOG_ERROR: u32 = 1;
/// Level of `log`: something is odd.
pub const LOG_WARN: u32 = 2;
/// Level of `log`: something happened that support wants to know.
pub const LOG_INFO: u32 = 3;
/// Level of `log`: detail for debugging.
pub const LOG_DEBUG: u32 = 4;

/// Smallest `struct_size` of a host of version 1.
pub const BACKEND_HOST_SIZE_1: usize =
    std::mem::offset_of!(Host, extension) + size_of::<unsafe extern "C" fn()>();

/// The caller's buffer for one text. This struct never grows.
#[repr(C)]
#[derive(Debug)]
pub struct Text {
    /// Destination, or null to ask for the length alone.
    pub data: *mut c_char,
    /// Bytes at `data`, the final NUL included.
    pub capacity: u32,
    /// Result: bytes of the whole text without its NUL, also when it didn't fit.
    pub length: u32,
}

/// The host's functions for a plugin.
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

/// Name of the extension [`Scope`].
pub const SCOPE: &CStr = c"etatuki.scope/1";

/// The plugin's extension for app sharing: it can show the windows of one app alone.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Scope {
    pub struct_size: u32,
    pub reserved: u32,
    pub limit:
        Option<unsafe extern "C" fn(this: *const Instance, pids: *const u32, count: u32) -> i32>,
}

/// Type of the exported symbol.
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

// SAFETY: a descriptor is read-only for the whole life of its library, and points to read-only
// texts and code.
unsafe impl Sync for Descriptor {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Descriptor {}
