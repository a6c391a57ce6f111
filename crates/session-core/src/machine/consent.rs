//! The customer's consent towards one agent: permissions, the open question, and the time for
//! which each permission was in force.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, QuestionText, ShownQuestion, ToAgent};

use etatuki_trust::RESTART_LIFETIME;

use super::deadline::{next_second, seconds_left};
use super::stopwatch::Stopwatch;
use super::{Action, Actions};
use crate::view::{Question, Receipt};

/// Time for which a question must have been on the screen before it takes an answer. Nobody shall
/// answer an unread question with a click that was meant for something else.
pub const ANSWER_DELAY: Duration = Duration::from_secs(1);
/// Time after which an unanswered question counts as denied.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Denials after which the same thing is refused without asking.
pub const MAX_DENIALS: u8 = 3;

/// The customer's consent towards one agent.
#[derive(Debug)]
pub(super) struct Consent {
    pub(super) agent: AgentIdentity,
    view: Stopwatch,
    control: Stopwatch,
    question: Option<OpenQuestion>,
    /// The question that was open when the link was interrupted.
    interrupted_question: Option<Ask>,
    denials: Denials,
    restart: Restart,
    switch_to: Option<String>,
    /// Whether the customer lets the agent see and use the accounting program alone.
    pub(super) app_only: bool,
}

/// A question on the customer's screen.
#[derive(Debug)]
struct OpenQuestion {
    id: u32,
    ask: Ask,
    since: Duration,
}

/// Denials of each kind of request. All switches are one kind.
#[derive(Debug, Default)]
struct Denials {
    view: u8,
    control: u8,
    restart: u8,
    switch: u8,
}

/// The permission to come back after a restart of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Restart {
    #[default]
    Refused,
    /// The customer has said yes at this moment; what it needs isn't kept yet.
    Keeping(Duration),
    /// Good until this moment.
    Kept(Duration),
}

/// The outcome of an answer.
pub(super) enum AnswerOutcome {
    /// The answer was to no open question, or came too early.
    Ignored,
    /// The session goes on with these actions.
    Continue(Actions),
    /// The session ends after these actions, because another backend takes over.
    Switch(Actions),
}

impl Consent {
    /// Permits nothing yet.
    pub(super) fn new(agent: AgentIdentity) -> Self {
        Self {
            agent,
            view: Stopwatch::default(),
            control: Stopwatch::default(),
            question: None,
            interrupted_question: None,
            denials: Denials::default(),
            restart: Restart::default(),
            switch_to: None,
            app_only: false,
        }
    }

    /// Makes the consent of a session that goes on after a restart: none, and the question whether the
    /// agent may look is asked as soon as they are back.
    pub(super) fn after_restart(agent: AgentIdentity) -> Self {
        Self {
            interrupted_question: Some(Ask::View),
            ..Self::new(agent)
        }
    }

    pub(super) fn permissions(&self) -> Permissions {
        Permissions {
            view: self.view.is_on(),
            control: self.control.is_on(),
        }
    }

    pub(super) fn question(&self, now: Duration) -> Option<Question> {
        self.question.as_ref().map(|open| Question {
            id: open.id,
            ask: open.ask.clone(),
            seconds_left: seconds_left(open.since + QUESTION_TIMEOUT, now),
            answerable: open.is_answerable(now),
        })
    }

    /// Returns the message that quotes the question with this id to the agent, if it is open.
    pub(super) fn question_shown(
        &self,
        question: u32,
        text: QuestionText,
        now: Duration,
    ) -> Option<Action> {
        let open = self.question(now).filter(|open| open.id == question)?;
        let seconds_left = u16::try_from(open.seconds_left).unwrap_or(u16::MAX);
        let shown = ShownQuestion {
            ask: open.ask,
            seconds_left,
            text,
        };
        Some(Action::SendToAgent(ToAgent::Shown(Box::new(shown))))
    }

    pub(super) fn receipt(&self, app_name: Option<&str>, now: Duration) -> Receipt {
        let program = app_name.filter(|_| self.app_only).map(str::to_owned);
        Receipt {
            agent: self.agent.clone(),
            viewed_seconds: self.view.seconds(now),
            controlled_seconds: self.control.seconds(now),
            program,
            switch_to: self.switch_to.clone(),
        }
    }

