//! The window thread's loop: the menu, one session after the other, and what happens in between. Views
//! of the session, probes' answers and pressed buttons come in as events; commands go out.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use etatuki_session::{Command, SessionHandle, State, UsableBackend, View};
use fltk::app;
use fltk::prelude::*;

use super::button::Pressed;
use super::failure;
use super::look;
use super::menu::{Entry, Menu};
use super::page::Action;
use super::session::SessionWindow;
use super::sheet::{Sheet, on_close};
use super::subject::Subject;
use crate::commands::begin_log;
use crate::escape::EscapeWatch;
use crate::exit::Exit;
use crate::last_words;
use crate::launcher::Launcher;
use crate::mend;
use crate::probe::{self, Probed};
use crate::registry::Connect;
use crate::texts::Texts;

/// Seconds between two looks at the bar and at what the customer has copied.
const TICK: f64 = 0.5;
/// How many of them a copy button says that it has copied.
const COPIED_TICKS: u32 = 4;

/// What happens.
pub(crate) enum Event {
    /// A button, or a window's own close button.
    Pressed(Action),
    /// The session with that number changed.
    View(u32, Box<View>),
    /// A probe answered.
    Probed(Probed),
    /// The customer held Esc for a second.
    EscapeHeld,
    /// Time passed.
    Tick,
}

/// Where events go, from any thread.
#[derive(Clone)]
pub(crate) struct Events(Sender<Event>);

impl Events {
    pub(crate) fn new() -> (Self, Receiver<Event>) {
        let (events, inbox) = channel();
        (Self(events), inbox)
    }

    /// Nobody listens any more only when the program ends.
    pub(crate) fn send(&self, event: Event) {
        let _ = self.0.send(event);
        app::awake();
    }

    pub(crate) fn pressed(&self) -> Pressed {
        let events = self.clone();
        Rc::new(move |action| events.send(Event::Pressed(action)))
    }

    /// A tick from now on, as long as the program runs.
    pub(crate) fn begin_ticking(&self) {
        let events = self.clone();
        app::add_timeout3(TICK, move |handle| {
            events.send(Event::Tick);
            app::repeat_timeout3(TICK, handle);
        });
    }
}

/// Shows the menu until it is closed.
pub fn menu(launcher: Launcher) -> Exit {
    let _fltk = look::set_up();
    let mut shell = Shell::new(launcher);
    shell.open_menu();
    shell.run()
}

/// Shows one entry's session until its window is closed.
pub fn open(launcher: Launcher, backend: &str) -> Exit {
    let _fltk = look::set_up();
    let mut shell = Shell::new(launcher);
    shell.open_session(backend, false);
    shell.run()
}

/// Shows a failure that leaves nothing to do.
pub fn complain(texts: &Texts, name: &str, detail: &str) {
    let _fltk = look::set_up();
    let (events, inbox) = Events::new();
    let mut sheet = Sheet::new(&texts.window.title, None, events.pressed(), |_| 0);
    let pressed = events.pressed();
    let leave = move || pressed(Action::Leave);
    on_close(sheet.window(), leave.clone(), leave);
    sheet.set(failure::alone(texts, name, Some(detail)), true);
    sheet.centre();
    sheet.window().show();
    while app::wait() {
        if inbox.try_recv().is_ok() {
            sheet.window().hide();
        }
    }
}

/// The launcher with its windows.
struct Shell {
    launcher: Arc<Launcher>,
    events: Events,
    inbox: Receiver<Event>,
    entries: Vec<Entry>,
    probed: Vec<UsableBackend>,
    menu: Option<Menu>,
    session: Option<Running>,
    /// Numbers sessions, so that a late view of an old one is told apart.
    sessions: u32,
    exit: Exit,
    done: bool,
}

/// A session and its window.
struct Running {
    number: u32,
    handle: SessionHandle,
    window: SessionWindow,
    backend: String,
    escape: Option<EscapeWatch>,
    copied_for: u32,
    /// The customer put the window away before the end.
    leaving: bool,
}

impl Shell {
    fn new(launcher: Launcher) -> Self {
        let (events, inbox) = Events::new();
        let entries = launcher.entries().into_iter().map(|backend| Entry {
            id: backend.id.clone(),
            label: launcher.label(backend).to_owned(),
            fits: launcher.fits(backend),
            unusable: None,
        });
        let entries = entries.collect();
        Self {
            launcher: Arc::new(launcher),
            events,
            inbox,
            entries,
            probed: Vec::new(),
            menu: None,
            session: None,
            sessions: 0,
            exit: Exit::Normal,
            done: false,
        }
    }

