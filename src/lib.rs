//! The customer's launcher: what `etatuki` is made of.
//!
//! Pure and without windows: [`registry`] (what ships), [`settings`] (what the user may choose),
//! [`language`] and [`texts`] (what the customer reads). With the feature `window`, which is on unless
//! somebody turns it off: the command line, logs, probes, and the windows themselves.
//!
//! What does not belong here: the session (`etatuki-session`), the plugins, anything of the network.

pub mod language;
pub mod registry;
pub mod settings;
pub mod texts;

#[cfg(feature = "window")]
mod check;
#[cfg(feature = "window")]
pub mod cli;
#[cfg(feature = "window")]
pub mod commands;
#[cfg(feature = "window")]
mod embedded;
#[cfg(feature = "window")]
mod escape;
#[cfg(feature = "window")]
pub mod exit;
#[cfg(feature = "window")]
mod last_words;
#[cfg(feature = "window")]
mod launcher;
#[cfg(feature = "window")]
mod logs;
#[cfg(feature = "window")]
mod mend;
#[cfg(feature = "window")]
mod probe;
#[cfg(feature = "window")]
pub mod window;
