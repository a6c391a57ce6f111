//! Coming back after a restart of the machine: the consent to it, and the session that goes on.

use etatuki_trust::RESTART_LIFETIME;

use super::*;

const LIFETIME: Duration = Duration::from_secs(RESTART_LIFETIME);

fn restarting(seconds_left: u16) -> Action {
    Action::SendToAgent(ToAgent::Restarting { seconds_left })
}

fn answer(allowed: bool, asks_left: u8) -> Action {
    Action::SendToAgent(ToAgent::Answer {
        ask: Ask::Restart,
        allowed,
        asks_left,
    })
}

/// A session whose agent may look, and whose customer has allowed the restart.
fn allowed() -> TestSession {
    TestSession::viewing()
        .after([Event::Asked(Ask::Restart)])
        .answered(true)
        .after([Event::RestartKept(true)])
}

fn came_back() -> TestSession {
    let come_back = ComeBack {
        agent: agent(),
        limit: Duration::from_secs(600),
    };
    TestSession::with(MachineSettings {
        come_back: Some(come_back),
        ..settings()
    })
    .after([Event::Command(Command::Open), Event::CodeReady])
}

#[test]
fn the_yes_is_told_once_everything_is_kept() {
    let mut session = TestSession::viewing().after([Event::Asked(Ask::Restart)]);
    assert_eq!(session.question().map(|open| open.ask), Some(Ask::Restart));
    session.wait(ANSWER_DELAY);
    let question = session.question().expect("a question is open").id;
    let allow = true;
    assert_eq!(
        session.give(Event::Command(Command::Answer { question, allow })),
        [Action::BlockInput(false), Action::KeepRestart]
    );
    assert!(!session.view().restart_allowed);
    assert_eq!(
        session.give(Event::RestartKept(true)),
        [restarting(900), answer(true, 3)]
    );
    let view = session.view();
    assert!(view.restart_allowed);
    assert_eq!(view.permissions, VIEW, "it gives no other permission");
}

#[test]
fn what_cant_be_kept_is_refused_and_told_to_both() {
    let mut session = TestSession::viewing()
        .after([Event::Asked(Ask::Restart)])
        .answered(true);
    assert_eq!(
        session.give(Event::RestartKept(false)),
        [Action::ForgetRestart, restarting(0), answer(false, 3)]
    );
    assert_eq!(session.view().notices, [Notice::RestartNotKept]);
    assert!(!session.view().restart_allowed);
}

#[test]
fn it_takes_viewing_and_a_launcher_that_can() {
    let mut session = TestSession::connected().answered(false);
    assert_eq!(session.give(Event::Asked(Ask::Restart)), [answer(false, 3)]);
    let mut session = TestSession::with(MachineSettings {
        can_come_back: false,
        ..settings()
    })
    .after([
        Event::Command(Command::Open),
        Event::CodeReady,
        Event::Authenticated(agent()),
    ])
    .answered(true);
    assert_eq!(session.give(Event::Asked(Ask::Restart)), [answer(false, 3)]);
}

#[test]
fn after_three_denials_it_isnt_asked() {
    let mut session = TestSession::viewing();
    for _ in 0..3 {
        session = session.after([Event::Asked(Ask::Restart)]).answered(false);
    }
    assert_eq!(session.give(Event::Asked(Ask::Restart)), [answer(false, 0)]);
    assert_eq!(session.question(), None);
}

#[test]
fn it_ends_when_it_is_withdrawn_after_its_time_and_with_the_session() {
    let withdrawn = [Action::ForgetRestart, restarting(0)];
    let mut session = allowed();
    let withdraw = Event::Command(Command::WithdrawRestart);
    assert_eq!(session.give(withdraw.clone()), withdrawn);
    assert_eq!(session.give(withdraw), []);

    let mut session = allowed();
    let due = session.machine.deadline(session.now).expect("a deadline");
    assert_eq!(due, session.now + LIFETIME);
    assert_eq!(session.tick_after(LIFETIME), withdrawn);

    let actions = allowed().give(Event::Command(Command::Close));
    assert_eq!(actions.first(), Some(&Action::ForgetRestart));
    let mut session = allowed().interrupt();
    let actions = session.tick_after(RESUME_LIMIT);
    assert_eq!(session.machine.state(), State::Failed);
    assert!(actions.contains(&Action::ForgetRestart), "{actions:?}");
}