    /// The window comes first, everything that it doesn't need follows.
    fn run(mut self) -> Exit {
        app::check();
        begin_log(self.launcher.start());
        self.events.begin_ticking();
        self.probe();
        while !self.done {
            app::wait();
            while let Ok(event) = self.inbox.try_recv() {
                self.handle(event);
            }
        }
        if let Some(running) = self.session.take() {
            running.handle.join();
        }
        self.exit
    }

    /// Probes every entry but the one that is being opened: its session says better what is wrong.
    fn probe(&self) {
        let opened = self
            .session
            .as_ref()
            .map(|running| running.backend.as_str());
        let ids = self.entries.iter().map(|entry| entry.id.clone());
        let ids: Vec<_> = ids.filter(|id| Some(id.as_str()) != opened).collect();
        let (launcher, events) = (self.launcher.clone(), self.events.clone());
        let probing = move || {
            probe::all(&launcher, &ids, |probed| events.send(Event::Probed(probed)));
        };
        let thread = std::thread::Builder::new().name("etatuki-probes".into());
        if let Err(error) = thread.spawn(probing) {
            tracing::error!("no entry can be probed: {error}");
        }
    }

    fn open_menu(&mut self) {
        let registry = &self.launcher.installed.registry;
        let banner = self.launcher.banner();
        let pressed = self.events.pressed();
        let texts = &self.launcher.texts;
        let mut menu = Menu::new(
            texts,
            &registry.vendor.phone,
            &self.entries,
            banner,
            &pressed,
        );
        menu.window().show();
        self.menu = Some(menu);
    }

    /// Opens an entry's window. `now` opens the connection too, without being asked to.
    fn open_session(&mut self, id: &str, now: bool) {
        let Some(backend) = self.launcher.backend(id) else {
            return;
        };
        let at_once = now || backend.connect == Connect::AtOnce;
        self.sessions += 1;
        let number = self.sessions;
        let others = self
            .probed
            .iter()
            .filter(|other| other.id != id)
            .cloned()
            .collect();
        let events = self.events.clone();
        let on_view = move |view| {
            mend::after(&view);
            events.send(Event::View(number, Box::new(view)));
        };
        let config = self.launcher.session(backend, others);
        let handle = etatuki_session::start(config, Box::new(on_view));
        last_words::of(handle.sender());
        if at_once {
            handle.send(Command::Open);
        }
        let subject = subject(&self.launcher, id);
        let pressed = self.events.pressed();
        let mut window = SessionWindow::new(subject, self.launcher.banner(), at_once, &pressed);
        window.show();
        self.session = Some(Running {
            number,
            handle,
            window,
            backend: id.to_owned(),
            escape: None,
            copied_for: 0,
            leaving: false,
        });
        if let Some(menu) = &mut self.menu {
            menu.window().hide();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Pressed(action) => self.act(action),
            Event::View(number, view) => self.view(number, *view),
            Event::Probed(probed) => self.probed(&probed),
            Event::EscapeHeld => self.command(Command::TakeBack),
            Event::Tick => self.tick(),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open => self.reopen(),
            Action::Close => self.command(Command::Close),
            Action::TakeBack => self.command(Command::TakeBack),
            Action::Answer { question, allow } => self.command(Command::Answer { question, allow }),
            Action::AllowProgram(question) => self.command(Command::AllowAppOnly { question }),
            Action::Copy(field) => self.copy(field),
            Action::Choose(id) => self.open_session(&id, false),
            Action::Escape => self.escape(),
            Action::Leave => self.leave(),
        }
    }

    /// Opens this window's entry, again if need be: also after the session's thread has died of a mistake of ours.
    fn reopen(&mut self) {
        match &mut self.session {
            Some(running) if running.handle.is_over() => {
                let backend = running.backend.clone();
                running.window.hide();
                self.open_session(&backend, true);
            }
            _ => self.command(Command::Open),
        }
    }

    fn command(&mut self, command: Command) {
        if let Some(running) = &self.session {
            running.handle.send(command);
        }
    }

    fn copy(&mut self, field: usize) {
        let Some(running) = &mut self.session else {
            return;
        };
        if let Some(digits) = running.window.digits(field) {
            app::copy(digits);
            running.copied_for = COPIED_TICKS;
            running.window.set_copied(Some(field));
        }
    }

