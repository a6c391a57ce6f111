//! One agent's visit: what he may do, what he has asked for, and for how long he could do what.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ToAgent};

use super::deadline::{next_second, seconds_left};
use super::{Action, Actions};
use crate::view::{Question, Receipt};

/// A question takes no answer before it has been on the screen this long: nobody shall answer what
/// he hasn't read, with a click that was meant for something else.
pub const ANSWER_DELAY: Duration = Duration::from_secs(1);
/// A question that nobody answers counts as denied after this long.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Denials after which the same thing is refused without asking.
pub const MAX_DENIALS: u8 = 3;

/// One agent's visit.
#[derive(Debug)]
pub(super) struct Consent {
    pub(super) agent: AgentIdentity,
    viewed: Stopwatch,
    controlled: Stopwatch,
    question: Option<OpenQuestion>,
    denials: Denials,
    switch_to: Option<String>,
    /// The customer lets him see and use one program alone.
    pub(super) app_only: bool,
}

#[derive(Debug)]
struct OpenQuestion {
    id: u32,
    ask: Ask,
    since: Duration,
}

/// Denials of each thing that can be asked for; all switches count as one thing.
#[derive(Debug, Default)]
struct Denials {
    view: u8,
    control: u8,
    switch: u8,
}

/// What an answer leads to.
pub(super) enum AnswerOutcome {
    /// It wasn't an answer to the open question, or came too early.
    Ignored,
    /// These actions.
    Continue(Actions),
    /// These, and then the session ends, for another backend takes over.
    Switch(Actions),
}

impl Consent {
    pub(super) fn new(agent: AgentIdentity) -> Self {
        Self {
            agent,
            viewed: Stopwatch::default(),
            controlled: Stopwatch::default(),
            question: None,
            denials: Denials::default(),
            switch_to: None,
            app_only: false,
        }
    }

    pub(super) fn permissions(&self) -> Permissions {
        Permissions {
            view: self.viewed.is_running(),
            control: self.controlled.is_running(),
        }
    }

    pub(super) fn question(&self, now: Duration) -> Option<Question> {
        self.question.as_ref().map(|open| Question {
            id: open.id,
            ask: open.ask.clone(),
            seconds_left: seconds_left(open.since + QUESTION_TIMEOUT, now),
            answerable: open.answerable(now),
        })
    }

