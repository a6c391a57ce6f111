//! One support session on the customer's machine, from the click in the Help menu to the receipt.
//!
//! `etatuki-session-core` decides; the event loop behind [`start`] carries out what it decides. The
//! other modules serve the loop: the service's API, the plugin and its socket, the queues of the
//! link, and the JSON lines of `etatuki session`.
//!
//! Windows and sentences don't belong here (the launcher), nor codes and cards (`trust`), the
//! handshake (`link`), pixels (`picture`), or the loading of plugins (`plugin-host`).
//! `docs/session.md` has the drawing of the states.

mod agent_connection;
mod attempt_log;
mod config;
mod display_check;
mod display_watch;
mod endings;
mod event_loop;
mod fresh_revocations;
mod handle;
mod input_release;
pub mod json;
mod maybe;
mod plugin;
mod plugin_stream;
mod rendezvous;
mod restart_keeper;
mod revocations;
mod send_queue;
mod service_check;
mod service_client;
mod tool_password;

pub use config::{App, Backend, ComeBack, SessionConfig, Vendor};
pub use display_check::DisplayCheck;
pub use display_watch::DisplayWatch;
pub use etatuki_protocol::RESUME_LIMIT;
pub use handle::{SessionHandle, SessionSender, start};
pub use input_release::InputRelease;
pub use restart_keeper::RestartKeeper;
pub use service_check::{ServiceReport, check_service, describe_proxy};
