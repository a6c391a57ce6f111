//! A plugin on the bench: loaded, with a host that counts what it is told, and each function of the interface as it is,
//! with whatever arguments a trial wants to give it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use etatuki_backend_api::{raw, text};

use super::clock::patiently;
use crate::child::{describe, open_library};
use crate::spec::LoadedPlugin;

/// How long a plugin may take to report a state, or to do something on its stream.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a trial didn't pass.
pub(super) enum Stop {
    /// The plugin breaks the contract.
    Failed(String),
    /// It can't be tried.
    Skipped(String),
}

/// What a trial gives.
pub(super) type Outcome<T = String> = Result<T, Stop>;

pub(super) fn failed<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(text.into()))
}

pub(super) fn skipped<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Stop::Skipped(text.into()))
}

/// Fails with the text unless it holds.
pub(super) fn ensure(holds: bool, text: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { failed(text()) }
}

/// The same, with what was being done before it.
pub(super) fn while_doing<T>(what: &str, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|stop| match stop {
        Stop::Failed(text) => Stop::Failed(format!("{what}: {text}")),
        Stop::Skipped(text) => Stop::Skipped(format!("{what}: {text}")),
    })
}

/// A status with its name, if it has one: `104 (E_ARGUMENT)`.
pub(super) fn status_name(status: i32) -> String {
    let name = match status {
        raw::OK => "OK",
        raw::E_CALLER => "E_CALLER",
        raw::E_NULL => "E_NULL",
        raw::E_STATE => "E_STATE",
        raw::E_BUFFER => "E_BUFFER",
        raw::E_ARGUMENT => "E_ARGUMENT",
        raw::E_PLUGIN => "E_PLUGIN",
        raw::E_INTERNAL => "E_INTERNAL",
        raw::E_RESOURCES => "E_RESOURCES",
        raw::E_TOOL => "E_TOOL",
        raw::E_UNUSABLE => "E_UNUSABLE",
        _ => return status.to_string(),
    };
    format!("{status} ({name})")
}

/// The library, not loaded yet.
#[derive(Clone)]
pub(super) struct Library {
    path: PathBuf,
    options: String,
    network: bool,
}

impl Library {
    /// `network`: whether the plugin may use it.
    pub(super) fn new(path: &Path, options: String, network: bool) -> Self {
        Self {
            path: path.to_owned(),
            options,
            network,
        }
    }

    /// Loads it; it is never unloaded.
    pub(super) fn load(&self) -> Outcome<&'static raw::Descriptor> {
        open_library(&self.path)
            .map_err(|error| Stop::Failed(crate::error::HostError::from(error).to_string()))
    }

    /// Loads it, and reads what it says about itself. The plugin host makes no instance of one that asks for more than
    /// the registry gives.
    pub(super) fn bench(&self) -> Outcome<Bench> {
        let bench = self.described()?;
        if bench.lacks_network {
            return skipped("it asks for the network (NETWORK): try it with --network");
        }
        Ok(bench)
    }

    /// Loads it, and reads what it says about itself, whatever that is.
    pub(super) fn described(&self) -> Outcome<Bench> {
        let descriptor = self.load()?;
        let about = describe(descriptor)
            .map_err(|error| Stop::Failed(crate::error::HostError::from(error).to_string()))?;
        Ok(Bench {
            lacks_network: about.capabilities & raw::CAP_NETWORK != 0 && !self.network,
            descriptor,
            about,
            host: Host::leak(self.options.clone(), size_of::<raw::Host>() as u32),
        })
    }
}

/// A loaded plugin.
pub(super) struct Bench {
    pub(super) descriptor: &'static raw::Descriptor,
    pub(super) about: LoadedPlugin,
    /// It asks for the network, and doesn't get it.
    pub(super) lacks_network: bool,
    pub(super) host: &'static Host,
}

impl Bench {
    pub(super) fn has(&self, capability: u64) -> bool {
        self.about.capabilities & capability != 0
    }

    /// A code in the form that the plugin wants.
    pub(super) fn code(&self) -> CString {
        let code = match self.about.code_form.as_str() {
            "ecom" => "123456782 123456",
            _ => "123456789013",
        };
        CString::new(code).expect("digits have no NUL")
    }

    /// `create` with these arguments, as they are.
    pub(super) fn create_raw(
        &self,
        host: *const raw::Host,
        out: *mut *const raw::Instance,
    ) -> Outcome<i32> {
        let Some(create) = self.descriptor.create else {
            return failed("the descriptor's function create is null");
        };
        // SAFETY: what the contract lets a host pass, or what it says is an error.
        Ok(unsafe { create(host, out) })
    }

