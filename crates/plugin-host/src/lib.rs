//! The child process that loads one plugin, and its parent's handle on it.
mod error;
mod events;
mod parent;
mod spec;

pub use error::{FailureReport, HostError};
pub use events::{HostEvent, HostEvents, LogLevel};
pub use parent::PluginHost;
pub use spec::{LoadedPlugin, PluginSpec, ProbeReport};

/// What `etatuki plugin-host` runs: loads one plugin and serves its parent over stdio until that goes away.
pub fn run_child() -> std::process::ExitCode {
    todo!()
}
