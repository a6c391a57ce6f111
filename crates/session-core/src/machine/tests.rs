//! One test for every edge of the drawing in `docs/session.md`: what goes in, which state comes out,
//! and the recorded list of actions.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions};
use etatuki_trust::CodeForm;

use super::*;
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

/// The built-in module: no tool.
const OURS: ProbedPlugin = ProbedPlugin {
    has_tool: false,
    takes_input: true,
    supports_app_sharing: true,
};

fn settings(resume: Option<Duration>) -> Settings {
    Settings {
        switchable: vec!["remoteus-2008".into()],
        resume,
        app_name: Some("Tilitin".into()),
        transport: Transport::Link(CodeForm::SingleCode),
    }
}

/// A machine, and the clock that the tests turn.
struct Bench {
    machine: Machine,
    now: Duration,
}

impl Bench {
    fn closed() -> Self {
        Self::with(settings(None))
    }

    fn with(settings: Settings) -> Self {
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

    /// Connected, and the first question is open.
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
        let mut bench = Self::with(settings(Some(Duration::from_secs(120))));
        for event in [
            Event::Command(Command::Open),
            Event::CodeReady,
            Event::Authenticated(agent()),
        ] {
            bench.give(event);
        }
        bench
            .answered(true)
            .after([Event::Asked(Ask::Control)])
            .answered(true)
            .after([Event::LinkLost])
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

    /// Waits for a time, and lets the machine know.
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

    /// The boundary check: this event gives that state and these actions.
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
        Bench::closed().check(
            Event::Command(Command::Open),
            State::Opening,
            &[Action::Start],
        );
    }

    #[test]
    fn opening_ready_waiting() {
        let mut bench = Bench::opening();
        bench.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        assert_eq!(bench.view().waiting_seconds_left, Some(600));
    }

    #[test]
    fn opening_failure_failed() {
        let unreachable = failure(FailureName::ServiceUnreachable);
        let mut bench = Bench::opening();
        bench.check(
            Event::Failed(unreachable.clone()),
            State::Failed,
            &[Action::DropCode, shutdown("service-unreachable")],
        );
        assert_eq!(bench.view().failure, Some(unreachable));
        assert!(!bench.machine.is_idle());
    }

    #[test]
    fn opening_close_closing() {
        Bench::opening().check(
            Event::Command(Command::Close),
            State::Closing,
            &[Action::DropCode, shutdown("customer-closed")],
        );
    }

    #[test]
    fn opening_has_a_limit() {
        let mut bench = Bench::opening();
        assert_eq!(
            bench.tick_after(OPENING_TIMEOUT),
            [Action::DropCode, shutdown("internal")]
        );
        assert_eq!(bench.machine.state(), State::Failed);
        assert_eq!(
            bench.view().failure.expect("it failed").name,
            FailureName::Internal
        );
    }

