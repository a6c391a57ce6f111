//! The view model: folds a session's events into the [`Snapshot`] that the page shows. Pure: time
//! comes in as an argument.

use std::time::Duration;

use etatuki_protocol::{Ask, Permissions};

use super::{
    log_messages,
    snapshot::{
        Desktop, LogEntry, LogKind, OutcomeView, Phase, Readiness, ScreenView, SessionView,
        Snapshot, after,
    },
};
use crate::{
    code::Code,
    message::Message,
    session::{AgentContext, SessionEvent},
    session_error::{SessionError, ended_message},
};

/// Entries of the log; further ones displace the oldest.
const MAX_LOG_ENTRIES: usize = 500;

/// The state behind the snapshots. Times are Unix times in milliseconds.
#[derive(Debug)]
pub(crate) struct ViewModel {
    snapshot: Snapshot,
    /// The agent's question that has no answer yet.
    unanswered: Option<Ask>,
    /// Permissions before an interruption, until the customer's side tells them again.
    kept: Option<Permissions>,
}

impl ViewModel {
    /// Creates the view model before the first session.
    pub(crate) fn new(context: &AgentContext) -> Self {
        Self {
            snapshot: Snapshot::new(context),
            unanswered: None,
            kept: None,
        }
    }

    /// Returns a copy of the state.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// Records the outcome of a check of service and card.
    pub(crate) fn on_readiness(&mut self, readiness: Readiness) {
        self.snapshot.readiness = readiness;
    }

    /// Begins a session with a code, and a new log.
    pub(crate) fn on_connect(&mut self, code: &Code, now: u64) {
        let form = code.nameplate.form();
        let last = self.snapshot.session.as_ref();
        let number = last.map_or(0, |session| session.number) + 1;
        let caption = code.caption();
        self.unanswered = None;
        self.kept = None;
        self.snapshot.phase = Phase::LookingUp;
        self.snapshot.outcome = None;
        self.snapshot.log.clear();
        self.append_log(now, LogKind::Info, log_messages::code_typed(form, &caption));
        self.snapshot.session = Some(SessionView::new(number, form, caption));
    }

    /// Records that the link is established.
    pub(crate) fn on_linked(&mut self, now: u64) {
        self.snapshot.phase = Phase::Connected;
        if let Some(session) = &mut self.snapshot.session {
            session.connected_at = Some(now);
        }
        self.append_log(now, LogKind::Info, log_messages::CONNECTED);
    }

    /// Records the agent's question and returns true. Returns false while another question waits
    /// for its answer: the customer's side would refuse it, which would look like the customer's
    /// refusal.
    pub(crate) fn accept_ask(&mut self, ask: &Ask) -> bool {
        let connected = self.snapshot.phase == Phase::Connected;
        let asking = self
            .snapshot
            .session
            .as_ref()
            .map(|session| &session.asking);
        let free = matches!(asking, Some(None)) && self.unanswered.is_none();
        if connected && free {
            self.unanswered = Some(ask.clone());
        }
        connected && free
    }

    /// Records an event of the session.
    pub(crate) fn on_event(&mut self, event: SessionEvent, now: u64) {
        if let Some((kind, text)) = self.apply(event, now) {
            self.append_log(now, kind, text);
        }
    }

