//! The RFB server that a viewer talks to: noVNC in the page, or any VNC viewer at the port of `join`.
//!
//! It ends RFB on either side rather than passing bytes on. What comes over the link is parsed with
//! limits, kept as far as a later viewer needs it ([`Known`]), and written again for the viewer that is
//! there ([`Seat`]): in its pixel format, with nothing that it didn't announce. What the viewer sends is
//! parsed and written again too. Viewers may come and go; there is one at a time.
//!
//! | file | what |
//! |------|------|
//! | `known`, `seat`, `terms`, `outgoing`, `held`, `latin1` | pure: messages in, messages and bytes out |
//! | `jpeg` | pure: JPEG rectangles become plain ones before anybody else sees them |
//! | `hub` | what the viewers of one session share; the ends of the link's streams |
//! | `serve` | one viewer's connection: handshake, then both directions |
//! | `pipe` | the two ways in which a viewer is connected: TCP and WebSocket |

mod held;
mod hub;
mod jpeg;
mod known;
mod latin1;
mod outgoing;
mod pipe;
mod seat;
mod serve;
mod terms;

pub(crate) use hub::{Around, Hub, PictureError, PictureReader, Stage, ToLink};
pub(crate) use pipe::{TcpSource, WebSink, WebSource};
pub(crate) use serve::{Left, ViewerError, serve};

use known::Known;
use seat::{Actions, Seat};

#[cfg(test)]
mod jpeg_tests;
#[cfg(test)]
mod tests;