    #[test]
    fn waiting_noise_waiting() {
        let mut bench = Bench::waiting();
        bench.check(
            Event::AttemptAborted,
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        assert_eq!(bench.view().notices, []);
    }

    #[test]
    fn waiting_stranger_waiting() {
        let mut bench = Bench::waiting();
        bench.check(
            Event::UnauthorizedAttempt,
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        assert_eq!(bench.view().notices, [Notice::UnauthorizedAttempt]);
    }

    #[test]
    fn a_flood_of_strangers_hides_nobody() {
        let mut bench = Bench::waiting();
        for _ in 0..1000 {
            assert_eq!(
                bench.give(Event::UnauthorizedAttempt),
                [Action::AcceptAttempt]
            );
        }
        assert_eq!(bench.view().notices.len(), MAX_UNAUTHORIZED_NOTICES);
        bench.give(Event::WrongGuess(agent()));
        let wrong = Notice::WrongCodeTried {
            agent: agent(),
            left: 2,
        };
        assert_eq!(bench.view().notices.last(), Some(&wrong));
    }

    #[test]
    fn notices_are_bounded() {
        let mut bench = Bench::waiting();
        for _ in 0..1000 {
            bench.give(Event::ServiceLost);
        }
        assert_eq!(bench.view().notices.len(), MAX_NOTICES);
    }

    #[test]
    fn three_wrong_guesses_burn_the_code() {
        let mut bench = Bench::waiting();
        bench.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        bench.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
        bench.check(
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
        assert_eq!(bench.view().notices, expected);
        assert_eq!(bench.view().waiting_seconds_left, None);
        bench.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        bench.check(
            Event::WrongGuess(agent()),
            State::Waiting,
            &[Action::AcceptAttempt],
        );
    }

    #[test]
    fn nobody_gets_in_while_a_fresh_code_is_fetched() {
        let burnt = || Bench::waiting().after([1, 2, 3].map(|_| Event::WrongGuess(agent())));
        for event in [
            Event::Authenticated(agent()),
            Event::WrongGuess(agent()),
            Event::UnauthorizedAttempt,
            Event::AttemptAborted,
        ] {
            burnt().check(event, State::Waiting, &[]);
        }
    }

    #[test]
    fn a_code_is_renewed_after_ten_minutes() {
        let mut bench = Bench::waiting();
        assert_eq!(
            bench.tick_after(CODE_LIFETIME - Duration::from_millis(1)),
            []
        );
        assert_eq!(
            bench.tick_after(Duration::from_millis(1)),
            [Action::DropCode, Action::MintCode]
        );
        assert_eq!(bench.view().notices, [Notice::CodeRenewed]);
        bench.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
        assert_eq!(bench.view().waiting_seconds_left, Some(600));
    }

    #[test]
    fn a_service_that_comes_and_goes_leaves_the_code_alone() {
        let mut bench = Bench::waiting();
        bench.check(Event::ServiceLost, State::Waiting, &[]);
        bench.check(Event::ServiceBack, State::Waiting, &[]);
        assert_eq!(
            bench.view().notices,
            [Notice::ServiceLost, Notice::ServiceBack]
        );
    }

    /// A tool with its own transport: nobody of ours comes, and nothing is counted.
    fn own() -> Bench {
        let settings = Settings {
            transport: Transport::External,
            ..settings(None)
        };
        Bench::with(settings).after([Event::Command(Command::Open)])
    }

    #[test]
    fn a_tool_with_its_own_transport_says_who_is_there() {
        let mut bench = own();
        bench.check(Event::ExternalPeerConnected, State::Opening, &[]);
        bench.check(Event::CodeReady, State::Waiting, &[]);
        assert_eq!(bench.tick_after(CODE_LIFETIME), []);
        assert_eq!(bench.view().waiting_seconds_left, None);
        bench.check(Event::ExternalPeerConnected, State::Connected, &[]);
        for event in [
            Event::CodeReady,
            Event::Authenticated(agent()),
            Event::Asked(Ask::Control),
            Event::LinkLost,
            Event::PluginStreamClosed,
            Event::Command(Command::TakeBack),
        ] {
            bench.check(event, State::Connected, &[]);
        }
        bench.check(Event::ExternalPeerLeft, State::Waiting, &[]);
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
        let mut bench = Bench::waiting();
        let expected = [Action::DropCode, Action::MintCode];
        bench.check(Event::CodeForgotten, State::Waiting, &expected);
        bench.check(Event::ServiceLost, State::Waiting, &[]);
        assert_eq!(bench.view().notices, [Notice::CodeForgotten]);
        bench.check(Event::CodeReady, State::Waiting, &[Action::AcceptAttempt]);
    }

    #[test]
    fn waiting_failure_failed() {
        Bench::waiting().check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &[Action::DropCode, shutdown("plugin-died")],
        );
    }

    #[test]
    fn waiting_close_closing() {
        let mut bench = Bench::waiting();
        bench.check(
            Event::Command(Command::Close),
            State::Closing,
            &[Action::DropCode, shutdown("customer-closed")],
        );
        assert_eq!(bench.view().receipt, None);
    }

    #[test]
    fn waiting_agent_connected() {
        let expected = [
            Action::DeleteNameplate,
            Action::SendCustomerInfo,
            Action::BlockInput(true),
            Action::ReleaseInput,
            asking(Ask::View),
        ];
        let mut bench = Bench::waiting();
        bench.check(Event::Authenticated(agent()), State::Connected, &expected);
        assert_eq!(bench.view().permissions, NONE);
        assert_eq!(bench.view().agent, Some(agent()));
    }
}

mod questions {
    use super::*;

    #[test]
    fn view_allowed_attaches() {
        let mut bench = Bench::connected();
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the first question").id;
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(VIEW),
            Action::AttachPicture,
            answer(Ask::View, true, 3),
            told(VIEW),
        ];
        bench.check(
            Event::Command(Command::Answer {
                question,
                allow: true,
            }),
            State::Connected,
            &expected,
        );
        assert_eq!((bench.view().permissions, bench.question()), (VIEW, None));
    }

    /// Connected, with a plugin that can share one program alone; and what allows that.
    fn offered() -> (Bench, Event) {
        let mut bench =
            Bench::waiting().after([Event::PluginProbed(OURS), Event::Authenticated(agent())]);
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the first question").id;
        (bench, Event::Command(Command::AllowAppOnly { question }))
    }

    fn sharing(app_only: bool) -> Option<AppSharing> {
        let name = "Tilitin".to_owned();
        Some(AppSharing { name, app_only })
    }

    #[test]
    fn the_program_alone_is_limited_before_anything_is_attached() {
        let (mut bench, allow) = offered();
        assert_eq!(bench.view().app_sharing, sharing(false));
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(VIEW),
            Action::RestrictToApp,
            Action::AttachPicture,
            Action::SendCustomerInfo,
            answer(Ask::View, true, 3),
            told(VIEW),
        ];
        bench.check(allow, State::Connected, &expected);
        assert_eq!(bench.view().app_sharing, sharing(true));
        // The next one is asked anew, and so is what he may see.
        let closed = bench.after([Event::Command(Command::Close), Event::ShutdownDone]);
        let mut again = closed.after([Event::Command(Command::Open)]);
        assert_eq!(again.view().app_sharing, None);
        again.give(Event::PluginProbed(OURS));
        assert_eq!(again.view().app_sharing, sharing(false));
    }

