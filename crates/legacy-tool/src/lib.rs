//! Finds, starts, supervises and stops an installed tool, by its profile.
//!
//! The plugins `tool` and `own-tool` are this crate behind the plugin interface. Here: everything
//! that is true of any tool. Not here: the session code (the launcher's), consent (the gate's), and
//! TLS (the plugin's, for the tools that speak it).

mod driver;
mod external_session;
mod installed_tool;
mod pattern;
mod profile;
mod running_tool;

pub use driver::Driver;
pub use external_session::ExternalSession;
pub use installed_tool::{InstalledTool, find_tool};
pub use pattern::{Pattern, PatternError};
pub use profile::{
    CodeSource, ExternalTool, InputPath, Profile, ProfileError, RfbTransport, ToolKind,
    VersionCheck,
};
pub use running_tool::{RunningTool, ToolCommand, ToolExit};
