//! The clock that is to blame for a card that is out of its time. The service's clock is a second
//! opinion and no more: it lets nobody in.

use etatuki_trust::{CardValidity, UnixTime};

/// The party whose clock or card is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// This machine's clock, which shows this time.
    Ours(UnixTime),
    /// The agent's card: it is out of its time by the service's clock too.
    Card,
}

impl ClockVerdict {
    /// Judges a card that is out of its time by our clock. `service` is the time there, if the
    /// service has ever told it.
    pub fn judge(card: CardValidity, ours: UnixTime, service: Option<UnixTime>) -> Self {
        match service.map(|now| card.check(now)) {
            Some(Err(_)) => Self::Card,
            Some(Ok(())) | None => Self::Ours(ours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_clock_tells_which_end_is_wrong() {
        let card = CardValidity {
            issued: UnixTime(10_000),
            expires: UnixTime(20_000),
        };
        let check = |ours: u64, service: Option<u64>, expected| {
            let verdict = ClockVerdict::judge(card, UnixTime(ours), service.map(UnixTime));
            assert_eq!(verdict, expected, "{ours} {service:?}");
        };
        check(1000, Some(15_000), ClockVerdict::Ours(UnixTime(1000)));
        check(90_000, Some(15_000), ClockVerdict::Ours(UnixTime(90_000)));
        check(90_000, Some(90_000), ClockVerdict::Card);
        check(1000, Some(1000), ClockVerdict::Card);
        check(1000, None, ClockVerdict::Ours(UnixTime(1000)));
    }
}