    #[test]
    fn the_program_alone_is_no_answer_where_it_is_not_offered() {
        let unable = Bench::connected();
        let (able, _) = offered();
        let control = able.answered(true).after([Event::Asked(Ask::Control)]);
        for mut bench in [unable, control] {
            bench.wait(ANSWER_DELAY);
            let question = bench.question().expect("a question").id;
            let allow = Event::Command(Command::AllowAppOnly { question });
            bench.check(allow, State::Connected, &[]);
            assert!(bench.question().is_some());
        }
        let (mut early, _) = offered();
        early.now -= ANSWER_DELAY;
        let question = early.question().expect("a question").id;
        let allow = Event::Command(Command::AllowAppOnly { question });
        early.check(allow, State::Connected, &[]);
    }

    #[test]
    fn the_program_alone_stays_alone_when_the_link_comes_back() {
        let mut bench = Bench::with(settings(Some(Duration::from_secs(120)))).after([
            Event::Command(Command::Open),
            Event::PluginProbed(OURS),
            Event::CodeReady,
            Event::Authenticated(agent()),
        ]);
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the first question").id;
        bench.give(Event::Command(Command::AllowAppOnly { question }));
        bench.give(Event::LinkLost);
        let expected = [
            Action::SendCustomerInfo,
            told(VIEW),
            Action::RestrictToApp,
            Action::AttachPicture,
            Action::SendCustomerInfo,
        ];
        bench.check(Event::Resumed, State::Connected, &expected);
    }

    #[test]
    fn view_denied_stays_connected_without_a_picture() {
        let mut bench = Bench::connected();
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the first question").id;
        let expected = [Action::BlockInput(false), answer(Ask::View, false, 2)];
        bench.check(
            Event::Command(Command::Answer {
                question,
                allow: false,
            }),
            State::Connected,
            &expected,
        );
        assert_eq!(bench.view().permissions, NONE);
    }

