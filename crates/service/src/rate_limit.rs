//! How often something may happen: pure, with the time passed in.
//!
//! The algorithm is the generic cell rate algorithm of ITU-T I.371 in its virtual scheduling form: one
//! point in time per meter is all that has to be kept.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

/// So many at once, and from then on one every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many may come at once.
    pub burst: u32,
    /// How long it takes until one more may come.
    pub every: Duration,
}

impl Quota {
    /// `burst` at once, and one more `every` so often.
    #[must_use]
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every }
    }

    /// As often as anybody likes.
    pub const UNLIMITED: Self = Self::new(u32::MAX, Duration::ZERO);
}

/// It came too often; it may come again after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimited(pub(crate) Duration);

/// What is remembered of the past: when the meter will be as good as new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gcra(Duration);

impl Gcra {
    /// Counts one more at `now`, unless that were too many.
    pub(crate) fn count(&mut self, rate: Quota, now: Duration) -> Result<(), RateLimited> {
        let next = self.0.max(now).saturating_add(rate.every);
        let latest = now.saturating_add(rate.every.saturating_mul(rate.burst));
        if next > latest {
            return Err(RateLimited(next - latest));
        }
        self.0 = next;
        Ok(())
    }

    fn is_new(&self, now: Duration) -> bool {
        self.0 <= now
    }
}

/// One meter for every key, in bounded memory.
#[derive(Debug)]
pub(crate) struct KeyedRateLimiter<K> {
    rate: Quota,
    meters: HashMap<K, Gcra>,
    most: usize,
    /// SharedState by all keys that found no room.
    rest: Gcra,
    swept: Duration,
}

/// How often old meters are looked for, so that a full table isn't searched at every call.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl<K: Eq + Hash> KeyedRateLimiter<K> {
    pub(crate) fn new(rate: Quota, most: usize) -> Self {
        Self {
            rate,
            meters: HashMap::new(),
            most,
            rest: Gcra::default(),
            swept: Duration::ZERO,
        }
    }

    /// Counts one more of `key` at `now`, unless that were too many.
    pub(crate) fn count(&mut self, key: K, now: Duration) -> Result<(), RateLimited> {
        if self.rate == Quota::UNLIMITED {
            return Ok(());
        }
        let rate = self.rate;
        if let Some(meter) = self.meters.get_mut(&key) {
            return meter.count(rate, now);
        }
        self.sweep(now);
        if self.meters.len() >= self.most {
            return self.rest.count(rate, now);
        }
        self.meters.entry(key).or_default().count(rate, now)
    }

    fn sweep(&mut self, now: Duration) {
        if self.meters.len() >= self.most / 2 && now >= self.swept + SWEEP_INTERVAL {
            self.meters.retain(|_, meter| !meter.is_new(now));
            self.swept = now;
        }
    }
}

/// Who is calling, as far as limits go: an IPv4 address, or an IPv6 network of 56 bits, since that is what one household
/// or one office gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork(u64, bool);

impl ClientNetwork {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits()), false),
            IpAddr::V6(address) => Self((address.to_bits() >> 72) as u64, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Quota = Quota::new(3, Duration::from_secs(2));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_and_then_one_every_so_often() {
        let mut meter = Gcra::default();
        for _ in 0..3 {
            assert_eq!(meter.count(RATE, at(10)), Ok(()));
        }
        assert_eq!(meter.count(RATE, at(10)), Err(RateLimited(at(2))));
        assert_eq!(meter.count(RATE, at(11)), Err(RateLimited(at(1))));
        assert_eq!(meter.count(RATE, at(12)), Ok(()));
        assert_eq!(meter.count(RATE, at(12)), Err(RateLimited(at(2))));
        for _ in 0..3 {
            assert_eq!(meter.count(RATE, at(100)), Ok(()));
        }
        assert!(meter.count(RATE, at(100)).is_err());
    }

    #[test]
    fn unlimited_is_unlimited() {
        let mut meter = Gcra::default();
        for _ in 0..10_000 {
            assert_eq!(meter.count(Quota::UNLIMITED, at(1)), Ok(()));
        }
    }

    #[test]
    fn a_full_table_lets_the_rest_share_one_meter() {
        let mut meters = KeyedRateLimiter::new(RATE, 100);
        for key in 0..100 {
            assert_eq!(meters.count(key, at(10)), Ok(()));
        }
        let passed = (100..200)
            .filter(|key| meters.count(*key, at(10)).is_ok())
            .count();
        assert_eq!(passed, 3);
        assert_eq!(meters.meters.len(), 100);
        // Who has a meter keeps it, and old ones make room.
        assert_eq!(meters.count(5, at(10)), Ok(()));
        assert_eq!(meters.count(500, at(20)), Ok(()));
        assert_eq!(meters.meters.len(), 1);
    }

    #[test]
    fn callers_are_told_apart_by_what_one_household_has() {
        let network = |text: &str| ClientNetwork::of(text.parse().unwrap());
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ff:ffff::2"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:102::1"));
        assert_ne!(network("0.0.0.1"), network("0:0:0:100::"));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate(gaps in proptest::collection::vec(0u64..3000, 1..200)) {
            let (mut meter, mut now, mut passed) = (Gcra::default(), Duration::ZERO, 0u128);
            for gap in gaps {
                now += Duration::from_millis(gap);
                passed += u128::from(meter.count(RATE, now).is_ok());
                prop_assert!(passed <= 3 + now.as_millis() / 2000);
            }
        }
    }
}
