//! A whole session, with everything real but the window and the console: service, link, plugin
//! host, plugin, X server. It needs Xvfb and x11vnc.
//!
//! The plugins and the plugin host are other packages' artefacts, which cargo doesn't hand to a
//! test of this one: [`world::artefacts`] has cargo build them (nothing to do after a `cargo build`
//! of the workspace) and finds them beside the test, in `target/<profile>`.

mod agent;
mod display;
mod external_transport;
mod interrupted;
mod journeys;
mod keyboard;
mod pasting;
mod program;
mod restart;
mod screen_state;
mod screens;
mod text_field;
mod world;
