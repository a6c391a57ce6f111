//! A plugin's instance behind safe methods, which check everything that the plugin returns.

use std::os::fd::{AsRawFd, OwnedFd};

use etatuki_backend_api::{Fault, Permissions, State, raw, text};
use zeroize::Zeroizing;

use super::host_table::HostTable;
use crate::error::{CallError, FailureReport};
use crate::log_lines::{MAX_LOG_LINE, truncate};
use crate::plugin_spec::ProbeReport;

/// An instance. It stays on the thread that made it.
pub(super) struct PluginInstance {
    instance: *const raw::Instance,
    functions: Functions,
    external_transport: bool,
    restrict_to_app: Option<RestrictToApp>,
}

/// Type of `etatuki_scope.limit`.
type RestrictToApp = unsafe extern "C" fn(InstancePointer, *const u32, u32) -> i32;

/// State, code and failure at one moment.
#[derive(PartialEq, Eq)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) code: Option<Zeroizing<String>>,
    pub(super) failure: Option<FailureReport>,
}

/// Longest session code in bytes; ours have 17, a tool's own may have more.
const MAX_CODE_BYTES: usize = 64;

macro_rules! functions {
    ($($name:ident: $type:ty),+ $(,)?) => {
        /// The functions of an instance's table; none is null.
        struct Functions { $($name: $type),+ }

        impl Functions {
            fn from_table(table: &raw::Instance) -> Result<Self, CallError> {
                let missing = |name: &str| CallError::load(format!("the instance has no function {name}"));
                Ok(Self { $($name: table.$name.ok_or_else(|| missing(stringify!($name)))?),+ })
            }
        }
    };
}

type InstancePointer = *const raw::Instance;
type TextPointer = *mut raw::Text;

functions! {
    probe: unsafe extern "C" fn(InstancePointer, TextPointer, TextPointer) -> i32,
    open: unsafe extern "C" fn(InstancePointer, *const std::ffi::c_char) -> i32,
    close: unsafe extern "C" fn(InstancePointer) -> i32,
    state: unsafe extern "C" fn(InstancePointer) -> u32,
    session_code: unsafe extern "C" fn(InstancePointer, TextPointer) -> i32,
    last_error: unsafe extern "C" fn(InstancePointer, *mut i32, TextPointer, TextPointer) -> i32,
    attach: unsafe extern "C" fn(InstancePointer, isize) -> i32,
    permissions: unsafe extern "C" fn(InstancePointer, u32) -> i32,
    extension: unsafe extern "C" fn(InstancePointer, *const std::ffi::c_char) -> *const std::ffi::c_void,
    destroy: unsafe extern "C" fn(InstancePointer),
}

impl PluginInstance {
    /// Makes an instance by the descriptor's `create`.
    pub(super) fn create(
        descriptor: &raw::Descriptor,
        host: &'static HostTable,
    ) -> Result<Self, CallError> {
        let create = descriptor
            .create
            .ok_or_else(|| CallError::load("the descriptor has no function create"))?;
        let mut instance = std::ptr::null();
        // SAFETY: the library is never unloaded, the host's table never freed, and this is the call
        // thread.
        let status = unsafe { create(host.as_raw(), &raw mut instance) };
        if status != raw::OK {
            return Err(CallError::load(format!("create returned {status}")));
        }
        if instance.is_null() {
            return Err(CallError::load("create gave no instance"));
        }
        // SAFETY: not null; the first field is always there.
        let size = unsafe { (&raw const (*instance).struct_size).read() } as usize;
        if size < size_of::<raw::Instance>() {
            return Err(CallError::load(format!(
                "the instance has {size} bytes, too few for version 1.0"
            )));
        }
        // SAFETY: it is as long as ours, or longer.
        let functions = Functions::from_table(unsafe { &*instance })?;
        let restrict_to_app = app_sharing(instance, &functions);
        Ok(Self {
            instance,
            functions,
            external_transport: descriptor.capabilities & raw::CAP_OWN_TRANSPORT != 0,
            restrict_to_app,
        })
    }

