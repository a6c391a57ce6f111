//! Flow control towards a viewer: it gets an update for each request, or, with continuous updates
//! (a community extension), as long as it acknowledges fences.

use std::collections::VecDeque;

use etatuki_rfb::encode::{fence_flags, server};

/// Most unacknowledged fences with which a viewer with continuous updates is still sent an update;
/// one fence follows each update.
const MAX_UNACKED_FENCES: usize = 2;

/// The viewer's use of continuous updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ContinuousUpdates {
    /// The viewer doesn't know that we support them.
    #[default]
    Unannounced,
    /// The viewer knows; it sends requests.
    Disabled,
    /// The viewer gets updates without requests.
    Enabled,
}

/// Whether a viewer is ready for an update.
#[derive(Debug, Default)]
pub(crate) struct FlowControl {
    /// Whether a request has not been answered by an update.
    requested: bool,
    continuous: ContinuousUpdates,
    /// Numbers of the fences that the viewer hasn't acknowledged, oldest first.
    unacked_fences: VecDeque<u32>,
    last_fence: u32,
}

impl FlowControl {
    /// Returns whether the viewer can be sent an update.
    pub(crate) fn is_ready(&self) -> bool {
        let keeps_up = self.unacked_fences.len() <= MAX_UNACKED_FENCES;
        self.requested || (self.continuous == ContinuousUpdates::Enabled && keeps_up)
    }

    /// Records a FramebufferUpdateRequest.
    pub(crate) fn on_request(&mut self) {
        self.requested = true;
    }

    /// Records that an update answers the request; further requests are for the next update.
    pub(crate) fn on_answered(&mut self) {
        self.requested = false;
    }

    /// Appends a fence behind an update that was sent whole, to learn when the viewer has read it.
    pub(crate) fn on_update_sent(&mut self, messages: &mut Vec<u8>) {
        if self.continuous == ContinuousUpdates::Enabled {
            self.send_fence(messages);
        }
    }

    /// Records the acknowledgement of a fence and of those before it. Returns whether the fence was
    /// ours.
    pub(crate) fn on_fence_reply(&mut self, payload: &[u8]) -> bool {
        let replied = |number: &u32| number.to_be_bytes() == payload;
        let Some(index) = self.unacked_fences.iter().position(replied) else {
            return false;
        };
        self.unacked_fences.drain(..=index);
        true
    }

    /// Announces the support of fences and continuous updates, once: a first fence, and a first
    /// EndOfContinuousUpdates.
    pub(crate) fn announce_continuous(&mut self, messages: &mut Vec<u8>) {
        if self.continuous == ContinuousUpdates::Unannounced {
            self.continuous = ContinuousUpdates::Disabled;
            self.send_fence(messages);
            server::end_of_continuous_updates(messages);
        }
    }

    /// Enables or disables continuous updates of the whole screen, whatever area the viewer named.
    /// Returns false before their announcement, when the message means nothing.
    pub(crate) fn set_continuous(&mut self, enable: bool) -> bool {
        if self.continuous == ContinuousUpdates::Unannounced {
            return false;
        }
        self.continuous = if enable {
            ContinuousUpdates::Enabled
        } else {
            ContinuousUpdates::Disabled
        };
        true
    }

    fn send_fence(&mut self, messages: &mut Vec<u8>) {
        self.last_fence = self.last_fence.wrapping_add(1);
        self.unacked_fences.push_back(self.last_fence);
        let flags = fence_flags::REQUEST | fence_flags::BLOCK_BEFORE;
        server::fence(messages, flags, &self.last_fence.to_be_bytes());
    }
}
