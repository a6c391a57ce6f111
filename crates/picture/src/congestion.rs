//! Delay-based congestion control of the TCP Vegas and LEDBAT (RFC 6817) family: keeps the link
//! busy with at most [`TARGET_QUEUE_DELAY`] of queue. The bytes in flight are bounded by a window.
//!
//! A fence behind each update is its acknowledgement: the client answers it once it has processed
//! the update. The times of writing and of acknowledgement give the minimum round trip time, the
//! bandwidth, and the queueing delay behind other updates. Above twice the target delay the window
//! shrinks to what the link holds in the minimum round trip time and the target delay; below the
//! target it grows, but only while it is what limits the updates.
//!
//! An acknowledgement includes the time that both ends need, and machines that are slow to wake
//! need 5 to 30 ms. QUIC's round trip time hardly includes that, and tells the two apart
//! ([`Bottleneck`]). While the path has no queue, a low rate is the ends': it never lowers the
//! bandwidth estimate, or the updates would become smaller and more, and the ends slower still.
//!
//! Two more things differ from TCP. Updates have no fixed size: there is a budget of pixels for the
//! next one, by the compression ratios of the last ones. Nothing is ever lost or resent.

use estimators::{BandwidthEstimator, MinRttFilter, PathQueue, slowly_rising};
use std::collections::VecDeque;
use std::time::Duration;

mod estimators;
#[cfg(test)]
mod tests;

/// Queueing delay that is aimed at in front of a slow link; above twice that, the window shrinks.
const TARGET_QUEUE_DELAY: Duration = Duration::from_millis(10);
/// Delay that is aimed at while the path has no queue: 25 ms, in which even ends that are slow to
/// wake answer mostly. Above twice that much, something queues all the same: QUIC itself, for want
/// of a congestion window.
const TARGET_END_DELAY: Duration = Duration::from_millis(25);
/// Time for which one update may occupy a slow link, so that a later, more urgent one needn't wait
/// longer.
const MAX_UPDATE_TIME_SLOW: Duration = Duration::from_millis(10);
/// Time for which one video frame is shown. One update may occupy a link that isn't slow for as
/// long: a frame in two updates would be torn.
const FRAME_TIME: Duration = Duration::from_millis(33);
/// Window before anything is known of the link: 32 KiB.
const INITIAL_WINDOW: usize = 32 << 10;
/// Smallest window: 2 KiB.
const MINIMUM_WINDOW: usize = 2 << 10;
/// Largest window: 4 MiB; QUIC has limits of its own.
const MAXIMUM_WINDOW: usize = 4 << 20;
/// Assumed ratio of raw bytes to bytes on the wire, before the first sample.
const INITIAL_COMPRESSION_RATIO: f64 = 8.0;
/// Assumed ratio of raw bytes to bytes of JPEG, before the first sample.
const INITIAL_JPEG_RATIO: f64 = 16.0;
/// A link is slow below 400 KiB per [`SLOW_LINK_PERIOD`], about 4 MB/s, with a window under
/// [`SLOW_LINK_WINDOW`]: still photographs go as JPEG too.
const SLOW_LINK_BYTES: usize = 400 << 10;
const SLOW_LINK_PERIOD: Duration = Duration::from_millis(100);
/// Window under which a link may be slow: 256 KiB.
const SLOW_LINK_WINDOW: usize = 256 << 10;
/// Window under which the bandwidth estimate is surely the link's own, and not the speed of the two
/// ends: 16 KiB.
const VERY_SLOW_WINDOW: usize = 16 << 10;
/// Smallest update, in bytes on the wire, from which the bandwidth is sampled. What is both smaller
/// than this and faster than [`MIN_SAMPLE_TIME`] shows the speed of the two ends.
const MIN_SAMPLE_WIRE_BYTES: usize = 4 << 10;
/// Shortest service time from which the bandwidth is sampled, however small the update.
const MIN_SAMPLE_TIME: Duration = Duration::from_millis(10);
/// Smallest update, in raw bytes, from which the compression ratio is sampled: 16 KiB.
const MIN_SAMPLE_RAW_BYTES: usize = 16 << 10;
/// Smallest budget of an update, in bytes of pixels: one tile.
const MIN_PIXEL_BUDGET: usize = 1 << 10;
/// Time after an input event for which a very slow link is filled by half only: the echo of the
/// next one would wait behind what is on it.
const INPUT_RECENCY: Duration = Duration::from_millis(1500);
/// Maximum number of updates in flight, however small.
const MAX_IN_FLIGHT: usize = 256;

/// The congestion state of one client.
#[derive(Debug)]
pub(crate) struct CongestionControl {
    /// Number of the last fence.
    last_number: u32,
    in_flight: VecDeque<InFlight>,
    /// Bytes written of an update that goes in chunks and isn't complete yet.
    partly_written: usize,
    /// Bytes that may be in flight.
    window: usize,
    min_rtt: MinRttFilter,
    path: PathQueue,
    bandwidth: BandwidthEstimator,
    compression_ratio: f64,
    jpeg_ratio: f64,
    acked_at: Duration,
    /// [`acked_at`](Self::acked_at) when the last input event came.
    input_at: Option<Duration>,
}

