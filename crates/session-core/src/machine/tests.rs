//! One test for every edge of the drawing in `docs/session.md`: the event, the state that follows,
//! and the list of actions.

use std::time::Duration;

use etatuki_protocol::{
    AgentIdentity, Ask, Permissions, QuestionText, RESUME_LIMIT, ShownQuestion,
};
use etatuki_trust::{CodeForm, UnixTime};

use super::*;
use crate::clock_verdict::ClockVerdict;
use crate::view::{AppSharing, Question, Receipt, View};

const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
const BOTH: Permissions = Permissions {
    view: true,
    control: true,
};
const NONE: Permissions = Permissions {
    view: false,
    control: false,
};
const PROTOCOL_OF_END: [&str; 3] = ["customer-closed", "agent-ended", "switch"];

/// Actions after which the agent goes on with these permissions.
fn resumed(permissions: Permissions) -> [Action; 4] {
    [
        Action::AdoptLink,
        Action::SetPermissions(permissions),
        Action::SendCustomerInfo,
        told(permissions),
    ]
}

fn agent() -> AgentIdentity {
    AgentIdentity {
        name: "Liisa Virtanen".into(),
        organisation: "Tilitieto Oy".into(),
    }
}

fn failure(name: FailureName) -> Failure {
    Failure {
        name,
        detail: "as tested".into(),
    }
}

fn asking(ask: Ask) -> Action {
    Action::SendToAgent(ToAgent::Asking { ask })
}

fn answer(ask: Ask, allowed: bool, asks_left: u8) -> Action {
    Action::SendToAgent(ToAgent::Answer {
        ask,
        allowed,
        asks_left,
    })
}

fn told(permissions: Permissions) -> Action {
    Action::SendToAgent(ToAgent::Permissions(permissions))
}

fn ended(reason: &str) -> Action {
    Action::SendToAgent(ToAgent::Ended {
        reason: reason.into(),
    })
}

fn switch(backend: &str) -> Ask {
    Ask::Switch {
        backend: backend.into(),
    }
}

fn shutdown(reason: &str) -> Action {
    Action::Shutdown {
        reason: reason.into(),
    }
}

/// The built-in plugin, which has no tool.
const OURS: ProbedPlugin = ProbedPlugin {
    has_tool: false,
    takes_input: true,
    supports_app_sharing: true,
};

fn settings() -> MachineSettings {
    MachineSettings {
        switchable: vec!["remoteus-2008".into()],
        resume_limit: RESUME_LIMIT,
        app_name: Some("Tilitin".into()),
        transport: Transport::Link(CodeForm::SingleCode),
        can_come_back: true,
        come_back: None,
    }
}

/// A machine with a clock that the tests turn.
struct TestSession {
    machine: Machine,
    now: Duration,
}

impl TestSession {
    fn closed() -> Self {
        Self::with(settings())
    }

    fn with(settings: MachineSettings) -> Self {
        Self {
            machine: Machine::new(settings),
            now: Duration::from_secs(1000),
        }
    }

    fn opening() -> Self {
        Self::closed().after([Event::Command(Command::Open)])
    }

    fn waiting() -> Self {
        Self::opening().after([Event::CodeReady])
    }

    /// A connected session in which the first question is open.
    fn connected() -> Self {
        Self::waiting().after([Event::Authenticated(agent())])
    }

    fn viewing() -> Self {
        Self::connected().answered(true)
    }

    fn controlling() -> Self {
        Self::viewing()
            .after([Event::Asked(Ask::Control)])
            .answered(true)
    }

    fn interrupted() -> Self {
        Self::controlling().interrupt()
    }

    fn interrupt(mut self) -> Self {
        let since = self.now;
        self.give(Event::LinkInterrupted { since });
        self
    }

    fn closing() -> Self {
        Self::viewing().after([Event::Command(Command::Close)])
    }

    fn failed() -> Self {
        Self::opening().after([Event::Failed(failure(FailureName::ServiceUnreachable))])
    }

    fn after<const N: usize>(mut self, events: [Event; N]) -> Self {
        for event in events {
            self.give(event);
        }
        self
    }

    /// Waits until the open question takes answers, and answers it.
    fn answered(mut self, allow: bool) -> Self {
        self.wait(ANSWER_DELAY);
        let question = self.question().expect("a question is open").id;
        self.give(Event::Command(Command::Answer { question, allow }));
        self
    }

    fn give(&mut self, event: Event) -> Vec<Action> {
        self.machine.handle(event, self.now)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Waits for a time and sends a tick.
    fn tick_after(&mut self, time: Duration) -> Vec<Action> {
        self.wait(time);
        self.give(Event::Tick)
    }

    fn view(&self) -> View {
        self.machine.view(self.now, None)
    }

    fn question(&self) -> Option<Question> {
        self.view().question
    }

    /// Checks the state and the actions that follow from an event.
    #[track_caller]
    fn check(&mut self, event: Event, state: State, actions: &[Action]) {
        let done = self.give(event);
        assert_eq!((self.machine.state(), done.as_slice()), (state, actions));
    }
}

mod opening_and_waiting {
    use super::*;