    /// An instance that works.
    pub(super) fn create(&self) -> Outcome<Instance> {
        let mut out = std::ptr::null();
        let status = self.create_raw(self.host.as_raw(), &raw mut out)?;
        ensure(status == raw::OK, || {
            format!("create returned {}", status_name(status))
        })?;
        ensure(!out.is_null(), || {
            "create returned 0 and gave no instance".into()
        })?;
        // SAFETY: not null; the first field is always there.
        let size = unsafe { (&raw const (*out).struct_size).read() } as usize;
        ensure(size >= size_of::<raw::Instance>(), || {
            format!(
                "the instance's struct_size is {size}; version 1 has {}",
                size_of::<raw::Instance>()
            )
        })?;
        // SAFETY: as long as ours, or longer; a table of functions may be copied.
        let table = unsafe { *out };
        Instance::of(out, table)
    }

    /// An instance of a backend that can be used on this machine.
    pub(super) fn usable(&self) -> Outcome<Instance> {
        let instance = self.create()?;
        match text::read_several(|[tool, version]| instance.probe(tool, version)) {
            Ok(_) => Ok(instance),
            Err(raw::E_UNUSABLE) => skipped(format!(
                "the backend can't be used on this machine: {}",
                instance.error().2
            )),
            Err(status) => failed(format!("probe returned {}", status_name(status))),
        }
    }

    /// An instance that waits with a code.
    pub(super) fn waiting(&self) -> Outcome<Instance> {
        let instance = self.usable()?;
        instance.open_to_waiting(&self.code())?;
        Ok(instance)
    }
}

