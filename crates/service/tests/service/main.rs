//! The service from outside: a real HTTP client, real relay clients, and the program itself.
#![allow(clippy::unwrap_used)]

mod address_discovery;
mod agents;
mod check;
mod endings;
mod harness;
mod hostile;
mod metrics;
mod program;
mod relay;
mod restart;
#[cfg(unix)]
mod restarted_program;
mod sessions;
mod tls;
