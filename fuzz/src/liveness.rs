//! The clock of the peer's silence, under any sequence of times.

use std::time::Duration;

use etatuki_protocol::{PeerClock, RESUME_LIMIT, SILENCE_LIMIT};

/// Each nine bytes are a moment, in nanoseconds, at which the peer is heard or the link breaks. The
/// moments may go back.
pub(crate) fn peer_clock(input: &[u8]) {
    let mut clock = PeerClock::new(Duration::ZERO);
    let mut heard_at = Duration::ZERO;
    for step in input.chunks_exact(9) {
        let mut nanoseconds = [0; 8];
        nanoseconds.copy_from_slice(&step[1..]);
        let now = Duration::from_nanos(u64::from_be_bytes(nanoseconds));
        if step[0] % 2 == 0 {
            clock.heard(now);
            heard_at = heard_at.max(now);
        }
        let silence = now.saturating_sub(heard_at);
        assert_eq!(clock.silence(now), silence);
        assert_eq!(clock.is_silent(now), silence >= SILENCE_LIMIT);
        // However late the break is noticed, the end comes two minutes after the silence began.
        let lost_at = clock.lost_at(now);
        assert!(lost_at >= RESUME_LIMIT);
        assert!(lost_at <= now.saturating_add(RESUME_LIMIT));
        assert!(lost_at <= heard_at.saturating_add(SILENCE_LIMIT + RESUME_LIMIT));
    }
}
