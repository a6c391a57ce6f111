//! The built-in backend: our own screen sharing, a plain RFB server in front of `etatuki-screen`.
//!
//! [`serve`] does the work, on the caller's thread, for one client at a time; [`Share`] is the handle by
//! which others tell it what is allowed and when to stop. The plugin (`backend`) is glue around the two.
//!
//! What doesn't belong here: the picture's compression, consent, the link. They are the launcher's.

mod backend;
mod server;
mod share;

pub use backend::Ecom;
pub use server::{ServeError, serve};
pub use share::Share;

etatuki_backend_api::export_backend!(Ecom);
