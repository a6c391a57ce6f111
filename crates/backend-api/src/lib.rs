//! The plugin interface of Etätuki: the C header's mirror ([`raw`]) and the SDK with which a plugin is written in
//! Rust as one trait and one macro line, without `unsafe`.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use etatuki_backend_api::{Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Probe, Unusable};
//!
//! struct Null { host: Host }
//!
//! impl Backend for Null {
//!     const DESCRIPTOR: Descriptor = Descriptor {
//!         id: "null",
//!         name: "Nothing at all",
//!         vendor: "Example",
//!         version: "1.0.0",
//!         code_form: CodeForm::Ecom,
//!         capabilities: Capabilities::NONE,
//!     };
//!     fn new(host: Host) -> Self { Null { host } }
//!     fn probe(&self) -> Result<Probe, Unusable> { Ok(Probe::default()) }
//!     fn open(&self, code: &str) -> Result<(), Failure> { self.host.waiting(code); Ok(()) }
//!     fn close(&self) {}
//!     fn attach(&self, stream: UnixStream) -> Result<(), Failure> { drop(stream); Ok(()) }
//!     fn permissions(&self, _view: bool, _control: bool) {}
//! }
//!
//! etatuki_backend_api::export_backend!(Null);
//! ```
//!
//! What belongs here: what both sides of the interface must agree on, and what makes it hard to break for those who
//! write plugins. What doesn't: loading (that is `plugin-host`), RFB, sessions.

mod descriptor;
mod failure;
mod host;
mod machine;
mod panics;
pub mod raw;
mod session;
mod table;
pub mod text;

pub use descriptor::{Capabilities, CodeForm, Descriptor};
pub use failure::{Failure, Fault, Probe, Unusable};
pub use host::{Host, Level};
pub use machine::State;

use std::os::unix::net::UnixStream;

/// A backend. One value is one plugin instance; it may be opened again after it was closed.
///
/// The SDK calls `new`, `probe` and `drop` on the host's call thread, `open`, `close` and `permissions` one after the
/// other on a thread of its own, and `attach` on one more. So `open` and `close` of the C interface return at once
/// whatever a backend does; but a `close` waits for the `open` before it, so long work looks at [`Host::closing`].
/// A panic in any of them becomes the state `failed`.
pub trait Backend: Send + Sync + 'static {
    /// What the library says about itself before any of its code runs.
    const DESCRIPTOR: Descriptor;

    /// Whether it can share one program alone, and so has [`limit`](Backend::limit).
    const LIMITS: bool = false;

    /// Makes an instance; cheap, touches neither display nor tool.
    fn new(host: Host) -> Self;

    /// Is it usable on this machine, now? Well below two seconds, and with no lasting effect.
    fn probe(&self) -> Result<Probe, Unusable>;

    /// Starts a session with a freshly minted code in its plain form. The state is `opening` until
    /// [`Host::waiting`] gives the code that holds: the one handed in, or the tool's own.
    fn open(&self, code: &str) -> Result<(), Failure>;

    /// Puts everything away, and joins what `open` started. When it returns the state is `closed`. A stream that
    /// is attached was shut down before this is called. Called once per `open`, also after a failure.
    fn close(&self);

    /// Serves RFB on `stream` **until it ends**: it runs on a thread of its own, and returning means that the
    /// stream is done with. `Ok` puts the state back to `waiting`, so that another stream may come; `Err` makes it
    /// `failed`. At close the SDK shuts the stream down, so reads end; the owner of the stream is this function.
    fn attach(&self, stream: UnixStream) -> Result<(), Failure>;

    /// What the customer allows from now on. The gate enforces it anyway; this is a second lock.
    fn permissions(&self, view: bool, control: bool);

    /// From now on until `close`, streams that are attached show the windows of these processes alone, and
    /// input reaches nothing else; the header says how exactly (`etatuki_scope`). Called while waiting, on the
    /// host's call thread; nothing is attached when it fails. Without [`LIMITS`](Backend::LIMITS) it is never called.
    fn limit(&self, pids: &[u32]) -> Result<(), Failure> {
        let _ = pids;
        Err(Failure::caller(
            "unsupported",
            "this backend shares the whole screen only",
        ))
    }
}

/// Exports a [`Backend`] as this library's plugin: one line at the crate's root.
///
/// What it expands to has no `unsafe` block. Its `#[unsafe(no_mangle)]` comes from a macro of another crate, which
/// the lint `unsafe_code` leaves alone, so a plugin may say `unsafe_code = "forbid"`.
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
