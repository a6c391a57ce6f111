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

mod agent;
mod config;
mod door;
pub mod gate;
pub mod json;
pub mod machine;
mod outbox;
mod own;
mod plugin;
mod reach;
mod revocations;
mod room;
mod run;
mod service_client;
mod tool_client;
mod tool_link;
mod view;

pub use config::{Backend, Program, SessionConfig, Transport, Vendor};
pub use etatuki_protocol::{AgentIdentity, Ask, Permissions, UsableBackend};
pub use run::{Commander, SessionHandle, start};
pub use view::{
    Command, FailureName, FailureView, Fault, Notice, Question, Receipt, Sharing, State, View,
};
