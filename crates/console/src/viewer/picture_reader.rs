//! The reader of the link's picture stream: a ServerInit, then RFB messages for the hub.

use etatuki_rfb::{
    Limits, PixelFormat, ProtocolError, Rectangle, ServerInit, ServerMessage, ServerParser,
};
use etatuki_viewer::{PictureParser, RemoteDesktop};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::hub::ViewerHub;

/// Bytes of pixels after which other tasks get a turn, and the end of the session a chance: a small
/// block can hold many JPEGs of a large rectangle each.
const YIELD_BYTES: usize = 1 << 20;

/// The reason for which the picture stream can't be read any longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureReadError {
    /// The first message is no ServerInit in BGRX, or outside the limits.
    #[error("the customer's side began the picture wrongly")]
    Init,
    /// A later message broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The customer's side sends fences and doesn't read the replies.
    #[error("the customer's side takes no input")]
    InputBlocked,
}

/// The parser of the stream's blocks; a message may span blocks.
#[derive(Debug, Default)]
pub(crate) struct PictureReader {
    /// The bytes before the ServerInit is complete.
    init_bytes: Vec<u8>,
    /// `None` until the ServerInit is complete.
    parser: Option<PictureParser>,
}

impl PictureReader {
    /// Reads one block and hands its messages to the hub. Waits while the viewer is slow: the link
    /// fills up, and the customer's side sends less.
    ///
    /// # Errors
    /// The customer's side broke the protocol.
    pub(crate) async fn read_block(
        &mut self,
        hub: &ViewerHub,
        block: &[u8],
    ) -> Result<(), PictureReadError> {
        match &mut self.parser {
            Some(parser) => parser.push(block),
            None => self.read_init(hub, block)?,
        }
        let Some(parser) = &mut self.parser else {
            return Ok(());
        };
        parser.set_decoding(hub.is_listened_to());
        let mut decoded = 0;
        while let Some(message) = parser.next_decoded_by(beside_the_link)? {
            decoded += pixel_bytes(&message);
            if decoded > YIELD_BYTES {
                decoded = 0;
                tokio::task::yield_now().await;
                parser.set_decoding(hub.is_listened_to());
            }
            if message == ServerMessage::UpdateStart {
                hub.wait_until(|session| !session.must_pause_link()).await;
            }
            if hub.on_server_message(&message)? {
                hub.changed.notify_waiters();
                hub.wait_for_drain().await;
            }
        }
        hub.changed.notify_waiters();
        Ok(())
    }

    /// Reads the ServerInit. Its pixel format must be BGRX, which needs no negotiation.
    fn read_init(&mut self, hub: &ViewerHub, block: &[u8]) -> Result<(), PictureReadError> {
        self.init_bytes.extend_from_slice(block);
        let limits = Limits::default();
        let parsed = ServerInit::parse(&self.init_bytes, &limits);
        let Some((init, length)) = parsed.map_err(|_| PictureReadError::Init)? else {
            return Ok(());
        };
        if init.format != PixelFormat::BGRX {
            return Err(PictureReadError::Init);
        }
        let parser = ServerParser::new(limits, init.format, init.width, init.height);
        let mut parser = PictureParser::new(parser);
        parser.push(&self.init_bytes[length..]);
        self.init_bytes = Vec::new();
        self.parser = Some(parser);
        hub.set_desktop(RemoteDesktop::new(init));
        Ok(())
    }
}

/// Runs `decode` while the program's one worker goes on with the link on another thread. In a
/// runtime without workers, as tests have, nothing goes on meanwhile.
fn beside_the_link(decode: &mut dyn FnMut()) {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(decode),
        _ => decode(),
    }
}

fn pixel_bytes(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Rectangle(Rectangle::Raw { pixels, .. }) => pixels.len(),
        _ => 0,
    }
}
