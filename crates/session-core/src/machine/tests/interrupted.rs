//! The link is interrupted and resumed.

use super::*;

/// Actions that interrupt a session in which the agent has control.
const LOST_CONTROL: [Action; 3] = [
    Action::ReleaseInput,
    Action::SetPermissions(VIEW),
    Action::InterruptLink,
];

fn interruption(session: &TestSession) -> Event {
    let since = session.now;
    Event::LinkInterrupted { since }
}

/// The end of an interrupted session, for this reason.
fn end(reason: &str) -> [Action; 4] {
    [
        Action::ReleaseInput,
        Action::SetPermissions(NONE),
        ended(reason),
        shutdown(reason),
    ]
}

#[test]
fn connected_link_interrupted_interrupted() {
    let mut session = TestSession::controlling();
    session.check(interruption(&session), State::Interrupted, &LOST_CONTROL);
    let view = session.view();
    assert_eq!(view.interrupted_seconds_left, Some(120));
    assert_eq!((view.permissions, view.kept_permissions), (NONE, BOTH));
    assert_eq!(view.notices, [Notice::LinkInterrupted]);
}

#[test]
fn interrupted_resumed_connected() {
    let mut session = TestSession::interrupted();
    session.check(Event::LinkResumed, State::Connected, &resumed(BOTH));
    let view = session.view();
    assert_eq!((view.permissions, view.kept_permissions), (BOTH, NONE));
    assert_eq!(view.notices, [Notice::LinkInterrupted, Notice::LinkResumed]);
}

#[test]
fn connected_resumed_connected_if_the_agents_end_noticed_first() {
    let expected = [&LOST_CONTROL[..], &resumed(BOTH)].concat();
    TestSession::controlling().check(Event::LinkResumed, State::Connected, &expected);
}

#[test]
fn an_open_question_is_asked_anew_and_counts_as_no_denial() {
    let mut session = TestSession::connected();
    let before = session.question().expect("the first question").id;
    let expected = [Action::ReleaseInput, Action::InterruptLink];
    session.check(interruption(&session), State::Interrupted, &expected);
    assert_eq!(session.question(), None);
    session.tick_after(QUESTION_TIMEOUT);
    let asked = [
        Action::BlockInput(true),
        Action::ReleaseInput,
        asking(Ask::View),
    ];
    let expected = [&resumed(NONE)[..], &asked].concat();
    session.check(Event::LinkResumed, State::Connected, &expected);
    let anew = session.question().expect("it is asked anew");
    assert_eq!((anew.id, anew.answerable), (before + 1, false));
    session.wait(ANSWER_DELAY);
    let deny = Command::Answer {
        question: anew.id,
        allow: false,
    };
    let expected = [Action::BlockInput(false), answer(Ask::View, false, 2)];
    session.check(Event::Command(deny), State::Connected, &expected);
}

#[test]
fn an_answer_to_a_question_that_the_interruption_ended_is_ignored() {
    let mut session = TestSession::viewing().after([Event::Asked(Ask::Control)]);
    session.wait(ANSWER_DELAY);
    let question = session.question().expect("for control").id;
    let allow = Event::Command(Command::Answer {
        question,
        allow: true,
    });
    let mut session = session.interrupt();
    session.check(allow.clone(), State::Interrupted, &[]);
    session.give(Event::LinkResumed);
    session.wait(ANSWER_DELAY);
    session.check(allow, State::Connected, &[]);
    assert_eq!(session.view().permissions, VIEW);
}

#[test]
fn control_taken_back_meanwhile_doesnt_come_back() {
    let mut session = TestSession::interrupted();
    session.check(Event::Command(Command::TakeBack), State::Interrupted, &[]);
    assert_eq!(session.view().kept_permissions, VIEW);
    session.check(Event::LinkResumed, State::Connected, &resumed(VIEW));
}

