//! When the client hears where the pointer is: after somebody else has moved it, and not too often. Pure.

use std::time::{Duration, Instant};

/// From one place to the next: twenty-five a second look smooth, and the line is for the picture.
const STEP: Duration = Duration::from_millis(40);

/// Column and row.
pub(super) type Place = (u16, u16);

/// What one client knows of it.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: Option<Place>,
    /// Before that it is told nothing new.
    next: Option<Instant>,
}

impl Places {
    /// How long it must wait still.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let left = |next: Instant| next.saturating_duration_since(now);
        self.next.map(left).unwrap_or_default()
    }

    /// The pointer is at `place` (`None`: nowhere that is shown), and the client has itself put it at `own`. Gives
    /// what it is to be told.
    pub(super) fn news(
        &mut self,
        place: Option<Place>,
        own: Option<Place>,
        now: Instant,
    ) -> Option<Place> {
        self.next = Some(now + STEP);
        let before = self.known;
        self.known = place.or(before);
        place.filter(|place| before != Some(*place) && own != Some(*place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_did_is_news_and_only_once() {
        let mut places = Places::default();
        let now = Instant::now();
        let (here, there) = (Some((1, 1)), Some((2, 2)));
        assert_eq!(places.news(here, None, now), here);
        assert_eq!(places.news(here, None, now), None);
        assert_eq!(places.news(there, there, now), None, "its own doing");
        assert_eq!(places.news(None, there, now), None);
        assert_eq!(places.news(here, there, now), here, "moved away again");
        assert_eq!(places.wait(now), STEP);
        assert_eq!(places.wait(now + STEP), Duration::ZERO);
    }
}
