//! How much may be on its way to the client: enough to keep the line busy, too little to queue up.
//!
//! After each update goes a fence; the client answers it once it has taken the update in. From these answers come the
//! line's delay, its rate, and how long an update waited behind others. More than [`QUEUE`] of waiting, and what may be
//! on its way shrinks to what the line holds; none, and it grows while it is what holds the picture back.

use std::collections::VecDeque;
use std::time::Duration;

/// An update may wait so long behind others in front of a slow line; above twice that, less is sent.
const QUEUE: Duration = Duration::from_millis(10);
/// One update takes a slow line for about so long, so that a later, more urgent one needn't wait longer; any other line
/// for as long as a frame of a film, which would be torn.
const TURN: Duration = Duration::from_millis(10);
/// Bytes on their way before anything is known of the line.
const FIRST_WINDOW: usize = 32 << 10;
/// Bytes on their way at least, and at most; QUIC has limits of its own.
const WINDOWS: (usize, usize) = (2 << 10, 4 << 20);
/// How long the smallest delay that was seen is believed.
const MEMORY: Duration = Duration::from_secs(30);
/// So many bytes are looked back on for the line's rate.
const RATE_BYTES: f64 = 64e3;
/// How many bytes of pixels make a byte on the line, at first and at most.
const RATIOS: (f64, f64) = (8.0, 64.0);
/// The same for JPEG, at first.
const JPEG_RATIO: f64 = 16.0;
/// A line is slow that carries less than these bytes in a moment, while less than a window is on its way.
const SLOW: usize = 400 << 10;
const MOMENT: Duration = Duration::from_millis(100);
const SLOW_WINDOW: usize = 256 << 10;
/// One that holds less than this is so slow that its rate is surely its own, and not that of the two ends.
const SLOW_HOLDS: usize = 16 << 10;
/// How long a frame of a film is shown.
const FRAME: Duration = Duration::from_millis(33);
/// The line's rate is learnt from what was as large as this, or took so long: what is smaller and quicker says how long
/// the two ends take.
const TELLING_WIRE: usize = 4 << 10;
const TELLING_TIME: Duration = Duration::from_millis(10);
/// An update with fewer bytes of pixels says nothing of that.
const TELLING: usize = 16 << 10;
/// Bytes of pixels that an update may hold at least: a tile.
const LEAST_PIXELS: usize = 1 << 10;
/// For so long after a key a line that is as slow as that isn't filled: the next one would wait behind what is on it.
const ACTIVE: Duration = Duration::from_millis(1500);
/// Updates on their way at most, however small.
const MAX_FLYING: usize = 256;

/// What is on its way to one client, and what the line takes.
#[derive(Debug)]
pub(crate) struct Pace {
    number: u32,
    flying: VecDeque<Flight>,
    /// Bytes that have left of an update that goes in parts and isn't whole yet.
    part: usize,
    window: usize,
    delay: LeastDelay,
    rate: Rate,
    ratio: f64,
    jpeg_ratio: f64,
    answered_at: Duration,
    /// The last answer's time when the client last did something.
    acted_at: Option<Duration>,
}

/// Bytes of pixels that an update may hold, sent as they are or as JPEG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) pixels: usize,
    pub(crate) jpeg: usize,
}

impl Room {
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            pixels: self.pixels.min(other.pixels),
            jpeg: self.jpeg.min(other.jpeg),
        }
    }

    pub(crate) fn without(self, bytes: usize) -> Self {
        Self {
            pixels: self.pixels.saturating_sub(bytes),
            jpeg: self.jpeg.saturating_sub(bytes),
        }
    }
}

/// An update whose fence hasn't been answered.
#[derive(Debug)]
struct Flight {
    number: u32,
    /// Before compression, without JPEG.
    plain: usize,
    packed: usize,
    /// On the line; a guess until it has left.
    wire: usize,
    left: Option<Duration>,
    /// More would have gone into it.
    cut: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            number: 0,
            flying: VecDeque::new(),
            part: 0,
            window: FIRST_WINDOW,
            delay: LeastDelay::default(),
            rate: Rate::default(),
            ratio: RATIOS.0,
            jpeg_ratio: JPEG_RATIO,
            answered_at: Duration::ZERO,
            acted_at: None,
        }
    }
}