    /// Esc allows nothing, and closes a window that asks nothing.
    fn escape(&mut self) {
        let Some(running) = &self.session else { return };
        let view = running.window.view();
        match view.map(|view| (&view.question, view.state)) {
            Some((Some(question), _)) => {
                let answer = Command::Answer {
                    question: question.id,
                    allow: false,
                };
                running.handle.send(answer);
            }
            None | Some((None, State::Closed | State::Failed)) => self.leave(),
            Some(_) => {}
        }
    }

    /// The window is closed: that ends a session. With somebody connected the receipt follows.
    fn leave(&mut self) {
        let Some(running) = &mut self.session else {
            self.done = true;
            return;
        };
        let state = running
            .window
            .view()
            .map_or(State::Closed, |view| view.state);
        match state {
            State::Closed | State::Failed => self.end_session(),
            State::Connected | State::Interrupted => running.handle.send(Command::Close),
            State::Opening | State::Waiting | State::Closing => {
                running.leaving = true;
                running.handle.send(Command::Close);
                running.window.hide();
            }
        }
    }

    /// Back to the menu, or out.
    fn end_session(&mut self) {
        let Some(mut running) = self.session.take() else {
            return;
        };
        running.window.hide();
        running.handle.join();
        match &mut self.menu {
            Some(menu) => {
                menu.window().show();
                // What was missing may be here now.
                self.probe();
            }
            None => self.done = true,
        }
    }

    fn view(&mut self, number: u32, view: View) {
        let Some(running) = self
            .session
            .as_mut()
            .filter(|running| running.number == number)
        else {
            return;
        };
        let state = view.state;
        let switch_to = view
            .receipt
            .as_ref()
            .and_then(|receipt| receipt.switch_to.clone());
        self.exit = Exit::of(&view);
        watch_escape(running, &view, &self.events);
        let over = matches!(state, State::Closed | State::Failed);
        if running.leaving {
            if over {
                self.end_session();
            }
            return;
        }
        running.window.set(view);
        if let Some(id) = switch_to.filter(|_| state == State::Closed) {
            self.switch(&id);
        }
    }

    /// The customer allowed another entry: its window takes this one's place.
    fn switch(&mut self, id: &str) {
        if self.launcher.backend(id).is_none() {
            return;
        }
        if let Some(mut running) = self.session.take() {
            running.window.hide();
            running.handle.join();
        }
        self.open_session(id, true);
    }

    fn probed(&mut self, probed: &Probed) {
        self.probed.retain(|known| known.id != probed.id);
        self.probed.push(probed.usable(&self.launcher));
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == probed.id) {
            entry.unusable = probed
                .unusable
                .as_ref()
                .map(|unusable| unusable.name.clone());
        }
        if let Some(menu) = &mut self.menu {
            menu.set(&self.entries);
        }
        if let Some(running) = &self.session {
            let others = self
                .probed
                .iter()
                .filter(|other| other.id != running.backend);
            running
                .handle
                .send(Command::OtherBackends(others.cloned().collect()));
        }
    }

    fn tick(&mut self) {
        let Some(running) = &mut self.session else {
            return;
        };
        running.window.tick();
        if running.copied_for > 0 {
            running.copied_for -= 1;
            if running.copied_for == 0 {
                running.window.set_copied(None);
            }
        }
    }
}

/// Esc counts for as long as control is given.
fn watch_escape(running: &mut Running, view: &View, events: &Events) {
    let given = view.state == State::Connected && view.permissions.control;
    if !given {
        running.escape = None;
    } else if running.escape.is_none() {
        let events = events.clone();
        running.escape = Some(EscapeWatch::start(move || events.send(Event::EscapeHeld)));
    }
}

/// What the pages of an entry's session say.
pub(crate) fn subject(launcher: &Launcher, id: &str) -> Subject {
    let registry = &launcher.installed.registry;
    let label = |backend: &crate::registry::Backend| launcher.label(backend).to_owned();
    let labels = registry
        .backends
        .iter()
        .map(|backend| (backend.id.clone(), label(backend)));
    Subject {
        texts: launcher.texts.clone(),
        label: launcher.backend(id).map_or_else(|| id.to_owned(), label),
        own_transport: launcher
            .backend(id)
            .is_some_and(|backend| backend.form.is_none()),
        vendor: registry.vendor.name.clone(),
        phone: registry.vendor.phone.clone(),
        labels: labels.collect(),
    }
}
