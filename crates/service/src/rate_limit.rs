//! Rate limits: the generic cell rate algorithm (GCRA) of ITU-T I.371, in its virtual scheduling
//! form. Pure: the time is passed in.
//!
//! The algorithm keeps one point in time for each limiter, the theoretical arrival time.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

/// A burst, and the interval at which one more event is allowed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Events allowed at once.
    pub burst: u32,
    /// Time until one more event is allowed.
    pub interval: Duration,
}

impl Quota {
    /// Returns a quota of `burst` events at once and one more every `interval`.
    #[must_use]
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }

    /// No limit.
    pub const UNLIMITED: Self = Self::new(u32::MAX, Duration::ZERO);
}

/// A refused event; one is allowed again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimited(pub(crate) Duration);

/// One limiter's state: the theoretical arrival time (TAT) of I.371, at which it is idle again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gcra(Duration);

impl Gcra {
    /// Counts an event at `now`, or refuses it if it exceeds `quota`.
    pub(crate) fn try_acquire(&mut self, quota: Quota, now: Duration) -> Result<(), RateLimited> {
        let next = self.0.max(now).saturating_add(quota.interval);
        let latest = now.saturating_add(quota.interval.saturating_mul(quota.burst));
        if next > latest {
            return Err(RateLimited(next - latest));
        }
        self.0 = next;
        Ok(())
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.0 <= now
    }
}

/// A limiter for each key, in bounded memory.
#[derive(Debug)]
pub(crate) struct KeyedRateLimiter<K> {
    quota: Quota,
    limiters: HashMap<K, Gcra>,
    capacity: usize,
    /// Shared by all keys that exceed `capacity`.
    overflow: Gcra,
    last_sweep: Duration,
}

/// Shortest time between two searches for idle limiters: a full table isn't searched at every call.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl<K: Eq + Hash> KeyedRateLimiter<K> {
    pub(crate) fn new(quota: Quota, capacity: usize) -> Self {
        Self {
            quota,
            limiters: HashMap::new(),
            capacity,
            overflow: Gcra::default(),
            last_sweep: Duration::ZERO,
        }
    }

    /// Counts an event of `key` at `now`, or refuses it if it exceeds the quota.
    pub(crate) fn try_acquire(&mut self, key: K, now: Duration) -> Result<(), RateLimited> {
        if self.quota == Quota::UNLIMITED {
            return Ok(());
        }
        let quota = self.quota;
        if let Some(limiter) = self.limiters.get_mut(&key) {
            return limiter.try_acquire(quota, now);
        }
        self.sweep(now);
        if self.limiters.len() >= self.capacity {
            return self.overflow.try_acquire(quota, now);
        }
        self.limiters
            .entry(key)
            .or_default()
            .try_acquire(quota, now)
    }

    fn sweep(&mut self, now: Duration) {
        if self.limiters.len() >= self.capacity / 2 && now >= self.last_sweep + SWEEP_INTERVAL {
            self.limiters.retain(|_, limiter| !limiter.is_idle(now));
            self.last_sweep = now;
        }
    }
}

/// The client that limits count for: an IPv4 address or an IPv6 /56, the network that one household
/// or one office gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork {
    bits: u64,
    is_ipv6: bool,
}

impl ClientNetwork {
    /// Returns the network of `address`; an IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self {
                bits: u64::from(address.to_bits()),
                is_ipv6: false,
            },
            IpAddr::V6(address) => Self {
                bits: (address.to_bits() >> 72) as u64,
                is_ipv6: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUOTA: Quota = Quota::new(3, Duration::from_secs(2));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_and_then_one_every_so_often() {
        let mut limiter = Gcra::default();
        for _ in 0..3 {
            assert_eq!(limiter.try_acquire(QUOTA, at(10)), Ok(()));
        }
        assert_eq!(limiter.try_acquire(QUOTA, at(10)), Err(RateLimited(at(2))));
        assert_eq!(limiter.try_acquire(QUOTA, at(11)), Err(RateLimited(at(1))));
        assert_eq!(limiter.try_acquire(QUOTA, at(12)), Ok(()));
        assert_eq!(limiter.try_acquire(QUOTA, at(12)), Err(RateLimited(at(2))));
        for _ in 0..3 {
            assert_eq!(limiter.try_acquire(QUOTA, at(100)), Ok(()));
        }
        assert!(limiter.try_acquire(QUOTA, at(100)).is_err());
    }

    #[test]
    fn unlimited_is_unlimited() {
        let mut limiter = Gcra::default();
        for _ in 0..10_000 {
            assert_eq!(limiter.try_acquire(Quota::UNLIMITED, at(1)), Ok(()));
        }
    }

    #[test]
    fn a_full_table_lets_the_rest_share_one_limiter() {
        let mut limiters = KeyedRateLimiter::new(QUOTA, 100);
        for key in 0..100 {
            assert_eq!(limiters.try_acquire(key, at(10)), Ok(()));
        }
        let allowed = (100..200)
            .filter(|key| limiters.try_acquire(*key, at(10)).is_ok())
            .count();
        assert_eq!(allowed, 3);
        assert_eq!(limiters.limiters.len(), 100);
        // A key with a limiter keeps it, and idle ones make room.
        assert_eq!(limiters.try_acquire(5, at(10)), Ok(()));
        assert_eq!(limiters.try_acquire(500, at(20)), Ok(()));
        assert_eq!(limiters.limiters.len(), 1);
    }

    #[test]
    fn networks_are_told_apart_by_what_one_household_has() {
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
            let (mut limiter, mut now, mut allowed) = (Gcra::default(), Duration::ZERO, 0u128);
            for gap in gaps {
                now += Duration::from_millis(gap);
                allowed += u128::from(limiter.try_acquire(QUOTA, now).is_ok());
                prop_assert!(allowed <= 3 + now.as_millis() / 2000);
            }
        }
    }
}