    #[test]
    fn closed_open_opening() {
        TestSession::closed().check(
            Event::Command(Command::Open),
            State::Opening,
            &[Action::Start],
        );
    }

    #[test]
    fn opening_ready_waiting() {
        let mut session = TestSession::opening();
        session.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        assert_eq!(session.view().waiting_seconds_left, Some(600));
    }

    #[test]
    fn opening_failure_failed() {
        let unreachable = failure(FailureName::ServiceUnreachable);
        let mut session = TestSession::opening();
        session.check(
            Event::Failed(unreachable.clone()),
            State::Failed,
            &[Action::DropCode, shutdown("service-unreachable")],
        );
        assert_eq!(session.view().failure, Some(unreachable));
        assert!(!session.machine.is_idle());
    }

    #[test]
    fn opening_close_closing() {
        TestSession::opening().check(
            Event::Command(Command::Close),
            State::Closing,
            &[Action::DropCode, shutdown("customer-closed")],
        );
    }

    #[test]
    fn opening_has_a_limit() {
        let mut session = TestSession::opening();
        assert_eq!(
            session.tick_after(OPENING_TIMEOUT),
            [Action::DropCode, shutdown("internal")]
        );
        assert_eq!(session.machine.state(), State::Failed);
        assert_eq!(
            session.view().failure.expect("it failed").name,
            FailureName::Internal
        );
    }

    #[test]
    fn waiting_noise_waiting() {
        let mut session = TestSession::waiting();
        session.check(
            Event::AttemptAborted,
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        assert_eq!(session.view().notices, []);
    }

    #[test]
    fn a_stranger_costs_a_fresh_code() {
        let mut session = TestSession::waiting();
        session.check(
            Event::UnauthorizedAttempt,
            State::Waiting,
            &[Action::DropCode, Action::MintCode],
        );
        assert_eq!(session.view().notices, [Notice::UnauthorizedAttempt]);
        assert_eq!(session.view().code, None);
        session.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
    }

    #[test]
    fn strangers_who_find_every_fresh_code_dont_keep_the_customer_from_reading_one() {
        let mut session = TestSession::waiting();
        for _ in 0..MAX_UNAUTHORIZED_RENEWALS {
            session.give(Event::UnauthorizedAttempt);
            session.give(Event::CodeReady);
        }
        for _ in 0..1000 {
            assert_eq!(
                session.give(Event::UnauthorizedAttempt),
                [Action::AcceptAttempt]
            );
        }
        let notices = session.view().notices;
        assert_eq!(notices.len(), MAX_UNAUTHORIZED_RENEWALS + 1);
        assert_eq!(notices.last(), Some(&Notice::UnauthorizedPersists));
        session.give(Event::WrongGuess(agent()));
        let wrong = Notice::WrongCodeTried {
            agent: agent(),
            left: 2,
        };
        assert_eq!(session.view().notices.last(), Some(&wrong));
    }

    #[test]
    fn a_card_out_of_its_time_is_no_stranger_and_no_guess() {
        let mut session = TestSession::waiting();
        let clock = ClockVerdict::Ours(UnixTime(1000));
        for (clock, notice) in [
            (
                clock,
                Notice::ClockWrong {
                    agent: agent(),
                    now: UnixTime(1000),
                },
            ),
            (ClockVerdict::Card, Notice::CardOutOfTime { agent: agent() }),
        ] {
            for _ in 0..3 {
                let agent = agent();
                session.check(
                    Event::CardOutOfTime { agent, clock },
                    State::Waiting,
                    &[Action::AcceptAttempt],
                );
            }
            assert_eq!(session.view().notices.last(), Some(&notice));
        }
        assert_eq!(session.view().notices.len(), 2);
    }

    #[test]
    fn notices_are_bounded() {
        let mut session = TestSession::waiting();
        for _ in 0..1000 {
            session.give(Event::ServiceLost);
        }
        assert_eq!(session.view().notices.len(), MAX_NOTICES);
    }

    #[test]
    fn three_wrong_guesses_burn_the_code() {
        let mut session = TestSession::waiting();
        session.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        session.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        session.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::DropCode, Action::MintCode],
        );
        let expected = [
            Notice::WrongCodeTried {
                agent: agent(),
                left: 2,
            },
            Notice::WrongCodeTried {
                agent: agent(),
                left: 1,
            },
            Notice::CodeBurnt { agent: agent() },
        ];
        assert_eq!(session.view().notices, expected);
        assert_eq!(session.view().waiting_seconds_left, None);
        session.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        session.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
    }

