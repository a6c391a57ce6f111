//! A line of a fixed rate, simulated: time comes in as an argument, so that no test waits.

use std::time::Duration;

/// A line with one queue without bound in front of it, and a way back that costs time alone.
#[derive(Clone, Debug)]
pub struct SlowLine {
    /// Rate, in bytes a second; it may change.
    pub bytes_per_second: f64,
    /// Time that an acknowledgement takes on an idle line.
    pub round_trip: Duration,
    /// Bytes that were sent since this was last set to 0.
    pub carried: usize,
    /// Longest time that something waited behind others, since this was last set to 0.
    pub longest_queue: Duration,
    /// The moment at which the line is idle.
    idle_at: Duration,
}

impl SlowLine {
    /// Returns an idle line.
    pub fn new(bytes_per_second: f64, round_trip: Duration) -> Self {
        Self {
            bytes_per_second,
            round_trip,
            carried: 0,
            longest_queue: Duration::ZERO,
            idle_at: Duration::ZERO,
        }
    }

    /// Returns the time that something sent `now` waits behind others.
    pub fn queue(&self, now: Duration) -> Duration {
        self.idle_at.saturating_sub(now)
    }

    /// Sends `bytes`, and returns the moment at which their acknowledgement is back.
    pub fn send(&mut self, bytes: usize, now: Duration) -> Duration {
        self.longest_queue = self.longest_queue.max(self.queue(now));
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        self.idle_at = self.idle_at.max(now) + takes;
        self.carried += bytes;
        self.idle_at + self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_sent_waits_behind_what_was_sent_before() {
        let mut line = SlowLine::new(1000.0, 50 * MS);
        assert_eq!(line.send(100, 10 * MS), 160 * MS);
        assert_eq!(line.queue(10 * MS), 100 * MS);
        assert_eq!(line.send(100, 60 * MS), 260 * MS);
        assert_eq!((line.carried, line.longest_queue), (200, 50 * MS));
        assert_eq!(line.queue(400 * MS), Duration::ZERO);
    }
}