    pub(super) fn receipt(&self, now: Duration) -> Receipt {
        Receipt {
            agent: self.agent.clone(),
            viewed_seconds: seconds_rounded_up(self.viewed.total(now)),
            controlled_seconds: seconds_rounded_up(self.controlled.total(now)),
            switch_to: self.switch_to.clone(),
        }
    }

    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let open = self.question.as_ref()?;
        let countdown = next_second(open.since + QUESTION_TIMEOUT, now);
        let answerable = Some(open.since + ANSWER_DELAY).filter(|_| !open.answerable(now));
        Some(answerable.map_or(countdown, |moment| moment.min(countdown)))
    }

    /// The agent asks. What he has already is granted at once. What can't be asked now is refused at
    /// once, and doesn't count as a denial.
    pub(super) fn ask(&mut self, ask: Ask, id: u32, now: Duration) -> Actions {
        let has = self.permissions();
        let granted = match ask {
            Ask::View => has.view,
            Ask::Control => has.control,
            Ask::Switch { .. } => false,
        };
        if granted {
            return vec![self.reply(ask, true)];
        }
        match &self.question {
            Some(open) if open.ask == ask => return vec![],
            Some(_) => return vec![self.refusal(ask)],
            None => {}
        }
        let too_early = ask == Ask::Control && !has.view;
        if too_early || self.asks_left(&ask) == 0 {
            return vec![self.refusal(ask)];
        }
        self.question = Some(OpenQuestion {
            id,
            ask: ask.clone(),
            since: now,
        });
        vec![
            Action::BlockInput(true),
            Action::ReleaseInput,
            Action::SendToAgent(ToAgent::Asking { ask }),
        ]
    }

    pub(super) fn answer(&mut self, question: u32, allow: bool, now: Duration) -> AnswerOutcome {
        let Some(open) = self
            .question
            .take_if(|open| open.id == question && open.answerable(now))
        else {
            return AnswerOutcome::Ignored;
        };
        if !allow {
            return AnswerOutcome::Continue(self.deny(open.ask));
        }
        let mut actions = vec![Action::BlockInput(false)];
        let mut attach = false;
        match &open.ask {
            Ask::View => {
                self.viewed.start(now);
                attach = true;
            }
            Ask::Control => self.controlled.start(now),
            Ask::Switch { backend } => {
                self.switch_to = Some(backend.clone());
                actions.push(self.reply(open.ask, true));
                return AnswerOutcome::Switch(actions);
            }
        }
        actions.push(Action::SetPermissions(self.permissions()));
        if attach {
            actions.extend(self.attach_picture());
        }
        actions.push(self.reply(open.ask, true));
        actions.push(Action::SendToAgent(ToAgent::Permissions(
            self.permissions(),
        )));
        AnswerOutcome::Continue(actions)
    }

    /// Allows looking on, at the program alone; nothing when that isn't what is asked.
    pub(super) fn allow_app_only(&mut self, question: u32, now: Duration) -> Actions {
        let asked = |open: &OpenQuestion| {
            open.id == question && open.ask == Ask::View && open.answerable(now)
        };
        if !self.question.as_ref().is_some_and(asked) {
            return vec![];
        }
        self.app_only = true;
        match self.answer(question, true, now) {
            AnswerOutcome::Continue(actions) => actions,
            AnswerOutcome::Ignored | AnswerOutcome::Switch(_) => vec![],
        }
    }

    /// The picture is connected; before it the limit, and the agent hears of that.
    fn attach_picture(&self) -> Actions {
        if self.app_only {
            vec![
                Action::RestrictToApp,
                Action::AttachPicture,
                Action::SendCustomerInfo,
            ]
        } else {
            vec![Action::AttachPicture]
        }
    }

    pub(super) fn take_back(&mut self, now: Duration) -> Actions {
        if !self.controlled.is_running() {
            return vec![];
        }
        self.controlled.stop(now);
        vec![
            Action::ReleaseInput,
            Action::SetPermissions(self.permissions()),
            Action::SendToAgent(ToAgent::Permissions(self.permissions())),
        ]
    }

    pub(super) fn tick(&mut self, now: Duration) -> Actions {
        match self
            .question
            .take_if(|open| now >= open.since + QUESTION_TIMEOUT)
        {
            Some(open) => self.deny(open.ask),
            None => vec![],
        }
    }

    /// The link dropped: nothing stays pressed, no question stays open, and no time is counted.
    /// What is permitted stays so, but for what the customer takes back meanwhile.
    pub(super) fn interrupt(&mut self, now: Duration) -> Actions {
        self.viewed.pause(now);
        self.controlled.pause(now);
        let mut actions = vec![Action::ReleaseInput];
        if self.question.take().is_some() {
            actions.push(Action::BlockInput(false));
        }
        actions
    }

    /// The agent is back.
    pub(super) fn resume(&mut self, now: Duration) -> Actions {
        self.viewed.resume(now);
        self.controlled.resume(now);
        let permissions = self.permissions();
        let mut actions = vec![
            Action::SendCustomerInfo,
            Action::SendToAgent(ToAgent::Permissions(permissions)),
        ];
        if permissions.view {
            actions.extend(self.attach_picture());
        }
        actions
    }

    pub(super) fn end(&mut self, now: Duration) -> Actions {
        self.question = None;
        let had = self.permissions();
        self.viewed.stop(now);
        self.controlled.stop(now);
        if had == Permissions::default() {
            return vec![];
        }
        vec![
            Action::ReleaseInput,
            Action::SetPermissions(self.permissions()),
        ]
    }

    /// No, without the customer having been asked.
    pub(super) fn refusal(&self, ask: Ask) -> Action {
        self.reply(ask, false)
    }

    fn deny(&mut self, ask: Ask) -> Actions {
        let count = match ask {
            Ask::View => &mut self.denials.view,
            Ask::Control => &mut self.denials.control,
            Ask::Switch { .. } => &mut self.denials.switch,
        };
        *count += 1;
        vec![Action::BlockInput(false), self.reply(ask, false)]
    }

    fn asks_left(&self, ask: &Ask) -> u8 {
        let denied = match ask {
            Ask::View => self.denials.view,
            Ask::Control => self.denials.control,
            Ask::Switch { .. } => self.denials.switch,
        };
        MAX_DENIALS.saturating_sub(denied)
    }

    fn reply(&self, ask: Ask, allowed: bool) -> Action {
        let asks_left = self.asks_left(&ask);
        Action::SendToAgent(ToAgent::Answer {
            ask,
            allowed,
            asks_left,
        })
    }
}

impl OpenQuestion {
    fn answerable(&self, now: Duration) -> bool {
        now >= self.since + ANSWER_DELAY
    }
}

/// Seconds, the begun one included: whoever looked for half a second has looked.
fn seconds_rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Counts for how long something was permitted. It holds the permission itself too, so that the two
/// can't disagree.
#[derive(Debug, Default)]
struct Stopwatch {
    before: Duration,
    now: StopwatchState,
}

#[derive(Clone, Copy, Debug, Default)]
enum StopwatchState {
    #[default]
    Off,
    Paused,
    Since(Duration),
}

impl Stopwatch {
    fn is_running(&self) -> bool {
        !matches!(self.now, StopwatchState::Off)
    }

    fn start(&mut self, now: Duration) {
        self.now = StopwatchState::Since(now);
    }

    fn pause(&mut self, now: Duration) {
        if self.is_running() {
            self.before = self.total(now);
            self.now = StopwatchState::Paused;
        }
    }

    fn resume(&mut self, now: Duration) {
        if matches!(self.now, StopwatchState::Paused) {
            self.now = StopwatchState::Since(now);
        }
    }

    fn stop(&mut self, now: Duration) {
        self.before = self.total(now);
        self.now = StopwatchState::Off;
    }

    fn total(&self, now: Duration) -> Duration {
        match self.now {
            StopwatchState::Since(since) => self.before + now.saturating_sub(since),
            StopwatchState::Off | StopwatchState::Paused => self.before,
        }
    }
}
