//! The unit that an [`Updater`](crate::Updater) hands to the link.

/// Whole server messages for one client, or the next rectangles of an update whose beginning went
/// in earlier chunks. Dereferences to its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedChunk {
    /// The RFB bytes.
    pub bytes: Vec<u8>,
    /// Offset from which the bytes are hardly more than JPEG files: compression gains nothing
    /// there.
    pub incompressible_from: usize,
}

impl std::ops::Deref for EncodedChunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
