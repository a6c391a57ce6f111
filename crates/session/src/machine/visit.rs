//! One agent's visit: what he may do, what he has asked for, and for how long he could do what.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ToAgent};

use super::deadline::{next_second, seconds_left};
use super::{Action, Actions};
use crate::view::{Question, Receipt};

/// A question takes no answer before it has been on the screen this long: nobody shall answer what
/// he hasn't read, with a click that was meant for something else.
pub const QUESTION_HOLD: Duration = Duration::from_secs(1);
/// A question that nobody answers counts as denied after this long.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// Denials after which the same thing is refused without asking.
pub const ASKS: u8 = 3;

/// One agent's visit.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) agent: AgentIdentity,
    viewed: Meter,
    controlled: Meter,
    open: Option<Open>,
    denials: Denials,
    switch_to: Option<String>,
    /// The customer lets him see and use one program alone.
    pub(super) alone: bool,
}

#[derive(Debug)]
struct Open {
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
pub(super) enum Answered {
    /// It wasn't an answer to the open question, or came too early.
    Nothing,
    /// These actions.
    Actions(Actions),
    /// These, and then the session ends, for another backend takes over.
    Switch(Actions),
}

impl Visit {
    pub(super) fn new(agent: AgentIdentity) -> Self {
        Self {
            agent,
            viewed: Meter::default(),
            controlled: Meter::default(),
            open: None,
            denials: Denials::default(),
            switch_to: None,
            alone: false,
        }
    }

    pub(super) fn permissions(&self) -> Permissions {
        Permissions {
            view: self.viewed.runs(),
            control: self.controlled.runs(),
        }
    }

    pub(super) fn question(&self, now: Duration) -> Option<Question> {
        self.open.as_ref().map(|open| Question {
            id: open.id,
            ask: open.ask.clone(),
            seconds_left: seconds_left(open.since + QUESTION_LIMIT, now),
            answerable: open.answerable(now),
        })
    }

    pub(super) fn receipt(&self, now: Duration) -> Receipt {
        Receipt {
            agent: self.agent.clone(),
            viewed_seconds: begun_seconds(self.viewed.total(now)),
            controlled_seconds: begun_seconds(self.controlled.total(now)),
            switch_to: self.switch_to.clone(),
        }
    }

    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let countdown = next_second(open.since + QUESTION_LIMIT, now);
        let answerable = Some(open.since + QUESTION_HOLD).filter(|_| !open.answerable(now));
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
        match &self.open {
            Some(open) if open.ask == ask => return vec![],
            Some(_) => return vec![self.refusal(ask)],
            None => {}
        }
        let too_early = ask == Ask::Control && !has.view;
        if too_early || self.asks_left(&ask) == 0 {
            return vec![self.refusal(ask)];
        }
        self.open = Some(Open {
            id,
            ask: ask.clone(),
            since: now,
        });
        vec![
            Action::Mute(true),
            Action::ReleaseInput,
            Action::Tell(ToAgent::Asking { ask }),
        ]
    }