    #[test]
    fn nobody_gets_in_while_a_fresh_code_is_fetched() {
        let burnt = || TestSession::waiting().after([1, 2, 3].map(|_| Event::WrongGuess(agent())));
        for event in [
            Event::Authenticated(agent()),
            Event::WrongGuess(agent()),
            Event::UnauthorizedAttempt,
            Event::CardOutOfTime {
                agent: agent(),
                clock: ClockVerdict::Card,
            },
            Event::AttemptAborted,
        ] {
            burnt().check(event, State::Waiting, &[]);
        }
    }

    #[test]
    fn a_code_is_renewed_after_ten_minutes() {
        let mut session = TestSession::waiting();
        assert_eq!(
            session.tick_after(CODE_LIFETIME - Duration::from_millis(1)),
            []
        );
        assert_eq!(
            session.tick_after(Duration::from_millis(1)),
            [Action::DropCode, Action::MintCode]
        );
        assert_eq!(session.view().notices, [Notice::CodeRenewed]);
        session.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        assert_eq!(session.view().waiting_seconds_left, Some(600));
    }

    #[test]
    fn a_service_that_comes_and_goes_leaves_the_code_alone() {
        let mut session = TestSession::waiting();
        session.check(Event::ServiceLost, State::Waiting, &[]);
        session.check(Event::ServiceBack, State::Waiting, &[]);
        assert_eq!(
            session.view().notices,
            [Notice::ServiceLost, Notice::ServiceBack]
        );
    }

    /// An opening session over a tool's own transport.
    fn own() -> TestSession {
        let settings = MachineSettings {
            transport: Transport::External,
            ..settings()
        };
        TestSession::with(settings).after([Event::Command(Command::Open)])
    }

    #[test]
    fn a_tool_with_its_own_transport_says_who_is_there() {
        let mut session = own();
        session.check(Event::ExternalPeerConnected, State::Opening, &[]);
        session.check(Event::CodeReady, State::Waiting, &[]);
        assert_eq!(session.tick_after(CODE_LIFETIME), []);
        assert_eq!(session.view().waiting_seconds_left, None);
        session.check(Event::ExternalPeerConnected, State::Connected, &[]);
        for event in [
            Event::CodeReady,
            Event::Authenticated(agent()),
            Event::Asked(Ask::Control),
            Event::LinkResumed,
            Event::PluginStreamClosed,
            Event::Command(Command::TakeBack),
        ] {
            session.check(event, State::Connected, &[]);
        }
        session.check(Event::ExternalPeerLeft, State::Waiting, &[]);
    }

    #[test]
    fn a_tool_with_its_own_transport_ends() {
        let end = |reason| [shutdown(reason)];
        let there = || own().after([Event::CodeReady]);
        there().check(Event::ExternalToolEnded, State::Closing, &end("tool-ended"));
        let close = Event::Command(Command::Close);
        there().check(close, State::Closing, &end("customer-closed"));
        let died = Event::Failed(failure(FailureName::ToolDied));
        there().check(died, State::Failed, &end("tool-died"));
        own().check(Event::ExternalToolEnded, State::Opening, &[]);
    }

    #[test]
    fn a_forgotten_code_is_replaced() {
        let mut session = TestSession::waiting();
        let expected = [Action::DropCode, Action::MintCode];
        session.check(Event::CodeForgotten, State::Waiting, &expected);
        session.check(Event::ServiceLost, State::Waiting, &[]);
        assert_eq!(session.view().notices, [Notice::CodeForgotten]);
        session.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
    }

    #[test]
    fn waiting_failure_failed() {
        TestSession::waiting().check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &[Action::DropCode, shutdown("plugin-died")],
        );
    }

    #[test]
    fn waiting_close_closing() {
        let mut session = TestSession::waiting();
        session.check(
            Event::Command(Command::Close),
            State::Closing,
            &[Action::DropCode, shutdown("customer-closed")],
        );
        assert_eq!(session.view().receipt, None);
    }

    #[test]
    fn waiting_agent_connected() {
        let expected = [
            Action::DeleteNameplate,
            Action::AcceptResume,
            Action::SendCustomerInfo,
            Action::BlockInput(true),
            Action::ReleaseInput,
            asking(Ask::View),
        ];
        let mut session = TestSession::waiting();
        session.check(Event::Authenticated(agent()), State::Connected, &expected);
        assert_eq!(session.view().permissions, NONE);
        assert_eq!(session.view().agent, Some(agent()));
    }
}

mod questions {
    use super::*;

