//! One support session on the customer's machine, from the click in the Help menu to the receipt.
//!
//! [`machine`] decides (pure: events and time in, actions out), [`gate`] says what an agent's message
//! may do (pure), [`run`](start) does what the machine says. The rest are the arms of the loop: the
//! service's API, the tool's socket, the outboxes of the link, and the JSON-lines front of
//! `etatuki session`.
//!
//! What does not belong here: windows and sentences (the launcher), codes and cards (`trust`), the
//! handshake (`link`), pixels (`picture`), loading plugins (`plugin-host`). `docs/session.md` has the
//! drawing of the states.

mod agent_connection;
mod config;
mod event_loop;
mod external_transport;
pub mod gate;
mod handle;
pub mod json;
pub mod machine;
mod plugin;
mod rendezvous;
mod revocations;
mod send_queue;
mod service_client;
mod service_health;
mod tool_client;
mod tool_link;
mod view;

pub use config::{App, Backend, SessionConfig, Transport, Vendor};
pub use etatuki_protocol::{AgentIdentity, Ask, Permissions, UsableBackend};
pub use handle::{SessionHandle, SessionSender, start};
pub use view::{
    AppSharing, Command, Failure, FailureName, Fault, Notice, Question, Receipt, State, View,
};