impl Pace {
    /// Whether an update may be sent now.
    pub(crate) fn has_credit(&self) -> bool {
        let window = if self.is_active() {
            self.window / 2
        } else {
            self.window
        };
        let free = window.saturating_sub(self.unanswered());
        self.flying.is_empty() || (free >= window / 4 && self.flying.len() < MAX_FLYING)
    }

    /// Whether what is on its way would hold up what follows a key for long, and the client presses some.
    fn is_active(&self) -> bool {
        let lately = |acted: Duration| self.answered_at.saturating_sub(acted) < ACTIVE;
        self.window < SLOW_HOLDS && self.is_slow() && self.acted_at.is_some_and(lately)
    }

    /// The client does something.
    pub(crate) fn acts(&mut self) {
        self.acted_at = Some(self.answered_at);
    }

    /// Whether a small update may be sent that can't wait, although there is no credit: on a slow line, and beyond what may
    /// be on its way by a quarter.
    pub(crate) fn has_credit_beyond(&self) -> bool {
        let most = self.window + self.window / 4;
        self.is_slow() && self.unanswered() < most && self.flying.len() < MAX_FLYING
    }

    /// What the next update should hold at most.
    pub(crate) fn room(&self) -> Room {
        let free = self.window.saturating_sub(self.unanswered());
        let (least, slow) = (self.window / 4, self.is_slow());
        let turn = self
            .rate
            .bytes_in(if slow { TURN } else { FRAME })
            .max(least);
        let free = turn.min(free.max(least));
        // A frame of a film waits until it may go, and then goes whole.
        let frame = if slow { free } else { turn };
        let pixels = |wire: usize, ratio: f64| ((wire as f64 * ratio) as usize).max(LEAST_PIXELS);
        Room {
            pixels: pixels(free, self.ratio),
            jpeg: pixels(frame, self.jpeg_ratio),
        }
    }

    /// Whether a photograph that doesn't move is too much for the line, as it is.
    pub(crate) fn is_slow(&self) -> bool {
        let known = self.rate.seconds > 0.0;
        known && self.window < SLOW_WINDOW && self.rate.bytes_in(MOMENT) < SLOW
    }

    /// How good JPEGs are, from 1 to 100: worse where a frame takes the line for long.
    pub(crate) fn quality(&self) -> u8 {
        match self.rate.bytes_in(FRAME) {
            0 => 70,
            1..30_000 => 45,
            30_000..120_000 => 60,
            120_000.. => 75,
        }
    }

    /// A JPEG of so many pixels came out as so many bytes.
    pub(crate) fn photographed(&mut self, pixels: usize, bytes: usize) {
        let ratio = pixels as f64 * 4.0 / bytes.max(1) as f64;
        self.jpeg_ratio = ratio.clamp(1.0, RATIOS.1).min(self.jpeg_ratio * 1.25);
    }

    /// An update of so many bytes goes off, so many of which are JPEG; the number of the fence behind it. `cut`: there
    /// wasn't room for all.
    pub(crate) fn takes_off(&mut self, bytes: usize, packed: usize, cut: bool) -> u32 {
        self.number = self.number.wrapping_add(1);
        let plain = bytes.saturating_sub(packed);
        self.flying.push_back(Flight {
            number: self.number,
            plain,
            packed,
            wire: packed + (plain as f64 / self.ratio) as usize,
            left: None,
            cut,
        });
        self.number
    }

    /// A part of an update that hasn't taken off yet has left, as so many bytes.
    pub(crate) fn part_has_left(&mut self, wire: usize) {
        self.part += wire;
    }

    /// The last update has left, or its last part, as so many bytes. `round_trip`: the line's own, as far as it is known;
    /// an update's delay is longer by the time that it takes the line itself.
    pub(crate) fn has_left(&mut self, wire: usize, round_trip: Option<Duration>, now: Duration) {
        if let Some(round_trip) = round_trip {
            self.delay.learn(round_trip, now);
        }
        let wire = std::mem::take(&mut self.part) + wire;
        let Some(flight) = self.flying.back_mut().filter(|last| last.left.is_none()) else {
            return;
        };
        flight.wire = wire;
        flight.left = Some(now);
        if flight.plain >= TELLING {
            let wire = wire.saturating_sub(flight.packed).max(1);
            let ratio = (flight.plain as f64 / wire as f64).clamp(1.0, RATIOS.1);
            // What compresses badly comes in a row, and costs the most: believed at once.
            self.ratio = ratio.min(self.ratio * 1.25);
        }
    }