    /// Returns whether the plugin can share the windows of one app alone.
    pub(super) fn supports_app_sharing(&self) -> bool {
        self.restrict_to_app.is_some()
    }

    /// Calls `etatuki_scope.limit`.
    pub(super) fn restrict_to_app(&self, pids: &[u32]) -> Result<(), FailureReport> {
        let Some(restrict_to_app) = self.restrict_to_app else {
            return Err(FailureReport {
                fault: Fault::Caller,
                name: "internal".to_owned(),
                text: "the plugin shares the whole screen only".to_owned(),
            });
        };
        let count = u32::try_from(pids.len()).unwrap_or(0);
        // SAFETY: a live instance, and that many numbers which live through the call.
        let status = unsafe { restrict_to_app(self.instance, pids.as_ptr(), count) };
        self.check("limit", status)
    }

    pub(super) fn probe(&self) -> Result<ProbeReport, FailureReport> {
        let texts = read_texts(|[tool, version]| {
            // SAFETY: a live instance and two valid buffers.
            unsafe { (self.functions.probe)(self.instance, tool, version) }
        });
        match texts {
            Ok([tool, version]) => {
                let non_empty = |text: &str| {
                    Some(truncate(text, MAX_LOG_LINE).to_owned()).filter(|text| !text.is_empty())
                };
                Ok(ProbeReport::Usable {
                    tool: non_empty(&tool),
                    version: non_empty(&version),
                })
            }
            Err(TextError::Status(raw::E_UNUSABLE)) => {
                let report = self.last_error("tool-missing");
                Ok(ProbeReport::Unusable {
                    name: report.name,
                    text: report.text,
                })
            }
            Err(TextError::Status(status)) => Err(self.explain("probe", status)),
            Err(TextError::Unreadable) => Err(FailureReport {
                fault: Fault::Plugin,
                name: "plugin-failed".to_owned(),
                text: format!("probe gave {UNREADABLE}"),
            }),
        }
    }

    pub(super) fn open(&self, code: &str) -> Result<(), FailureReport> {
        let mut code = Zeroizing::new(code.as_bytes().to_vec());
        code.push(0);
        // SAFETY: a live instance and a C string that lives through the call.
        self.check("open", unsafe {
            (self.functions.open)(self.instance, code.as_ptr().cast())
        })
    }

    pub(super) fn close(&self) -> Result<(), FailureReport> {
        // SAFETY: a live instance.
        self.check("close", unsafe { (self.functions.close)(self.instance) })
    }

    /// Hands the socket to the plugin; after an error it is closed.
    pub(super) fn attach(&self, socket: OwnedFd) -> Result<(), FailureReport> {
        // SAFETY: a live instance and an open socket.
        let status = unsafe { (self.functions.attach)(self.instance, socket.as_raw_fd() as isize) };
        if status == raw::OK {
            std::mem::forget(socket);
        }
        self.check("attach", status)
    }

    pub(super) fn permissions(&self, permissions: Permissions) -> Result<(), FailureReport> {
        let bits = permissions.bits();
        // SAFETY: a live instance.
        self.check("permissions", unsafe {
            (self.functions.permissions)(self.instance, bits)
        })
    }

    /// Reads state, code and failure, in the order that the header demands.
    pub(super) fn status(&self) -> Status {
        // SAFETY: a live instance.
        let number = unsafe { (self.functions.state)(self.instance) };
        let Some(state) = State::from_raw(number) else {
            return Status::failed(format!(
                "the plugin says state {number}, which does not exist"
            ));
        };
        let code = match state {
            State::Waiting | State::Attached => match self.code() {
                Ok(code) => Some(code),
                Err(reason) => return Status::failed(reason),
            },
            _ => None,
        };
        let failure = (state == State::Failed).then(|| self.last_error("plugin-failed"));
        Status {
            state,
            code,
            failure,
        }
    }

    pub(super) fn destroy(self) {
        // SAFETY: a live instance, and the last call on it.
        unsafe { (self.functions.destroy)(self.instance) }
    }

