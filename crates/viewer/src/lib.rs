//! The console's RFB server without its sockets: converts the messages of the customer's side for
//! one viewer, and the viewer's messages for the customer's side.
//!
//! Messages in, messages and bytes out: no sockets, clock, threads or randomness. Both directions
//! are parsed and written again; nothing is passed through.
//!
//! | file | content |
//! |------|---------|
//! | `picture_parser`, `jpeg` | parses the picture stream; JPEG rectangles become Raw ones |
//! | `remote_desktop` | the customer's screen but for its pixels, for viewers that attach later |
//! | `viewer_session` | one viewer past its handshake: its updates' state machine, its input |
//! | `flow_control` | whether the viewer can be sent an update |
//! | `pending_update`, `write_buffer` | updates and other messages on their way to the viewer |
//! | `negotiated_viewer` | the viewer's pixel format and encodings; rectangles converted for it |
//! | `pressed_input` | keys and buttons that must be released when the viewer detaches |
//! | `link_encodings` | the encodings that are announced to the customer's side |
//! | `viewer_clipboard`, `latin1` | clipboard texts for the viewer and from it |
//!
//! The sockets, and the hand-over between successive viewers, are in `etatuki-console`.

mod flow_control;
mod jpeg;
mod latin1;
mod link_encodings;
mod negotiated_viewer;
mod pending_update;
mod picture_parser;
mod pressed_input;
mod remote_desktop;
mod viewer_clipboard;
mod viewer_session;
mod write_buffer;

pub use link_encodings::PointerReports;
pub use negotiated_viewer::CannotResize;
pub use picture_parser::PictureParser;
pub use remote_desktop::RemoteDesktop;
pub use viewer_clipboard::LostCharacters;
pub use viewer_session::{Actions, Control, ViewerSession, fence_reply};
