//! The page's state as it is sent to the page, in JSON. `web/src/protocol.ts` has the page's side.

use std::time::Duration;

use etatuki_link::PathKind;
use etatuki_protocol::{
    Ask, CustomerInfo, Permissions, QuestionText, ScreenCondition, ScreenStatus, ShownQuestion,
};
use etatuki_rfb::Rect;
use etatuki_trust::CodeForm;
use serde::Serialize;

use super::log_messages;
use crate::{
    message::Message,
    session::{AgentContext, TrafficReport},
};

/// Times that each permission may be asked for (docs/link-protocol.md).
const MAX_ASKS: u8 = 3;

/// The phase of the current or last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Waits for the first code.
    Ready,
    /// Asks the service for the customer's address.
    LookingUp,
    /// Connects to the customer.
    Connecting,
    /// The link is established.
    Connected,
    /// The link is interrupted, and may be resumed by itself.
    Interrupted,
    /// The session ended orderly.
    Ended,
    /// The session failed, before or after the link was established.
    Failed,
}

/// The whole state of the page.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "snapshot")]
pub(crate) struct Snapshot {
    about: About,
    pub(super) readiness: Readiness,
    pub(super) phase: Phase,
    pub(super) session: Option<SessionView>,
    pub(super) outcome: Option<OutcomeView>,
    pub(super) log: Vec<LogEntry>,
}

/// Whether the next code can be tried: the last check of service and card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum Readiness {
    /// Not checked yet.
    Checking,
    /// The service answers, and takes the agent's card.
    Ready,
    /// The service can't be reached, or doesn't work: the stable name of the failure.
    NoService { name: String },
    /// The service refuses the agent's card: the stable name of the card's fault.
    CardRefused { name: String },
}

/// The agent and the service.
#[derive(Clone, Debug, Serialize)]
struct About {
    version: &'static str,
    service: String,
    agent: Person,
    /// Unix time in seconds.
    card_expires: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Person {
    name: String,
    organisation: String,
}

/// The current or last session.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SessionView {
    pub(super) number: u64,
    pub(super) form: CodeForm,
    /// The part of the code that is not secret.
    pub(super) caption: String,
    pub(super) customer: Option<CustomerInfo>,
    pub(super) permissions: Permissions,
    /// The question on the customer's screen.
    pub(super) asking: Option<Asking>,
    pub(super) screen: ScreenView,
    pub(super) asks_left: AsksLeft,
    /// Whether the screen's size is known, so that a viewer can be attached.
    pub(super) picture: bool,
    /// `None` until the screen's size is known.
    pub(super) desktop: Option<Desktop>,
    /// Unix time in milliseconds.
    pub(super) connected_at: Option<u64>,
    /// Unix time in milliseconds at which an interrupted link is lost; `None` while it works.
    pub(super) interrupted_until: Option<u64>,
    /// Unix time in milliseconds until which the customer's launcher comes back after a restart; `None`
    /// if it doesn't.
    pub(super) restart_until: Option<u64>,
    /// Unix time in milliseconds.
    pub(super) ended_at: Option<u64>,
}

/// The customer's desktop in pixels, and its screens from left to right.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Desktop {
    width: u16,
    height: u16,
    screens: Vec<Screen>,
}

#[derive(Clone, Debug, Serialize)]
struct Screen {
    x: u16,
    y: u16,
    width: u16,
    height: u16,
}

/// The state of the customer's screen.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct ScreenView {
    condition: ScreenCondition,
    /// Unix time in milliseconds at which the picture was last known to be true; `None` while it
    /// is.
    true_at: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Asking {
    kind: &'static str,
    backend: Option<String>,
    /// The question in the customer's own words, once they have arrived.
    shown: Option<QuestionText>,
    /// Unix time in milliseconds at which the question counts as denied, known with `shown`.
    until: Option<u64>,
}

/// Questions that the agent may still ask.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct AsksLeft {
    pub(super) view: u8,
    pub(super) control: u8,
    pub(super) restart: u8,
}

/// The end of a session: its stable name, and the agent's sentence.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OutcomeView {
    pub(super) name: String,
    pub(super) text: Message,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LogEntry {
    /// Unix time in milliseconds.
    pub(super) at: u64,
    pub(super) kind: LogKind,
    pub(super) text: Message,
}

/// The kind of a log entry; it decides the entry's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogKind {
    Info,
    Asked,
    Given,
    Refused,
    Trouble,
}

/// An event that the page gets once: it is in no snapshot, and a page that opens later doesn't get
/// it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum EphemeralEvent {
    /// Bytes on the link since its start, and the network path that they take.
    Traffic {
        sent: u64,
        received: u64,
        path: PathKind,
        /// Round-trip time of that path in milliseconds.
        round_trip_ms: Option<u64>,
        /// Whether the customer's end was heard just now.
        heard: bool,
    },
    /// The customer moved the pointer to this position, in pixels of the desktop.
    Pointer { x: u16, y: u16 },
    /// The customer copied this text.
    Clipboard { text: String },
}

