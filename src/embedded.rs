//! `etatuki session`: the session without its window, as JSON lines for an accounting program that has
//! windows of its own. The bar is ours all the same, and Esc works as ever.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use etatuki_session::{Command, FailureName, Fault, SessionSender, State, View, json};
use fltk::app;

use crate::commands::{begin_log, display};
use crate::escape::EscapeWatch;
use crate::exit::Exit;
use crate::last_words;
use crate::launcher::Launcher;
use crate::mend;
use crate::probe;
use crate::texts::{Texts, fill};
use crate::window::bar::{self, Bar};
use crate::window::look;
use crate::window::page::Action;
use crate::window::receipt;
use crate::window::run::{Event, Events};

/// Runs one entry's session on stdin and stdout, to its end.
pub(crate) fn run(launcher: Launcher, id: &str) -> Exit {
    begin_log(launcher.start());
    let Some(_answers) = display() else {
        tracing::error!("there is no display, and without the bar there is no session");
        refuse(
            &launcher.texts,
            "display-missing",
            "there is no display for the bar",
        );
        return Exit::Backend;
    };
    let _fltk = look::set_up();
    let (events, inbox) = Events::new();
    let bar = Bar::new(&launcher.texts, launcher.banner(), &events.pressed());
    let texts = launcher.texts.clone();
    let ended = begin(launcher, id, &events);
    events.begin_ticking();
    let last = Front {
        bar,
        texts,
        events,
        inbox,
        ended,
        commander: None,
        escape: None,
    }
    .run();
    last.map_or(Exit::Internal, |view| Exit::of(&view))
}