    #[test]
    fn view_allowed_attaches() {
        let mut session = TestSession::connected();
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the first question").id;
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(VIEW),
            Action::AttachPicture,
            answer(Ask::View, true, 3),
            told(VIEW),
        ];
        session.check(
            Event::Command(Command::Answer {
                question,
                allow: true,
            }),
            State::Connected,
            &expected,
        );
        assert_eq!(
            (session.view().permissions, session.question()),
            (VIEW, None)
        );
    }

    /// A connected session with a plugin that can share one program alone, and the command that
    /// allows it.
    fn offered() -> (TestSession, Event) {
        let mut session = TestSession::waiting()
            .after([Event::PluginProbed(OURS), Event::Authenticated(agent())]);
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the first question").id;
        (session, Event::Command(Command::AllowAppOnly { question }))
    }

    fn sharing(app_only: bool) -> Option<AppSharing> {
        let name = "Tilitin".to_owned();
        Some(AppSharing { name, app_only })
    }

    #[test]
    fn the_program_alone_is_limited_before_anything_is_attached() {
        let (mut session, allow) = offered();
        assert_eq!(session.view().app_sharing, sharing(false));
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(VIEW),
            Action::RestrictToApp,
            Action::AttachPicture,
            Action::SendCustomerInfo,
            answer(Ask::View, true, 3),
            told(VIEW),
        ];
        session.check(allow, State::Connected, &expected);
        assert_eq!(session.view().app_sharing, sharing(true));
        // In the next session everything is asked anew.
        let closed = session.after([Event::Command(Command::Close), Event::ShutdownDone]);
        let mut again = closed.after([Event::Command(Command::Open)]);
        assert_eq!(again.view().app_sharing, None);
        again.give(Event::PluginProbed(OURS));
        assert_eq!(again.view().app_sharing, sharing(false));
    }

    #[test]
    fn the_program_alone_is_no_answer_where_it_is_not_offered() {
        let unable = TestSession::connected();
        let (able, _) = offered();
        let control = able.answered(true).after([Event::Asked(Ask::Control)]);
        for mut session in [unable, control] {
            session.wait(ANSWER_DELAY);
            let question = session.question().expect("a question").id;
            let allow = Event::Command(Command::AllowAppOnly { question });
            session.check(allow, State::Connected, &[]);
            assert!(session.question().is_some());
        }
        let (mut early, _) = offered();
        early.now -= ANSWER_DELAY;
        let question = early.question().expect("a question").id;
        let allow = Event::Command(Command::AllowAppOnly { question });
        early.check(allow, State::Connected, &[]);
    }

    #[test]
    fn the_program_alone_stays_alone_when_the_link_comes_back() {
        let mut session = TestSession::closed().after([
            Event::Command(Command::Open),
            Event::PluginProbed(OURS),
            Event::CodeReady,
            Event::Authenticated(agent()),
        ]);
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the first question").id;
        session.give(Event::Command(Command::AllowAppOnly { question }));
        let mut session = session.interrupt();
        session.check(Event::LinkResumed, State::Connected, &resumed(VIEW));
    }

    #[test]
    fn view_denied_stays_connected_without_a_picture() {
        let mut session = TestSession::connected();
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the first question").id;
        let expected = [Action::BlockInput(false), answer(Ask::View, false, 2)];
        session.check(
            Event::Command(Command::Answer {
                question,
                allow: false,
            }),
            State::Connected,
            &expected,
        );
        assert_eq!(session.view().permissions, NONE);
    }

    #[test]
    fn control_allowed() {
        let mut session = TestSession::viewing();
        let expected = [
            Action::BlockInput(true),
            Action::ReleaseInput,
            asking(Ask::Control),
        ];
        session.check(Event::Asked(Ask::Control), State::Connected, &expected);
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the second question").id;
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(BOTH),
            answer(Ask::Control, true, 3),
            told(BOTH),
        ];
        session.check(
            Event::Command(Command::Answer {
                question,
                allow: true,
            }),
            State::Connected,
            &expected,
        );
    }

    #[test]
    fn no_answer_counts_in_the_first_second() {
        let mut session = TestSession::connected();
        let id = session.question().expect("the first question").id;
        for allow in [true, false] {
            let early = Event::Command(Command::Answer {
                question: id,
                allow,
            });
            session.check(early, State::Connected, &[]);
        }
        session.wait(ANSWER_DELAY - Duration::from_millis(1));
        assert!(!session.question().expect("still open").answerable);
        session.check(
            Event::Command(Command::Answer {
                question: id,
                allow: true,
            }),
            State::Connected,
            &[],
        );
        session.wait(Duration::from_millis(1));
        assert!(session.question().expect("still open").answerable);
    }

    #[test]
    fn an_answer_to_another_question_is_nothing() {
        let mut session = TestSession::connected();
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("the first question").id;
        for other in [0, question + 1, u32::MAX] {
            let stray = Event::Command(Command::Answer {
                question: other,
                allow: true,
            });
            session.check(stray, State::Connected, &[]);
        }
        let mut session = session.answered(true);
        session.check(
            Event::Command(Command::Answer {
                question,
                allow: false,
            }),
            State::Connected,
            &[],
        );
        session.give(Event::Asked(Ask::Control));
        session.wait(ANSWER_DELAY);
        let stale = Event::Command(Command::Answer {
            question,
            allow: true,
        });
        session.check(stale, State::Connected, &[]);
    }

    #[test]
    fn the_words_of_an_open_question_are_quoted_to_the_agent() {
        let text = QuestionText {
            question: "Saako?".into(),
            explanation: String::new(),
            buttons: vec![],
        };
        let mut session = TestSession::connected();
        session.wait(Duration::from_secs(10));
        let question = session.question().expect("the first question").id;
        let shown = |question| {
            let text = text.clone();
            Event::Command(Command::QuestionShown { question, text })
        };
        let quoted = ShownQuestion {
            ask: Ask::View,
            seconds_left: 50,
            text: text.clone(),
        };
        let quoted = Action::SendToAgent(ToAgent::Shown(Box::new(quoted)));
        session.check(shown(question), State::Connected, &[quoted]);
        session.check(shown(question + 1), State::Connected, &[]);
        let mut answered = session.answered(true);
        answered.check(shown(question), State::Connected, &[]);
        TestSession::closing().check(shown(question), State::Closing, &[]);
    }

    #[test]
    fn silence_is_a_denial_after_a_minute() {
        let mut session = TestSession::connected();
        assert_eq!(
            session.tick_after(QUESTION_TIMEOUT - Duration::from_millis(1)),
            []
        );
        assert_eq!(
            session.question().map(|question| question.seconds_left),
            Some(1)
        );
        let expected = [Action::BlockInput(false), answer(Ask::View, false, 2)];
        assert_eq!(session.tick_after(Duration::from_millis(1)), expected);
        assert_eq!(session.question(), None);
    }

    #[test]
    fn after_three_denials_it_is_refused_without_asking() {
        for ask in [Ask::Control, switch("remoteus-2008")] {
            let mut session = TestSession::viewing();
            for _ in 0..MAX_DENIALS {
                session.give(Event::Asked(ask.clone()));
                session = session.answered(false);
            }
            session.check(
                Event::Asked(ask.clone()),
                State::Connected,
                &[answer(ask.clone(), false, 0)],
            );
            assert_eq!(session.question(), None);
        }
    }

    #[test]
    fn the_first_question_is_one_of_the_three() {
        let mut session = TestSession::connected().answered(false);
        for left in [1, 0] {
            session.give(Event::Asked(Ask::View));
            session.wait(ANSWER_DELAY);
            let question = session.question().expect("asked again").id;
            let expected = [Action::BlockInput(false), answer(Ask::View, false, left)];
            let no = Event::Command(Command::Answer {
                question,
                allow: false,
            });
            session.check(no, State::Connected, &expected);
        }
        session.check(
            Event::Asked(Ask::View),
            State::Connected,
            &[answer(Ask::View, false, 0)],
        );
    }

    #[test]
    fn each_permission_counts_for_itself() {
        let mut session = TestSession::connected()
            .answered(false)
            .after([Event::Asked(Ask::View)])
            .answered(true);
        session.give(Event::Asked(Ask::Control));
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("asked").id;
        let no = Event::Command(Command::Answer {
            question,
            allow: false,
        });
        assert_eq!(
            session.give(no),
            [Action::BlockInput(false), answer(Ask::Control, false, 2)]
        );
    }

    #[test]
    fn what_is_given_is_granted_at_once() {
        let mut session = TestSession::controlling();
        session.check(
            Event::Asked(Ask::View),
            State::Connected,
            &[answer(Ask::View, true, 3)],
        );
        session.check(
            Event::Asked(Ask::Control),
            State::Connected,
            &[answer(Ask::Control, true, 3)],
        );
    }

    #[test]
    fn control_needs_view_first() {
        let mut session = TestSession::connected().answered(false);
        session.check(
            Event::Asked(Ask::Control),
            State::Connected,
            &[answer(Ask::Control, false, 3)],
        );
    }

    #[test]
    fn one_question_at_a_time() {
        let mut session = TestSession::viewing().after([Event::Asked(Ask::Control)]);
        let open = session.question();
        session.check(Event::Asked(Ask::Control), State::Connected, &[]);
        let other = switch("remoteus-2008");
        session.check(
            Event::Asked(other.clone()),
            State::Connected,
            &[answer(other, false, 3)],
        );
        assert_eq!(session.question(), open);
    }

    #[test]
    fn question_numbers_are_never_used_twice() {
        let mut seen = std::collections::BTreeSet::new();
        let mut session = TestSession::closed();
        for _ in 0..3 {
            for event in [
                Event::Command(Command::Open),
                Event::CodeReady,
                Event::Authenticated(agent()),
            ] {
                session.give(event);
            }
            assert!(seen.insert(session.question().expect("the first question").id));
            session.give(Event::Command(Command::Close));
            session.give(Event::ShutdownDone);
        }
    }

    #[test]
    fn switch_allowed_ends_with_the_backend_in_the_receipt() {
        let ask = switch("remoteus-2008");
        let mut session = TestSession::viewing().after([Event::Asked(ask.clone())]);
        session.wait(ANSWER_DELAY);
        let question = session.question().expect("asked").id;
        let expected = [
            Action::BlockInput(false),
            answer(ask, true, 3),
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended("switch"),
            shutdown("switch"),
        ];
        session.check(
            Event::Command(Command::Answer {
                question,
                allow: true,
            }),
            State::Closing,
            &expected,
        );
        let receipt = session.view().receipt.expect("an agent was there");
        assert_eq!(receipt.switch_to.as_deref(), Some("remoteus-2008"));
    }

    #[test]
    fn switch_to_what_is_not_usable_is_refused() {
        let mut session = TestSession::viewing();
        for backend in ["ecom", "../../evil", ""] {
            let ask = switch(backend);
            session.check(
                Event::Asked(ask.clone()),
                State::Connected,
                &[answer(ask, false, 3)],
            );
        }
    }

    #[test]
    fn the_others_may_become_known_late() {
        let other = |usable| UsableBackend {
            id: "remoteus-2010".into(),
            label: "Remoteus etätuki (2010)".into(),
            usable,
            reason: None,
        };
        let ask = switch("remoteus-2010");
        let mut session = TestSession::viewing();
        let known = |usable| Event::Command(Command::OtherBackends(vec![other(usable)]));
        session.check(known(false), State::Connected, &[Action::SendCustomerInfo]);
        session.check(
            Event::Asked(ask.clone()),
            State::Connected,
            &[answer(ask.clone(), false, 3)],
        );
        session.check(known(true), State::Connected, &[Action::SendCustomerInfo]);
        session.give(Event::Asked(ask));
        assert!(session.question().is_some());
        TestSession::waiting().check(known(true), State::Waiting, &[]);
    }
}

