use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn condition(watch: &ScreenWatch, now: Duration) -> ScreenCondition {
    watch.status(now).condition
}

#[test]
fn each_fact_of_the_display_has_its_condition() {
    let check = |facts, expected| {
        let mut watch = ScreenWatch::new(false);
        watch.on_display(facts, seconds(2));
        let status = watch.status(seconds(2));
        assert_eq!(
            status,
            ScreenStatus {
                condition: expected,
                age: 0
            }
        );
    };
    let nothing = DisplayFacts::default();
    check(nothing, ScreenCondition::Visible);
    let blanked = DisplayFacts {
        blanked: true,
        ..nothing
    };
    check(blanked, ScreenCondition::Blanked);
    // A locked screen goes dark after a while; what helps is the password.
    let locked = DisplayFacts {
        locked: true,
        ..blanked
    };
    check(locked, ScreenCondition::Locked);
    let away = DisplayFacts {
        other_session: true,
        ..locked
    };
    check(away, ScreenCondition::OtherSession);
    let pinged = |unanswered| DisplayFacts {
        ping_unanswered: Some(unanswered),
        ..nothing
    };
    check(pinged(millis(800)), ScreenCondition::Visible);
    check(pinged(PROGRAM_PING_LIMIT), ScreenCondition::ProgramHung);
}

/// Lets time pass as a loop does: each deadline wakes it. Returns when the source was probed.
fn run(watch: &mut ScreenWatch, from: Duration, to: Duration) -> Vec<Duration> {
    let mut now = from;
    let mut probes = vec![];
    while now <= to {
        if watch.step(true, now) == SourceStep::Probe {
            probes.push(now);
        }
        match watch.deadline(now) {
            Some(due) => now = due.max(now),
            None => break,
        }
    }
    probes
}

fn drawn() -> DisplayFacts {
    DisplayFacts {
        drawn: true,
        ..DisplayFacts::default()
    }
}

#[test]
fn a_source_that_keeps_quiet_about_what_was_drawn_is_hung_within_two_seconds() {
    for (has_tool, expected) in [
        (true, ScreenCondition::ToolHung),
        (false, ScreenCondition::PluginHung),
    ] {
        let mut watch = ScreenWatch::new(has_tool);
        watch.on_display(drawn(), seconds(10));
        let probes = run(&mut watch, seconds(10), seconds(12));
        assert_eq!(probes, [millis(10_500)]);
        assert_eq!(condition(&watch, seconds(12)), expected);
        assert_eq!(watch.status(seconds(12)).age, 2);
        watch.on_source();
        assert_eq!(condition(&watch, seconds(13)), ScreenCondition::Visible);
    }
}

#[test]
fn a_source_that_answers_the_probe_is_well() {
    let mut watch = ScreenWatch::new(true);
    for second in 10..1000 {
        watch.on_display(drawn(), seconds(second));
        run(&mut watch, seconds(second), millis(second * 1000 + 600));
        watch.on_source();
        run(&mut watch, millis(second * 1000 + 700), seconds(second + 1));
        assert_eq!(
            condition(&watch, millis(second * 1000 + 999)),
            ScreenCondition::Visible
        );
    }
}

#[test]
fn nobody_is_probed_while_nothing_is_drawn() {
    let mut watch = ScreenWatch::new(true);
    for second in 2..1800 {
        watch.on_display(DisplayFacts::default(), seconds(second));
        watch.on_line(None, seconds(second));
        assert_eq!(watch.deadline(seconds(second)), None);
        assert_eq!(watch.step(true, seconds(second)), SourceStep::Wait);
    }
}

#[test]
fn a_key_without_an_echo_is_no_hung_source() {
    let mut watch = ScreenWatch::new(true);
    watch.on_input(seconds(10));
    assert_eq!(
        run(&mut watch, seconds(10), millis(10_600)),
        [millis(10_500)]
    );
    watch.on_source();
    assert!(run(&mut watch, millis(10_620), seconds(20)).is_empty());
    assert_eq!(condition(&watch, seconds(20)), ScreenCondition::Visible);
}

#[test]
fn a_source_that_isnt_read_owes_nothing() {
    let mut watch = ScreenWatch::new(true);
    watch.on_input(seconds(10));
    assert_eq!(watch.step(false, seconds(20)), SourceStep::Wait);
    assert!(run(&mut watch, seconds(20), seconds(30)).is_empty());
    assert_eq!(condition(&watch, seconds(30)), ScreenCondition::Visible);
}

#[test]
fn an_update_that_isnt_acknowledged_is_on_a_slow_line_within_two_seconds() {
    let mut watch = ScreenWatch::new(false);
    watch.on_line(Some(seconds(10)), seconds(10));
    assert_eq!(watch.deadline(seconds(10)), Some(millis(11_500)));
    watch.on_line(Some(seconds(10)), millis(11_500));
    let status = watch.status(millis(11_500));
    assert_eq!(status.condition, ScreenCondition::LineSlow);
    assert_eq!(status.age, 2);
}

#[test]
fn a_slow_line_is_one_sentence_and_not_one_for_each_update() {
    let mut watch = ScreenWatch::new(false);
    let mut changes = 0;
    let mut before = ScreenCondition::Visible;
    let mut look = |watch: &ScreenWatch, now| {
        let condition = condition(watch, now);
        changes += usize::from(condition != before);
        before = condition;
    };
    // Each update takes two seconds, for a minute; then they take a tenth of one.
    for update in 0..30 {
        let sent = seconds(10 + 2 * update);
        for later in [0, 500, 1500, 1900] {
            watch.on_line(Some(sent), sent + millis(later));
            look(&watch, sent + millis(later));
        }
    }
    for tenth in 0..50 {
        let sent = seconds(70) + millis(100 * tenth);
        watch.on_line(Some(sent), sent);
        watch.on_line(None, sent + millis(90));
        look(&watch, sent + millis(90));
    }
    assert_eq!(changes, 2);
    assert_eq!(condition(&watch, seconds(75)), ScreenCondition::Visible);
}

#[test]
fn a_line_that_is_idle_again_is_fast_again() {
    let mut watch = ScreenWatch::new(false);
    watch.on_line(Some(seconds(10)), seconds(12));
    watch.on_line(None, seconds(13));
    let due = watch.deadline(seconds(13)).expect("it looks again");
    watch.on_line(None, due);
    assert_eq!(condition(&watch, due), ScreenCondition::Visible);
    assert_eq!(watch.deadline(due), None);
}
