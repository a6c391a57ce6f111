//! How much may be on its way to the client: enough to keep the line busy, too little to queue up.
//!
//! After each update goes a fence; the client answers it once it has taken the update in. From these answers come the
//! line's delay, its rate, and how long an update waited behind others. More than [`QUEUE`] of waiting, and what may be
//! on its way shrinks to what the line holds; none, and it grows while it is what holds the picture back.

use std::collections::VecDeque;
use std::time::Duration;

/// An update may wait so long behind others in front of a slow line; above twice that, less is sent.
const TARGET_QUEUE_DELAY: Duration = Duration::from_millis(10);
/// One update takes a slow line for about so long, so that a later, more urgent one needn't wait longer; any other line
/// for as long as a frame of a film, which would be torn.
const MAX_UPDATE_TIME_SLOW: Duration = Duration::from_millis(10);
/// Bytes on their way before anything is known of the line.
const INITIAL_WINDOW: usize = 32 << 10;
/// Bytes on their way at least, and at most; QUIC has limits of its own.
const MINIMUM_WINDOW: usize = 2 << 10;
const MAXIMUM_WINDOW: usize = 4 << 20;
/// How long the smallest delay that was seen is believed.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(30);
/// So many bytes are looked back on for the line's rate.
const BANDWIDTH_SAMPLE_BYTES: f64 = 64e3;
/// How many bytes of pixels make a byte on the line, at first and at most.
const INITIAL_COMPRESSION_RATIO: f64 = 8.0;
const MAX_COMPRESSION_RATIO: f64 = 64.0;
/// The same for JPEG, at first.
const INITIAL_JPEG_RATIO: f64 = 16.0;
/// A line is slow that carries less than these bytes in a moment, while less than a window is on its way.
const SLOW_LINK_BYTES: usize = 400 << 10;
const SLOW_LINK_PERIOD: Duration = Duration::from_millis(100);
const SLOW_LINK_WINDOW: usize = 256 << 10;
/// One that holds less than this is so slow that its rate is surely its own, and not that of the two ends.
const VERY_SLOW_WINDOW: usize = 16 << 10;
/// How long a frame of a film is shown.
const FRAME_TIME: Duration = Duration::from_millis(33);
/// The line's rate is learnt from what was as large as this, or took so long: what is smaller and quicker says how long
/// the two ends take.
const MIN_SAMPLE_WIRE_BYTES: usize = 4 << 10;
const MIN_SAMPLE_TIME: Duration = Duration::from_millis(10);
/// An update with fewer bytes of pixels says nothing of that.
const MIN_SAMPLE_PLAIN_BYTES: usize = 16 << 10;
/// Bytes of pixels that an update may hold at least: a tile.
const MIN_PIXEL_BUDGET: usize = 1 << 10;
/// For so long after a key a line that is as slow as that isn't filled: the next one would wait behind what is on it.
const INPUT_RECENCY: Duration = Duration::from_millis(1500);
/// Updates on their way at most, however small.
const MAX_IN_FLIGHT: usize = 256;

/// What is on its way to one client, and what the line takes.
#[derive(Debug)]
pub(crate) struct CongestionControl {
    last_number: u32,
    in_flight: VecDeque<InFlight>,
    /// Bytes that have left of an update that goes in parts and isn't whole yet.
    partly_written: usize,
    window: usize,
    min_rtt: MinRttFilter,
    bandwidth: BandwidthEstimator,
    compression_ratio: f64,
    jpeg_ratio: f64,
    acked_at: Duration,
    /// The last answer's time when the client last did something.
    input_at: Option<Duration>,
}

/// Bytes of pixels that an update may hold, sent as they are or as JPEG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) pixels: usize,
    pub(crate) jpeg: usize,
}