impl From<TrafficReport> for EphemeralEvent {
    fn from(report: TrafficReport) -> Self {
        Self::Traffic {
            sent: report.stats.sent,
            received: report.stats.received,
            path: report.path,
            round_trip_ms: report.round_trip.map(|time| time.as_millis() as u64),
            heard: report.heard,
        }
    }
}

impl ScreenView {
    /// Takes in what the customer's end says at `now`.
    pub(super) fn new(status: ScreenStatus, now: u64) -> Self {
        let age = 1000 * u64::from(status.age);
        Self {
            condition: status.condition,
            true_at: status.condition.is_stale().then(|| now.saturating_sub(age)),
        }
    }
}

impl Snapshot {
    /// Creates the state before the first session.
    pub(super) fn new(context: &AgentContext) -> Self {
        let claims = context.agent.card.claims();
        Self {
            about: About {
                version: env!("CARGO_PKG_VERSION"),
                service: context.service.origin().to_owned(),
                agent: Person {
                    name: claims.name.clone(),
                    organisation: claims.organisation.clone(),
                },
                card_expires: claims.expires.0,
            },
            readiness: Readiness::Checking,
            phase: Phase::Ready,
            session: None,
            outcome: None,
            log: Vec::new(),
        }
    }

    /// Returns whether a session is being started or runs.
    pub(crate) const fn is_busy(&self) -> bool {
        matches!(
            self.phase,
            Phase::LookingUp | Phase::Connecting | Phase::Connected | Phase::Interrupted
        )
    }
}

impl SessionView {
    /// Creates the view of a session that is being started.
    pub(super) fn new(number: u64, form: CodeForm, caption: String) -> Self {
        Self {
            number,
            form,
            caption,
            customer: None,
            permissions: Permissions::default(),
            asking: None,
            screen: ScreenView::default(),
            asks_left: AsksLeft {
                view: MAX_ASKS,
                control: MAX_ASKS,
                restart: MAX_ASKS,
            },
            picture: false,
            desktop: None,
            connected_at: None,
            interrupted_until: None,
            restart_until: None,
            ended_at: None,
        }
    }

    /// Records that a question was answered, and how often the agent may still ask. Returns the
    /// log's sentence.
    pub(super) fn on_answer(&mut self, ask: &Ask, allowed: bool, asks_left: u8) -> Message {
        self.asking = None;
        match ask {
            Ask::View => self.asks_left.view = asks_left,
            Ask::Control => self.asks_left.control = asks_left,
            Ask::Restart => self.asks_left.restart = asks_left,
            Ask::Switch { .. } => {}
        }
        log_messages::answer(ask, allowed, self.customer.as_ref())
    }

    /// Records for how long the customer's side comes back after a restart. Returns the log's entry.
    pub(super) fn on_restarting(
        &mut self,
        left: Option<Duration>,
        now: u64,
    ) -> Option<(LogKind, Message)> {
        let until = left.map(|left| after(left, now));
        let had = std::mem::replace(&mut self.restart_until, until);
        let withdrawn = had.is_some() && until.is_none();
        withdrawn.then_some((LogKind::Refused, log_messages::RESTART_WITHDRAWN))
    }
}

/// Returns the Unix time in milliseconds at which `left` is over.
pub(super) fn after(left: Duration, now: u64) -> u64 {
    now.saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}

impl LogKind {
    /// Returns the kind of a customer's answer.
    pub(super) const fn answer(allowed: bool) -> Self {
        if allowed { Self::Given } else { Self::Refused }
    }
}

impl Desktop {
    /// Converts a size in columns and rows, and screens from left to right.
    pub(super) fn new((width, height): (u16, u16), screens: &[Rect]) -> Self {
        let screen = |rect: &Rect| Screen {
            x: rect.x,
            y: rect.y,
            width: rect.w,
            height: rect.h,
        };
        Self {
            width,
            height,
            screens: screens.iter().map(screen).collect(),
        }
    }
}

impl From<Ask> for Asking {
    fn from(ask: Ask) -> Self {
        let (kind, backend) = match ask {
            Ask::View => ("view", None),
            Ask::Control => ("control", None),
            Ask::Restart => ("restart", None),
            Ask::Switch { backend } => ("switch", Some(backend)),
        };
        Self {
            kind,
            backend,
            shown: None,
            until: None,
        }
    }
}

impl Asking {
    /// Takes the customer's words of this question; those of another one are late, and dropped.
    pub(super) fn quote(&mut self, shown: ShownQuestion, now: u64) {
        let asked = Self::from(shown.ask);
        if (asked.kind, &asked.backend) == (self.kind, &self.backend) {
            self.until = Some(now + 1000 * u64::from(shown.seconds_left));
            self.shown = Some(shown.text);
        }
    }
}
