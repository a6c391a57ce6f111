//! The customer's launcher: the library behind `etatuki`.
//!
//! Without windows: [`registry`] (what ships), [`settings`] (the user's choices), [`language`] and
//! [`texts`] (what the customer reads, from `etatuki-texts`, which the console knows too). Parsing
//! is pure in all four; only reading the registry's and the settings' files touches the machine.
//! With the feature `window`, on by default: the command line, logs, probes, and the windows
//! themselves.
//!
//! Not in here: the session (`etatuki-session`), the plugins, the network.

pub mod registry;
pub mod settings;

pub use etatuki_texts::{self as texts, language};
#[cfg(feature = "window")]
pub use held_input::release_after_launcher;

#[cfg(feature = "window")]
mod claim;
#[cfg(feature = "window")]
pub mod cli;
#[cfg(feature = "window")]
pub mod commands;
#[cfg(feature = "window")]
mod display_check;
#[cfg(feature = "window")]
mod display_loss;
#[cfg(feature = "window")]
mod display_watch;
#[cfg(feature = "window")]
mod doctor;
#[cfg(feature = "window")]
mod embedded;
#[cfg(feature = "window")]
mod escape;
#[cfg(feature = "window")]
pub mod exit;
#[cfg(feature = "window")]
mod fonts;
#[cfg(feature = "window")]
mod held_input;
#[cfg(feature = "window")]
mod hung_launcher;
#[cfg(feature = "window")]
mod launcher;
#[cfg(feature = "window")]
mod local_time;
#[cfg(feature = "window")]
mod lock_hint;
#[cfg(feature = "window")]
mod logging;
#[cfg(feature = "window")]
mod plugin_check;
#[cfg(feature = "window")]
mod probe;
#[cfg(feature = "window")]
mod restart;
#[cfg(feature = "window")]
mod startup;
#[cfg(feature = "window")]
pub mod window;
