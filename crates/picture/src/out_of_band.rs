//! Messages that a client gets without credit for an update: answers to its fences and sizes,
//! fences of ours, and the announcements of extensions. They go in the order in which they came up,
//! before the next update.

use etatuki_rfb::encode::fence_flags;

/// A message that needs no credit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OutOfBand {
    /// The answer to the client's fence, or a fence of ours.
    Fence { flags: u32, payload: Vec<u8> },
    /// EndOfContinuousUpdates: announces the extension at first, and later says that they have
    /// ended.
    EndOfContinuousUpdates,
    /// The answer to SetDesktopSize.
    DesktopSize { status: u16 },
}

/// Maximum number of waiting messages; a client that asks for more without reading gets an error.
pub(crate) const MAX_OUT_OF_BAND: usize = 64;

/// Creates a fence of ours: the client acknowledges it once it has processed everything before it.
pub(crate) fn own_fence(number: u32) -> OutOfBand {
    OutOfBand::Fence {
        flags: fence_flags::REQUEST | fence_flags::BLOCK_BEFORE,
        payload: number.to_be_bytes().to_vec(),
    }
}

/// Returns the number of the fence of ours that a client acknowledges; `None` if it can't be one.
pub(crate) fn own_fence_number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}
