//! A plugin's instance behind safe methods: what it returns is checked, and believed only within bounds.

use std::os::fd::{AsRawFd, OwnedFd};

use etatuki_backend_api::{Fault, State, raw, text};
use zeroize::Zeroizing;

use super::host_table::HostTable;
use crate::error::{FailureReport, Refusal};
use crate::lines::{MAX_LOG, cut};
use crate::spec::ProbeReport;

/// An instance. It stays on the thread that made it.
pub(super) struct Plugin {
    instance: *const raw::Instance,
    functions: Functions,
    own_transport: bool,
    limit: Option<Limit>,
}

/// `etatuki_scope.limit`.
type Limit = unsafe extern "C" fn(This, *const u32, u32) -> i32;

/// State, code and failure at one moment.
#[derive(PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) state: State,
    pub(super) code: Option<Zeroizing<String>>,
    pub(super) failure: Option<FailureReport>,
}

/// The longest session code; ours have 17 characters, a tool's own may have more.
const MAX_CODE: usize = 64;

macro_rules! functions {
    ($($name:ident: $type:ty),+ $(,)?) => {
        /// The table's functions, all of which are there.
        struct Functions { $($name: $type),+ }

        impl Functions {
            fn of(table: &raw::Instance) -> Result<Self, Refusal> {
                let missing = |name: &str| load_error(format!("the instance has no function {name}"));
                Ok(Self { $($name: table.$name.ok_or_else(|| missing(stringify!($name)))?),+ })
            }
        }
    };
}

type This = *const raw::Instance;
type Out = *mut raw::Text;

functions! {
    probe: unsafe extern "C" fn(This, Out, Out) -> i32,
    open: unsafe extern "C" fn(This, *const std::ffi::c_char) -> i32,
    close: unsafe extern "C" fn(This) -> i32,
    state: unsafe extern "C" fn(This) -> u32,
    session_code: unsafe extern "C" fn(This, Out) -> i32,
    last_error: unsafe extern "C" fn(This, *mut i32, Out, Out) -> i32,
    attach: unsafe extern "C" fn(This, isize) -> i32,
    permissions: unsafe extern "C" fn(This, u32) -> i32,
    extension: unsafe extern "C" fn(This, *const std::ffi::c_char) -> *const std::ffi::c_void,
    destroy: unsafe extern "C" fn(This),
}

impl Plugin {
    /// Calls the descriptor's `create`.
    pub(super) fn create(
        descriptor: &raw::Descriptor,
        host: &'static HostTable,
    ) -> Result<Self, Refusal> {
        let create = descriptor
            .create
            .ok_or_else(|| load_error("the descriptor has no function create"))?;
        let mut instance = std::ptr::null();
        // SAFETY: the library is never unloaded, the host's table never freed, and this is the call thread.
        let status = unsafe { create(host.as_raw(), &raw mut instance) };
        if status != raw::OK {
            return Err(load_error(format!("create returned {status}")));
        }
        if instance.is_null() {
            return Err(load_error("create gave no instance"));
        }
        // SAFETY: not null; the first field is always there.
        let size = unsafe { (&raw const (*instance).struct_size).read() } as usize;
        if size < size_of::<raw::Instance>() {
            return Err(load_error(format!(
                "the instance has {size} bytes, too few for version 1.0"
            )));
        }
        // SAFETY: it is as long as ours, or longer.
        let functions = Functions::of(unsafe { &*instance })?;
        let limit = limit_of(instance, &functions);
        Ok(Self {
            instance,
            functions,
            own_transport: descriptor.capabilities & raw::CAP_OWN_TRANSPORT != 0,
            limit,
        })
    }

    /// Whether it can share one program alone.
    pub(super) fn limits(&self) -> bool {
        self.limit.is_some()
    }

    /// See `etatuki_scope` in the header.
    pub(super) fn limit(&self, pids: &[u32]) -> Result<(), FailureReport> {
        let Some(limit) = self.limit else {
            return Err(FailureReport {
                fault: Fault::Caller,
                name: "internal".to_owned(),
                text: "the plugin shares the whole screen only".to_owned(),
            });
        };
        let count = u32::try_from(pids.len()).unwrap_or(0);
        // SAFETY: a live instance, and that many numbers which live through the call.
        let status = unsafe { limit(self.instance, pids.as_ptr(), count) };
        self.check("limit", status)
    }

