//! What the page shows, folded from a session's events: pure, time comes in. `web/src/protocol.ts` is the
//! other side of its JSON.

use etatuki_link::{Ask, CustomerInfo, PathKind, Permissions};
use etatuki_trust::CodeForm;
use serde::Serialize;

use super::words;
use crate::{
    code::Code,
    session::{Event, Office},
    trouble::{Trouble, ended_sentence},
};

/// The log keeps this many lines.
const MAX_LOG: usize = 500;
/// How often each permission may be asked for (see the link's protocol).
const ASKS: u8 = 3;

/// Where the desk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Waits for a code; there was no session yet.
    Ready,
    /// The service is asked.
    LookingUp,
    /// The customer is dialled.
    Connecting,
    /// There is a link.
    Connected,
    /// The session ended in good order.
    Ended,
    /// There was no session, or it broke off.
    Failed,
}

/// All of the page.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "snapshot")]
pub(crate) struct Snapshot {
    about: About,
    /// See [`Phase`].
    pub(crate) phase: Phase,
    session: Option<SessionView>,
    outcome: Option<Outcome>,
    log: Vec<LogEntry>,
}

impl Snapshot {
    /// Whether a session runs or is being begun.
    pub(crate) const fn is_busy(&self) -> bool {
        matches!(
            self.phase,
            Phase::LookingUp | Phase::Connecting | Phase::Connected
        )
    }
}

/// Who works here.
#[derive(Clone, Debug, Serialize)]
struct About {
    version: &'static str,
    service: String,
    agent: Person,
    card_expires: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Person {
    name: String,
    organisation: String,
}

#[derive(Clone, Debug, Serialize)]
struct SessionView {
    number: u64,
    form: CodeForm,
    caption: String,
    customer: Option<CustomerInfo>,
    permissions: Permissions,
    asking: Option<Asking>,
    asks_left: AsksLeft,
    picture: bool,
    connected_at: Option<u64>,
    ended_at: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct Asking {
    kind: &'static str,
    backend: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct AsksLeft {
    view: u8,
    control: u8,
}

#[derive(Clone, Debug, Serialize)]
struct Outcome {
    name: String,
    text: String,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LogEntry {
    /// Milliseconds since 1970.
    pub(super) at: u64,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What sort of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Info,
    Asked,
    Given,
    Refused,
    Trouble,
}

/// What passes by and isn't kept.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Extra {
    /// Bytes on the link, and which way they go.
    Traffic {
        sent: u64,
        received: u64,
        path: PathKind,
    },
    /// The customer copied this.
    Clipboard { text: String },
}

/// The state behind the snapshots.
#[derive(Debug)]
pub(crate) struct View(Snapshot);

impl View {
    /// Nothing has happened.
    pub(crate) fn new(office: &Office) -> Self {
        let claims = office.agent.card.claims();
        Self(Snapshot {
            about: About {
                version: env!("CARGO_PKG_VERSION"),
                service: office.service.origin().to_owned(),
                agent: Person {
                    name: claims.name.clone(),
                    organisation: claims.organisation.clone(),
                },
                card_expires: claims.expires.0,
            },
            phase: Phase::Ready,
            session: None,
            outcome: None,
            log: Vec::new(),
        })
    }

    /// What to show now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.clone()
    }

    /// A code was given; the log begins anew.
    pub(crate) fn begin(&mut self, code: &Code, now: u64) {
        let form = code.nameplate.form();
        let number = self.0.session.as_ref().map_or(0, |session| session.number) + 1;
        let caption = code.caption();
        self.0.phase = Phase::LookingUp;
        self.0.outcome = None;
        self.0.log.clear();
        self.note(now, Kind::Info, words::code_typed(form, &caption));
        self.0.session = Some(SessionView {
            number,
            form,
            caption,
            customer: None,
            permissions: Permissions::default(),
            asking: None,
            asks_left: AsksLeft {
                view: ASKS,
                control: ASKS,
            },
            picture: false,
            connected_at: None,
            ended_at: None,
        });
    }

    /// Both ends have proved themselves.
    pub(crate) fn linked(&mut self, now: u64) {
        self.0.phase = Phase::Connected;
        if let Some(session) = &mut self.0.session {
            session.connected_at = Some(now);
        }
        self.note(now, Kind::Info, "Connected, encrypted from end to end");
    }

    /// Something happened in the session.
    pub(crate) fn take_in(&mut self, event: Event, now: u64) {
        let Some(session) = &mut self.0.session else {
            return;
        };
        let line = match event {
            Event::Found => {
                self.0.phase = Phase::Connecting;
                None
            }
            Event::Customer(info) => {
                let line = words::customer(&info);
                session.customer = Some(info);
                Some((Kind::Info, line))
            }
            Event::Permissions(permissions) => {
                let before = std::mem::replace(&mut session.permissions, permissions);
                words::taken_back(before, permissions).map(|line| (Kind::Refused, line.to_owned()))
            }
            Event::Asked(ask) => Some((Kind::Asked, words::asked(&ask, session.customer.as_ref()))),
            Event::Asking(ask) => {
                let line = words::asking(&ask).map(|line| (Kind::Asked, line.to_owned()));
                session.asking = Some(ask.into());
                line
            }
            Event::Answer {
                ask,
                allowed,
                asks_left,
            } => {
                session.asking = None;
                match ask {
                    Ask::View => session.asks_left.view = asks_left,
                    Ask::Control => session.asks_left.control = asks_left,
                    Ask::Switch { .. } => {}
                }
                let kind = if allowed { Kind::Given } else { Kind::Refused };
                Some((
                    kind,
                    words::answer(&ask, allowed, session.customer.as_ref()),
                ))
            }
            Event::Picture => {
                session.picture = true;
                None
            }
            Event::Linked(_) | Event::Clipboard(_) | Event::Traffic(..) => None,
        };
        if let Some((kind, text)) = line {
            self.note(now, kind, text);
        }
    }

    /// The session ended in good order.
    pub(crate) fn ended(&mut self, reason: &str, now: u64) {
        self.finish(
            Phase::Ended,
            reason.to_owned(),
            ended_sentence(reason).to_owned(),
            Kind::Info,
            now,
        );
    }

    /// There was no session, or it broke off.
    pub(crate) fn failed(&mut self, trouble: &Trouble, now: u64) {
        self.finish(
            Phase::Failed,
            trouble.name().to_owned(),
            trouble.sentence(),
            Kind::Trouble,
            now,
        );
    }

    fn finish(&mut self, phase: Phase, name: String, text: String, kind: Kind, now: u64) {
        self.0.phase = phase;
        if let Some(session) = &mut self.0.session {
            session.ended_at = Some(now);
            session.permissions = Permissions::default();
            session.asking = None;
            session.picture = false;
        }
        self.note(now, kind, text.clone());
        self.0.outcome = Some(Outcome { name, text });
    }

    fn note(&mut self, at: u64, kind: Kind, text: impl Into<String>) {
        if self.0.log.len() == MAX_LOG {
            self.0.log.remove(0);
        }
        self.0.log.push(LogEntry {
            at,
            kind,
            text: text.into(),
        });
    }
}

impl From<Ask> for Asking {
    fn from(ask: Ask) -> Self {
        let (kind, backend) = match ask {
            Ask::View => ("view", None),
            Ask::Control => ("control", None),
            Ask::Switch { backend } => ("switch", Some(backend)),
        };
        Self { kind, backend }
    }
}