    pub(super) fn answer(&mut self, question: u32, allow: bool, now: Duration) -> Answered {
        let Some(open) = self
            .open
            .take_if(|open| open.id == question && open.answerable(now))
        else {
            return Answered::Nothing;
        };
        if !allow {
            return Answered::Actions(self.deny(open.ask));
        }
        let mut actions = vec![Action::Mute(false)];
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
                return Answered::Switch(actions);
            }
        }
        actions.push(Action::Permit(self.permissions()));
        if attach {
            actions.extend(self.attach());
        }
        actions.push(self.reply(open.ask, true));
        actions.push(Action::Tell(ToAgent::Permissions(self.permissions())));
        Answered::Actions(actions)
    }

    /// Allows looking on, at the program alone; nothing when that isn't what is asked.
    pub(super) fn allow_program(&mut self, question: u32, now: Duration) -> Actions {
        let asked =
            |open: &Open| open.id == question && open.ask == Ask::View && open.answerable(now);
        if !self.open.as_ref().is_some_and(asked) {
            return vec![];
        }
        self.alone = true;
        match self.answer(question, true, now) {
            Answered::Actions(actions) => actions,
            Answered::Nothing | Answered::Switch(_) => vec![],
        }
    }

    /// The picture is connected; before it the limit, and the agent hears of that.
    fn attach(&self) -> Actions {
        if self.alone {
            vec![Action::Limit, Action::Attach, Action::Introduce]
        } else {
            vec![Action::Attach]
        }
    }

    pub(super) fn take_back(&mut self, now: Duration) -> Actions {
        if !self.controlled.runs() {
            return vec![];
        }
        self.controlled.stop(now);
        vec![
            Action::ReleaseInput,
            Action::Permit(self.permissions()),
            Action::Tell(ToAgent::Permissions(self.permissions())),
        ]
    }

    pub(super) fn tick(&mut self, now: Duration) -> Actions {
        match self.open.take_if(|open| now >= open.since + QUESTION_LIMIT) {
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
        if self.open.take().is_some() {
            actions.push(Action::Mute(false));
        }
        actions
    }

    /// The agent is back.
    pub(super) fn resume(&mut self, now: Duration) -> Actions {
        self.viewed.go_on(now);
        self.controlled.go_on(now);
        let permissions = self.permissions();
        let mut actions = vec![
            Action::Introduce,
            Action::Tell(ToAgent::Permissions(permissions)),
        ];
        if permissions.view {
            actions.extend(self.attach());
        }
        actions
    }

    pub(super) fn end(&mut self, now: Duration) -> Actions {
        self.open = None;
        let had = self.permissions();
        self.viewed.stop(now);
        self.controlled.stop(now);
        if had == Permissions::default() {
            return vec![];
        }
        vec![Action::ReleaseInput, Action::Permit(self.permissions())]
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
        vec![Action::Mute(false), self.reply(ask, false)]
    }

    fn asks_left(&self, ask: &Ask) -> u8 {
        let denied = match ask {
            Ask::View => self.denials.view,
            Ask::Control => self.denials.control,
            Ask::Switch { .. } => self.denials.switch,
        };
        ASKS.saturating_sub(denied)
    }

    fn reply(&self, ask: Ask, allowed: bool) -> Action {
        let asks_left = self.asks_left(&ask);
        Action::Tell(ToAgent::Answer {
            ask,
            allowed,
            asks_left,
        })
    }
}

impl Open {
    fn answerable(&self, now: Duration) -> bool {
        now >= self.since + QUESTION_HOLD
    }
}

/// Seconds, the begun one included: whoever looked for half a second has looked.
fn begun_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Counts for how long something was permitted. It holds the permission itself too, so that the two
/// can't disagree.
#[derive(Debug, Default)]
struct Meter {
    before: Duration,
    now: Run,
}

#[derive(Clone, Copy, Debug, Default)]
enum Run {
    #[default]
    Off,
    Paused,
    Since(Duration),
}

impl Meter {
    fn runs(&self) -> bool {
        !matches!(self.now, Run::Off)
    }

    fn start(&mut self, now: Duration) {
        self.now = Run::Since(now);
    }

    fn pause(&mut self, now: Duration) {
        if self.runs() {
            self.before = self.total(now);
            self.now = Run::Paused;
        }
    }

    fn go_on(&mut self, now: Duration) {
        if matches!(self.now, Run::Paused) {
            self.now = Run::Since(now);
        }
    }

    fn stop(&mut self, now: Duration) {
        self.before = self.total(now);
        self.now = Run::Off;
    }

    fn total(&self, now: Duration) -> Duration {
        match self.now {
            Run::Since(since) => self.before + now.saturating_sub(since),
            Run::Off | Run::Paused => self.before,
        }
    }
}