    #[test]
    fn control_allowed() {
        let mut bench = Bench::viewing();
        let expected = [
            Action::BlockInput(true),
            Action::ReleaseInput,
            asking(Ask::Control),
        ];
        bench.check(Event::Asked(Ask::Control), State::Connected, &expected);
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the second question").id;
        let expected = [
            Action::BlockInput(false),
            Action::SetPermissions(BOTH),
            answer(Ask::Control, true, 3),
            told(BOTH),
        ];
        bench.check(
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
        let mut bench = Bench::connected();
        let id = bench.question().expect("the first question").id;
        for allow in [true, false] {
            let early = Event::Command(Command::Answer {
                question: id,
                allow,
            });
            bench.check(early, State::Connected, &[]);
        }
        bench.wait(ANSWER_DELAY - Duration::from_millis(1));
        assert!(!bench.question().expect("still open").answerable);
        bench.check(
            Event::Command(Command::Answer {
                question: id,
                allow: true,
            }),
            State::Connected,
            &[],
        );
        bench.wait(Duration::from_millis(1));
        assert!(bench.question().expect("still open").answerable);
    }

    #[test]
    fn an_answer_to_another_question_is_nothing() {
        let mut bench = Bench::connected();
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("the first question").id;
        for other in [0, question + 1, u32::MAX] {
            let stray = Event::Command(Command::Answer {
                question: other,
                allow: true,
            });
            bench.check(stray, State::Connected, &[]);
        }
        let mut bench = bench.answered(true);
        bench.check(
            Event::Command(Command::Answer {
                question,
                allow: false,
            }),
            State::Connected,
            &[],
        );
        bench.give(Event::Asked(Ask::Control));
        bench.wait(ANSWER_DELAY);
        let stale = Event::Command(Command::Answer {
            question,
            allow: true,
        });
        bench.check(stale, State::Connected, &[]);
    }

    #[test]
    fn silence_is_a_denial_after_a_minute() {
        let mut bench = Bench::connected();
        assert_eq!(
            bench.tick_after(QUESTION_TIMEOUT - Duration::from_millis(1)),
            []
        );
        assert_eq!(
            bench.question().map(|question| question.seconds_left),
            Some(1)
        );
        let expected = [Action::BlockInput(false), answer(Ask::View, false, 2)];
        assert_eq!(bench.tick_after(Duration::from_millis(1)), expected);
        assert_eq!(bench.question(), None);
    }

    #[test]
    fn after_three_denials_it_is_refused_without_asking() {
        for ask in [Ask::Control, switch("remoteus-2008")] {
            let mut bench = Bench::viewing();
            for _ in 0..MAX_DENIALS {
                bench.give(Event::Asked(ask.clone()));
                bench = bench.answered(false);
            }
            bench.check(
                Event::Asked(ask.clone()),
                State::Connected,
                &[answer(ask.clone(), false, 0)],
            );
            assert_eq!(bench.question(), None);
        }
    }

    #[test]
    fn the_first_question_is_one_of_the_three() {
        let mut bench = Bench::connected().answered(false);
        for left in [1, 0] {
            bench.give(Event::Asked(Ask::View));
            bench.wait(ANSWER_DELAY);
            let question = bench.question().expect("asked again").id;
            let expected = [Action::BlockInput(false), answer(Ask::View, false, left)];
            let no = Event::Command(Command::Answer {
                question,
                allow: false,
            });
            bench.check(no, State::Connected, &expected);
        }
        bench.check(
            Event::Asked(Ask::View),
            State::Connected,
            &[answer(Ask::View, false, 0)],
        );
    }

    #[test]
    fn each_permission_counts_for_itself() {
        let mut bench = Bench::connected()
            .answered(false)
            .after([Event::Asked(Ask::View)])
            .answered(true);
        bench.give(Event::Asked(Ask::Control));
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("asked").id;
        let no = Event::Command(Command::Answer {
            question,
            allow: false,
        });
        assert_eq!(
            bench.give(no),
            [Action::BlockInput(false), answer(Ask::Control, false, 2)]
        );
    }

    #[test]
    fn what_is_given_is_granted_at_once() {
        let mut bench = Bench::controlling();
        bench.check(
            Event::Asked(Ask::View),
            State::Connected,
            &[answer(Ask::View, true, 3)],
        );
        bench.check(
            Event::Asked(Ask::Control),
            State::Connected,
            &[answer(Ask::Control, true, 3)],
        );
    }

    #[test]
    fn control_needs_view_first() {
        let mut bench = Bench::connected().answered(false);
        bench.check(
            Event::Asked(Ask::Control),
            State::Connected,
            &[answer(Ask::Control, false, 3)],
        );
    }

    #[test]
    fn one_question_at_a_time() {
        let mut bench = Bench::viewing().after([Event::Asked(Ask::Control)]);
        let open = bench.question();
        bench.check(Event::Asked(Ask::Control), State::Connected, &[]);
        let other = switch("remoteus-2008");
        bench.check(
            Event::Asked(other.clone()),
            State::Connected,
            &[answer(other, false, 3)],
        );
        assert_eq!(bench.question(), open);
    }

    #[test]
    fn question_numbers_are_never_used_twice() {
        let mut seen = std::collections::BTreeSet::new();
        let mut bench = Bench::closed();
        for _ in 0..3 {
            for event in [
                Event::Command(Command::Open),
                Event::CodeReady,
                Event::Authenticated(agent()),
            ] {
                bench.give(event);
            }
            assert!(seen.insert(bench.question().expect("the first question").id));
            bench.give(Event::Command(Command::Close));
            bench.give(Event::ShutdownDone);
        }
    }

    #[test]
    fn switch_allowed_ends_with_the_backend_in_the_receipt() {
        let ask = switch("remoteus-2008");
        let mut bench = Bench::viewing().after([Event::Asked(ask.clone())]);
        bench.wait(ANSWER_DELAY);
        let question = bench.question().expect("asked").id;
        let expected = [
            Action::BlockInput(false),
            answer(ask, true, 3),
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended("switch"),
            shutdown("switch"),
        ];
        bench.check(
            Event::Command(Command::Answer {
                question,
                allow: true,
            }),
            State::Closing,
            &expected,
        );
        let receipt = bench.view().receipt.expect("an agent was there");
        assert_eq!(receipt.switch_to.as_deref(), Some("remoteus-2008"));
    }

    #[test]
    fn switch_to_what_is_not_usable_is_refused() {
        let mut bench = Bench::viewing();
        for backend in ["ecom", "../../evil", ""] {
            let ask = switch(backend);
            bench.check(
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
        let mut bench = Bench::viewing();
        let known = |usable| Event::Command(Command::OtherBackends(vec![other(usable)]));
        bench.check(known(false), State::Connected, &[Action::SendCustomerInfo]);
        bench.check(
            Event::Asked(ask.clone()),
            State::Connected,
            &[answer(ask.clone(), false, 3)],
        );
        bench.check(known(true), State::Connected, &[Action::SendCustomerInfo]);
        bench.give(Event::Asked(ask));
        assert!(bench.question().is_some());
        Bench::waiting().check(known(true), State::Waiting, &[]);
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
        let mut bench = Bench::controlling();
        bench.check(
            Event::Command(Command::TakeBack),
            State::Connected,
            &expected,
        );
        assert_eq!(bench.view().permissions, VIEW);
    }

    #[test]
    fn take_back_without_control_is_nothing() {
        Bench::viewing().check(Event::Command(Command::TakeBack), State::Connected, &[]);
        Bench::waiting().check(Event::Command(Command::TakeBack), State::Waiting, &[]);
    }

    #[test]
    fn the_agent_may_ask_again_after_a_take_back() {
        let mut bench = Bench::controlling().after([Event::Command(Command::TakeBack)]);
        bench.give(Event::Asked(Ask::Control));
        assert_eq!(
            bench.question().map(|question| question.ask),
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
        Bench::controlling().check(Event::Command(Command::Close), State::Closing, &expected);
    }

    #[test]
    fn connected_agent_end_closing() {
        let expected = stop_order(PROTOCOL_OF_END[1]);
        Bench::controlling().check(Event::AgentEnded, State::Closing, &expected);
    }

    #[test]
    fn without_permissions_there_is_nothing_to_withdraw() {
        let expected = [ended("customer-closed"), shutdown("customer-closed")];
        Bench::connected().check(Event::Command(Command::Close), State::Closing, &expected);
    }

    #[test]
    fn connected_failure_failed() {
        let expected = stop_order("agent-misbehaved");
        let event = Event::Failed(failure(FailureName::AgentMisbehaved));
        let mut bench = Bench::controlling();
        bench.check(event, State::Failed, &expected);
        assert_eq!(bench.question(), None);
        assert!(bench.view().receipt.is_some());
    }

    #[test]
    fn a_dead_display_fails_whatever_runs() {
        for bench in [Bench::opening(), Bench::waiting(), Bench::controlling()] {
            let bench = bench.after([Event::Command(Command::DisplayLost)]);
            let failure = bench.view().failure.map(|failure| failure.name);
            assert_eq!(failure, Some(FailureName::DisplayLost));
        }
    }

    #[test]
    fn a_dropped_link_fails_while_resuming_is_not_built() {
        let mut bench = Bench::controlling();
        bench.check(Event::LinkLost, State::Failed, &stop_order("link-lost"));
        assert_eq!(
            bench.view().failure.expect("it failed").name,
            FailureName::LinkLost
        );
    }

    #[test]
    fn a_gone_tool_may_say_why() {
        let mut bench = Bench::viewing();
        bench.check(Event::PluginStreamClosed, State::Connected, &[]);
        bench.check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &stop_order("plugin-died"),
        );
    }

    #[test]
    fn a_gone_tool_that_says_nothing_has_died() {
        let mut bench = Bench::viewing().after([Event::PluginStreamClosed]);
        assert_eq!(
            bench.machine.deadline(bench.now),
            Some(bench.now + STREAM_CLOSED_GRACE)
        );
        assert_eq!(
            bench.tick_after(STREAM_CLOSED_GRACE),
            stop_order("tool-died")
        );
        assert_eq!(bench.machine.state(), State::Failed);
    }

    /// Where no tool serves the picture, the plugin is to blame, however its code is printed.
    #[test]
    fn a_plugin_without_a_tool_has_failed() {
        let mut bench =
            Bench::viewing().after([Event::PluginProbed(OURS), Event::PluginStreamClosed]);
        assert_eq!(
            bench.tick_after(STREAM_CLOSED_GRACE),
            stop_order("plugin-failed")
        );
        let driven = ProbedPlugin {
            has_tool: true,
            ..OURS
        };
        let mut bench =
            Bench::viewing().after([Event::PluginProbed(driven), Event::PluginStreamClosed]);
        assert_eq!(
            bench.tick_after(STREAM_CLOSED_GRACE),
            stop_order("tool-died")
        );
    }

    /// Nobody is asked for what the backend can't do.
    #[test]
    fn control_of_a_backend_without_input_is_refused() {
        let view_only = ProbedPlugin {
            takes_input: false,
            ..OURS
        };
        let mut bench = Bench::viewing().after([Event::PluginProbed(view_only)]);
        let actions = bench.give(Event::Asked(Ask::Control));
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
        let mut bench = Bench::closing();
        bench.check(Event::ShutdownDone, State::Closed, &[]);
        assert!(bench.machine.is_idle());
    }

    #[test]
    fn failed_released_rests() {
        let mut bench = Bench::failed();
        bench.check(Event::ShutdownDone, State::Failed, &[]);
        assert!(bench.machine.is_idle());
        assert!(bench.view().failure.is_some());
    }

    #[test]
    fn ending_has_a_limit() {
        for (mut bench, state) in [
            (Bench::closing(), State::Closed),
            (Bench::failed(), State::Failed),
        ] {
            assert_eq!(
                bench.machine.deadline(bench.now),
                Some(bench.now + SHUTDOWN_TIMEOUT)
            );
            assert_eq!(bench.tick_after(SHUTDOWN_TIMEOUT), [Action::ForceStop]);
            assert_eq!(
                (bench.machine.state(), bench.machine.is_idle()),
                (state, true)
            );
        }
    }

    #[test]
    fn failed_open_opening() {
        let mut bench = Bench::failed().after([Event::ShutdownDone]);
        bench.check(
            Event::Command(Command::Open),
            State::Opening,
            &[Action::Start],
        );
        assert_eq!(bench.view().failure, None);
    }

    #[test]
    fn open_while_ending_waits_for_the_end() {
        for mut bench in [Bench::closing(), Bench::failed()] {
            let state = bench.machine.state();
            bench.check(Event::Command(Command::Open), state, &[]);
            bench.check(Event::ShutdownDone, State::Opening, &[Action::Start]);
        }
    }

    #[test]
    fn close_takes_such_an_open_back() {
        for mut bench in [Bench::closing(), Bench::failed()] {
            let state = bench.machine.state();
            bench.give(Event::Command(Command::Open));
            bench.check(Event::Command(Command::Close), state, &[]);
            assert_eq!(bench.give(Event::ShutdownDone), []);
        }
    }

    #[test]
    fn the_first_failure_stands() {
        let mut bench = Bench::failed();
        bench.check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Failed,
            &[],
        );
        assert_eq!(
            bench.view().failure.expect("it failed").name,
            FailureName::ServiceUnreachable
        );
        Bench::closing().check(
            Event::Failed(failure(FailureName::PluginDied)),
            State::Closing,
            &[],
        );
    }

    #[test]
    fn the_receipt_counts_what_was_permitted() {
        let mut bench = Bench::viewing();
        bench.wait(Duration::from_secs(60) - ANSWER_DELAY);
        let mut bench = bench.after([Event::Asked(Ask::Control)]).answered(true);
        bench.wait(Duration::from_secs(30));
        bench.give(Event::Command(Command::TakeBack));
        bench.wait(Duration::from_secs(10));
        bench.give(Event::AgentEnded);
        bench.wait(Duration::from_secs(5));
        let expected = Receipt {
            agent: agent(),
            viewed_seconds: 100,
            controlled_seconds: 30,
            switch_to: None,
        };
        assert_eq!(bench.view().receipt, Some(expected));
    }
}

#[test]
fn a_short_look_is_a_look() {
    let mut bench = Bench::viewing();
    bench.wait(Duration::from_millis(10));
    bench.give(Event::AgentEnded);
    let receipt = bench.view().receipt.expect("an agent was there");
    assert_eq!((receipt.viewed_seconds, receipt.controlled_seconds), (1, 0));
}

mod interrupted {
    use super::*;

    #[test]
    fn connected_link_lost_interrupted() {
        let bench = Bench::interrupted();
        assert_eq!(bench.machine.state(), State::Interrupted);
        assert_eq!(bench.view().interrupted_seconds_left, Some(120));
        assert_eq!(bench.view().permissions, BOTH);
    }

    #[test]
    fn the_drop_releases_what_is_held_and_ends_the_question() {
        let mut bench = Bench::with(settings(Some(Duration::from_secs(120))));
        for event in [
            Event::Command(Command::Open),
            Event::CodeReady,
            Event::Authenticated(agent()),
        ] {
            bench.give(event);
        }
        let expected = [Action::ReleaseInput, Action::BlockInput(false)];
        bench.check(Event::LinkLost, State::Interrupted, &expected);
        assert_eq!(bench.question(), None);
    }

    #[test]
    fn interrupted_resumed_connected() {
        let expected = [Action::SendCustomerInfo, told(BOTH), Action::AttachPicture];
        Bench::interrupted().check(Event::Resumed, State::Connected, &expected);
    }

    #[test]
    fn what_was_taken_back_meanwhile_stays_taken_back() {
        let mut bench = Bench::interrupted();
        let expected = [
            Action::ReleaseInput,
            Action::SetPermissions(VIEW),
            told(VIEW),
        ];
        bench.check(
            Event::Command(Command::TakeBack),
            State::Interrupted,
            &expected,
        );
        let expected = [Action::SendCustomerInfo, told(VIEW), Action::AttachPicture];
        bench.check(Event::Resumed, State::Connected, &expected);
    }

    #[test]
    fn interrupted_time_is_not_counted() {
        let mut bench = Bench::interrupted();
        bench.wait(Duration::from_secs(60));
        bench.give(Event::Resumed);
        bench.wait(Duration::from_secs(7));
        bench.give(Event::AgentEnded);
        let receipt = bench.view().receipt.expect("an agent was there");
        assert_eq!(receipt.controlled_seconds, 7);
    }

    #[test]
    fn interrupted_is_given_up_in_the_end() {
        let mut bench = Bench::interrupted();
        let expected = [
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended("link-lost"),
            shutdown("link-lost"),
        ];
        assert_eq!(bench.tick_after(Duration::from_secs(120)), expected);
        assert_eq!(bench.machine.state(), State::Failed);
    }

    #[test]
    fn interrupted_close_closing() {
        let expected = [
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended("customer-closed"),
            shutdown("customer-closed"),
        ];
        Bench::interrupted().check(Event::Command(Command::Close), State::Closing, &expected);
    }

    #[test]
    fn interrupted_failure_failed() {
        let expected = [
            Action::ReleaseInput,
            Action::SetPermissions(NONE),
            ended("tool-died"),
            shutdown("tool-died"),
        ];
        let event = Event::Failed(failure(FailureName::ToolDied));
        Bench::interrupted().check(event, State::Failed, &expected);
    }
}

mod always {
    use super::*;

    fn states() -> Vec<Bench> {
        vec![
            Bench::closed(),
            Bench::opening(),
            Bench::waiting(),
            Bench::connected(),
            Bench::interrupted(),
            Bench::closing(),
            Bench::failed(),
        ]
    }

    /// Events that mean nothing in a state do nothing there: all that aren't edges above.
    #[test]
    fn stray_events_do_nothing() {
        let idle = |state: State| -> Vec<Event> {
            let mut events = vec![Event::Tick];
            if state != State::Waiting {
                events.extend([
                    Event::AttemptAborted,
                    Event::UnauthorizedAttempt,
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
                    Event::LinkLost,
                    Event::PluginStreamClosed,
                ]);
            }
            if state != State::Interrupted {
                events.push(Event::Resumed);
            }
            if !matches!(state, State::Connected | State::Interrupted) {
                events.extend([Event::AgentEnded, Event::Command(Command::TakeBack)]);
            }
            if matches!(state, State::Closed | State::Closing | State::Failed) {
                events.push(Event::Command(Command::DisplayLost));
            }
            if !matches!(state, State::Closing | State::Failed) {
                events.push(Event::ShutdownDone);
            }
            events
        };
        for mut bench in states() {
            let state = bench.machine.state();
            for event in idle(state) {
                let before = format!("{:?}", bench.machine);
                assert_eq!(bench.give(event.clone()), [], "{event:?} in {state:?}");
                assert_eq!(
                    before,
                    format!("{:?}", bench.machine),
                    "{event:?} in {state:?}"
                );
            }
        }
    }

    /// At its deadline something changes, in the state or in what is seen; so the loop never spins.
    #[test]
    fn a_deadline_is_never_in_vain() {
        for mut bench in states() {
            let mut wakes = 0;
            while let Some(due) = bench.machine.deadline(bench.now) {
                assert!(
                    due > bench.now,
                    "{:?}: {due:?} at {:?}",
                    bench.machine,
                    bench.now
                );
                let before = format!("{:?}", bench.view());
                bench.now = due;
                let done = bench.give(Event::Tick);
                if done.contains(&Action::MintCode) {
                    break;
                }
                let changed = before != format!("{:?}", bench.view());
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
        for bench in states() {
            let seen = bench.machine.view(bench.now, Some(&code)).code.is_some();
            assert_eq!(seen, bench.machine.state() == State::Waiting);
        }
        let burnt = Bench::waiting().after([1, 2, 3].map(|_| Event::WrongGuess(agent())));
        assert!(burnt.machine.view(burnt.now, Some(&code)).code.is_none());
    }
}