#[test]
fn interrupted_time_is_not_counted() {
    let mut session = TestSession::interrupted();
    session.wait(Duration::from_secs(60));
    session.give(Event::LinkResumed);
    session.wait(Duration::from_secs(7));
    session.give(Event::AgentEnded);
    let receipt = session.view().receipt.expect("an agent was there");
    assert_eq!(receipt.controlled_seconds, 7);
}

#[test]
fn a_stopped_session_counts_from_the_moment_of_the_interruption() {
    let mut session = TestSession::controlling();
    let since = session.now + Duration::from_secs(3);
    session.wait(Duration::from_secs(60));
    session.check(
        Event::LinkInterrupted { since },
        State::Interrupted,
        &LOST_CONTROL,
    );
    assert_eq!(session.view().interrupted_seconds_left, Some(63));
    session.give(Event::AgentEnded);
    let receipt = session.view().receipt.expect("an agent was there");
    assert_eq!(receipt.controlled_seconds, 3);
}

#[test]
fn a_session_that_was_stopped_for_too_long_is_lost_at_once() {
    let mut session = TestSession::controlling();
    let since = session.now + Duration::from_secs(3);
    session.wait(Duration::from_secs(123));
    let expected = [&LOST_CONTROL[..], &end("link-lost")].concat();
    session.check(Event::LinkInterrupted { since }, State::Failed, &expected);
}

#[test]
fn a_resume_after_the_time_comes_too_late() {
    let mut session = TestSession::interrupted();
    session.wait(RESUME_LIMIT);
    session.check(Event::LinkResumed, State::Failed, &end("link-lost"));
}

#[test]
fn interrupted_is_given_up_in_the_end() {
    let mut session = TestSession::interrupted();
    assert_eq!(session.tick_after(RESUME_LIMIT), end("link-lost"));
    assert_eq!(session.machine.state(), State::Failed);
    let failure = session.view().failure.expect("it failed");
    assert_eq!(failure.name, FailureName::LinkLost);
}

#[test]
fn interrupted_close_closing() {
    let close = Event::Command(Command::Close);
    TestSession::interrupted().check(close, State::Closing, &end("customer-closed"));
}

#[test]
fn interrupted_failure_failed() {
    let event = Event::Failed(failure(FailureName::ToolDied));
    TestSession::interrupted().check(event, State::Failed, &end("tool-died"));
}

#[test]
fn a_tool_that_ends_meanwhile_ends_the_session() {
    let mut session = TestSession::interrupted();
    session.check(Event::PluginStreamClosed, State::Interrupted, &[]);
    session.tick_after(STREAM_CLOSED_GRACE);
    let failure = session.view().failure.expect("it failed");
    assert_eq!(failure.name, FailureName::ToolDied);
    let mut session = TestSession::interrupted();
    session.give(Event::PluginStreamClosed);
    session.give(Event::LinkResumed);
    session.tick_after(STREAM_CLOSED_GRACE);
    assert_eq!(session.machine.state(), State::Failed);
}

/// An event of the runs below.
#[derive(Clone, Copy, Debug)]
enum Step {
    Interrupt,
    Resume,
    AskControl,
    AskSwitch,
    Allow,
    Deny,
    TakeBack,
    Wait,
    Close,
}

const STEPS: [Step; 9] = [
    Step::Interrupt,
    Step::Resume,
    Step::AskControl,
    Step::AskSwitch,
    Step::Allow,
    Step::Deny,
    Step::TakeBack,
    Step::Wait,
    Step::Close,
];

/// A session, with what its actions have done to the plugin and to the link.
struct Run {
    session: TestSession,
    /// Permissions at the gate, and at the plugin.
    gate: Permissions,
    linked: bool,
    attached: usize,
    denials: usize,
}

impl Run {
    fn new() -> Self {
        Self {
            session: TestSession::connected(),
            gate: NONE,
            linked: true,
            attached: 0,
            denials: 0,
        }
    }

