//! One support session's decisions, without any I/O: events, bytes and time come in, actions, bytes
//! and views go out.
//!
//! - [`machine`]: the states of a session, and the actions that events lead to.
//! - [`opening`]: hands a code to the plugin; [`control_barrier`] holds messages to the agent
//!   until the plugin knows the permissions.
//! - [`gate`]: the messages of an agent's program that may pass.
//! - [`clipboard_order`]: keeps input and clipboard texts in order.
//! - [`flood_brake`]: slows a plugin down that floods.
//! - [`plugin_rfb_client`]: the RFB client towards a plugin.
//! - [`message_progress`]: watches that a plugin's message comes to its end.
//! - [`screen_watch`]: why the picture stands still, and whether it is true.
//! - [`service_health`]: whether the service behind a waiting code is in reach.
//! - [`json`]: the JSON lines of `etatuki session`, in and out.
//! - [`View`], [`Command`], [`Failure`]: what windows show, give and explain.
//!
//! Sockets, processes and clocks don't belong here: `etatuki-session` carries out what is decided
//! here. Times are `Duration`s since the session began. `docs/session.md` has the drawing of the
//! states.

pub mod clipboard_order;
mod clock_verdict;
mod command;
pub mod control_barrier;
mod external_transport;
mod failure;
pub mod flood_brake;
pub mod gate;
mod installation;
pub mod json;
pub mod machine;
pub mod message_progress;
pub mod opening;
mod plugin_info;
pub mod plugin_rfb_client;
mod screen_size;
pub mod screen_watch;
pub mod service_health;
mod transport;
mod view;

pub use clock_verdict::ClockVerdict;
pub use command::Command;
pub use etatuki_protocol::{
    AgentIdentity, Answer, AnswerButton, Ask, Permissions, QuestionText, ScreenCondition,
    ScreenStatus, UsableBackend, Wording,
};
pub use external_transport::ExternalTransport;
pub use failure::{Failure, FailureName, Fault};
pub use installation::Installation;
pub use plugin_info::{PluginInfo, PluginState};
pub use screen_size::check_screen_size;
pub use transport::Transport;
pub use view::{AppSharing, Notice, Question, Receipt, State, View};