    pub(super) fn probe(&self) -> Result<ProbeReport, FailureReport> {
        let found = text::read_several(|[tool, version]| {
            // SAFETY: a live instance and two valid buffers.
            unsafe { (self.functions.probe)(self.instance, tool, version) }
        });
        match found {
            Ok([tool, version]) => {
                let some = |text: &str| {
                    Some(cut(text, MAX_LOG).to_owned()).filter(|text| !text.is_empty())
                };
                Ok(ProbeReport::Usable {
                    tool: some(&tool),
                    version: some(&version),
                })
            }
            Err(raw::E_UNUSABLE) => {
                let report = self.last_error("tool-missing");
                Ok(ProbeReport::Unusable {
                    name: report.name,
                    text: report.text,
                })
            }
            Err(status) => Err(self.explain("probe", status)),
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

    /// The socket is the plugin's when this returns Ok; otherwise it is closed here.
    pub(super) fn attach(&self, socket: OwnedFd) -> Result<(), FailureReport> {
        // SAFETY: a live instance and an open socket.
        let status = unsafe { (self.functions.attach)(self.instance, socket.as_raw_fd() as isize) };
        if status == raw::OK {
            std::mem::forget(socket);
        }
        self.check("attach", status)
    }

    pub(super) fn permissions(&self, view: bool, control: bool) -> Result<(), FailureReport> {
        let bit = |allowed: bool, bit| if allowed { bit } else { 0 };
        let set = bit(view, raw::PERMISSION_VIEW) | bit(view && control, raw::PERMISSION_CONTROL);
        // SAFETY: a live instance.
        self.check("permissions", unsafe {
            (self.functions.permissions)(self.instance, set)
        })
    }

    /// What has changed, read as the header says.
    pub(super) fn read(&self) -> Reading {
        // SAFETY: a live instance.
        let number = unsafe { (self.functions.state)(self.instance) };
        let Some(state) = State::from_raw(number) else {
            return Reading::failed(format!(
                "the plugin says state {number}, which does not exist"
            ));
        };
        let code = match state {
            State::Waiting | State::Attached => match self.code() {
                Ok(code) => Some(code),
                Err(reason) => return Reading::failed(reason),
            },
            _ => None,
        };
        let failure = (state == State::Failed).then(|| self.last_error("plugin-failed"));
        Reading {
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
        let code = text::read(|out| unsafe { (self.functions.session_code)(self.instance, out) });
        match code {
            // A tool with its own transport may show it in its own window alone.
            Ok(code) if code.is_empty() && self.own_transport => Ok(code),
            Ok(code)
                if code.is_empty() || code.len() > MAX_CODE || code.contains(char::is_control) =>
            {
                Err("the plugin's session code is empty, too long or not printable".to_owned())
            }
            Ok(code) => Ok(code),
            Err(status) => Err(format!(
                "session_code returned {status} in a state that has a code"
            )),
        }
    }

    fn check(&self, call: &str, status: i32) -> Result<(), FailureReport> {
        if status == raw::OK {
            Ok(())
        } else {
            Err(self.explain(call, status))
        }
    }

    /// Why a call returned `status`. The plugin's words are used when they belong to the same fault.
    fn explain(&self, call: &str, status: i32) -> FailureReport {
        let report = self.last_error("plugin-failed");
        let fault = Fault::from_status(status).unwrap_or(Fault::Ours);
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
        let texts = text::read_several(|[name, words]| {
            // SAFETY: a live instance, a valid number and two valid buffers.
            unsafe { (self.functions.last_error)(self.instance, &raw mut status, name, words) }
        });
        let [name, words] = texts.unwrap_or_default();
        let name = if is_name(&name) {
            name.to_string()
        } else {
            default.to_owned()
        };
        let fault = Fault::from_status(status).unwrap_or(Fault::Ours);
        FailureReport {
            fault,
            name,
            text: cut(&words, MAX_LOG).to_owned(),
        }
    }
}

/// The extension's function, when the plugin has all of the extension.
fn limit_of(instance: This, functions: &Functions) -> Option<Limit> {
    // SAFETY: a live instance and a C string.
    let table = unsafe { (functions.extension)(instance, raw::SCOPE.as_ptr()) };
    let table = table.cast::<raw::Scope>();
    if table.is_null() {
        return None;
    }
    // SAFETY: by the header's terms a table of that name, which lives as long as the instance; the size comes first.
    let size = unsafe { (&raw const (*table).struct_size).read() } as usize;
    if size < size_of::<raw::Scope>() {
        return None;
    }
    // SAFETY: it is as long as ours, or longer.
    unsafe { (*table).limit }
}

impl Reading {
    fn failed(text: String) -> Self {
        let failure = FailureReport {
            fault: Fault::Ours,
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

/// Stable names are short, lower case, with hyphens.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

fn load_error(text: impl Into<String>) -> Refusal {
    Refusal::Load { text: text.into() }
}
