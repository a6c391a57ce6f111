//! Challenges that were answered, so that none can be replayed. Pure: the time is passed in.

use std::collections::{HashSet, VecDeque};

use etatuki_trust::UnixTime;

/// Answered challenges that haven't expired.
#[derive(Debug, Default)]
pub(crate) struct UsedChallenges {
    challenges: HashSet<[u8; 32]>,
    expiring: VecDeque<(UnixTime, [u8; 32])>,
}

impl UsedChallenges {
    /// Marks `challenge`, good until `expires`, as used; returns `false` if it was already.
    pub(crate) fn mark_used(
        &mut self,
        challenge: [u8; 32],
        expires: UnixTime,
        now: UnixTime,
    ) -> bool {
        // Not quite in order, since challenges may be answered late. Keeping one for too long does
        // no harm.
        while let Some((_, expired)) = self.expiring.pop_front_if(|entry| entry.0 <= now) {
            self.challenges.remove(&expired);
        }
        let is_first = self.challenges.insert(challenge);
        if is_first {
            self.expiring.push_back((expires, challenge));
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime(seconds)
    }

    #[test]
    fn a_challenge_is_answered_once() {
        let mut used = UsedChallenges::default();
        assert!(used.mark_used([1; 32], at(60), at(0)));
        assert!(!used.mark_used([1; 32], at(60), at(59)));
        assert!(used.mark_used([2; 32], at(120), at(60)));
        assert_eq!((used.challenges.len(), used.expiring.len()), (1, 1));
    }
}