/// Bytes of pixels that an update may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Pixels that go as Raw.
    pub(crate) raw: usize,
    /// Pixels that go as JPEG, before encoding.
    pub(crate) jpeg: usize,
}

impl Budget {
    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            raw: self.raw.min(other.raw),
            jpeg: self.jpeg.min(other.jpeg),
        }
    }

    pub(crate) fn without(self, bytes: usize) -> Self {
        Self {
            raw: self.raw.saturating_sub(bytes),
            jpeg: self.jpeg.saturating_sub(bytes),
        }
    }
}

/// An update that is complete and goes to the link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentUpdate {
    /// All bytes, before compression.
    pub(crate) bytes: usize,
    /// JPEG bytes among them.
    pub(crate) jpeg_bytes: usize,
    /// Something that changed was left out, for want of budget.
    pub(crate) window_limited: bool,
}

/// The part that limits the rate of the updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bottleneck {
    /// The network path, or QUIC's sending on it; or nobody reports the path's round trip time.
    Path,
    /// The two ends, or nothing.
    Ends,
}

impl Bottleneck {
    /// Returns the delay that is aimed at.
    fn target_delay(self) -> Duration {
        match self {
            Self::Path => TARGET_QUEUE_DELAY,
            Self::Ends => TARGET_END_DELAY,
        }
    }

    /// Returns the bytes by which the window may exceed `target`, since the bandwidth estimate may
    /// be too low; a larger window shows it.
    fn headroom(self, target: usize) -> usize {
        match self {
            Self::Path if target < VERY_SLOW_WINDOW => target / 8,
            Self::Path => target / 2,
            Self::Ends => 0,
        }
    }
}

/// An update whose fence hasn't been acknowledged.
#[derive(Debug)]
struct InFlight {
    number: u32,
    /// Bytes before compression, without JPEG.
    raw_bytes: usize,
    jpeg_bytes: usize,
    /// Bytes on the wire; a guess until it is written.
    wire_bytes: usize,
    written_at: Option<Duration>,
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
            path: PathQueue::default(),
            bandwidth: BandwidthEstimator::default(),
            compression_ratio: INITIAL_COMPRESSION_RATIO,
            jpeg_ratio: INITIAL_JPEG_RATIO,
            acked_at: Duration::ZERO,
            input_at: None,
        }
    }
}

impl CongestionControl {
    /// Returns whether an update may be sent now.
    pub(crate) fn has_credit(&self) -> bool {
        let window = if self.has_recent_input() {
            self.window / 2
        } else {
            self.window
        };
        let free = window.saturating_sub(self.bytes_in_flight());
        self.in_flight.is_empty() || (free >= window / 4 && self.in_flight.len() < MAX_IN_FLIGHT)
    }

    /// Returns whether input has come lately, on a link so slow that its echo would wait long
    /// behind a full window.
    fn has_recent_input(&self) -> bool {
        let is_recent = |input_at: Duration| self.acked_at.saturating_sub(input_at) < INPUT_RECENCY;
        self.window < VERY_SLOW_WINDOW && self.is_slow() && self.input_at.is_some_and(is_recent)
    }

    /// Takes note of an input event of the client.
    pub(crate) fn on_input(&mut self) {
        self.input_at = Some(self.acked_at);
    }

    /// Returns whether a small, urgent update may be sent without credit: on a slow link, beyond
    /// the window by a quarter.
    pub(crate) fn has_burst_credit(&self) -> bool {
        let burst_window = self.window + self.window / 4;
        let fits = self.bytes_in_flight() < burst_window && self.in_flight.len() < MAX_IN_FLIGHT;
        self.is_slow() && fits
    }

    /// Returns the budget of the next update.
    pub(crate) fn budget(&self) -> Budget {
        let is_slow = self.is_slow();
        let free = self.window.saturating_sub(self.bytes_in_flight());
        let least = self.window / 4;
        let update_time = if is_slow {
            MAX_UPDATE_TIME_SLOW
        } else {
            FRAME_TIME
        };
        let most = self.bandwidth.bytes_within(update_time).max(least);
        let free = most.min(free.max(least));
        // A video frame waits for credit, and then goes whole.
        let frame = if is_slow { free } else { most };
        let pixels =
            |wire: usize, ratio: f64| ((wire as f64 * ratio) as usize).max(MIN_PIXEL_BUDGET);
        Budget {
            raw: pixels(free, self.compression_ratio),
            jpeg: pixels(frame, self.jpeg_ratio),
        }
    }

    /// Returns whether the link is too slow for photographs as Raw, even if they stand still.
    pub(crate) fn is_slow(&self) -> bool {
        self.bandwidth.is_known()
            && self.window < SLOW_LINK_WINDOW
            && self.bandwidth.bytes_within(SLOW_LINK_PERIOD) < SLOW_LINK_BYTES
    }

