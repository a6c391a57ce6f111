//! What a client gets without asking for an update: answers to its fences and sizes, and what the
//! extensions want said. In the order in which it came up, before the next update.

use etatuki_rfb::encode::fence_flags;
use std::collections::VecDeque;

/// Something to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A fence: the answer to one of the client, or one of ours.
    Fence { flags: u32, payload: Vec<u8> },
    /// Continuous updates are understood, or have ended.
    EndOfContinuousUpdates,
    /// The answer to SetDesktopSize.
    DesktopSize { status: u16 },
}

/// Things to say that wait at most; a client that asks for more without reading gets an error.
pub(crate) const MAX_WAITING: usize = 64;

/// Our fences that may be unanswered when another update is sent.
const MAX_UNANSWERED: usize = 2;

/// Our fences: how far the client has come.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    number: u32,
    unanswered: VecDeque<u32>,
}

impl Fences {
    /// Whether the client keeps up.
    pub(crate) fn has_credit(&self) -> bool {
        self.unanswered.len() <= MAX_UNANSWERED
    }

    /// A fence to be sent now: everything before it shall be done before it is answered.
    pub(crate) fn ask(&mut self) -> Control {
        self.number = self.number.wrapping_add(1);
        self.unanswered.push_back(self.number);
        Control::Fence {
            flags: fence_flags::REQUEST | fence_flags::BLOCK_BEFORE,
            payload: self.number.to_be_bytes().to_vec(),
        }
    }

    /// The client answered one: it has done everything up to there. What was never asked is ignored.
    pub(crate) fn answered(&mut self, payload: &[u8]) {
        let Ok(number) = payload.try_into().map(u32::from_be_bytes) else {
            return;
        };
        if let Some(at) = self.unanswered.iter().position(|asked| *asked == number) {
            self.unanswered.drain(..=at);
        }
    }
}
