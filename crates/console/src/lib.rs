//! The agent's program: one session at a time with a customer, shown in the agent's own browser or in any
//! VNC viewer. The encryption ends here, on the agent's machine; the page never sees a key.
//!
//! What belongs here: finding a customer by a code, carrying a session between the link and a viewer, the
//! page and who may have it. What doesn't: consent (the customer's launcher has it), plugins, and how a
//! picture is made.
//!
//! From the network to the agent's eyes:
//!
//! 1. [`agent_file`], [`service`], [`code`]: who we are, where the customer is, what was typed
//! 2. `session`: one session, from code to end, as a list of events
//! 3. `viewer`: the RFB server that noVNC or a VNC viewer talks to
//! 4. `controller`: events folded into what the page shows; [`web`] serves it
//! 5. [`join`]: the same without a page

pub mod agent_file;
pub mod cli;
pub mod code;
mod controller;
pub mod join;
pub mod service;
mod session;
pub mod session_error;
mod signal;
mod viewer;
pub mod web;

pub use session::AgentContext;
