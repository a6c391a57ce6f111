//! The child process that loads one plugin ([`run_child`], what `etatuki plugin-host` runs), and its parent's handle
//! on it ([`PluginHost`]). They speak JSON lines over stdio, described in `docs/plugin-host.md`; sockets go over an
//! inherited one.
//!
//! What belongs here: loading, the rules about what may be loaded, limits on every call, and that nothing is left
//! behind. What doesn't: the interface itself (`backend-api`), and what a session does with a plugin (`session`).

mod check;
mod child;
mod error;
mod events;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod group;
mod lines;
mod parent;
mod spec;
mod strays;
mod wire;

pub use check::{CHECK, CheckSpec, TRIAL_LIMIT, Trial, Verdict, check, run_check_child, trials};
pub use child::{forbid_core_dumps, run_child};
pub use error::{FailureReport, HostError};
pub use etatuki_backend_api::State;
pub use events::{HostEvent, HostEvents, LogLevel};
pub use parent::PluginHost;
pub use spec::{LoadedPlugin, Origin, PluginSpec, ProbeReport};
