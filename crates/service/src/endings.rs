//! The endings of sessions: what an end that left while its link was interrupted has signed for the
//! other one. Pure: the time is passed in. Only the other end can tell a true one.

use std::collections::{HashMap, VecDeque};

use etatuki_trust::{RESTART_LIFETIME, UnixTime};

use crate::relay_admissions::EndpointBytes;

/// Time for which an ending is kept: longer than a link can be resumed, also over a restart of the
/// customer's machine, for two clocks that began at different moments.
const KEPT_SECONDS: u64 = RESTART_LIFETIME + 60;

/// The longest ending, in bytes.
pub(crate) const MAX_ENDING_BYTES: usize = 160;

/// The endings of the last 16 minutes, one for each endpoint.
#[derive(Debug)]
pub(crate) struct Endings {
    kept: HashMap<EndpointBytes, String>,
    expiring: VecDeque<(UnixTime, EndpointBytes)>,
    /// The most at a time; then the oldest makes room.
    limit: usize,
}

impl Endings {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            kept: HashMap::new(),
            expiring: VecDeque::new(),
            limit,
        }
    }

    /// Keeps the ending of an endpoint. Its first one stays.
    pub(crate) fn put(&mut self, endpoint: EndpointBytes, ending: String, now: UnixTime) {
        self.expire(now);
        if self.kept.contains_key(&endpoint) {
            return;
        }
        if self.expiring.len() >= self.limit
            && let Some((_, oldest)) = self.expiring.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.kept.insert(endpoint, ending);
        self.expiring
            .push_back((now.saturating_add(KEPT_SECONDS), endpoint));
    }

    /// Returns the ending of an endpoint.
    pub(crate) fn get(&mut self, endpoint: &EndpointBytes, now: UnixTime) -> Option<String> {
        self.expire(now);
        self.kept.get(endpoint).cloned()
    }

    fn expire(&mut self, now: UnixTime) {
        while let Some((_, endpoint)) = self.expiring.pop_front_if(|entry| entry.0 <= now) {
            self.kept.remove(&endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime(seconds)
    }

    #[test]
    fn an_ending_is_kept_for_16_minutes_and_the_first_one_stays() {
        let mut endings = Endings::new(2);
        endings.put([1; 32], "first".into(), at(0));
        endings.put([1; 32], "second".into(), at(1));
        assert_eq!(endings.get(&[1; 32], at(179)).as_deref(), Some("first"));
        assert_eq!(endings.get(&[2; 32], at(179)), None);
        assert_eq!(endings.get(&[1; 32], at(KEPT_SECONDS)), None);
        assert_eq!((endings.kept.len(), endings.expiring.len()), (0, 0));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut endings = Endings::new(2);
        for number in 1..=3 {
            endings.put([number; 32], number.to_string(), at(0));
        }
        assert_eq!(endings.get(&[1; 32], at(0)), None);
        assert_eq!(endings.get(&[3; 32], at(0)).as_deref(), Some("3"));
        assert_eq!((endings.kept.len(), endings.expiring.len()), (2, 2));
    }
}
