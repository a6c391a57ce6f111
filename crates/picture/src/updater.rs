//! What one client gets to see: its encodings, its credit, and the next update.

use crate::Screen;
use etatuki_rfb::Rect;

/// Bytes of pixels that one update holds at most; what is left comes with the next one. A block that
/// [`Updater::next`] returns is at most 64 KiB longer.
pub const MAX_UPDATE_PIXELS: usize = 8 << 20;

/// The client asked for more than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Too many fences without taking in the answers.
    #[error("the client sent more than {0} fences without reading the answers")]
    TooManyFences(usize),
}

/// One client's state.
#[derive(Debug)]
pub struct Updater {}

impl Updater {
    /// A client that was told this size in ServerInit and has seen nothing yet.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        let _ = (width, height);
        Self {}
    }

    /// The client's list. Every extension in it is confirmed to the client, so leave out what the
    /// session doesn't support.
    pub fn set_encodings(&mut self, encodings: &[i32]) {
        todo!("{encodings:?}")
    }

    /// The client asks for an update; the area is clipped here.
    pub fn request(&mut self, incremental: bool, rect: Rect) {
        todo!("{incremental} {rect:?}")
    }

    /// The client turns continuous updates on (of this area) or off.
    pub fn continuous(&mut self, enable: bool, rect: Rect) {
        todo!("{enable} {rect:?}")
    }

    /// A fence from the client: a question, which the next block answers, or the answer to one of ours.
    ///
    /// # Errors
    /// Too many questions at once; end the session.
    pub fn client_fence(&mut self, flags: u32, payload: &[u8]) -> Result<(), UpdateError> {
        todo!("{flags} {payload:?}")
    }

    /// Answers a SetDesktopSize of the client: 0 done (call after the resize), 1 forbidden, 2 out of
    /// resources, 3 invalid layout.
    pub fn desktop_size_answer(&mut self, status: u16) {
        todo!("{status}")
    }

    /// Whether an update could be sent now, if there were anything new: the moment to ask a tool for one.
    #[must_use]
    pub fn wants_update(&self) -> bool {
        todo!()
    }

    /// The next block of whole server messages; `None` when there is nothing to say or no credit to
    /// say it. Call it again after every event until it returns `None` or the link has no credit.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self, screen: &mut Screen) -> Option<Vec<u8>> {
        todo!("{}", screen.width())
    }
}
