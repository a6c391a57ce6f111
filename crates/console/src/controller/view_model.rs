//! What the page shows, folded from a session's events: pure, time comes in. `web/src/protocol.ts` is the
//! other side of its JSON.

use etatuki_link::PathKind;
use etatuki_protocol::{Ask, CustomerInfo, Permissions};
use etatuki_rfb::Rect;
use etatuki_trust::CodeForm;
use serde::Serialize;

use super::log_messages;
use crate::{
    code::Code,
    session::{AgentContext, SessionEvent},
    session_error::{SessionError, ended_sentence},
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
    /// What the agent has asked for and nobody has answered.
    #[serde(skip)]
    asked: Option<Ask>,
    asks_left: AsksLeft,
    picture: bool,
    /// The customer's screen, once it is known.
    desktop: Option<Desktop>,
    connected_at: Option<u64>,
    ended_at: Option<u64>,
}

/// Columns and rows, and the screens in them.
#[derive(Clone, Debug, Serialize)]
struct Desktop {
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
    pub(super) kind: LogKind,
    pub(super) text: String,
}

/// What sort of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogKind {
    Info,
    Asked,
    Given,
    Refused,
    SessionError,
}

/// What passes by and isn't kept.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum EphemeralEvent {
    /// Bytes on the link, and which way they go.
    Traffic {
        sent: u64,
        received: u64,
        path: PathKind,
    },
    /// The customer moved the pointer there.
    Pointer { x: u16, y: u16 },
    /// The customer copied this.
    Clipboard { text: String },
}

/// The state behind the snapshots.
#[derive(Debug)]
pub(crate) struct ViewModel(Snapshot);

