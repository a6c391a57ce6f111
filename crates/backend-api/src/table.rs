//! The functions that C calls: each checks its pointers, catches panics, and calls the
//! `BackendInstance`.

use std::ffi::{c_char, c_void};

use crate::backend_instance::BackendInstance;
use crate::host::c_text;
use crate::panics::catch_panic;
use crate::raw::{self, Instance, Text};
use crate::{Backend, Failure, Fault, Permissions, State, text};

/// An instance as C holds it. The table comes first, so a pointer to it is also a pointer to the
/// whole.
#[repr(C)]
struct ExportedInstance<B> {
    table: Instance,
    backend_instance: BackendInstance<B>,
}

pub(crate) unsafe extern "C" fn create<B: Backend>(
    host: *const raw::Host,
    out: *mut *const Instance,
) -> i32 {
    no_panic(|| {
        if out.is_null() {
            return raw::E_NULL;
        }
        // SAFETY: not null, and the header wants it writable.
        unsafe { out.write(std::ptr::null()) };
        if host.is_null() {
            return raw::E_NULL;
        }
        // SAFETY: the header wants the host valid until `destroy`.
        match unsafe { BackendInstance::<B>::new(host) } {
            Ok(backend_instance) => {
                let instance = Box::into_raw(Box::new(ExportedInstance {
                    table: table::<B>(),
                    backend_instance,
                }));
                // SAFETY: as above. The pointer to the whole is kept, so that `destroy` can free
                // it.
                unsafe { out.write(instance.cast_const().cast::<Instance>()) };
                raw::OK
            }
            Err(status) => status,
        }
    })
}

fn table<B: Backend>() -> Instance {
    Instance {
        struct_size: size_of::<Instance>() as u32,
        reserved: 0,
        plugin_data: std::ptr::null_mut(),
        probe: Some(probe::<B>),
        open: Some(open::<B>),
        close: Some(close::<B>),
        state: Some(state::<B>),
        session_code: Some(session_code::<B>),
        last_error: Some(last_error::<B>),
        attach: Some(attach::<B>),
        permissions: Some(permissions::<B>),
        extension: Some(extension::<B>),
        destroy: Some(destroy::<B>),
    }
}

unsafe extern "C" fn probe<B: Backend>(
    this: *const Instance,
    tool: *mut Text,
    version: *mut Text,
) -> i32 {
    with_instance::<B>(this, |instance| {
        if instance.shared().machine().state() != State::Closed {
            return raw::E_STATE;
        }
        match instance.backend().probe() {
            Ok(found) => {
                // SAFETY: the header's terms: null or a writable text.
                let status =
                    unsafe { text::write(tool, found.tool.as_deref().unwrap_or_default()) };
                // SAFETY: as above.
                first_error(status, unsafe {
                    text::write(version, found.version.as_deref().unwrap_or_default())
                })
            }
            Err(unusable) => {
                instance
                    .shared()
                    .machine()
                    .record_failure(Failure::tool(unusable.name, unusable.text));
                raw::E_UNUSABLE
            }
        }
    })
}

unsafe extern "C" fn open<B: Backend>(this: *const Instance, code: *const c_char) -> i32 {
    // SAFETY: null or a C string that lives through the call.
    with_instance::<B>(this, |instance| match unsafe { c_text(code) } {
        Ok(code) => instance.open(code),
        Err(status) => status,
    })
}

unsafe extern "C" fn close<B: Backend>(this: *const Instance) -> i32 {
    with_instance::<B>(this, BackendInstance::close)
}

unsafe extern "C" fn state<B: Backend>(this: *const Instance) -> u32 {
    let mut state = raw::STATE_FAILED;
    with_instance::<B>(this, |instance| {
        state = instance.shared().machine().state().to_raw();
        raw::OK
    });
    state
}

unsafe extern "C" fn session_code<B: Backend>(this: *const Instance, code: *mut Text) -> i32 {
    with_instance::<B>(this, |instance| match instance.shared().machine().code() {
        // SAFETY: the header's terms.
        Some(current) => unsafe { text::write(code, current) },
        None => raw::E_STATE,
    })
}