#[test]
fn each_resume_keeps_it_anew_and_its_time_runs_on() {
    let mut session = allowed().interrupt();
    session.wait(Duration::from_secs(60));
    let resumed = session.give(Event::LinkResumed);
    assert_eq!(resumed[..2], [Action::AdoptLink, Action::KeepRestart]);
    assert_eq!(session.give(Event::RestartKept(true)), [restarting(840)]);
    let mut session = session.interrupt().after([Event::LinkResumed]);
    assert_eq!(
        session.give(Event::RestartKept(false)),
        [Action::ForgetRestart, restarting(0)]
    );
}

#[test]
fn a_late_word_of_what_is_kept_leaves_nothing_behind() {
    let mut session = TestSession::viewing()
        .after([Event::Asked(Ask::Restart)])
        .answered(true)
        .after([Event::Command(Command::WithdrawRestart)]);
    assert_eq!(
        session.give(Event::RestartKept(true)),
        [Action::ForgetRestart]
    );
}

#[test]
fn a_display_that_goes_down_with_the_machine_is_no_end_for_the_agent() {
    let mut session = allowed();
    let actions = session.give(Event::Command(Command::DisplayLost));
    assert_eq!(session.machine.state(), State::Failed);
    assert!(actions.contains(&Action::ReleaseInput));
    assert!(actions.contains(&Action::InterruptLink));
    assert!(!actions.contains(&Action::ForgetRestart), "{actions:?}");
    let told = |action: &Action| matches!(action, Action::SendToAgent(ToAgent::Ended { .. }));
    assert!(!actions.iter().any(told), "{actions:?}");
}

#[test]
fn the_launcher_that_came_back_waits_for_the_agent_without_any_permission() {
    let mut session = came_back();
    let view = session.view();
    assert!(view.coming_back);
    assert_eq!((view.state, view.code), (State::Interrupted, None));
    assert_eq!(view.interrupted_seconds_left, Some(600));
    assert_eq!(view.kept_permissions, NONE);
    let resumed = session.give(Event::LinkResumed);
    assert!(resumed.contains(&Action::SetPermissions(NONE)));
    let view = session.view();
    assert_eq!(
        view.question.map(|open| open.ask),
        Some(Ask::View),
        "by itself"
    );
    assert_eq!((view.permissions, view.coming_back), (NONE, false));
}

#[test]
fn an_agent_who_doesnt_come_back_is_waited_for_until_the_tickets_end() {
    let mut session = came_back();
    session.tick_after(Duration::from_secs(599));
    assert_eq!(session.machine.state(), State::Interrupted);
    session.tick_after(Duration::from_secs(1));
    assert_eq!(session.machine.state(), State::Failed);
    let failure = session.view().failure.expect("it failed");
    assert_eq!(failure.name, FailureName::LinkLost);
}

#[test]
fn the_network_may_come_up_late_and_the_next_open_is_a_new_session() {
    let come_back = ComeBack {
        agent: agent(),
        limit: Duration::from_secs(600),
    };
    let mut session = TestSession::with(MachineSettings {
        come_back: Some(come_back),
        ..settings()
    })
    .after([Event::Command(Command::Open)]);
    session.tick_after(Duration::from_secs(599));
    assert_eq!(session.machine.state(), State::Opening);
    session.tick_after(Duration::from_secs(1));
    assert_eq!(session.machine.state(), State::Failed);
    let mut session = session.after([
        Event::ShutdownDone,
        Event::Command(Command::Open),
        Event::CodeReady,
    ]);
    assert_eq!(session.machine.state(), State::Waiting);
    session.give(Event::Command(Command::Close));
}