    fn event(&mut self, step: Step) -> Option<Event> {
        let question = self.session.question().map(|question| question.id);
        let answer = |allow| {
            let question = question?;
            Some(Event::Command(Command::Answer { question, allow }))
        };
        Some(match step {
            Step::Interrupt => interruption(&self.session),
            Step::Resume => Event::LinkResumed,
            Step::AskControl => Event::Asked(Ask::Control),
            Step::AskSwitch => Event::Asked(switch("remoteus-2008")),
            Step::Allow => return answer(true),
            Step::Deny => return answer(false),
            Step::TakeBack => Event::Command(Command::TakeBack),
            Step::Wait => Event::Tick,
            Step::Close => Event::Command(Command::Close),
        })
    }

    /// Takes a step, and checks what must hold after any.
    fn take(&mut self, step: Step) {
        self.session.wait(match step {
            Step::Wait => Duration::from_secs(41),
            _ => ANSWER_DELAY,
        });
        let Some(event) = self.event(step) else {
            return;
        };
        let before = self.session.view();
        for action in self.session.give(event) {
            match action {
                Action::SetPermissions(permissions) => self.gate = permissions,
                Action::AttachPicture => self.attached += 1,
                Action::InterruptLink => self.linked = false,
                Action::AdoptLink => {
                    assert!(!self.linked, "two links");
                    self.linked = true;
                }
                Action::SendToAgent(ToAgent::Answer { allowed: false, .. }) => self.denials += 1,
                Action::SendToAgent(ToAgent::Ended { .. }) => {}
                Action::SendToAgent(_) | Action::SendCustomerInfo => {
                    assert!(self.linked, "told nobody");
                }
                _ => {}
            }
        }
        self.check(step, &before);
    }

    fn check(&self, step: Step, before: &View) {
        let view = self.session.view();
        assert!(self.attached <= 1, "attached twice");
        match view.state {
            State::Connected => {
                assert!(self.linked);
                assert_eq!(self.gate, view.permissions);
                assert_eq!(view.kept_permissions, NONE);
            }
            State::Interrupted => {
                assert!(!self.linked);
                assert!(!self.gate.control, "control while nobody is there");
                assert_eq!((view.permissions, &view.question), (NONE, &None));
            }
            _ => assert_eq!((self.gate, view.permissions), (NONE, NONE)),
        }
        if before.state == State::Interrupted && view.state == State::Connected {
            assert_eq!(view.permissions, before.kept_permissions);
        }
        let gained = view.permissions.control && !before.permissions.control;
        let given_back = before.kept_permissions.control;
        assert!(
            !gained || given_back || matches!(step, Step::Allow),
            "unasked"
        );
        if let (Step::Interrupt | Step::Resume, None) = (step, &view.failure) {
            let asked = view.question.as_ref().map(|question| &question.ask);
            let open = before.question.as_ref().map(|question| &question.ask);
            let kept = matches!(step, Step::Interrupt) || open.is_none() || asked == open;
            assert!(kept, "the question is gone");
        }
    }
}

/// Every order of six steps after the first question: 531,441 sessions.
#[test]
fn no_order_of_events_leaves_control_while_interrupted() {
    let count = STEPS.len().pow(6);
    for number in 0..count {
        let mut run = Run::new();
        let mut rest = number;
        let (mut drops, mut steps) = (false, Vec::new());
        while steps.len() < 6 {
            steps.push(STEPS[rest % STEPS.len()]);
            rest /= STEPS.len();
        }
        for step in &steps {
            drops |= matches!(step, Step::Interrupt);
        }
        if !drops {
            continue;
        }
        for step in steps {
            run.take(step);
        }
    }
}

/// An interruption during a question isn't a denial, however often it comes.
#[test]
fn interruptions_use_up_no_question() {
    let mut run = Run::new();
    for _ in 0..9 {
        run.take(Step::Interrupt);
        run.take(Step::Resume);
    }
    assert_eq!(run.denials, 0);
    run.take(Step::Allow);
    assert_eq!(run.session.view().permissions, VIEW);
}