    /// Returns the JPEG quality, 1 to 100: lower on a link that a frame occupies for long.
    pub(crate) fn jpeg_quality(&self) -> u8 {
        match self.bandwidth.bytes_within(FRAME_TIME) {
            0 => 70,
            1..30_000 => 45,
            30_000..120_000 => 60,
            120_000.. => 75,
        }
    }

    /// Samples the JPEG ratio: `pixels` became a file of `bytes`.
    pub(crate) fn on_jpeg_encoded(&mut self, pixels: usize, bytes: usize) {
        let ratio = pixels as f64 * 4.0 / bytes.max(1) as f64;
        self.jpeg_ratio = slowly_rising(self.jpeg_ratio, ratio);
    }

    /// Puts an update in flight. Returns the number of the fence behind it.
    pub(crate) fn on_sent(&mut self, update: SentUpdate) -> u32 {
        self.last_number = self.last_number.wrapping_add(1);
        let raw_bytes = update.bytes.saturating_sub(update.jpeg_bytes);
        self.in_flight.push_back(InFlight {
            number: self.last_number,
            raw_bytes,
            jpeg_bytes: update.jpeg_bytes,
            wire_bytes: update.jpeg_bytes + (raw_bytes as f64 / self.compression_ratio) as usize,
            written_at: None,
            window_limited: update.window_limited,
        });
        self.last_number
    }

    /// Adds a written chunk of an update that isn't complete.
    pub(crate) fn on_part_written(&mut self, wire_bytes: usize) {
        self.partly_written += wire_bytes;
    }

    /// Notes that the last update, or its last chunk, has been written as `wire_bytes`.
    /// `round_trip` is the path's own, if known; an update's delay is longer by the time for which
    /// it occupies the link.
    pub(crate) fn on_written(
        &mut self,
        wire_bytes: usize,
        round_trip: Option<Duration>,
        now: Duration,
    ) {
        if let Some(round_trip) = round_trip {
            self.min_rtt.sample(round_trip, now);
            self.path.sample(round_trip, now);
        }
        let wire_bytes = std::mem::take(&mut self.partly_written) + wire_bytes;
        let last = self.in_flight.back_mut();
        let Some(update) = last.filter(|last| last.written_at.is_none()) else {
            return;
        };
        update.wire_bytes = wire_bytes;
        update.written_at = Some(now);
        if update.raw_bytes >= MIN_SAMPLE_RAW_BYTES {
            let compressed = wire_bytes.saturating_sub(update.jpeg_bytes).max(1);
            let ratio = update.raw_bytes as f64 / compressed as f64;
            self.compression_ratio = slowly_rising(self.compression_ratio, ratio);
        }
    }

    /// Acknowledges all updates up to this number, and adapts the window. Ignores a number that
    /// isn't in flight.
    pub(crate) fn on_ack(&mut self, number: u32, now: Duration) {
        let is_acked = |update: &InFlight| update.number == number;
        let Some(at) = self.in_flight.iter().position(is_acked) else {
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
        let bottleneck = if self.path.is_queueing() || queued > 2 * TARGET_END_DELAY {
            Bottleneck::Path
        } else {
            Bottleneck::Ends
        };
        self.sample_bandwidth(update, service_time, bottleneck);
        let target_delay = bottleneck.target_delay();
        let target = self.bandwidth.bytes_within(min_rtt + target_delay);
        if queued > 2 * target_delay {
            self.window = target.clamp(MINIMUM_WINDOW, self.window);
        } else if queued < target_delay && update.window_limited {
            let max_window = (target + bottleneck.headroom(target))
                .clamp(self.window, MAXIMUM_WINDOW.max(self.window));
            self.window = (self.window + update.wire_bytes).min(max_window);
        }
    }

    /// Samples the bandwidth. A rate below the estimate counts only if the path has a queue and the
    /// window limited the update: otherwise the line could have carried more.
    fn sample_bandwidth(
        &mut self,
        update: &InFlight,
        service_time: Duration,
        bottleneck: Bottleneck,
    ) {
        let is_large =
            update.wire_bytes >= MIN_SAMPLE_WIRE_BYTES || service_time >= MIN_SAMPLE_TIME;
        let is_line_rate = update.window_limited && bottleneck == Bottleneck::Path;
        let is_higher =
            !self.bandwidth.is_known() || self.bandwidth.is_below(update.wire_bytes, service_time);
        if is_large && (is_line_rate || is_higher) {
            self.bandwidth.sample(update.wire_bytes, service_time);
        }
    }

    /// Returns the number of the oldest update in flight.
    pub(crate) fn oldest_in_flight(&self) -> Option<u32> {
        self.in_flight.front().map(|update| update.number)
    }

    /// Returns the number that the next update will have.
    pub(crate) fn next_number(&self) -> u32 {
        self.last_number.wrapping_add(1)
    }

    fn bytes_in_flight(&self) -> usize {
        self.in_flight.iter().map(|update| update.wire_bytes).sum()
    }
}