macro_rules! table {
    ($($name:ident: fn($($argument:ident: $type:ty),*) -> $result:ty),+ $(,)?) => {
        /// An instance: every function of the interface, callable with anything. May be used by several threads, for
        /// functions that are tagged [any].
        #[derive(Clone, Copy)]
        pub(super) struct Instance {
            this: *const raw::Instance,
            $($name: unsafe extern "C" fn(*const raw::Instance, $($type),*) -> $result),+
        }

        impl Instance {
            fn of(this: *const raw::Instance, table: raw::Instance) -> Outcome<Self> {
                let missing = |name: &str| Stop::Failed(format!("the instance's function {name} is null"));
                Ok(Self { this, $($name: table.$name.ok_or_else(|| missing(stringify!($name)))?),+ })
            }

            $(pub(super) fn $name(&self, $($argument: $type),*) -> $result {
                // SAFETY: a live instance; the arguments are what the contract allows, or what it says is an error.
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
    /// `destroy(NULL)`.
    pub(super) fn destroy_null(&self) {
        // SAFETY: the contract allows null.
        unsafe { (self.destroy)(std::ptr::null()) }
    }

    /// The last failure: status, name, words.
    pub(super) fn error(&self) -> (i32, String, String) {
        let mut status = raw::OK;
        let texts =
            text::read_several(|[name, words]| self.last_error(&raw mut status, name, words));
        let [name, words] = texts.unwrap_or_default();
        (status, name.to_string(), words.to_string())
    }

    /// The session code.
    pub(super) fn code(&self) -> Outcome<String> {
        text::read(|out| self.session_code(out))
            .map(|code| code.to_string())
            .or_else(|status| failed(format!("session_code returned {}", status_name(status))))
    }

    /// `open` with a code that will do.
    pub(super) fn open_well(&self, code: &CStr) -> Outcome<()> {
        let status = self.open(code.as_ptr());
        ensure(status == raw::OK, || {
            format!("open returned {}{}", status_name(status), self.last_words())
        })
    }

    /// Opens it, and waits until it waits.
    pub(super) fn open_to_waiting(&self, code: &CStr) -> Outcome<()> {
        self.open_well(code)?;
        self.until(raw::STATE_WAITING, "after open()")
    }

    /// Closes it, and waits until it is closed.
    pub(super) fn close_to_closed(&self) -> Outcome<()> {
        let status = self.close();
        ensure(status == raw::OK, || {
            format!("close returned {}", status_name(status))
        })?;
        self.until(raw::STATE_CLOSED, "after close()")
    }

    /// What the plugin says about its last failure, to be put after what happened.
    pub(super) fn last_words(&self) -> String {
        match self.error() {
            (_, name, _) if name.is_empty() => "; last_error() has no name".to_owned(),
            (_, name, words) => format!("; last_error() is {name}: {words}"),
        }
    }

    /// The state now must be this.
    pub(super) fn is_in(&self, wanted: u32) -> Outcome<()> {
        let state = self.state();
        ensure(state == wanted, || {
            format!(
                "the state is {}, not {}",
                state_name(state),
                state_name(wanted)
            )
        })
    }

    /// Waits for a state, which must come `when`: `after open()`.
    pub(super) fn until(&self, wanted: u32, when: &str) -> Outcome<()> {
        let expected = format!("{} was expected {when}", state_name(wanted));
        let reached = patiently(PATIENCE, || match self.state() {
            state if state == wanted => Some(Ok(())),
            raw::STATE_FAILED => Some(failed(format!(
                "the state is FAILED{}; {expected}",
                self.last_words()
            ))),
            state if !state_exists(state) => {
                Some(failed(format!("state() gave {state}, which doesn't exist")))
            }
            _ => None,
        });
        reached.unwrap_or_else(|| {
            let is = state_name(self.state());
            failed(format!(
                "the state is {is} for {} s already; {expected}",
                PATIENCE.as_secs()
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

/// The host's side: it counts and remembers. Never freed.
#[repr(C)]
pub(super) struct Host {
    raw: raw::Host,
    changes: AtomicU64,
    /// Calls that came when the instance was gone.
    late: AtomicU64,
    over: AtomicBool,
    logged: Mutex<Vec<String>>,
    /// What is done within each `changed`.
    within_changed: Mutex<Option<Box<dyn Fn() + Send>>>,
    options: String,
}

// SAFETY: the pointer in `raw` is null, and everything else may be shared.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Send for Host {}

impl Host {
    /// A host that says that its struct has `size` bytes.
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
            late: AtomicU64::new(0),
            over: AtomicBool::new(false),
            logged: Mutex::default(),
            within_changed: Mutex::default(),
            options,
        }))
    }

    pub(super) fn as_raw(&'static self) -> *const raw::Host {
        std::ptr::from_ref(self).cast()
    }

    /// How often the plugin has said that something changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether it is told of a change, after so many, now or a moment later: the call comes after the state.
    pub(super) fn is_told(&self, before: u64) -> bool {
        patiently(PATIENCE, || (self.changes() > before).then_some(())).is_some()
    }

    /// From now on this is done within each `changed`, before it returns.
    pub(super) fn do_within_changed(&self, what: impl Fn() + Send + 'static) {
        if let Ok(mut slot) = self.within_changed.lock() {
            *slot = Some(Box::new(what));
        }
    }

    /// From now on no call may come.
    pub(super) fn is_over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// How many came all the same.
    pub(super) fn late(&self) -> u64 {
        self.late.load(Ordering::SeqCst)
    }

    /// The log so far.
    pub(super) fn logged(&self) -> String {
        let logged = self.logged.lock();
        logged.map(|lines| lines.join("\n")).unwrap_or_default()
    }

    fn called(&self) {
        if self.over.load(Ordering::SeqCst) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn table(host: *const raw::Host) -> Option<&'static Host> {
    // SAFETY: null, or what `as_raw` gave; `raw` is the first field, and it is never freed.
    let host = unsafe { host.cast::<Host>().as_ref() }?;
    host.called();
    Some(host)
}

unsafe extern "C" fn changed(host: *const raw::Host) {
    if let Some(host) = table(host) {
        host.changes.fetch_add(1, Ordering::SeqCst);
        if let Ok(slot) = host.within_changed.lock()
            && let Some(what) = &*slot
        {
            what();
        }
    }
}

unsafe extern "C" fn log(host: *const raw::Host, _level: u32, message: *const c_char) {
    let Some(host) = table(host) else { return };
    if message.is_null() {
        return;
    }
    // SAFETY: a C string of the plugin's, by the contract.
    let line = unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned();
    if let Ok(mut lines) = host.logged.lock()
        && lines.len() < 10_000
    {
        lines.push(line);
    }
}

unsafe extern "C" fn options(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    let Some(host) = table(host) else {
        return raw::E_NULL;
    };
    // SAFETY: a text of the plugin's or null, by the contract.
    unsafe { text::write(out, &host.options) }
}

unsafe extern "C" fn language(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    if table(host).is_none() {
        return raw::E_NULL;
    }
    // SAFETY: as above.
    unsafe { text::write(out, "en") }
}

unsafe extern "C" fn extension(host: *const raw::Host, _name: *const c_char) -> *const c_void {
    let _ = table(host);
    std::ptr::null()
}
