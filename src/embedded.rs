//! `etatuki session`: the session without its window, as JSON lines for an accounting program that
//! has windows of its own. The bar is ours all the same, and Esc takes control back as ever.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use etatuki_session::{SessionConfig, SessionSender, json};
use etatuki_session_core::{Command, FailureName, Fault, State, View};
use etatuki_trust::UnixTime;
use fltk::app;

use crate::claim::{self, Answer, Claim, Standing, Start, Started};
use crate::display_loss;
use crate::escape::EscapeWatch;
use crate::exit::Exit;
use crate::fonts::{self, FONTS_MISSING, NO_FONTS};
use crate::launcher::Launcher;
use crate::local_time;
use crate::probe;
use crate::startup::{begin_log, display};
use crate::texts::{Texts, fill};
use crate::window::bar::{self, Bar};
use crate::window::events::{AppEvent, EventSender};
use crate::window::hands::Hands;
use crate::window::page::ButtonAction;
use crate::window::receipt;
use crate::window::session_context::{SessionContext, wrong_code_text};
use crate::window::theme;

/// Runs one entry's session on stdin and stdout, to its end.
pub(crate) fn run(launcher: Launcher, id: &str) -> Exit {
    begin_log(launcher.environment());
    let Some(_connection) = display() else {
        tracing::error!("there is no display, and without the bar there is no session");
        print_refusal(
            &launcher.texts,
            "display-missing",
            "there is no display for the bar",
        );
        return Exit::Backend;
    };
    if !fonts::are_there() {
        tracing::error!("{NO_FONTS}");
        print_refusal(&launcher.texts, FONTS_MISSING, NO_FONTS);
        return Exit::Backend;
    }
    let claim = match claim::claim_session(&Start::Embedded) {
        Started::Claimed(claim) => claim,
        Started::Elsewhere => {
            return refuse_start(&launcher.texts, "another session has this display");
        }
        Started::Refused(refusal) => return refuse_start(&launcher.texts, &refusal.detail),
    };
    let _fltk = theme::init();
    let (events, inbox) = EventSender::new();
    let hands = Hands::default();
    let on_action = events.on_action();
    let bar = Bar::new(
        &launcher.texts,
        launcher.banner(),
        &on_action,
        hands.clone(),
    );
    let texts = launcher.texts.clone();
    let session_events = spawn_session(launcher, id, &events);
    events.start_ticking();
    let last_view = EmbeddedApp {
        bar,
        hands,
        texts,
        inbox,
        session_events,
        session: None,
        escape: None,
        claim: Some(claim),
        standing: Standing::Open,
    }
    .run();
    last_view.map_or(Exit::Internal, |view| Exit::of_session(&view))
}

fn refuse_start(texts: &Texts, detail: &str) -> Exit {
    tracing::warn!("no start: {detail}");
    print_refusal(texts, FailureName::SessionRunning.as_str(), detail);
    Exit::Backend
}

