//! What a client gets without asking for an update: answers to its fences and sizes, and what the
//! extensions want said. In the order in which it came up, before the next update.

use etatuki_rfb::encode::fence_flags;

/// Something to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OutOfBand {
    /// A fence: the answer to one of the client, or one of ours.
    Fence { flags: u32, payload: Vec<u8> },
    /// Continuous updates are understood, or have ended.
    EndOfContinuousUpdates,
    /// The answer to SetDesktopSize.
    DesktopSize { status: u16 },
}

/// Things to say that wait at most; a client that asks for more without reading gets an error.
pub(crate) const MAX_PENDING: usize = 64;

/// A fence of ours: the client answers it once it has done everything before it.
pub(crate) fn own_fence(number: u32) -> OutOfBand {
    OutOfBand::Fence {
        flags: fence_flags::REQUEST | fence_flags::BLOCK_BEFORE,
        payload: number.to_be_bytes().to_vec(),
    }
}

/// The number of the fence of ours that a client answers; `None` when it never was one.
pub(crate) fn own_fence_number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}