    /// Updates the state. Returns the event's log entry, if it has one.
    fn apply(&mut self, event: SessionEvent, now: u64) -> Option<(LogKind, Message)> {
        let session = self.snapshot.session.as_mut()?;
        match event {
            SessionEvent::Located => {
                self.snapshot.phase = Phase::Connecting;
                None
            }
            SessionEvent::Interrupted { left, restart } => self.on_interrupted(left, restart, now),
            SessionEvent::Restarting { left } => session.on_restarting(left, now),
            SessionEvent::Resumed => Some(self.on_resumed()),
            SessionEvent::Customer(info) => {
                let text = log_messages::customer(&info);
                session.customer = Some(*info);
                Some((LogKind::Info, text))
            }
            SessionEvent::Permissions(permissions) => self.on_permissions(permissions),
            SessionEvent::Asked(ask) => {
                let text = log_messages::asked(&ask, session.customer.as_ref());
                Some((LogKind::Asked, text))
            }
            SessionEvent::Asking(ask) => {
                // The agent's own question is in the log already.
                let by_customers_side = ask == Ask::View && self.unanswered != Some(Ask::View);
                session.asking = Some(ask.into());
                by_customers_side.then_some((LogKind::Asked, log_messages::VIEW_ASKED))
            }
            SessionEvent::Shown(shown) => {
                if let Some(asking) = &mut session.asking {
                    asking.quote(*shown, now);
                }
                None
            }
            SessionEvent::Answer {
                ask,
                allowed,
                asks_left,
            } => {
                self.unanswered = None;
                let text = session.on_answer(&ask, allowed, asks_left);
                Some((LogKind::answer(allowed), text))
            }
            SessionEvent::Screen(status) => {
                session.screen = ScreenView::new(status, now);
                None
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
            | SessionEvent::ClipboardLoss(_)
            | SessionEvent::Pointer(..)
            | SessionEvent::Traffic(..) => None,
        }
    }

    fn on_permissions(&mut self, permissions: Permissions) -> Option<(LogKind, Message)> {
        let session = self.snapshot.session.as_mut()?;
        let before = std::mem::replace(&mut session.permissions, permissions);
        let before = self.kept.take().unwrap_or(before);
        let text = log_messages::taken_back(before, permissions)?;
        Some((LogKind::Refused, text))
    }

    /// Records that the link is interrupted, and lost after `left`. The old picture stays.
    fn on_interrupted(
        &mut self,
        left: Duration,
        restart: bool,
        now: u64,
    ) -> Option<(LogKind, Message)> {
        self.snapshot.phase = Phase::Interrupted;
        self.unanswered = None;
        if let Some(session) = &mut self.snapshot.session {
            self.kept.get_or_insert(session.permissions);
            session.permissions.control = false;
            session.asking = None;
            session.screen = ScreenView::default();
            session.interrupted_until = Some(after(left, now));
        }
        Some((LogKind::Trouble, log_messages::interruption(restart)))
    }

    fn on_resumed(&mut self) -> (LogKind, Message) {
        self.snapshot.phase = Phase::Connected;
        if let Some(session) = &mut self.snapshot.session {
            session.interrupted_until = None;
        }
        (LogKind::Given, log_messages::RESUMED)
    }

    /// Records an orderly end.
    pub(crate) fn on_ended(&mut self, reason: &str, now: u64) {
        let outcome = OutcomeView {
            name: reason.to_owned(),
            text: ended_message(reason),
        };
        self.finish(Phase::Ended, outcome, LogKind::Info, now);
    }

    /// Records a failure.
    pub(crate) fn on_failed(&mut self, error: &SessionError, now: u64) {
        let outcome = OutcomeView {
            name: error.name().to_owned(),
            text: error.message(),
        };
        self.finish(Phase::Failed, outcome, LogKind::Trouble, now);
    }

    fn finish(&mut self, phase: Phase, outcome: OutcomeView, kind: LogKind, now: u64) {
        self.snapshot.phase = phase;
        if let Some(session) = &mut self.snapshot.session {
            session.ended_at = Some(now);
            session.permissions = Permissions::default();
            session.asking = None;
            session.interrupted_until = None;
            session.restart_until = None;
            session.picture = false;
            session.desktop = None;
            session.screen = ScreenView::default();
        }
        self.append_log(now, kind, outcome.text.clone());
        self.snapshot.outcome = Some(outcome);
    }

    fn append_log(&mut self, at: u64, kind: LogKind, text: Message) {
        if self.snapshot.log.len() == MAX_LOG_ENTRIES {
            self.snapshot.log.remove(0);
        }
        self.snapshot.log.push(LogEntry { at, kind, text });
    }
}

#[cfg(test)]
mod tests {
    use etatuki_protocol::{CustomerInfo, ScreenCondition, ScreenStatus, UsableBackend};
    use etatuki_rfb::Rect;
    use etatuki_texts::{Language, catalogue::Catalogue};
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
            resume_limit: etatuki_protocol::RESUME_LIMIT,
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
            unsupported: vec![],
            wording: None,
        }
    }

    fn permissions(view: bool, control: bool) -> SessionEvent {
        SessionEvent::Permissions(Permissions { view, control })
    }

    /// Returns the log entries of these events in a connected session.
    fn log(events: impl IntoIterator<Item = SessionEvent>) -> Vec<String> {
        let mut view = view();
        view.on_connect(&code(), 1);
        view.on_linked(2);
        let before = view.snapshot.log.len();
        for event in events {
            if let SessionEvent::Asked(ask) = &event {
                assert!(view.accept_ask(ask), "nothing else was asked");
                assert!(!view.accept_ask(ask), "a second press asks nothing");
            }
            view.on_event(event, 3);
        }
        let texts = Catalogue::load(Language::En);
        view.snapshot.log[before..]
            .iter()
            .map(|entry| {
                entry.text.check();
                entry.text.text(&texts)
            })
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
        view.on_connect(&code(), 1);
        view.on_linked(2);
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
        view.on_connect(&code(), 1);
        view.on_linked(2);
        [
            permissions(true, true),
            SessionEvent::Picture,
            SessionEvent::Asking(Ask::Control),
        ]
        .into_iter()
        .for_each(|event| view.on_event(event, 3));
        view.on_ended("customer-closed", 4);
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
        view.on_connect(&code(), 1);
        view.on_linked(2);
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
        view.on_ended("customer-closed", 4);
        let json = serde_json::to_value(view.snapshot()).unwrap();
        assert_eq!(json["session"]["desktop"], serde_json::Value::Null);
    }

    #[test]
    fn an_interruption_takes_control_away_and_keeps_the_old_picture() {
        let mut view = view();
        view.on_connect(&code(), 1);
        view.on_linked(2);
        let left = Duration::from_secs(120);
        let interrupted = SessionEvent::Interrupted {
            left,
            restart: false,
        };
        [
            permissions(true, true),
            SessionEvent::Picture,
            SessionEvent::Asking(Ask::Control),
            interrupted,
        ]
        .into_iter()
        .for_each(|event| view.on_event(event, 3));
        let json = serde_json::to_value(view.snapshot()).unwrap();
        assert_eq!(json["phase"], "interrupted");
        assert_eq!(json["session"]["interrupted_until"], 120_003);
        assert_eq!(
            json["session"]["permissions"],
            serde_json::json!({"view": true, "control": false})
        );
        assert_eq!(json["session"]["asking"], serde_json::Value::Null);
        assert_eq!(json["session"]["picture"], true);
        assert!(view.snapshot().is_busy() && !view.accept_ask(&Ask::View));
        // Withdrawn meanwhile.
        [SessionEvent::Resumed, permissions(true, false)]
            .into_iter()
            .for_each(|event| view.on_event(event, 4));
        let texts = Catalogue::load(Language::En);
        let last = view.snapshot.log.last().unwrap().text.text(&texts);
        assert_eq!(last, "The customer took control back");
        assert_eq!(view.snapshot.phase, Phase::Connected);
    }

    #[test]
    fn a_stale_picture_has_an_age_and_a_true_one_has_none() {
        let check = |condition, age, expected| {
            let mut view = view();
            view.on_connect(&code(), 1);
            view.on_linked(2);
            let status = ScreenStatus { condition, age };
            view.on_event(SessionEvent::Screen(status), 60_000);
            let json = serde_json::to_value(view.snapshot()).unwrap();
            assert_eq!(json["session"]["screen"], expected);
            view.on_ended("customer-closed", 70_000);
            let json = serde_json::to_value(view.snapshot()).unwrap();
            let visible = serde_json::json!({"condition": "visible", "true_at": null});
            assert_eq!(json["session"]["screen"], visible);
        };
        let stale = serde_json::json!({"condition": "tool-hung", "true_at": 58_000});
        check(ScreenCondition::ToolHung, 2, stale);
        let locked = serde_json::json!({"condition": "locked", "true_at": null});
        check(ScreenCondition::Locked, 0, locked);
    }

    #[test]
    fn the_log_is_bounded() {
        let events = (0..2 * MAX_LOG_ENTRIES).map(|_| SessionEvent::Asked(Ask::Control));
        let mut view = view();
        view.on_connect(&code(), 1);
        events.for_each(|event| view.on_event(event, 2));
        assert_eq!(view.snapshot.log.len(), MAX_LOG_ENTRIES);
    }
}