impl Budget {
    pub(crate) fn min(self, other: Self) -> Self {
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
struct InFlight {
    number: u32,
    /// Before compression, without JPEG.
    plain: usize,
    jpeg: usize,
    /// On the line; a guess until it has left.
    wire: usize,
    written_at: Option<Duration>,
    /// More would have gone into it.
    window_limited: bool,
}

impl Default for CongestionControl {
    fn default() -> Self {
        Self {
            last_number: 0,
            in_flight: VecDeque::new(),
            partly_written: 0,
            window: INITIAL_WINDOW,
            min_rtt: MinRttFilter::default(),
            bandwidth: BandwidthEstimator::default(),
            compression_ratio: INITIAL_COMPRESSION_RATIO,
            jpeg_ratio: INITIAL_JPEG_RATIO,
            acked_at: Duration::ZERO,
            input_at: None,
        }
    }
}

impl CongestionControl {
    /// Whether an update may be sent now.
    pub(crate) fn has_credit(&self) -> bool {
        let window = if self.has_recent_input() {
            self.window / 2
        } else {
            self.window
        };
        let free = window.saturating_sub(self.bytes_in_flight());
        self.in_flight.is_empty() || (free >= window / 4 && self.in_flight.len() < MAX_IN_FLIGHT)
    }

    /// Whether what is on its way would hold up what follows a key for long, and the client presses some.
    fn has_recent_input(&self) -> bool {
        let recently = |input_at: Duration| self.acked_at.saturating_sub(input_at) < INPUT_RECENCY;
        self.window < VERY_SLOW_WINDOW && self.is_slow() && self.input_at.is_some_and(recently)
    }

    /// The client does something.
    pub(crate) fn on_input(&mut self) {
        self.input_at = Some(self.acked_at);
    }

    /// Whether a small update may be sent that can't wait, although there is no credit: on a slow line, and beyond what may
    /// be on its way by a quarter.
    pub(crate) fn has_burst_credit(&self) -> bool {
        let most = self.window + self.window / 4;
        self.is_slow() && self.bytes_in_flight() < most && self.in_flight.len() < MAX_IN_FLIGHT
    }

    /// What the next update should hold at most.
    pub(crate) fn budget(&self) -> Budget {
        let slow = self.is_slow();
        let free = self.window.saturating_sub(self.bytes_in_flight());
        let least = self.window / 4;
        let update_time = if slow {
            MAX_UPDATE_TIME_SLOW
        } else {
            FRAME_TIME
        };
        let most = self.bandwidth.bytes_within(update_time).max(least);
        let free = most.min(free.max(least));
        // A frame of a film waits until it may go, and then goes whole.
        let frame = if slow { free } else { most };
        let pixels =
            |wire: usize, ratio: f64| ((wire as f64 * ratio) as usize).max(MIN_PIXEL_BUDGET);
        Budget {
            pixels: pixels(free, self.compression_ratio),
            jpeg: pixels(frame, self.jpeg_ratio),
        }
    }

    /// Whether a photograph that doesn't move is too much for the line, as it is.
    pub(crate) fn is_slow(&self) -> bool {
        let known = self.bandwidth.seconds > 0.0;
        known
            && self.window < SLOW_LINK_WINDOW
            && self.bandwidth.bytes_within(SLOW_LINK_PERIOD) < SLOW_LINK_BYTES
    }

    /// How good JPEGs are, from 1 to 100: worse where a frame takes the line for long.
    pub(crate) fn jpeg_quality(&self) -> u8 {
        match self.bandwidth.bytes_within(FRAME_TIME) {
            0 => 70,
            1..30_000 => 45,
            30_000..120_000 => 60,
            120_000.. => 75,
        }
    }

    /// A JPEG of so many pixels came out as so many bytes.
    pub(crate) fn on_jpeg_encoded(&mut self, pixels: usize, bytes: usize) {
        let ratio = pixels as f64 * 4.0 / bytes.max(1) as f64;
        self.jpeg_ratio = ratio
            .clamp(1.0, MAX_COMPRESSION_RATIO)
            .min(self.jpeg_ratio * 1.25);
    }

    /// An update of so many bytes goes off, so many of which are JPEG; the number of the fence behind it. `cut`: there
    /// wasn't room for all.
    pub(crate) fn on_sent(&mut self, bytes: usize, jpeg: usize, window_limited: bool) -> u32 {
        self.last_number = self.last_number.wrapping_add(1);
        let plain = bytes.saturating_sub(jpeg);
        self.in_flight.push_back(InFlight {
            number: self.last_number,
            plain,
            jpeg,
            wire: jpeg + (plain as f64 / self.compression_ratio) as usize,
            written_at: None,
            window_limited,
        });
        self.last_number
    }

    /// A part of an update that hasn't taken off yet has left, as so many bytes.
    pub(crate) fn on_part_written(&mut self, wire: usize) {
        self.partly_written += wire;
    }

    /// The last update has left, or its last part, as so many bytes. `round_trip`: the line's own, as far as it is known;
    /// an update's delay is longer by the time that it takes the line itself.
    pub(crate) fn on_written(&mut self, wire: usize, round_trip: Option<Duration>, now: Duration) {
        if let Some(round_trip) = round_trip {
            self.min_rtt.sample(round_trip, now);
        }
        let wire = std::mem::take(&mut self.partly_written) + wire;
        let Some(update) = self
            .in_flight
            .back_mut()
            .filter(|last| last.written_at.is_none())
        else {
            return;
        };
        update.wire = wire;
        update.written_at = Some(now);
        if update.plain >= MIN_SAMPLE_PLAIN_BYTES {
            let wire = wire.saturating_sub(update.jpeg).max(1);
            let ratio = (update.plain as f64 / wire as f64).clamp(1.0, MAX_COMPRESSION_RATIO);
            // What compresses badly comes in a row, and costs the most: believed at once.
            self.compression_ratio = ratio.min(self.compression_ratio * 1.25);
        }
    }

    /// The client answered a fence: it has taken in everything up to there. What was never asked is ignored.
    pub(crate) fn on_ack(&mut self, number: u32, now: Duration) {
        let Some(at) = self
            .in_flight
            .iter()
            .position(|update| update.number == number)
        else {
            return;
        };
        for update in self.in_flight.drain(..=at).collect::<Vec<_>>() {
            self.adapt_window(&update, now);
        }
        self.acked_at = now;
    }

    fn adapt_window(&mut self, update: &InFlight, now: Duration) {
        let Some(written_at) = update.written_at else {
            return;
        };
        let min_rtt = self.min_rtt.sample(now.saturating_sub(written_at), now);
        let arrival = written_at + min_rtt;
        let queued = self.acked_at.saturating_sub(arrival);
        let service_time = now.saturating_sub(self.acked_at.max(arrival));
        if update.wire >= MIN_SAMPLE_WIRE_BYTES || service_time >= MIN_SAMPLE_TIME {
            self.bandwidth.sample(update.wire, service_time);
        }
        let target = self.bandwidth.bytes_within(min_rtt + TARGET_QUEUE_DELAY);
        if queued > 2 * TARGET_QUEUE_DELAY {
            self.window = target.clamp(MINIMUM_WINDOW, self.window);
        } else if queued < TARGET_QUEUE_DELAY && update.window_limited {
            // What seems to be the line's rate may be the two ends', which a larger window shows.
            let headroom = if target < VERY_SLOW_WINDOW {
                target / 8
            } else {
                target / 2
            };
            let max_window =
                (target + headroom).clamp(self.window, MAXIMUM_WINDOW.max(self.window));
            self.window = (self.window + update.wire).min(max_window);
        }
    }

    fn bytes_in_flight(&self) -> usize {
        self.in_flight.iter().map(|update| update.wire).sum()
    }
}

/// The smallest delay of the last half to whole minute: while the screen changes all the time there may be no other.
#[derive(Debug, Default)]
struct MinRttFilter {
    period_began: Duration,
    current: Option<Duration>,
    previous: Option<Duration>,
}

impl MinRttFilter {
    fn sample(&mut self, round_trip: Duration, now: Duration) -> Duration {
        if now.saturating_sub(self.period_began) > MIN_RTT_WINDOW {
            self.period_began = now;
            self.previous = self.current.take();
        }
        let min = self.current.map_or(round_trip, |min| min.min(round_trip));
        self.current = Some(min);
        self.previous.map_or(min, |previous| previous.min(min))
    }
}

/// Bytes a second, of the last bytes that the line served.
#[derive(Debug, Default)]
struct BandwidthEstimator {
    bytes: f64,
    seconds: f64,
}

impl BandwidthEstimator {
    fn sample(&mut self, bytes: usize, service_time: Duration) {
        let keep = 1.0 - (bytes as f64 / BANDWIDTH_SAMPLE_BYTES).min(1.0);
        self.bytes = self.bytes * keep + bytes as f64;
        self.seconds = self.seconds * keep + service_time.as_secs_f64();
    }

    /// Nothing while it isn't known.
    fn bytes_within(&self, time: Duration) -> usize {
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
        queued: Duration,
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
                queued: Duration::ZERO,
            }
        }

        fn send(
            &mut self,
            congestion: &mut CongestionControl,
            plain: usize,
            wire: usize,
            window_limited: bool,
        ) {
            let number = congestion.on_sent(plain, 0, window_limited);
            let queue = self.free.saturating_sub(self.now);
            congestion.on_written(wire, Some(self.round_trip + queue), self.now);
            self.queued = self.queued.max(self.free.saturating_sub(self.now));
            let takes = Duration::from_secs_f64(wire as f64 / self.per_second);
            self.free = self.free.max(self.now) + takes;
            self.arrivals
                .push_back((number, self.free + self.round_trip));
            self.carried += wire;
        }

        /// A screen that changes all the time and everywhere, for so long; its pixels compress like that.
        fn full(&mut self, congestion: &mut CongestionControl, time: Duration, ratio: usize) {
            let end = self.now + time;
            while self.now < end {
                while congestion.has_credit() {
                    let plain = congestion.budget().pixels.min(8 << 20);
                    self.send(congestion, plain, plain / ratio, true);
                }
                let (number, at) = self.arrivals.pop_front().unwrap();
                self.now = at;
                congestion.on_ack(number, self.now);
            }
        }
    }

