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

/// A simulated line, a clock, and the acknowledgements on their way.
struct Line {
    line: SlowLine,
    now: Duration,
    /// Number and arrival.
    acks: VecDeque<(u32, Duration)>,
}

impl Line {
    fn new(bytes_per_second: f64, round_trip: Duration) -> Self {
        Self {
            line: SlowLine::new(bytes_per_second, round_trip),
            now: Duration::ZERO,
            acks: VecDeque::new(),
        }
    }

    /// Begins to measure anew.
    fn reset_counters(&mut self) {
        self.line.carried = 0;
        self.line.longest_queue = Duration::ZERO;
    }

    fn send(
        &mut self,
        congestion: &mut CongestionControl,
        plain: usize,
        wire: usize,
        window_limited: bool,
    ) {
        let number = congestion.on_sent(raw_update(plain, window_limited));
        let round_trip = self.line.round_trip + self.line.queue(self.now);
        congestion.on_written(wire, Some(round_trip), self.now);
        let arrival = self.line.send(wire, self.now);
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
            self.now = at;
            congestion.on_ack(number, self.now);
        }
    }
}

#[track_caller]
fn check(per_second: f64, round_trip: Duration, ratio: usize) {
    let mut congestion = CongestionControl::default();
    let mut line = Line::new(per_second, round_trip);
    line.saturate(&mut congestion, 5000 * MS, ratio);
    line.reset_counters();
    line.saturate(&mut congestion, 5000 * MS, ratio);
    let used = line.line.carried as f64 / (per_second * 5.0);
    assert!(used > 0.7, "the line stands idle: {used}");
    assert!(
        line.line.longest_queue < 50 * MS,
        "a queue of {:?}",
        line.line.longest_queue
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
    let (mut congestion, mut line) = (CongestionControl::default(), Line::new(32e3, 100 * MS));
    let mut used_and_waited = |keys: bool| {
        for step in 0..40 {
            if step == 20 {
                line.reset_counters();
            }
            if keys {
                congestion.on_input();
            }
            line.saturate(&mut congestion, 300 * MS, 10);
        }
        (
            line.line.carried as f64 / (32e3 * 6.0),
            line.line.longest_queue,
        )
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
    line.saturate(&mut congestion, 1000 * MS, 4);
    let budget = congestion.budget().raw;
    assert!(budget >= 2 << 20, "{budget}");
}

#[test]
fn a_line_that_gets_slow_is_followed() {
    let mut congestion = CongestionControl::default();
    let mut line = Line::new(12.5e6, 20 * MS);
    line.saturate(&mut congestion, 5000 * MS, 8);
    line.line.bytes_per_second = 60e3;
    line.saturate(&mut congestion, 5000 * MS, 8);
    line.reset_counters();
    line.saturate(&mut congestion, 5000 * MS, 8);
    assert!(
        line.line.longest_queue < 50 * MS,
        "a queue of {:?}",
        line.line.longest_queue
    );
}

#[test]
fn a_rare_letter_never_waits_for_credit() {
    let mut congestion = CongestionControl::default();
    let mut line = Line::new(32e3, 300 * MS);
    for _ in 0..100 {
        assert!(congestion.has_credit());
        line.send(&mut congestion, 2048, 512, false);
        line.now += 100 * MS;
        while let Some((number, at)) = line.acks.pop_front_if(|(_, at)| *at <= line.now) {
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
