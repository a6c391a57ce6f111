//! Estimators of the link: its minimum round trip time, its bandwidth, and compression ratios.

use std::time::Duration;

/// Time for which a minimum round trip time is believed, at least; at most twice as long.
const MIN_RTT_PERIOD: Duration = Duration::from_secs(30);
/// Rise of the path's round trip time over its minimum from which the path has a queue: 10 ms.
const PATH_QUEUE_DELAY: Duration = Duration::from_millis(10);
/// Bytes over which the bandwidth is averaged.
const BANDWIDTH_SAMPLE_BYTES: f64 = 64e3;
/// Largest compression ratio that is believed.
const MAX_COMPRESSION_RATIO: f64 = 64.0;

/// Takes a sample of a compression ratio. A lower ratio is believed at once, since what compresses
/// badly comes in a row and costs the most; a higher one raises the estimate by a quarter at most.
pub(super) fn slowly_rising(estimate: f64, sample: f64) -> f64 {
    sample
        .clamp(1.0, MAX_COMPRESSION_RATIO)
        .min(estimate * 1.25)
}

/// Windowed minimum filter: the smallest round trip time of this period and the one before. While
/// the screen changes all the time there may be no other sample without queueing.
#[derive(Debug, Default)]
pub(super) struct MinRttFilter {
    period_began: Duration,
    current: Option<Duration>,
    previous: Option<Duration>,
}

impl MinRttFilter {
    /// Takes a sample. Returns the minimum.
    pub(super) fn sample(&mut self, round_trip: Duration, now: Duration) -> Duration {
        if now.saturating_sub(self.period_began) > MIN_RTT_PERIOD {
            self.period_began = now;
            self.previous = self.current.take();
        }
        let min = self.current.map_or(round_trip, |min| min.min(round_trip));
        self.current = Some(min);
        self.previous.map_or(min, |previous| previous.min(min))
    }
}

/// The queue of the network path, from QUIC's round trip time: without the time that the two ends
/// need for an update.
#[derive(Debug, Default)]
pub(super) struct PathQueue {
    min_rtt: MinRttFilter,
    /// Last round trip time less the minimum.
    delay: Option<Duration>,
}

impl PathQueue {
    pub(super) fn sample(&mut self, round_trip: Duration, now: Duration) {
        self.delay = Some(round_trip.saturating_sub(self.min_rtt.sample(round_trip, now)));
    }

    /// Returns whether the path has a queue, or may have one because nobody reports round trips.
    pub(super) fn is_queueing(&self) -> bool {
        self.delay.is_none_or(|delay| delay > PATH_QUEUE_DELAY)
    }
}

/// Bytes per second, averaged over the last [`BANDWIDTH_SAMPLE_BYTES`] that the link served.
#[derive(Debug, Default)]
pub(super) struct BandwidthEstimator {
    bytes: f64,
    seconds: f64,
}

impl BandwidthEstimator {
    pub(super) fn sample(&mut self, bytes: usize, service_time: Duration) {
        let keep = 1.0 - (bytes as f64 / BANDWIDTH_SAMPLE_BYTES).min(1.0);
        self.bytes = self.bytes * keep + bytes as f64;
        self.seconds = self.seconds * keep + service_time.as_secs_f64();
    }

    pub(super) fn is_known(&self) -> bool {
        self.seconds > 0.0
    }

    /// Returns whether the estimate is below this sample.
    pub(super) fn is_below(&self, bytes: usize, service_time: Duration) -> bool {
        bytes as f64 * self.seconds > self.bytes * service_time.as_secs_f64()
    }

    /// Bytes that the link serves in `time`; 0 while the bandwidth isn't known.
    pub(super) fn bytes_within(&self, time: Duration) -> usize {
        if !self.is_known() {
            return 0;
        }
        (self.bytes / self.seconds * time.as_secs_f64()) as usize
    }
}