    #[track_caller]
    fn check(per_second: f64, round_trip: Duration, ratio: usize) {
        let mut congestion = CongestionControl::default();
        let mut line = Line::new(per_second, round_trip);
        line.full(&mut congestion, 5000 * MS, ratio);
        line.carried = 0;
        line.queued = Duration::ZERO;
        line.full(&mut congestion, 5000 * MS, ratio);
        let used = line.carried as f64 / (per_second * 5.0);
        assert!(used > 0.7, "the line stands idle: {used}");
        assert!(line.queued < 50 * MS, "a queue of {:?}", line.queued);
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
        let (mut congestion, mut line) = (CongestionControl::default(), Line::new(32e3, 100 * MS));
        let mut used_and_waited = |keys: bool| {
            for step in 0..40 {
                if step == 20 {
                    (line.carried, line.queued) = (0, Duration::ZERO);
                }
                if keys {
                    congestion.on_input();
                }
                line.full(&mut congestion, 300 * MS, 10);
            }
            (line.carried as f64 / (32e3 * 6.0), line.queued)
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
        let mut congestion = CongestionControl::default();
        let mut line = Line::new(100e6, MS);
        line.full(&mut congestion, 1000 * MS, 4);
        let budget = congestion.budget().pixels;
        assert!(budget >= 2 << 20, "{budget}");
    }

    #[test]
    fn a_line_that_gets_slow_is_followed() {
        let mut congestion = CongestionControl::default();
        let mut line = Line::new(12.5e6, 20 * MS);
        line.full(&mut congestion, 5000 * MS, 8);
        line.per_second = 60e3;
        line.full(&mut congestion, 5000 * MS, 8);
        line.queued = Duration::ZERO;
        line.full(&mut congestion, 5000 * MS, 8);
        assert!(line.queued < 50 * MS, "a queue of {:?}", line.queued);
    }

    #[test]
    fn a_rare_letter_never_waits_for_credit() {
        let mut congestion = CongestionControl::default();
        let mut line = Line::new(32e3, 300 * MS);
        for _ in 0..100 {
            assert!(congestion.has_credit());
            line.send(&mut congestion, 2048, 512, false);
            line.now += 100 * MS;
            while let Some((number, at)) = line.arrivals.pop_front_if(|(_, at)| *at <= line.now) {
                congestion.on_ack(number, at);
            }
        }
    }

    #[test]
    fn parts_count_for_their_update_alone() {
        let mut congestion = CongestionControl::default();
        // Of one without a fence, and of one with.
        congestion.on_part_written(5000);
        congestion.on_written(600, None, MS);
        congestion.on_part_written(3000);
        congestion.on_sent(9000, 0, false);
        congestion.on_written(512, None, MS);
        assert_eq!(congestion.bytes_in_flight(), 3512);
    }

    #[test]
    fn answers_that_nobody_asked_for_are_nothing() {
        let mut congestion = CongestionControl::default();
        congestion.on_ack(7, MS);
        let number = congestion.on_sent(100, 0, false);
        congestion.on_ack(number + 1, MS);
        assert_eq!(congestion.in_flight.len(), 1);
        // It may come before it is told that the update has left.
        congestion.on_ack(number, MS);
        congestion.on_written(512, None, MS);
        assert_eq!(congestion.in_flight.len(), 0);
    }
}