    /// Returns the next moment at which the question's view changes, or a permission ends.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let restart = match self.restart {
            Restart::Kept(until) => Some(until),
            Restart::Refused | Restart::Keeping(_) => None,
        };
        [self.question_deadline(now), restart]
            .into_iter()
            .flatten()
            .min()
    }

    fn question_deadline(&self, now: Duration) -> Option<Duration> {
        let open = self.question.as_ref()?;
        let countdown = next_second(open.since + QUESTION_TIMEOUT, now);
        let answerable = Some(open.since + ANSWER_DELAY).filter(|_| !open.is_answerable(now));
        Some(answerable.map_or(countdown, |moment| moment.min(countdown)))
    }

    /// Handles a request of the agent's. A permission that they have is granted at once. A request
    /// that can't be asked now is refused at once and doesn't count as a denial.
    pub(super) fn ask(&mut self, ask: Ask, id: u32, now: Duration) -> Actions {
        let has = self.permissions();
        let granted = match ask {
            Ask::View => has.view,
            Ask::Control => has.control,
            Ask::Restart => self.restart_allowed(),
            Ask::Switch { .. } => false,
        };
        if granted {
            return vec![self.grant(ask)];
        }
        match &self.question {
            Some(open) if open.ask == ask => return vec![],
            Some(_) => return vec![self.refusal(ask)],
            None => {}
        }
        let too_early = matches!(ask, Ask::Control | Ask::Restart) && !has.view;
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
            .take_if(|open| open.id == question && open.is_answerable(now))
        else {
            return AnswerOutcome::Ignored;
        };
        if !allow {
            return AnswerOutcome::Continue(self.deny(open.ask));
        }
        let mut actions = vec![Action::BlockInput(false)];
        match &open.ask {
            Ask::View => self.view.start(now),
            Ask::Control => self.control.start(now),
            Ask::Restart => {
                self.restart = Restart::Keeping(now);
                actions.push(Action::KeepRestart);
                return AnswerOutcome::Continue(actions);
            }
            Ask::Switch { backend } => {
                self.switch_to = Some(backend.clone());
                actions.push(self.grant(open.ask));
                return AnswerOutcome::Switch(actions);
            }
        }
        actions.push(Action::SetPermissions(self.permissions()));
        if open.ask == Ask::View {
            actions.extend(self.attach_picture());
        }
        actions.push(self.grant(open.ask));
        actions.push(self.tell_permissions());
        AnswerOutcome::Continue(actions)
    }

    /// Allows viewing of the accounting program alone. Does nothing if another thing was asked.
    pub(super) fn allow_app_only(&mut self, question: u32, now: Duration) -> Actions {
        let is_asked = |open: &OpenQuestion| {
            open.id == question && open.ask == Ask::View && open.is_answerable(now)
        };
        if !self.question.as_ref().is_some_and(is_asked) {
            return vec![];
        }
        self.app_only = true;
        match self.answer(question, true, now) {
            AnswerOutcome::Continue(actions) => actions,
            AnswerOutcome::Ignored | AnswerOutcome::Switch(_) => vec![],
        }
    }

    /// Attaches the picture, after the restriction to the program if there is one. The agent is
    /// told of the restriction.
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
        if !self.control.is_on() {
            return vec![];
        }
        self.control.stop(now);
        vec![
            Action::ReleaseInput,
            Action::SetPermissions(self.permissions()),
            self.tell_permissions(),
        ]
    }

    /// Takes control back while the link is interrupted: it doesn't come back with the link.
    pub(super) fn withdraw_control(&mut self, now: Duration) {
        self.control.stop(now);
    }

    /// Denies the open question if its time is over, and ends the permission to come back with its
    /// time.
    pub(super) fn tick(&mut self, now: Duration) -> Actions {
        let overdue = self
            .question
            .take_if(|open| now >= open.since + QUESTION_TIMEOUT);
        let mut actions = overdue.map_or_else(Vec::new, |open| self.deny(open.ask));
        if matches!(self.restart, Restart::Kept(until) if now >= until) {
            actions.extend(self.withdraw_restart());
        }
        actions
    }

    /// Returns whether the launcher comes back after a restart.
    pub(super) fn restart_allowed(&self) -> bool {
        matches!(self.restart, Restart::Kept(_))
    }

    /// Handles the outcome of [`Action::KeepRestart`]: of the first after the customer's yes, or of one
    /// after a resume. The time runs from the yes.
    pub(super) fn restart_kept(&mut self, kept: bool, now: Duration) -> Actions {
        let (until, is_first) = match self.restart {
            Restart::Refused => return vec![Action::ForgetRestart],
            Restart::Keeping(since) => (since + Duration::from_secs(RESTART_LIFETIME), true),
            Restart::Kept(until) => (until, false),
        };
        if !kept {
            let mut actions = self.withdraw_restart();
            if is_first {
                actions.push(self.refusal(Ask::Restart));
            }
            return actions;
        }
        self.restart = Restart::Kept(until);
        let mut actions = vec![tell_restart(seconds_left(until, now))];
        if is_first {
            actions.push(self.grant(Ask::Restart));
        }
        actions
    }

    /// Withdraws the permission to come back, and tells the agent.
    pub(super) fn withdraw_restart(&mut self) -> Actions {
        let mut actions = self.forget_restart();
        if !actions.is_empty() {
            actions.push(tell_restart(0));
        }
        actions
    }

    /// Withdraws the permission to come back.
    pub(super) fn forget_restart(&mut self) -> Actions {
        match std::mem::take(&mut self.restart) {
            Restart::Refused => vec![],
            Restart::Keeping(_) | Restart::Kept(_) => vec![Action::ForgetRestart],
        }
    }

    /// Handles an interruption of the link at `since`: what the agent holds is released, control
    /// counts no longer, no question stays open, and no time is counted. Permissions are kept, less
    /// what the customer withdraws meanwhile.
    pub(super) fn interrupt(&mut self, since: Duration) -> Actions {
        self.view.pause(since);
        self.control.pause(since);
        self.interrupted_question = self.question.take().map(|open| open.ask);
        let mut actions = vec![Action::ReleaseInput];
        if self.control.is_on() {
            let control = false;
            actions.push(Action::SetPermissions(Permissions {
                control,
                ..self.permissions()
            }));
        }
        actions
    }

    /// Handles the return of the agent after an interruption. Returns the actions, and the question
    /// that the interruption ended. The picture stays attached.
    pub(super) fn resume(&mut self, now: Duration) -> (Actions, Option<Ask>) {
        self.view.resume(now);
        self.control.resume(now);
        let mut actions = vec![Action::AdoptLink];
        if self.restart != Restart::Refused {
            // The link's key has moved.
            actions.push(Action::KeepRestart);
        }
        actions.extend([
            Action::SetPermissions(self.permissions()),
            Action::SendCustomerInfo,
            self.tell_permissions(),
        ]);
        (actions, self.interrupted_question.take())
    }

    /// Ends all permissions. What the agent holds is released first.
    pub(super) fn end(&mut self, now: Duration) -> Actions {
        self.question = None;
        self.interrupted_question = None;
        let had = self.permissions();
        self.view.stop(now);
        self.control.stop(now);
        if had == Permissions::default() {
            return vec![];
        }
        vec![
            Action::ReleaseInput,
            Action::SetPermissions(self.permissions()),
        ]
    }

    /// Tells the agent that the request is granted.
    fn grant(&self, ask: Ask) -> Action {
        self.reply(ask, true)
    }

    /// Tells the agent that the request is refused.
    pub(super) fn refusal(&self, ask: Ask) -> Action {
        self.reply(ask, false)
    }

    fn deny(&mut self, ask: Ask) -> Actions {
        let count = match ask {
            Ask::View => &mut self.denials.view,
            Ask::Control => &mut self.denials.control,
            Ask::Restart => &mut self.denials.restart,
            Ask::Switch { .. } => &mut self.denials.switch,
        };
        *count += 1;
        vec![Action::BlockInput(false), self.refusal(ask)]
    }

    fn asks_left(&self, ask: &Ask) -> u8 {
        let denied = match ask {
            Ask::View => self.denials.view,
            Ask::Control => self.denials.control,
            Ask::Restart => self.denials.restart,
            Ask::Switch { .. } => self.denials.switch,
        };
        MAX_DENIALS.saturating_sub(denied)
    }

    fn tell_permissions(&self) -> Action {
        Action::SendToAgent(ToAgent::Permissions(self.permissions()))
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

fn tell_restart(seconds_left: u32) -> Action {
    let seconds_left = u16::try_from(seconds_left).unwrap_or(u16::MAX);
    Action::SendToAgent(ToAgent::Restarting { seconds_left })
}

impl OpenQuestion {
    fn is_answerable(&self, now: Duration) -> bool {
        now >= self.since + ANSWER_DELAY
    }
}