impl ViewModel {
    /// Nothing has happened.
    pub(crate) fn new(context: &AgentContext) -> Self {
        let claims = context.agent.card.claims();
        Self(Snapshot {
            about: About {
                version: env!("CARGO_PKG_VERSION"),
                service: context.service.origin().to_owned(),
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
        self.note(now, LogKind::Info, log_messages::code_typed(form, &caption));
        self.0.session = Some(SessionView {
            number,
            form,
            caption,
            customer: None,
            permissions: Permissions::default(),
            asking: None,
            asked: None,
            asks_left: AsksLeft {
                view: ASKS,
                control: ASKS,
            },
            picture: false,
            desktop: None,
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
        self.note(now, LogKind::Info, "Connected, encrypted from end to end");
    }

    /// Takes note of what the agent asks for. False while another question waits for its answer: the
    /// customer's side would refuse it, and that would look like the customer's no.
    pub(crate) fn may_ask(&mut self, ask: &Ask) -> bool {
        let connected = self.0.phase == Phase::Connected;
        match &mut self.0.session {
            Some(session) if connected && session.asking.is_none() && session.asked.is_none() => {
                session.asked = Some(ask.clone());
                true
            }
            _ => false,
        }
    }

    /// Something happened in the session.
    pub(crate) fn on_event(&mut self, event: SessionEvent, now: u64) {
        let Some(session) = &mut self.0.session else {
            return;
        };
        let line = match event {
            SessionEvent::Located => {
                self.0.phase = Phase::Connecting;
                None
            }
            SessionEvent::Customer(info) => {
                let line = log_messages::customer(&info);
                session.customer = Some(*info);
                Some((LogKind::Info, line))
            }
            SessionEvent::Permissions(permissions) => {
                let before = std::mem::replace(&mut session.permissions, permissions);
                log_messages::taken_back(before, permissions)
                    .map(|line| (LogKind::Refused, line.to_owned()))
            }
            SessionEvent::Asked(ask) => Some((
                LogKind::Asked,
                log_messages::asked(&ask, session.customer.as_ref()),
            )),
            SessionEvent::Asking(ask) => {
                // What the agent asked for himself is in the log already.
                let unasked = ask == Ask::View && session.asked != Some(Ask::View);
                session.asking = Some(ask.into());
                unasked.then(|| (LogKind::Asked, log_messages::VIEW_ASKED.to_owned()))
            }
            SessionEvent::Answer {
                ask,
                allowed,
                asks_left,
            } => {
                session.asking = None;
                session.asked = None;
                match ask {
                    Ask::View => session.asks_left.view = asks_left,
                    Ask::Control => session.asks_left.control = asks_left,
                    Ask::Switch { .. } => {}
                }
                let kind = if allowed {
                    LogKind::Given
                } else {
                    LogKind::Refused
                };
                Some((
                    kind,
                    log_messages::answer(&ask, allowed, session.customer.as_ref()),
                ))
            }
            SessionEvent::Picture => {
                session.picture = true;
                None
            }
            SessionEvent::Desktop { size, screens } => {
                session.desktop = Some(Desktop::new(size, &screens));
                None
            }
            SessionEvent::Linked(_)
            | SessionEvent::Clipboard(_)
            | SessionEvent::Pointer(..)
            | SessionEvent::Traffic(..) => None,
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
            LogKind::Info,
            now,
        );
    }

    /// There was no session, or it broke off.
    pub(crate) fn failed(&mut self, session_error: &SessionError, now: u64) {
        self.finish(
            Phase::Failed,
            session_error.name().to_owned(),
            session_error.sentence(),
            LogKind::SessionError,
            now,
        );
    }

    fn finish(&mut self, phase: Phase, name: String, text: String, kind: LogKind, now: u64) {
        self.0.phase = phase;
        if let Some(session) = &mut self.0.session {
            session.ended_at = Some(now);
            session.permissions = Permissions::default();
            session.asking = None;
            session.picture = false;
            session.desktop = None;
        }
        self.note(now, kind, text.clone());
        self.0.outcome = Some(Outcome { name, text });
    }

    fn note(&mut self, at: u64, kind: LogKind, text: impl Into<String>) {
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

impl Desktop {
    fn new((width, height): (u16, u16), screens: &[Rect]) -> Self {
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
            Ask::Switch { backend } => ("switch", Some(backend)),
        };
        Self { kind, backend }
    }
}

#[cfg(test)]
mod tests {
    use etatuki_protocol::UsableBackend;
    use etatuki_trust::{
        AgentCard, AgentFile, AgentKey, CardData, SessionCode, UnixTime, VendorKey,
    };

    use super::*;
    use crate::service::Service;

    fn view() -> ViewModel {
        let key = AgentKey::from_seed([2; 32]);
        let data = CardData {
            serial: 1,
            name: "Sari Saarinen".into(),
            organisation: "Tilitieto".into(),
            issued: UnixTime(1),
            expires: UnixTime(4_000_000_000),
            key: key.public(),
        };
        let card = AgentCard::issue(&VendorKey::from_seed([1; 32]), data).unwrap();
        let service = Service::new("https://support.example").unwrap();
        ViewModel::new(&AgentContext {
            agent: AgentFile { card, key },
            service,
        })
    }

    fn code() -> Code {
        let minted = SessionCode::mint("12345678".parse().unwrap(), 654_321_u64.to_le_bytes());
        Code {
            nameplate: minted.nameplate,
            secret: minted.secret.clone(),
        }
    }

    fn info() -> CustomerInfo {
        let other = UsableBackend {
            id: "remoteus-2008".into(),
            label: "Remoteus etätuki (2008)".into(),
            usable: true,
            reason: None,
        };
        CustomerInfo {
            backend: "ecom".into(),
            label: "Ecom Etätuki".into(),
            tool: None,
            tool_version: None,
            plugin_version: "0.1.0".into(),
            system: "Debian 12".into(),
            app_version: None,
            usable: vec![other],
            launcher_version: "0.1.0".into(),
            only_program: None,
        }
    }

    fn permissions(view: bool, control: bool) -> SessionEvent {
        SessionEvent::Permissions(Permissions { view, control })
    }

    /// The log after these events of a session that stands.
    fn log(events: impl IntoIterator<Item = SessionEvent>) -> Vec<String> {
        let mut view = view();
        view.begin(&code(), 1);
        view.linked(2);
        let before = view.0.log.len();
        for event in events {
            if let SessionEvent::Asked(ask) = &event {
                assert!(view.may_ask(ask), "nothing else was asked");
                assert!(!view.may_ask(ask), "a second press asks nothing");
            }
            view.on_event(event, 3);
        }
        view.0.log[before..]
            .iter()
            .map(|entry| entry.text.clone())
            .collect()
    }

    #[test]
    fn asks_and_answers_are_written_down_once() {
        let switch = Ask::Switch {
            backend: "remoteus-2008".into(),
        };
        let answer = |ask: &Ask, allowed| SessionEvent::Answer {
            ask: ask.clone(),
            allowed,
            asks_left: 2,
        };
        let lines = log([
            SessionEvent::Customer(Box::new(info())),
            SessionEvent::Asking(Ask::View),
            answer(&Ask::View, false),
            SessionEvent::Asked(Ask::View),
            SessionEvent::Asking(Ask::View),
            answer(&Ask::View, true),
            permissions(true, false),
            SessionEvent::Asked(Ask::Control),
            SessionEvent::Asking(Ask::Control),
            answer(&Ask::Control, true),
            permissions(true, true),
            permissions(true, false),
            SessionEvent::Asked(switch.clone()),
            SessionEvent::Asking(switch.clone()),
            answer(&switch, true),
        ]);
        let expected = [
            "The customer has Ecom Etätuki, Debian 12",
            "The customer is asked whether you may see the screen",
            "The customer didn't allow you to see the screen",
            "You asked to see the screen",
            "The customer allowed you to see the screen",
            "You asked for control",
            "The customer gave you control",
            "The customer took control back",
            "You asked to switch to Remoteus etätuki (2008)",
            "The customer agreed to switch to Remoteus etätuki (2008)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn nothing_that_the_page_gets_is_secret() {
        let mut view = view();
        view.begin(&code(), 1);
        view.linked(2);
        let json = serde_json::to_string(&view.snapshot()).unwrap();
        assert!(json.contains("\"caption\":\"123 456 78"), "{json}");
        assert!(
            !json.contains(code().secret.expose()) && !json.contains("eta1-private"),
            "{json}"
        );
    }

    #[test]
    fn an_end_takes_every_permission_away() {
        let mut view = view();
        view.begin(&code(), 1);
        view.linked(2);
        [
            permissions(true, true),
            SessionEvent::Picture,
            SessionEvent::Asking(Ask::Control),
        ]
        .into_iter()
        .for_each(|event| view.on_event(event, 3));
        view.ended("customer-closed", 4);
        let json = serde_json::to_value(view.snapshot()).unwrap();
        assert_eq!(json["phase"], "ended");
        assert_eq!(
            json["session"]["permissions"],
            serde_json::json!({"view": false, "control": false})
        );
        assert_eq!(json["session"]["picture"], false);
        assert_eq!(json["session"]["asking"], serde_json::Value::Null);
        assert_eq!(json["outcome"]["name"], "customer-closed");
        assert!(!view.snapshot().is_busy());
    }

    #[test]
    fn the_customers_screens_are_shown_until_the_end() {
        let mut view = view();
        view.begin(&code(), 1);
        view.linked(2);
        let screens = vec![Rect::new(0, 0, 60, 50), Rect::new(60, 0, 40, 50)];
        let size = (100, 50);
        view.on_event(SessionEvent::Desktop { size, screens }, 3);
        let json = serde_json::to_value(view.snapshot()).unwrap();
        assert_eq!(
            json["session"]["desktop"],
            serde_json::json!({"width": 100, "height": 50, "screens": [
                {"x": 0, "y": 0, "width": 60, "height": 50},
                {"x": 60, "y": 0, "width": 40, "height": 50},
            ]})
        );
        view.ended("customer-closed", 4);
        let json = serde_json::to_value(view.snapshot()).unwrap();
        assert_eq!(json["session"]["desktop"], serde_json::Value::Null);
    }

    #[test]
    fn the_log_is_bounded() {
        let events = (0..2 * MAX_LOG).map(|_| SessionEvent::Asked(Ask::Control));
        let mut view = view();
        view.begin(&code(), 1);
        events.for_each(|event| view.on_event(event, 2));
        assert_eq!(view.0.log.len(), MAX_LOG);
    }
}
