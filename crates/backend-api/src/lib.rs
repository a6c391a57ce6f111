//! The plugin interface of Etätuki: the C header's mirror in Rust ([`raw`]), and the SDK, by which
//! a plugin in Rust is one trait and one line of a macro, without `unsafe`.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use etatuki_backend_api::{
//!     Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Permissions, Probe, Unusable,
//! };
//!
//! struct Null { host: Host }
//!
//! impl Backend for Null {
//!     const DESCRIPTOR: Descriptor = Descriptor {
//!         id: "null",
//!         name: "Nothing at all",
//!         vendor: "Example",
//!         version: "1.0.0",
//!         code_form: CodeForm::IdAndPassword,
//!         capabilities: Capabilities::NONE,
//!     };
//!     fn new(host: Host) -> Self { Null { host } }
//!     fn probe(&self) -> Result<Probe, Unusable> { Ok(Probe::default()) }
//!     fn open(&self, code: &str) -> Result<(), Failure> { self.host.waiting(code); Ok(()) }
//!     fn close(&self) {}
//!     fn attach(&self, stream: UnixStream) -> Result<(), Failure> { drop(stream); Ok(()) }
//!     fn permissions(&self, _permissions: Permissions) {}
//! }
//!
//! etatuki_backend_api::export_backend!(Null);
//! ```
//!
//! Here belongs everything that both sides of the interface must agree on, and that makes the
//! contract hard to break for a plugin's author. Loading belongs to `plugin-host`; RFB and sessions
//! to neither.

mod backend_instance;
mod descriptor;
mod failure;
mod host;
mod log_level;
mod machine;
mod panics;
mod permissions;
pub mod raw;
mod table;
pub mod text;

pub use descriptor::{Capabilities, CodeForm, Descriptor};
pub use failure::{Failure, Fault, Probe, Unusable};
pub use host::Host;
pub use log_level::LogLevel;
pub use machine::State;
pub use permissions::Permissions;

use std::os::unix::net::UnixStream;

/// A backend. One value is one plugin instance; it may be opened again after it was closed.
///
/// The SDK calls `new`, `probe`, `permissions`, `restrict_to_app` and `drop` on the host's call
/// thread, `open` and `close` one after the other on a thread of its own, and `attach` on one more.
/// So `open` and `close` of the C interface return at once, whatever a backend does. A `close`
/// waits for the `open` before it, however, so long work must poll [`Host::is_closing`]. A panic in
/// any of them becomes the state `failed`.
pub trait Backend: Send + Sync + 'static {
    /// The library's description of itself, readable before any of its code runs.
    const DESCRIPTOR: Descriptor;

    /// Whether the backend can share the windows of one app alone, by
    /// [`restrict_to_app`](Backend::restrict_to_app).
    const SUPPORTS_APP_SHARING: bool = false;

    /// Makes an instance; cheap, and touches neither display nor tool.
    fn new(host: Host) -> Self;

    /// Returns whether the backend can be used on this machine now, well within two seconds and
    /// without a lasting effect.
    fn probe(&self) -> Result<Probe, Unusable>;

    /// Starts a session with a freshly minted code in its plain form. The state is `opening` until
    /// [`Host::waiting`] reports the valid code: the given one, or the tool's own.
    fn open(&self, code: &str) -> Result<(), Failure>;

    /// Releases the session's resources, and joins every thread that `open` started. The state is
    /// `closed` when it returns. An attached stream is shut down before this call. Called once for
    /// each `open`, also after a failure.
    fn close(&self);

    /// Serves RFB on `stream` **until it ends**, on a thread of its own; a return means the end of
    /// the stream. `Ok` puts the state back to `waiting`, so that another stream may come; `Err`
    /// makes it `failed`. This function owns the stream. At close the SDK shuts it down, so that
    /// reads end.
    fn attach(&self, stream: UnixStream) -> Result<(), Failure>;

    /// Sets what the customer allows from now on, at once: the agent's first key may come right after
    /// this returns. Set while the backend opens or closes, it comes afterwards, on that thread. The
    /// gate enforces it anyway; this is a second lock.
    fn permissions(&self, permissions: Permissions);

    /// Restricts streams that are attached from now on until `close` to the windows of these
    /// processes, and input likewise; the header has the details (`etatuki_scope`). Called while
    /// waiting; nothing is attached when it fails. Without
    /// [`SUPPORTS_APP_SHARING`](Backend::SUPPORTS_APP_SHARING) it is never called.
    fn restrict_to_app(&self, pids: &[u32]) -> Result<(), Failure> {
        let _ = pids;
        Err(Failure::caller(
            "unsupported",
            "this backend shares the whole screen only",
        ))
    }
}

/// Exports a [`Backend`] as this library's plugin: one line at the crate's root.
///
/// The expansion has no `unsafe` block. Its `#[unsafe(no_mangle)]` comes from another crate's
/// macro, which the lint `unsafe_code` ignores, so a plugin may set `unsafe_code = "forbid"`.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        const _: () = {
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            static etatuki_backend_v1: $crate::raw::Descriptor = $crate::__descriptor::<$backend>();
        };
    };
}

#[doc(hidden)]
pub const fn __descriptor<B: Backend>() -> raw::Descriptor {
    descriptor::raw::<B>()
}