    /// The client answered a fence: it has taken in everything up to there. What was never asked is ignored.
    pub(crate) fn answered(&mut self, number: u32, now: Duration) {
        let Some(at) = self
            .flying
            .iter()
            .position(|flight| flight.number == number)
        else {
            return;
        };
        for flight in self.flying.drain(..=at).collect::<Vec<_>>() {
            self.learn(&flight, now);
        }
        self.answered_at = now;
    }

    fn learn(&mut self, flight: &Flight, now: Duration) {
        let Some(left) = flight.left else { return };
        let least = self.delay.learn(now.saturating_sub(left), now);
        let arrival = left + least;
        let waited = self.answered_at.saturating_sub(arrival);
        let served = now.saturating_sub(self.answered_at.max(arrival));
        if flight.wire >= TELLING_WIRE || served >= TELLING_TIME {
            self.rate.learn(flight.wire, served);
        }
        let holds = self.rate.bytes_in(least + QUEUE);
        if waited > 2 * QUEUE {
            self.window = holds.clamp(WINDOWS.0, self.window);
        } else if waited < QUEUE && flight.cut {
            // What seems to be the line's rate may be the two ends', which a larger window shows.
            let beyond = if holds < SLOW_HOLDS {
                holds / 8
            } else {
                holds / 2
            };
            let most = (holds + beyond).clamp(self.window, WINDOWS.1.max(self.window));
            self.window = (self.window + flight.wire).min(most);
        }
    }

    fn unanswered(&self) -> usize {
        self.flying.iter().map(|flight| flight.wire).sum()
    }
}

/// The smallest delay of the last half to whole minute: while the screen changes all the time there may be no other.
#[derive(Debug, Default)]
struct LeastDelay {
    since: Duration,
    now: Option<Duration>,
    before: Option<Duration>,
}

impl LeastDelay {
    fn learn(&mut self, delay: Duration, now: Duration) -> Duration {
        if now.saturating_sub(self.since) > MEMORY {
            self.since = now;
            self.before = self.now.take();
        }
        let least = self.now.map_or(delay, |least| least.min(delay));
        self.now = Some(least);
        self.before.map_or(least, |before| before.min(least))
    }
}

/// Bytes a second, of the last bytes that the line served.
#[derive(Debug, Default)]
struct Rate {
    bytes: f64,
    seconds: f64,
}

impl Rate {
    fn learn(&mut self, bytes: usize, served: Duration) {
        let keep = 1.0 - (bytes as f64 / RATE_BYTES).min(1.0);
        self.bytes = self.bytes * keep + bytes as f64;
        self.seconds = self.seconds * keep + served.as_secs_f64();
    }