/// The one line of a session that can't begin.
pub(crate) fn refuse(texts: &Texts, name: &str, detail: &str) {
    let fault = FailureName::from_name(name).map_or(Fault::Setup, FailureName::fault);
    let line = serde_json::json!({
        "type": "failed",
        "name": name,
        "fault": fault,
        "detail": detail,
        "receipt": null,
        "text": texts.failure(name).sentence(),
    });
    // Nobody may be reading; there is nobody else to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Starts the JSON lines on a thread of their own; the last view comes when all is over.
fn begin(launcher: Launcher, id: &str, events: &Events) -> Receiver<Over> {
    let (tell, ended) = std::sync::mpsc::channel();
    let backend = launcher.backend(id).cloned();
    let launcher = Arc::new(launcher);
    let events = events.clone();
    let run = move || {
        let Some(backend) = backend else { return };
        let config = launcher.session(&backend, Vec::new());
        let labels = crate::window::run::subject(&launcher, &backend.id).labels;
        let texts = launcher.texts.clone();
        let texts = move |name: &str, args: &[(&str, &str)]| sentence(&texts, &labels, name, args);
        let started = tell.clone();
        let id = backend.id.clone();
        let tee = events.clone();
        let last = json::run(
            config,
            Arc::new(texts),
            BufReader::new(std::io::stdin()),
            std::io::stdout(),
            move |commander| {
                last_words::of(commander.clone());
                probe_others(launcher, &id, commander.clone());
                let _ = started.send(Over::Started(commander));
            },
            Box::new(move |view| {
                mend::after(view);
                tee.send(Event::View(0, Box::new(view.clone())));
            }),
        );
        let _ = tell.send(Over::Ended(Box::new(last)));
        events.send(Event::Tick);
    };
    let thread = std::thread::Builder::new().name("etatuki-json".into());
    if let Err(error) = thread.spawn(run) {
        tracing::error!("no session could be started: {error}");
    }
    ended
}

/// Finds out what else can be used here, so that the agent may ask for it.
fn probe_others(launcher: Arc<Launcher>, id: &str, commander: SessionSender) {
    let ids = launcher.entries().into_iter().map(|other| other.id.clone());
    let ids: Vec<_> = ids.filter(|other| other != id).collect();
    let probing = move || {
        let mut others = Vec::new();
        probe::all(&launcher, &ids, |probed| {
            others.push(probed.usable(&launcher));
            commander.send(Command::OtherBackends(others.clone()));
        });
    };
    let thread = std::thread::Builder::new().name("etatuki-probes".into());
    if let Err(error) = thread.spawn(probing) {
        tracing::error!("no entry can be probed: {error}");
    }
}

/// What the thread of the JSON lines tells.
enum Over {
    Started(SessionSender),
    Ended(Box<View>),
}

/// The bar's loop.
struct Front {
    bar: Bar,
    texts: Texts,
    events: Events,
    inbox: Receiver<Event>,
    ended: Receiver<Over>,
    commander: Option<SessionSender>,
    escape: Option<EscapeWatch>,
}

impl Front {
    /// Until the session is over; `None` when its thread died.
    fn run(mut self) -> Option<View> {
        loop {
            // An error is the want of windows, which is nothing out of the way here.
            let _ = app::wait_for(0.5);
            while let Ok(event) = self.inbox.try_recv() {
                self.handle(event);
            }
            match self.ended.try_recv() {
                Ok(Over::Started(commander)) => self.commander = Some(commander),
                Ok(Over::Ended(last)) => return Some(*last),
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return None,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::View(_, view) => self.view(&view),
            Event::Pressed(Action::TakeBack) | Event::EscapeHeld => self.send(Command::TakeBack),
            Event::Pressed(Action::Close) => self.send(Command::Close),
            Event::Tick => self.bar.raise(),
            _ => {}
        }
    }

    fn view(&mut self, view: &View) {
        self.bar.set(bar::line(&self.texts, view));
        let given = view.state == State::Connected && view.permissions.control;
        if !given {
            self.escape = None;
        } else if self.escape.is_none() {
            let events = self.events.clone();
            self.escape = Some(EscapeWatch::start(move || events.send(Event::EscapeHeld)));
        }
    }

    fn send(&self, command: Command) {
        if let Some(commander) = &self.commander {
            commander.send(command);
        }
    }
}

/// The sentences that the JSON lines ask for, by the names in `docs/session.md`.
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
        "ask-view" => fill(&texts.question.view, values),
        "ask-view-program" => {
            let more = fill(&texts.question.view_program_more, values);
            format!("{} {more}", fill(&texts.question.view, values))
        }
        "ask-control-program" => fill(&texts.question.control_program, values),
        "ask-control" => fill(&texts.question.control, values),
        "ask-switch" => {
            let id = value("backend");
            let label = labels.get(id).map_or(id, String::as_str);
            let more = fill(&texts.question.switch_more, &[("label", label)]);
            format!("{} {more}", fill(&texts.question.switch, values))
        }
        "stranger-tried" => texts.notice.stranger_tried.clone(),
        "wrong-code-tried" => fill(&texts.notice.wrong_code_tried, values),
        "code-burnt" => fill(&texts.notice.code_burnt, values),
        "code-renewed" => texts.notice.code_renewed.clone(),
        "service-lost" => texts.notice.service_lost.clone(),
        "service-back" => texts.notice.service_back.clone(),
        "code-forgotten" => texts.notice.code_forgotten.clone(),
        "closed-own" => format!("{} {}", texts.receipt.closed, texts.own.over),
        "closed" => format!("{} {}", texts.receipt.closed, texts.receipt.never),
        "closed-receipt" => {
            let seconds = |name| value(name).parse().unwrap_or(0);
            let times = (seconds("viewed_seconds"), seconds("controlled_seconds"));
            let done = receipt::sentence(texts, values, times);
            format!("{} {done} {}", texts.receipt.closed, texts.receipt.nobody)
        }
        failure => texts.failure(failure).sentence(),
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
            "wrong-code-tried",
            "Maija Virtanen (Ecom) yritti väärällä koodilla. Lue koodi uudelleen. Yrityksiä jäljellä: 2.",
        );
        check("closed", "Yhteys on suljettu. Kukaan ei nähnyt näyttöäsi.");
        check(
            "closed-receipt",
            "Yhteys on suljettu. Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi 4 min. Kukaan ei enää \
             näe näyttöäsi.",
        );
        check(
            "tool-missing",
            "Tätä etätukea ei ole asennettu tälle koneelle. Valitse toinen etätuki tai kysy neuvoa asiakastuesta.",
        );
    }
}