unsafe extern "C" fn last_error<B: Backend>(
    this: *const Instance,
    status: *mut i32,
    name: *mut Text,
    message: *mut Text,
) -> i32 {
    with_instance::<B>(this, |instance| {
        let machine = instance.shared().machine();
        let failure = machine.failure();
        if !status.is_null() {
            let code = failure.map_or(raw::OK, |failure| Fault::status(failure.fault));
            // SAFETY: not null, and writable by the header's terms.
            unsafe { status.write(code) };
        }
        // SAFETY: the header's terms.
        let written = unsafe { text::write(name, failure.map_or("", |failure| failure.name)) };
        // SAFETY: the header's terms.
        first_error(written, unsafe {
            text::write(message, failure.map_or("", |failure| &failure.text))
        })
    })
}

unsafe extern "C" fn attach<B: Backend>(this: *const Instance, handle: isize) -> i32 {
    with_instance::<B>(this, |instance| match i32::try_from(handle) {
        // SAFETY: the header's terms: an open socket, ours when OK is returned.
        Ok(descriptor) if descriptor >= 0 => unsafe { instance.attach(descriptor) },
        _ => raw::E_ARGUMENT,
    })
}

unsafe extern "C" fn permissions<B: Backend>(this: *const Instance, permissions: u32) -> i32 {
    with_instance::<B>(this, |instance| {
        instance.permissions(Permissions::from_bits(permissions))
    })
}

unsafe extern "C" fn extension<B: Backend>(
    _this: *const Instance,
    name: *const c_char,
) -> *const c_void {
    // SAFETY: null or a C string that lives through the call.
    let is_scope = unsafe { c_text(name) }.is_ok_and(|name| raw::SCOPE.to_str() == Ok(name));
    if is_scope && B::SUPPORTS_APP_SHARING {
        return std::ptr::from_ref(Extensions::<B>::SCOPE).cast();
    }
    std::ptr::null()
}

/// Tables of a backend's extensions, as data that lives as long as the library.
struct Extensions<B>(std::marker::PhantomData<B>);

impl<B: Backend> Extensions<B> {
    const SCOPE: &'static raw::Scope = &raw::Scope {
        struct_size: size_of::<raw::Scope>() as u32,
        reserved: 0,
        limit: Some(restrict_to_app::<B>),
    };
}

/// Implements `etatuki_scope.limit`.
unsafe extern "C" fn restrict_to_app<B: Backend>(
    this: *const Instance,
    pids: *const u32,
    count: u32,
) -> i32 {
    with_instance::<B>(this, |instance| {
        if pids.is_null() {
            return raw::E_NULL;
        }
        if count == 0 {
            return raw::E_ARGUMENT;
        }
        // SAFETY: not null, and by the header's terms that many, through the call.
        let pids = unsafe { std::slice::from_raw_parts(pids, count as usize) };
        instance.restrict_to_app(pids)
    })
}

unsafe extern "C" fn destroy<B: Backend>(this: *const Instance) {
    if this.is_null() {
        return;
    }
    no_panic(|| {
        // SAFETY: it came from `create`, and the header forbids any call during and after
        // `destroy`.
        let instance = unsafe { Box::from_raw(this.cast_mut().cast::<ExportedInstance<B>>()) };
        instance.backend_instance.destroy();
        raw::OK
    });
}

/// Runs `call` on the instance behind `this`.
fn with_instance<B: Backend>(
    this: *const Instance,
    call: impl FnOnce(&BackendInstance<B>) -> i32,
) -> i32 {
    if this.is_null() {
        return raw::E_NULL;
    }
    // SAFETY: not null, so by the header's terms it is what `create` gave, not yet destroyed.
    let instance = unsafe { &*this.cast::<ExportedInstance<B>>() };
    catch_panic(|| call(&instance.backend_instance)).unwrap_or_else(|failure| {
        instance
            .backend_instance
            .shared()
            .machine()
            .record_failure(failure);
        raw::E_INTERNAL
    })
}

/// Runs `call`; a panic becomes [`raw::E_INTERNAL`].
fn no_panic(call: impl FnOnce() -> i32) -> i32 {
    catch_panic(call).unwrap_or(raw::E_INTERNAL)
}

/// Returns the first status that isn't OK.
fn first_error(first: i32, second: i32) -> i32 {
    if first == raw::OK { second } else { first }
}