    /// Nothing while it isn't known.
    fn bytes_in(&self, time: Duration) -> usize {
        if self.seconds <= 0.0 {
            return 0;
        }
        (self.bytes / self.seconds * time.as_secs_f64()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A line of this rate behind which updates queue up, and the way back.
    struct Line {
        per_second: f64,
        round_trip: Duration,
        free: Duration,
        now: Duration,
        arrivals: VecDeque<(u32, Duration)>,
        carried: usize,
        /// The longest that an update waited behind others, since it was last looked at.
        waited: Duration,
    }

    impl Line {
        fn new(per_second: f64, round_trip: Duration) -> Self {
            Self {
                per_second,
                round_trip,
                free: Duration::ZERO,
                now: Duration::ZERO,
                arrivals: VecDeque::new(),
                carried: 0,
                waited: Duration::ZERO,
            }
        }

        fn send(&mut self, pace: &mut Pace, plain: usize, wire: usize, cut: bool) {
            let number = pace.takes_off(plain, 0, cut);
            let queue = self.free.saturating_sub(self.now);
            pace.has_left(wire, Some(self.round_trip + queue), self.now);
            self.waited = self.waited.max(self.free.saturating_sub(self.now));
            let takes = Duration::from_secs_f64(wire as f64 / self.per_second);
            self.free = self.free.max(self.now) + takes;
            self.arrivals
                .push_back((number, self.free + self.round_trip));
            self.carried += wire;
        }

        /// A screen that changes all the time and everywhere, for so long; its pixels compress like that.
        fn full(&mut self, pace: &mut Pace, time: Duration, ratio: usize) {
            let end = self.now + time;
            while self.now < end {
                while pace.has_credit() {
                    let plain = pace.room().pixels.min(8 << 20);
                    self.send(pace, plain, plain / ratio, true);
                }
                let (number, at) = self.arrivals.pop_front().unwrap();
                self.now = at;
                pace.answered(number, self.now);
            }
        }
    }

    #[track_caller]
    fn check(per_second: f64, round_trip: Duration, ratio: usize) {
        let mut pace = Pace::default();
        let mut line = Line::new(per_second, round_trip);
        line.full(&mut pace, 5000 * MS, ratio);
        line.carried = 0;
        line.waited = Duration::ZERO;
        line.full(&mut pace, 5000 * MS, ratio);
        let used = line.carried as f64 / (per_second * 5.0);
        assert!(used > 0.7, "the line stands idle: {used}");
        assert!(line.waited < 50 * MS, "a queue of {:?}", line.waited);
    }

    #[test]
    fn a_line_is_kept_busy_without_a_queue() {
        for ratio in [1, 10, 60] {
            check(125e3, 100 * MS, ratio);
            check(32e3, 100 * MS, ratio);
            check(1.25e6, 20 * MS, ratio);
            check(12.5e6, 5 * MS, ratio);
        }
    }

    #[test]
    fn who_types_finds_a_slow_line_nearly_free() {
        let (mut pace, mut line) = (Pace::default(), Line::new(32e3, 100 * MS));
        let mut used_and_waited = |keys: bool| {
            for step in 0..40 {
                if step == 20 {
                    (line.carried, line.waited) = (0, Duration::ZERO);
                }
                if keys {
                    pace.acts();
                }
                line.full(&mut pace, 300 * MS, 10);
            }
            (line.carried as f64 / (32e3 * 6.0), line.waited)
        };
        let usual = used_and_waited(false);
        let typing = used_and_waited(true);
        assert!(typing.1 < usual.1 / 2, "{typing:?}, {usual:?}");
        assert!(typing.0 > 0.6, "the line stands idle: {typing:?}");
        assert!(typing.0 < usual.0, "{typing:?}, {usual:?}");
        let later = used_and_waited(false);
        assert!(later.0 > usual.0 * 0.95, "{later:?}, {usual:?}");
    }

    #[test]
    fn a_fast_line_takes_whole_screens() {
        let mut pace = Pace::default();
        let mut line = Line::new(100e6, MS);
        line.full(&mut pace, 1000 * MS, 4);
        let room = pace.room().pixels;
        assert!(room >= 2 << 20, "{room}");
    }

    #[test]
    fn a_line_that_gets_slow_is_followed() {
        let mut pace = Pace::default();
        let mut line = Line::new(12.5e6, 20 * MS);
        line.full(&mut pace, 5000 * MS, 8);
        line.per_second = 60e3;
        line.full(&mut pace, 5000 * MS, 8);
        line.waited = Duration::ZERO;
        line.full(&mut pace, 5000 * MS, 8);
        assert!(line.waited < 50 * MS, "a queue of {:?}", line.waited);
    }

    #[test]
    fn a_rare_letter_never_waits_for_credit() {
        let mut pace = Pace::default();
        let mut line = Line::new(32e3, 300 * MS);
        for _ in 0..100 {
            assert!(pace.has_credit());
            line.send(&mut pace, 2048, 512, false);
            line.now += 100 * MS;
            while let Some((number, at)) = line.arrivals.pop_front_if(|(_, at)| *at <= line.now) {
                pace.answered(number, at);
            }
        }
    }

    #[test]
    fn parts_count_for_their_update_alone() {
        let mut pace = Pace::default();
        // Of one without a fence, and of one with.
        pace.part_has_left(5000);
        pace.has_left(600, None, MS);
        pace.part_has_left(3000);
        pace.takes_off(9000, 0, false);
        pace.has_left(512, None, MS);
        assert_eq!(pace.unanswered(), 3512);
    }

    #[test]
    fn answers_that_nobody_asked_for_are_nothing() {
        let mut pace = Pace::default();
        pace.answered(7, MS);
        let number = pace.takes_off(100, 0, false);
        pace.answered(number + 1, MS);
        assert_eq!(pace.flying.len(), 1);
        // It may come before it is told that the update has left.
        pace.answered(number, MS);
        pace.has_left(512, None, MS);
        assert_eq!(pace.flying.len(), 0);
    }
}
