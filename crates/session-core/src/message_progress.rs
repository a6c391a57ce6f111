//! The watch over a server's messages: one that has begun must come to its end. A still screen is
//! normal, half a rectangle is not.

use std::time::Duration;

/// Time without a byte after which a message stands still.
pub const MID_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which a message, or an update, must be complete, however its bytes come. A whole
/// screen through the plugin's socket takes a tenth of a second.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// The progress of the message that is under way. Times never go backwards.
#[derive(Debug, Default)]
pub struct MessageProgress {
    under_way: Option<UnderWay>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    began: Duration,
    last_read: Duration,
}

impl MessageProgress {
    /// Notes that bytes have been read.
    pub fn on_read(&mut self, now: Duration) {
        if let Some(message) = &mut self.under_way {
            let gap = now.saturating_sub(message.last_read);
            if gap > MID_MESSAGE_TIMEOUT {
                // It was this process that stood still, or the deadline would have come first.
                message.began += gap;
            }
            message.last_read = now;
        }
    }

    /// Notes, once everything read is parsed, whether a message was completed since the last call,
    /// and whether one is under way.
    pub fn on_parsed(&mut self, completed: bool, mid_message: bool, now: Duration) {
        if completed || !mid_message {
            self.under_way = None;
        }
        if mid_message {
            self.under_way.get_or_insert(UnderWay {
                began: now,
                last_read: now,
            });
        }
    }

    /// Returns the moment at which the server has failed.
    pub fn deadline(&self) -> Option<Duration> {
        let message = self.under_way?;
        Some((message.last_read + MID_MESSAGE_TIMEOUT).min(message.began + MESSAGE_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(50);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_still_screen_has_all_the_time() {
        let mut progress = MessageProgress::default();
        progress.on_read(NOW);
        progress.on_parsed(true, false, NOW);
        assert_eq!(progress.deadline(), None);
    }

    #[test]
    fn half_a_rectangle_has_ten_seconds() {
        let mut progress = MessageProgress::default();
        progress.on_parsed(false, true, NOW);
        assert_eq!(progress.deadline(), Some(NOW + MID_MESSAGE_TIMEOUT));
    }

    #[test]
    fn a_drip_is_no_progress_for_ever() {
        let mut progress = MessageProgress::default();
        progress.on_parsed(false, true, NOW);
        for second in 1..=60 {
            let now = NOW + SECOND * second;
            progress.on_read(now);
            progress.on_parsed(false, true, now);
        }
        assert_eq!(progress.deadline(), Some(NOW + MESSAGE_TIMEOUT));
    }

    #[test]
    fn our_own_stop_isnt_the_servers() {
        let mut progress = MessageProgress::default();
        progress.on_parsed(false, true, NOW);
        let later = NOW + SECOND * 3600;
        progress.on_read(later);
        assert!(progress.deadline().is_some_and(|due| due > later));
    }

    #[test]
    fn messages_in_a_row_each_have_their_own_time() {
        let mut progress = MessageProgress::default();
        for second in 0..60 {
            let now = NOW + SECOND * second;
            progress.on_read(now);
            // The end of one and the beginning of the next came together.
            progress.on_parsed(true, true, now);
            assert_eq!(progress.deadline(), Some(now + MID_MESSAGE_TIMEOUT));
        }
    }
}