mod control {
    use super::*;

    #[test]
    fn take_back_releases_before_it_forbids() {
        let expected = [
            Action::ReleaseInput,
            Action::SetPermissions(VIEW),
            told(VIEW),
        ];
        let mut session = TestSession::controlling();
        session.check(
            Event::Command(Command::TakeBack),
            State::Connected,
            &expected,
        );
        assert_eq!(session.view().permissions, VIEW);
    }

    #[test]
    fn take_back_without_control_is_nothing() {
        TestSession::viewing().check(Event::Command(Command::TakeBack), State::Connected, &[]);
        TestSession::waiting().check(Event::Command(Command::TakeBack), State::Waiting, &[]);
    }

    #[test]
    fn the_agent_may_ask_again_after_a_take_back() {
        let mut session = TestSession::controlling().after([Event::Command(Command::TakeBack)]);
        session.give(Event::Asked(Ask::Control));
        assert_eq!(
            session.question().map(|question| question.ask),
            Some(Ask::Control)
        );
    }
}

mod ending {
    use super::*;

    fn stop_order(reason: &str) -> [Action; 4] {
        [
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended(reason),
            shutdown(reason),
        ]
    }

    #[test]
    fn connected_close_closing() {
        let expected = stop_order(PROTOCOL_OF_END[0]);
        TestSession::controlling().check(Event::Command(Command::Close), State::Closing, &expected);
    }