    fn code(&self) -> Result<Zeroizing<String>, String> {
        // SAFETY: a live instance and a valid buffer.
        let code = read_texts(|[out]| unsafe { (self.functions.session_code)(self.instance, out) })
            .map(|[code]| code);
        match code {
            // A tool with its own transport may show it in its own window alone.
            Ok(code) if code.is_empty() && self.external_transport => Ok(code),
            Ok(code)
                if code.is_empty()
                    || code.len() > MAX_CODE_BYTES
                    || code.contains(char::is_control) =>
            {
                Err("the plugin's session code is empty, too long or not printable".to_owned())
            }
            Ok(code) => Ok(code),
            Err(TextError::Status(status)) => Err(format!(
                "session_code returned {status} in a state that has a code"
            )),
            Err(TextError::Unreadable) => Err(format!("session_code gave {UNREADABLE}")),
        }
    }

    fn check(&self, call: &str, status: i32) -> Result<(), FailureReport> {
        if status == raw::OK {
            Ok(())
        } else {
            Err(self.explain(call, status))
        }
    }

    /// Returns the failure of a call that returned `status`: the plugin's own one, if it names the
    /// same fault.
    fn explain(&self, call: &str, status: i32) -> FailureReport {
        let report = self.last_error("plugin-failed");
        let fault = Fault::from_status(status).unwrap_or(Fault::Plugin);
        if report.fault == fault && !report.text.is_empty() && status != raw::E_STATE {
            return report;
        }
        FailureReport {
            fault,
            name: "plugin-failed".to_owned(),
            text: format!("{call} returned {status}"),
        }
    }

    fn last_error(&self, default: &str) -> FailureReport {
        let mut status = raw::OK;
        let texts = text::read_several(|[name, message]| {
            // SAFETY: a live instance, a valid number and two valid buffers.
            unsafe { (self.functions.last_error)(self.instance, &raw mut status, name, message) }
        });
        let [name, message] = texts.unwrap_or_default();
        let name = if is_stable_name(&name) {
            name.to_string()
        } else {
            default.to_owned()
        };
        let fault = Fault::from_status(status).unwrap_or(Fault::Plugin);
        FailureReport {
            fault,
            name,
            text: truncate(&message, MAX_LOG_LINE).to_owned(),
        }
    }
}

/// Returns the function of the extension `etatuki.scope/1`, if the plugin has the whole extension.
fn app_sharing(instance: InstancePointer, functions: &Functions) -> Option<RestrictToApp> {
    // SAFETY: a live instance and a C string.
    let table = unsafe { (functions.extension)(instance, raw::SCOPE.as_ptr()) };
    let table = table.cast::<raw::Scope>();
    if table.is_null() {
        return None;
    }
    // SAFETY: by the header's terms a table of that name, which lives as long as the instance; the
    // size comes first.
    let size = unsafe { (&raw const (*table).struct_size).read() } as usize;
    if size < size_of::<raw::Scope>() {
        return None;
    }
    // SAFETY: it is as long as ours, or longer.
    unsafe { (*table).limit }
}

impl Status {
    fn failed(text: String) -> Self {
        let failure = FailureReport {
            fault: Fault::Plugin,
            name: "plugin-failed".to_owned(),
            text,
        };
        Self {
            state: State::Failed,
            code: None,
            failure: Some(failure),
        }
    }
}

/// Why a plugin's texts couldn't be read.
enum TextError {
    /// The function returned this status.
    Status(i32),
    /// The function returned texts that are none.
    Unreadable,
}

/// Words for what the plugin gave with [`TextError::Unreadable`].
const UNREADABLE: &str = "a text that isn't UTF-8, or whose length can't be true";

/// Reads texts by a function of the plugin, and tells its own errors from ours.
fn read_texts<const N: usize>(
    mut call: impl FnMut([*mut raw::Text; N]) -> i32,
) -> Result<[Zeroizing<String>; N], TextError> {
    let mut returned = raw::OK;
    let texts = text::read_several(|out| {
        returned = call(out);
        returned
    });
    texts.map_err(|status| match returned {
        raw::OK | raw::E_BUFFER => TextError::Unreadable,
        _ => TextError::Status(status),
    })
}

/// Returns whether this can be a stable name: short, lower case, digits and hyphens.
fn is_stable_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}
