//! The built-in backend: our own screen sharing, a plain RFB server in front of `etatuki-screen`.
//!
//! [`serve`] does the work, on the caller's thread, for one client at a time. [`Share`] is the
//! handle by which others set the permissions and stop it. The plugin (`backend`) is glue around
//! the two.
//!
//! Not here: the picture's compression, consent, and the link. They are the launcher's.

mod backend;
mod server;
mod share;

pub use backend::Ecom;
pub use etatuki_backend_api::Permissions;
pub use server::{ServeError, serve};
pub use share::Share;

etatuki_backend_api::export_backend!(Ecom);
