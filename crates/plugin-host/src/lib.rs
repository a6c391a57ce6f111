//! The plugin host: the child process that loads one plugin ([`run_child`], behind `etatuki
//! plugin-host`), its supervisor ([`run_supervisor`]), and its parent's handle ([`PluginHost`]).
//! Parent and child exchange JSON lines over stdio,
//! described in `docs/plugin-host.md`; sockets go over an inherited one.
//!
//! Here belong loading, the rules about what may be loaded, limits on every call, and the cleanup
//! of every process. The interface itself belongs to `backend-api`, and a session's use of a plugin
//! to `session`.

mod check;
mod child;
mod descriptors;
mod error;
mod escaped_processes;
mod events;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod line_decoder;
mod log_lines;
mod parent;
mod plugin_spec;
mod redactor;
mod supervised_process;
mod supervisor;
mod user_namespace;
mod wire;

pub use check::{CHECK, CheckSpec, TRIAL_TIMEOUT, Trial, Verdict, check, run_check_child, trials};
pub use child::{forbid_inspection, run_child};
pub use descriptors::keep_inherited_descriptors;
pub use error::{FailureReport, HostError};
pub use etatuki_backend_api::{LogLevel, Permissions, State};
pub use events::{HostEvent, HostEvents};
pub use parent::PluginHost;
pub use plugin_spec::{LoadedPlugin, Origin, PluginSpec, ProbeReport};
pub use supervisor::{SUPERVISOR, run_supervisor};
pub use user_namespace::is_unmapped_owner;
