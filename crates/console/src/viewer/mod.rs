//! The RFB server for viewers: noVNC in the page, or any VNC viewer at the port of `join`.
//!
//! RFB ends here on either side; bytes are never passed through. What comes over the link is parsed
//! with limits, kept as far as a later viewer needs it
//! ([`RemoteDesktop`](etatuki_viewer::RemoteDesktop)), and written again for the attached viewer
//! ([`ViewerSession`](etatuki_viewer::ViewerSession)): in its pixel format, with nothing that it
//! didn't announce. The viewer's messages are parsed and written again too. Viewers may come and
//! go; at most one is attached.
//!
//! Both types are in `etatuki-viewer`, without I/O. Here are the sockets and the locks:
//!
//! | file | content |
//! |------|---------|
//! | `hub` | the state that successive viewers share, and the queues to the link |
//! | `guard` | an attached viewer, as its connection holds it |
//! | `picture_reader` | the reader of the link's picture stream |
//! | `serve` | one viewer's connection: handshake, then both directions |
//! | `transport` | TCP and WebSocket |

mod guard;
mod hub;
mod picture_reader;
mod serve;
mod transport;

pub(crate) use hub::{DesktopMetadata, Readiness, ToLink, ViewerHub};
pub(crate) use picture_reader::{PictureReadError, PictureReader};
pub(crate) use serve::{ViewerError, ViewerExit, serve};
pub(crate) use transport::{TcpSource, WebSink, WebSource};

#[cfg(test)]
mod tests;