    #[test]
    fn connected_agent_end_closing() {
        let expected = stop_order(PROTOCOL_OF_END[1]);
        TestSession::controlling().check(Event::AgentEnded, State::Closing, &expected);
    }

    #[test]
    fn without_permissions_there_is_nothing_to_withdraw() {
        let expected = [ended("customer-closed"), shutdown("customer-closed")];
        TestSession::connected().check(Event::Command(Command::Close), State::Closing, &expected);
    }

    #[test]
    fn connected_failure_failed() {
        let expected = stop_order("agent-misbehaved");
        let event = Event::Failed(failure(FailureName::AgentMisbehaved));
        let mut session = TestSession::controlling();
        session.check(event, State::Failed, &expected);
        assert_eq!(session.question(), None);
        assert!(session.view().receipt.is_some());
    }

    #[test]
    fn a_dead_display_fails_whatever_runs() {
        for session in [
            TestSession::opening(),
            TestSession::waiting(),
            TestSession::controlling(),
        ] {
            let session = session.after([Event::Command(Command::DisplayLost)]);
            let failure = session.view().failure.map(|failure| failure.name);
            assert_eq!(failure, Some(FailureName::DisplayLost));
        }
    }

    #[test]
    fn a_gone_tool_may_say_why() {
        let mut session = TestSession::viewing();
        session.check(Event::PluginStreamClosed, State::Connected, &[]);
        session.check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &stop_order("plugin-died"),
        );
    }

    #[test]
    fn a_gone_tool_releases_nothing_so_that_it_is_released_at_once() {
        let mut session = TestSession::controlling();
        session.check(
            Event::PluginStreamClosed,
            State::Connected,
            &[Action::ReleaseInput],
        );
    }

    #[test]
    fn a_gone_tool_that_says_nothing_has_died() {
        let mut session = TestSession::viewing().after([Event::PluginStreamClosed]);
        assert_eq!(
            session.machine.deadline(session.now),
            Some(session.now + STREAM_CLOSED_GRACE)
        );
        assert_eq!(
            session.tick_after(STREAM_CLOSED_GRACE),
            stop_order("tool-died")
        );
        assert_eq!(session.machine.state(), State::Failed);
    }

    /// The plugin is at fault where no tool serves the picture, whatever the form of its code.
    #[test]
    fn a_plugin_without_a_tool_has_failed() {
        let mut session =
            TestSession::viewing().after([Event::PluginProbed(OURS), Event::PluginStreamClosed]);
        assert_eq!(
            session.tick_after(STREAM_CLOSED_GRACE),
            stop_order("plugin-failed")
        );
        let driven = ProbedPlugin {
            has_tool: true,
            ..OURS
        };
        let mut session =
            TestSession::viewing().after([Event::PluginProbed(driven), Event::PluginStreamClosed]);
        assert_eq!(
            session.tick_after(STREAM_CLOSED_GRACE),
            stop_order("tool-died")
        );
    }

    /// Control is refused without asking where the backend takes no input.
    #[test]
    fn control_of_a_backend_without_input_is_refused() {
        let view_only = ProbedPlugin {
            takes_input: false,
            ..OURS
        };
        let mut session = TestSession::viewing().after([Event::PluginProbed(view_only)]);
        let actions = session.give(Event::Asked(Ask::Control));
        assert!(
            matches!(
                &actions[..],
                [Action::SendToAgent(ToAgent::Answer { allowed: false, .. })]
            ),
            "{actions:?}"
        );
    }

    #[test]
    fn closing_released_closed() {
        let mut session = TestSession::closing();
        session.check(Event::ShutdownDone, State::Closed, &[]);
        assert!(session.machine.is_idle());
    }

    #[test]
    fn failed_released_rests() {
        let mut session = TestSession::failed();
        session.check(Event::ShutdownDone, State::Failed, &[]);
        assert!(session.machine.is_idle());
        assert!(session.view().failure.is_some());
    }

    #[test]
    fn ending_has_a_limit() {
        for (mut session, state) in [
            (TestSession::closing(), State::Closed),
            (TestSession::failed(), State::Failed),
        ] {
            assert_eq!(
                session.machine.deadline(session.now),
                Some(session.now + SHUTDOWN_TIMEOUT)
            );
            assert_eq!(session.tick_after(SHUTDOWN_TIMEOUT), [Action::ForceStop]);
            assert_eq!(
                (session.machine.state(), session.machine.is_idle()),
                (state, true)
            );
        }
    }

    #[test]
    fn failed_open_opening() {
        let mut session = TestSession::failed().after([Event::ShutdownDone]);
        session.check(
            Event::Command(Command::Open),
            State::Opening,
            &[Action::Start],
        );
        assert_eq!(session.view().failure, None);
    }

    #[test]
    fn open_while_ending_waits_for_the_end() {
        for mut session in [TestSession::closing(), TestSession::failed()] {
            let state = session.machine.state();
            session.check(Event::Command(Command::Open), state, &[]);
            session.check(Event::ShutdownDone, State::Opening, &[Action::Start]);
        }
    }

    #[test]
    fn close_takes_such_an_open_back() {
        for mut session in [TestSession::closing(), TestSession::failed()] {
            let state = session.machine.state();
            session.give(Event::Command(Command::Open));
            session.check(Event::Command(Command::Close), state, &[]);
            assert_eq!(session.give(Event::ShutdownDone), []);
        }
    }

    #[test]
    fn the_first_failure_stands() {
        let mut session = TestSession::failed();
        session.check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &[],
        );
        assert_eq!(
            session.view().failure.expect("it failed").name,
            FailureName::ServiceUnreachable
        );
        TestSession::closing().check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Closing,
            &[],
        );
    }

    #[test]
    fn the_receipt_counts_what_was_permitted() {
        let mut session = TestSession::viewing();
        session.wait(Duration::from_secs(60) - ANSWER_DELAY);
        let mut session = session.after([Event::Asked(Ask::Control)]).answered(true);
        session.wait(Duration::from_secs(30));
        session.give(Event::Command(Command::TakeBack));
        session.wait(Duration::from_secs(10));
        session.give(Event::AgentEnded);
        session.wait(Duration::from_secs(5));
        let expected = Receipt {
            agent: agent(),
            viewed_seconds: 100,
            controlled_seconds: 30,
            program: None,
            switch_to: None,
        };
        assert_eq!(session.view().receipt, Some(expected));
    }
}

