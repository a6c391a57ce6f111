//! The RFB server that a viewer talks to: noVNC in the page, or any VNC viewer at the port of `join`.
//!
//! It ends RFB on either side rather than passing bytes on. What comes over the link is parsed with
//! limits, kept as far as a later viewer needs it ([`RemoteDesktop`]), and written again for the viewer that is
//! there ([`ViewerSession`]): in its pixel format, with nothing that it didn't announce. What the viewer sends is
//! parsed and written again too. Viewers may come and go; there is one at a time.
//!
//! | file | what |
//! |------|------|
//! | `remote_desktop`, `session`, `negotiated_viewer`, `write_buffer`, `pressed_input`, `latin1` | pure: messages in, messages and bytes out |
//! | `jpeg` | pure: JPEG rectangles become plain ones before anybody else sees them |
//! | `hub` | what the viewers of one session share; the ends of the link's streams |
//! | `serve` | one viewer's connection: handshake, then both directions |
//! | `pipe` | the two ways in which a viewer is connected: TCP and WebSocket |

mod hub;
mod jpeg;
mod latin1;
mod negotiated_viewer;
mod pipe;
mod pressed_input;
mod remote_desktop;
mod serve;
mod viewer_session;
mod write_buffer;

pub(crate) use hub::{DesktopMetadata, PictureError, PictureReader, Readiness, ToLink, ViewerHub};
pub(crate) use pipe::{TcpSource, WebSink, WebSource};
pub(crate) use serve::{ViewerError, ViewerExit, serve};

use remote_desktop::RemoteDesktop;
use viewer_session::{Actions, ViewerSession};

#[cfg(test)]
mod jpeg_tests;
#[cfg(test)]
mod tests;
