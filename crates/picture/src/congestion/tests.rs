use etatuki_testkit::SlowLine;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn raw_update(bytes: usize, window_limited: bool) -> SentUpdate {
    SentUpdate {
        bytes,
        jpeg_bytes: 0,
        window_limited,
    }
}

/// A simulated link: a slow line, a clock, and the acknowledgements on their way.
struct SimulatedLink {
    slow_line: SlowLine,
    now: Duration,
    /// Number and arrival.
    acks: VecDeque<(u32, Duration)>,
    /// Integral of the line's queue over time, in seconds squared.
    queue_integral: f64,
}

impl SimulatedLink {
    fn new(bytes_per_second: f64, round_trip: Duration) -> Self {
        Self {
            slow_line: SlowLine::new(bytes_per_second, round_trip),
            now: Duration::ZERO,
            acks: VecDeque::new(),
            queue_integral: 0.0,
        }
    }

    /// Begins to measure anew.
    fn reset_counters(&mut self) {
        self.slow_line.carried = 0;
        self.slow_line.longest_queue = Duration::ZERO;
        self.queue_integral = 0.0;
    }

    /// Lets time pass; the line carries on.
    fn advance(&mut self, to: Duration) {
        let queue_at = |at| self.slow_line.queue(at).as_secs_f64();
        self.queue_integral += (queue_at(self.now).powi(2) - queue_at(to).powi(2)) / 2.0;
        self.now = to;
    }

    fn send(
        &mut self,
        congestion: &mut CongestionControl,
        plain: usize,
        wire: usize,
        window_limited: bool,
    ) {
        let number = congestion.on_sent(raw_update(plain, window_limited));
        let round_trip = self.slow_line.round_trip + self.slow_line.queue(self.now);
        congestion.on_written(wire, Some(round_trip), self.now);
        let arrival = self.slow_line.send(wire, self.now);
        self.acks.push_back((number, arrival));
    }

    /// Sends a screen that changes everywhere all the time, for `time`; its pixels compress by
    /// `ratio`.
    fn saturate(&mut self, congestion: &mut CongestionControl, time: Duration, ratio: usize) {
        let end = self.now + time;
        while self.now < end {
            while congestion.has_credit() {
                let plain = congestion.budget().raw.min(8 << 20);
                self.send(congestion, plain, plain / ratio, true);
            }
            let (number, at) = self.acks.pop_front().unwrap();
            self.advance(at);
            congestion.on_ack(number, self.now);
        }
    }
}

#[track_caller]
fn check(per_second: f64, round_trip: Duration, ratio: usize) {
    let mut congestion = CongestionControl::default();
    let mut link = SimulatedLink::new(per_second, round_trip);
    link.saturate(&mut congestion, 5000 * MS, ratio);
    link.reset_counters();
    link.saturate(&mut congestion, 5000 * MS, ratio);
    let used = link.slow_line.carried as f64 / (per_second * 5.0);
    assert!(used > 0.7, "the line stands idle: {used}");
    assert!(
        link.slow_line.longest_queue < 50 * MS,
        "a queue of {:?}",
        link.slow_line.longest_queue
    );
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
    let (mut congestion, mut link) = (
        CongestionControl::default(),
        SimulatedLink::new(32e3, 100 * MS),
    );
    let mut used_and_waited = |keys: bool| {
        for step in 0..40 {
            if step == 20 {
                link.reset_counters();
            }
            if keys {
                congestion.on_input();
            }
            link.saturate(&mut congestion, 300 * MS, 10);
        }
        (
            link.slow_line.carried as f64 / (32e3 * 6.0),
            // What a letter waits for that comes at any moment, in milliseconds.
            link.queue_integral / 6.0 * 1000.0,
        )
    };
    let usual = used_and_waited(false);
    let typing = used_and_waited(true);
    assert!(usual.1 < 20.0, "a letter waits {usual:?}");
    assert!(typing.1 < usual.1 * 2.0 / 3.0, "{typing:?}, {usual:?}");
    assert!(typing.0 > 0.6, "the line stands idle: {typing:?}");
    assert!(typing.0 < usual.0, "{typing:?}, {usual:?}");
    let later = used_and_waited(false);
    assert!(later.0 > usual.0 * 0.95, "{later:?}, {usual:?}");
}

#[test]
fn a_fast_line_takes_whole_screens() {
    let mut congestion = CongestionControl::default();
    let mut link = SimulatedLink::new(100e6, MS);
    link.saturate(&mut congestion, 1000 * MS, 4);
    let budget = congestion.budget().raw;
    assert!(budget >= 2 << 20, "{budget}");
}

#[test]
fn a_line_that_gets_slow_is_followed() {
    let mut congestion = CongestionControl::default();
    let mut link = SimulatedLink::new(12.5e6, 20 * MS);
    link.saturate(&mut congestion, 5000 * MS, 8);
    link.slow_line.bytes_per_second = 60e3;
    link.saturate(&mut congestion, 5000 * MS, 8);
    link.reset_counters();
    link.saturate(&mut congestion, 5000 * MS, 8);
    assert!(
        link.slow_line.longest_queue < 50 * MS,
        "a queue of {:?}",
        link.slow_line.longest_queue
    );
}

#[test]
fn a_rare_letter_never_waits_for_credit() {
    let mut congestion = CongestionControl::default();
    let mut link = SimulatedLink::new(32e3, 300 * MS);
    for _ in 0..100 {
        assert!(congestion.has_credit());
        link.send(&mut congestion, 2048, 512, false);
        link.now += 100 * MS;
        while let Some((number, at)) = link.acks.pop_front_if(|(_, at)| *at <= link.now) {
            congestion.on_ack(number, at);
        }
    }
}

#[test]
fn parts_count_for_their_update_alone() {
    let mut congestion = CongestionControl::default();
    // The first update has no fence, the second has one.
    congestion.on_part_written(5000);
    congestion.on_written(600, None, MS);
    congestion.on_part_written(3000);
    congestion.on_sent(raw_update(9000, false));
    congestion.on_written(512, None, MS);
    assert_eq!(congestion.bytes_in_flight(), 3512);
}

#[test]
fn answers_that_nobody_asked_for_are_nothing() {
    let mut congestion = CongestionControl::default();
    congestion.on_ack(7, MS);
    let number = congestion.on_sent(raw_update(100, false));
    congestion.on_ack(number + 1, MS);
    assert_eq!(congestion.in_flight.len(), 1);
    // An acknowledgement may come before the report that the update has been written.
    congestion.on_ack(number, MS);
    congestion.on_written(512, None, MS);
    assert_eq!(congestion.in_flight.len(), 0);
}