#[test]
fn a_short_look_is_a_look() {
    let mut session = TestSession::viewing();
    session.wait(Duration::from_millis(10));
    session.give(Event::AgentEnded);
    let receipt = session.view().receipt.expect("an agent was there");
    assert_eq!((receipt.viewed_seconds, receipt.controlled_seconds), (1, 0));
}

mod interrupted;
mod restart;

mod always {
    use super::*;

    fn states() -> Vec<TestSession> {
        vec![
            TestSession::closed(),
            TestSession::opening(),
            TestSession::waiting(),
            TestSession::connected(),
            TestSession::interrupted(),
            TestSession::closing(),
            TestSession::failed(),
        ]
    }

    /// All pairs of state and event that aren't edges above do nothing.
    #[test]
    fn stray_events_do_nothing() {
        let idle = |state: State| -> Vec<Event> {
            let mut events = vec![Event::Tick];
            if state != State::Waiting {
                events.extend([
                    Event::AttemptAborted,
                    Event::UnauthorizedAttempt,
                    Event::CardOutOfTime {
                        agent: agent(),
                        clock: ClockVerdict::Card,
                    },
                    Event::WrongGuess(agent()),
                    Event::ServiceLost,
                    Event::ServiceBack,
                    Event::CodeForgotten,
                    Event::Authenticated(agent()),
                ]);
            }
            if !matches!(state, State::Opening) {
                events.push(Event::CodeReady);
            }
            if state != State::Connected {
                events.extend([
                    Event::Asked(Ask::View),
                    Event::LinkInterrupted {
                        since: Duration::from_secs(1000),
                    },
                ]);
            }
            if !matches!(state, State::Connected | State::Interrupted) {
                events.extend([
                    Event::LinkResumed,
                    Event::PluginStreamClosed,
                    Event::AgentEnded,
                    Event::Command(Command::TakeBack),
                ]);
            }
            if matches!(state, State::Closed | State::Closing | State::Failed) {
                events.push(Event::Command(Command::DisplayLost));
            }
            if !matches!(state, State::Closing | State::Failed) {
                events.push(Event::ShutdownDone);
            }
            events
        };
        for mut session in states() {
            let state = session.machine.state();
            for event in idle(state) {
                let before = format!("{:?}", session.machine);
                assert_eq!(session.give(event.clone()), [], "{event:?} in {state:?}");
                assert_eq!(
                    before,
                    format!("{:?}", session.machine),
                    "{event:?} in {state:?}"
                );
            }
        }
    }

