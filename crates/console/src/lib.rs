//! The agent's program: one session at a time with a customer, shown in the agent's own browser or
//! in any VNC viewer. The encryption ends here, on the agent's machine; the page never sees a key.
//!
//! This crate finds a customer by a code, carries a session between the link and a viewer, and
//! serves the page to the agent's browser alone. It has no part in consent (the customer's launcher
//! asks for it), in plugins, or in the making of the picture. Messages to the viewer are made by
//! `etatuki-viewer`, without I/O.
//!
//! From the network to the agent's eyes:
//!
//! 1. [`agent_file`], [`service`], [`code`]: the agent's identity, the customer's location, the
//!    code
//! 2. `session`: one session, from the code to the end, reported as events
//! 3. `viewer`: the RFB server for noVNC or a VNC viewer
//! 4. `controller`: folds events into the page's state; [`web`] serves it
//! 5. [`join`]: a session without a page

pub mod agent_file;
pub mod cli;
pub mod code;
mod controller;
mod doctor;
pub mod join;
pub mod message;
mod sanitize;
pub mod service;
mod session;
pub mod session_error;
mod signal;
mod viewer;
pub mod web;

pub use session::AgentContext;