/// Prints the only line of a session that can't start.
pub(crate) fn print_refusal(texts: &Texts, name: &str, detail: &str) {
    let fault = FailureName::from_name(name).map_or(Fault::Setup, FailureName::fault);
    let line = serde_json::json!({
        "type": "failed",
        "name": name,
        "fault": fault,
        "detail": detail,
        "receipt": null,
        "text": texts.failure(name).sentence(),
    });
    // A closed stdout is ignored, because there is nowhere else to report it.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Starts the session and its JSON lines on a thread of their own. The returned receiver gets its
/// start and its end; views go to `events`.
fn spawn_session(launcher: Launcher, id: &str, events: &EventSender) -> Receiver<JsonEvent> {
    let (sender, session_events) = std::sync::mpsc::channel();
    let backend = launcher.backend(id).cloned();
    let launcher = Arc::new(launcher);
    let events = events.clone();
    let run = move || {
        let Some(backend) = backend else { return };
        let config = SessionConfig {
            wording: None,
            ..launcher.session_config(&backend, Vec::new())
        };
        let labels = SessionContext::new(&launcher, &backend.id).labels;
        let texts = launcher.texts.clone();
        let vendor = launcher.installed.registry.vendor.clone();
        let texts = move |name: &str, args: &[(&str, &str)]| {
            let support = [("vendor", vendor.name.as_str()), ("phone", &vendor.phone)];
            sentence(&texts, &labels, name, &[args, &support].concat())
        };
        let started = sender.clone();
        let id = backend.id.clone();
        let view_events = events.clone();
        let last_view = json::run(
            config,
            Arc::new(texts),
            BufReader::new(std::io::stdin()),
            std::io::stdout(),
            move |session| {
                display_loss::register(session.clone());
                probe_others(launcher, &id, session.clone());
                let _ = started.send(JsonEvent::Started(session));
            },
            Box::new(move |view| {
                view_events.send(AppEvent::View(0, Box::new(view.clone())));
            }),
        );
        let _ = sender.send(JsonEvent::Ended(Box::new(last_view)));
        events.send(AppEvent::Tick);
    };
    let thread = std::thread::Builder::new().name("etatuki-json".into());
    if let Err(error) = thread.spawn(run) {
        tracing::error!("no session could be started: {error}");
    }
    session_events
}

/// Probes the other entries, so that the agent may ask for one that can be used.
fn probe_others(launcher: Arc<Launcher>, id: &str, session: SessionSender) {
    let ids = launcher.entries().into_iter().map(|other| other.id.clone());
    let ids: Vec<_> = ids.filter(|other| other != id).collect();
    let probing = move || {
        let mut others = Vec::new();
        probe::probe_all(&launcher, &ids, |result| {
            others.push(result.for_agent(&launcher));
            session.send(Command::OtherBackends(others.clone()));
        });
    };
    let thread = std::thread::Builder::new().name("etatuki-probes".into());
    if let Err(error) = thread.spawn(probing) {
        tracing::error!("no entry can be probed: {error}");
    }
}

/// An event of the thread with the JSON lines.
enum JsonEvent {
    Started(SessionSender),
    /// The session is over; its last view.
    Ended(Box<View>),
}

/// The main thread of an embedded session: the bar, and Esc.
struct EmbeddedApp {
    bar: Bar,
    hands: Hands,
    texts: Texts,
    inbox: Receiver<AppEvent>,
    session_events: Receiver<JsonEvent>,
    session: Option<SessionSender>,
    escape: Option<EscapeWatch>,
    /// The display's claim; `None` once another launcher was let in.
    claim: Option<Claim>,
    standing: Standing,
}

impl EmbeddedApp {
    /// Runs until the session is over; returns its last view, or `None` if its thread died.
    fn run(mut self) -> Option<View> {
        loop {
            // An error means that there is no window, which is normal here.
            let _ = app::wait_for(0.5);
            while let Ok(event) = self.inbox.try_recv() {
                self.on_event(event);
            }
            match self.session_events.try_recv() {
                Ok(JsonEvent::Started(session)) => self.session = Some(session),
                Ok(JsonEvent::Ended(last_view)) => return Some(*last_view),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }

    fn on_event(&mut self, event: AppEvent) {
        match event {
            AppEvent::View(_, view) => self.on_view(&view),
            AppEvent::ButtonAction(ButtonAction::TakeBack, _) => self.send(Command::TakeBack),
            AppEvent::ButtonAction(ButtonAction::WithdrawRestart, _) => {
                self.send(Command::WithdrawRestart);
            }
            AppEvent::ButtonAction(ButtonAction::Close, _) => self.send(Command::Close),
            AppEvent::Tick => {
                self.hands.tick();
                self.bar.raise();
                self.answer_starts();
            }
            _ => {}
        }
    }

    /// Tells those who start another session on this display that there is one, or gives way.
    fn answer_starts(&mut self) {
        let Some(requests) = claim::requests(&mut self.claim) else {
            return self.send(Command::DisplayLost);
        };
        for (start, request) in requests {
            let answer = claim::answer(&start, None, self.standing);
            if let Some(claim) = &self.claim {
                claim.answer(&request, answer);
            }
            if answer == Answer::GivesWay {
                self.send(Command::Close);
            }
        }
    }

    fn on_view(&mut self, view: &View) {
        self.standing = Standing::of(view);
        self.hands.follow(view);
        self.bar.set(bar::status(&self.texts, view));
        let is_controlled = view.state == State::Connected && view.permissions.control;
        if !is_controlled {
            self.escape = None;
        } else if self.escape.is_none()
            && let Some(session) = self.session.clone()
        {
            // The session is told directly: this loop may hang.
            let watch = EscapeWatch::start(move || session.send(Command::TakeBack));
            self.escape = Some(watch);
        }
    }

    fn send(&self, command: Command) {
        if let Some(session) = &self.session {
            session.send(command);
        }
    }
}

/// Returns the sentence that a JSON line asks for, by its name in `docs/session.md`.
fn sentence(
    texts: &Texts,
    labels: &BTreeMap<String, String>,
    name: &str,
    values: &[(&str, &str)],
) -> String {
    let value = |wanted: &str| {
        values
            .iter()
            .find(|(name, _)| *name == wanted)
            .map_or("", |(_, value)| *value)
    };
    match name {
        ask if ask.starts_with("ask-") => question(texts, labels, ask, values),
        "stranger-tried" => fill(&texts.notice.stranger_tried, values),
        "stranger-persists" => fill(&texts.notice.stranger_persists, values),
        "wrong-clock" => {
            let clock = UnixTime(value("clock").parse().unwrap_or(0));
            let date = local_time::format(&texts.notice.date_format, clock);
            let values = [values, &[("date", date.as_str())]].concat();
            fill(&texts.notice.wrong_clock, &values)
        }
        "card-out-of-time" => fill(&texts.notice.card_out_of_time, values),
        "wrong-code-tried" => {
            let left = value("left").parse().unwrap_or(0);
            fill(wrong_code_text(texts, left), values)
        }
        "code-burnt" => fill(&texts.notice.code_burnt, values),
        "code-renewed" => texts.notice.code_renewed.clone(),
        "revocations-warning" => texts.notice.revocations_warning.clone(),
        "service-lost" => texts.notice.service_lost.clone(),
        "service-back" => texts.notice.service_back.clone(),
        "code-forgotten" => texts.notice.code_forgotten.clone(),
        "interrupted" => texts.notice.interrupted.clone(),
        "resumed" => texts.notice.resumed.clone(),
        "restart-not-kept" => texts.notice.restart_not_kept.clone(),
        "closed-own" => format!("{} {}", texts.receipt.closed, texts.external.over),
        "closed" => format!("{} {}", texts.receipt.closed, texts.receipt.never),
        "closed-receipt" => {
            let seconds = |name| value(name).parse().unwrap_or(0);
            let times = (seconds("viewed_seconds"), seconds("controlled_seconds"));
            let program = Some(value("program")).filter(|program| !program.is_empty());
            let done = receipt::sentence(texts, values, program, times);
            format!("{} {done} {}", texts.receipt.closed, texts.receipt.nobody)
        }
        failure => texts.failure(failure).sentence(),
    }
}

/// Returns the sentence of a question to the customer.
fn question(
    texts: &Texts,
    labels: &BTreeMap<String, String>,
    name: &str,
    values: &[(&str, &str)],
) -> String {
    let texts = &texts.question;
    match name {
        "ask-view" => fill(&texts.view, values),
        "ask-view-program" => {
            let more = fill(&texts.view_program_more, values);
            format!("{} {more}", fill(&texts.view, values))
        }
        "ask-control-program" => fill(&texts.control_program, values),
        "ask-control" => fill(&texts.control, values),
        "ask-restart" => {
            let more = fill(&texts.restart_more, values);
            format!("{} {more}", fill(&texts.restart, values))
        }
        "ask-switch" => {
            let backend = values.iter().find(|(name, _)| *name == "backend");
            let id = backend.map_or("", |(_, id)| *id);
            let label = labels.get(id).map_or(id, String::as_str);
            let more = fill(&texts.switch_more, &[("label", label)]);
            format!("{} {more}", fill(&texts.switch, values))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn every_sentence_is_there_and_filled() {
        let labels = BTreeMap::from([("remoteus-2008".to_owned(), "Remoteus (2008)".to_owned())]);
        let values = [
            ("name", "Maija Virtanen"),
            ("organisation", "Ecom"),
            ("left", "2"),
            ("backend", "remoteus-2008"),
            ("viewed_seconds", "720"),
            ("controlled_seconds", "240"),
            ("vendor", "Ecom Oy"),
            ("phone", "02-2767 171"),
        ];
        let check = |name: &str, expected: &str| {
            let texts = Texts::load(Language::Fi);
            assert_eq!(sentence(&texts, &labels, name, &values), expected);
        };
        check("ask-view", "Saako Maija Virtanen (Ecom) katsoa näyttöäsi?");
        check(
            "ask-control",
            "Saako Maija Virtanen käyttää hiirtäsi ja näppäimistöäsi?",
        );
        check(
            "ask-switch",
            "Saako Maija Virtanen vaihtaa toiseen etätukeen? Uusi etätuki on Remoteus (2008). Tämä \
             yhteys suljetaan, ja saat uuden koodin.",
        );
        check(
            "stranger-tried",
            "Joku muu kuin Ecom Oy yritti ottaa yhteyden koodillasi, joten sait uuden koodin. Jos et \
             itse soittanut numeroon 02-2767 171, lopeta puhelu.",
        );
        check(
            "wrong-code-tried",
            "Maija Virtanen (Ecom) kirjoitti koodin väärin. Lue se rauhassa uudelleen.",
        );
        check("closed", "Yhteys on suljettu. Kukaan ei nähnyt näyttöäsi.");
        check(
            "closed-receipt",
            "Yhteys on suljettu. Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi konettasi 4 min. \
             Kukaan ei enää näe näyttöäsi.",
        );
        check(
            "tool-missing",
            "Tätä etätukea ei ole asennettu tälle koneelle. Valitse toinen etätuki tai kysy neuvoa asiakastuesta.",
        );
    }
}