    /// A change of state or view comes at every deadline, so that the event loop never spins.
    #[test]
    fn a_deadline_is_never_in_vain() {
        for mut session in states() {
            let mut wakes = 0;
            while let Some(due) = session.machine.deadline(session.now) {
                assert!(
                    due > session.now,
                    "{:?}: {due:?} at {:?}",
                    session.machine,
                    session.now
                );
                let before = format!("{:?}", session.view());
                session.now = due;
                let done = session.give(Event::Tick);
                if done.contains(&Action::MintCode) {
                    break;
                }
                let changed = before != format!("{:?}", session.view());
                assert!(
                    changed || !done.is_empty(),
                    "nothing changed at {due:?}: {before}"
                );
                wakes += 1;
                assert!(wakes < 2000, "it never rests");
            }
        }
    }

    #[test]
    fn the_code_is_seen_only_while_it_is_good() {
        let nameplate =
            etatuki_trust::Nameplate::new(etatuki_trust::CodeForm::SingleCode, "123456");
        let code = etatuki_trust::SessionCode::mint(nameplate.expect("six digits"), [7; 8]).shown();
        for session in states() {
            let seen = session
                .machine
                .view(session.now, Some(&code))
                .code
                .is_some();
            assert_eq!(seen, session.machine.state() == State::Waiting);
        }
        let burnt = TestSession::waiting().after([1, 2, 3].map(|_| Event::WrongGuess(agent())));
        assert!(burnt.machine.view(burnt.now, Some(&code)).code.is_none());
    }
}
