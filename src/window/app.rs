//! The window thread's loop: the menu, one session after the other, and what happens in between.
//! Views of the session, probe results and pressed buttons come in as events; commands go out.

mod answers;
mod fatal;
mod second_start;
mod start;

pub use fatal::show_fatal;
pub(crate) use start::run_come_back;
pub use start::{run_entry, run_menu};

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use etatuki_session::SessionHandle;
use etatuki_session_core::{Command, QuestionText, State, UsableBackend, View};
use fltk::app;
use fltk::prelude::*;

use super::events::{AppEvent, EventSender};
use super::hands::Trigger;
use super::menu::{MenuEntry, MenuWindow};
use super::page::{ButtonAction, Page};
use super::quote::question_text;
use super::session::SessionWindow;
use super::session_context::SessionContext;
use crate::claim::Claim;
use crate::display_loss;
use crate::escape::EscapeWatch;
use crate::exit::Exit;
use crate::launcher::Launcher;
use crate::probe::{self, ProbeResult};
use crate::registry::Connect;
use crate::restart::Judgement;
use crate::startup::begin_log;

/// Ticks for which a copy button says that it has copied.
const COPIED_TICKS: u32 = 4;
/// Stable name of the failure of a second session on a display.
const SESSION_RUNNING: &str = "session-running";

/// Copies a page's code into the clipboard, or its text if it has none.
fn copy_page(page: &Page) {
    match page.code() {
        Some(code) => app::copy(&code),
        None => app::copy(&page.text()),
    }
}

/// The launcher with its windows.
struct LauncherApp {
    launcher: Arc<Launcher>,
    events: EventSender,
    inbox: Receiver<AppEvent>,
    entries: Vec<MenuEntry>,
    probed: Vec<UsableBackend>,
    menu: Option<MenuWindow>,
    session: Option<ActiveSession>,
    /// Number of the last session: a late view of an older one is recognised by it.
    last_session: u32,
    /// A session that goes on after a restart, or why it doesn't; until the first session is started.
    come_back: Option<Judgement>,
    /// The display's claim, while there is a session or its window.
    claim: Option<Claim>,
    menu_claim: Option<Claim>,
    exit: Exit,
    done: bool,
}

/// A session and its window.
struct ActiveSession {
    number: u32,
    handle: SessionHandle,
    window: SessionWindow,
    backend: String,
    escape: Option<EscapeWatch>,
    /// Ticks until the copy button shows its ordinary label again.
    copied_ticks_left: u32,
    /// Whether the customer closed the window before the session's end.
    window_closed: bool,
    /// The question that the agent was told in the customer's words, with its id.
    quoted: Option<(u32, QuestionText)>,
}

impl ActiveSession {
    /// Tells the agent in which words the open question is shown, after each change of them.
    fn quote_question(&mut self) {
        let question = self.window.view().and_then(|view| view.question.as_ref());
        let Some(question) = question.map(|open| open.id) else {
            return;
        };
        let text = question_text(self.window.page());
        let quoted = Some((question, text.clone()));
        if quoted != self.quoted {
            self.quoted = quoted;
            let shown = Command::QuestionShown { question, text };
            self.handle.send(shown);
        }
    }
}

impl LauncherApp {
    fn new(launcher: Launcher) -> Self {
        let (events, inbox) = EventSender::new();
        let entries = launcher.entries().into_iter().map(|backend| MenuEntry {
            id: backend.id.clone(),
            label: launcher.label(backend).to_owned(),
            fits: launcher.fitting_version(backend),
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
            last_session: 0,
            come_back: None,
            claim: None,
            menu_claim: None,
            exit: Exit::Normal,
            done: false,
        }
    }

    /// Runs the loop. The window is shown first; whatever it doesn't need follows.
    fn run(mut self) -> Exit {
        app::check();
        begin_log(self.launcher.environment());
        self.events.start_ticking();
        self.probe();
        while !self.done {
            app::wait();
            while let Ok(event) = self.inbox.try_recv() {
                self.on_event(event);
            }
        }
        if let Some(session) = self.session.take() {
            session.handle.join();
        }
        self.exit
    }

    /// Probes every entry but the one that is being opened: its session reports better what is
    /// wrong.
    fn probe(&self) {
        let opened = self
            .session
            .as_ref()
            .map(|session| session.backend.as_str());
        let ids = self.entries.iter().map(|entry| entry.id.clone());
        let ids: Vec<_> = ids.filter(|id| Some(id.as_str()) != opened).collect();
        let (launcher, events) = (self.launcher.clone(), self.events.clone());
        let probing = move || {
            probe::probe_all(&launcher, &ids, |result| {
                events.send(AppEvent::Probed(result));
            });
        };
        let thread = std::thread::Builder::new().name("etatuki-probes".into());
        if let Err(error) = thread.spawn(probing) {
            tracing::error!("no entry can be probed: {error}");
        }
    }

    fn open_menu(&mut self) {
        let mut menu = MenuWindow::new(
            &self.launcher.texts,
            &self.launcher.vendor(),
            &self.entries,
            self.launcher.banner(),
            &self.events.on_action(),
        );
        menu.show();
        self.menu = Some(menu);
    }

    /// Opens an entry's window, and the connection if the registry says so.
    fn open_entry(&mut self, id: &str) {
        let connect = self.launcher.backend(id).map(|backend| backend.connect);
        if let Some(connect) = connect
            && self.ensure_claim(id)
        {
            self.start_session(id, connect);
        }
    }

    /// Starts an entry's session and opens its window.
    fn start_session(&mut self, id: &str, connect: Connect) {
        let Some(backend) = self.launcher.backend(id) else {
            return;
        };
        self.last_session += 1;
        let number = self.last_session;
        let others = self
            .probed
            .iter()
            .filter(|other| other.id != id)
            .cloned()
            .collect();
        let events = self.events.clone();
        let on_view = move |view| {
            events.send(AppEvent::View(number, Box::new(view)));
        };
        let mut config = self.launcher.session_config(backend, others);
        config.come_back = self.come_back.take();
        let opens = connect == Connect::AtOnce || config.come_back.is_some();
        let handle = etatuki_session::start(config, Box::new(on_view));
        display_loss::register(handle.sender());
        if opens {
            handle.send(Command::Open);
        }
        let context = SessionContext::new(&self.launcher, id);
        let on_action = self.events.on_action();
        let mut window = SessionWindow::new(context, self.launcher.banner(), connect, &on_action);
        window.show();
        self.session = Some(ActiveSession {
            number,
            handle,
            window,
            backend: id.to_owned(),
            escape: None,
            copied_ticks_left: 0,
            window_closed: false,
            quoted: None,
        });
        if let Some(menu) = &mut self.menu {
            menu.fltk_window().hide();
        }
    }

    fn on_event(&mut self, event: AppEvent) {
        match event {
            AppEvent::ButtonAction(action, trigger) => self.on_action(action, trigger),
            AppEvent::View(number, view) => self.on_view(number, *view),
            AppEvent::Probed(result) => self.on_probe_result(&result),
            AppEvent::Tick => self.on_tick(),
        }
    }

    fn on_action(&mut self, action: ButtonAction, trigger: Trigger) {
        if let Some(reply) = action.reply()
            && !self.counts(trigger, reply)
        {
            return;
        }
        match action {
            ButtonAction::Open => self.open_connection(),
            ButtonAction::Close => self.send(Command::Close),
            ButtonAction::TakeBack => self.send(Command::TakeBack),
            ButtonAction::WithdrawRestart => self.send(Command::WithdrawRestart),
            ButtonAction::Answer { question, allow } => {
                self.send(Command::Answer { question, allow })
            }
            ButtonAction::AllowAppOnly(question) => self.send(Command::AllowAppOnly { question }),
            ButtonAction::Copy => self.copy(),
            ButtonAction::ChooseEntry(id) => self.open_entry(&id),
            ButtonAction::ChooseOther => self.choose_other(),
            ButtonAction::About => self.show_about(),
            ButtonAction::Escape => self.on_escape(trigger),
            ButtonAction::CloseWindow => self.close_window(),
            // A button of a window without this loop.
            ButtonAction::EndHungLauncher => {}
        }
    }

    /// Opens the connection of this window's entry, with a new session if the last one is over:
    /// also after its thread has died of a mistake of ours.
    fn open_connection(&mut self) {
        let backend = self.session.as_ref().map(|session| session.backend.clone());
        if !backend.is_some_and(|backend| self.ensure_claim(&backend)) {
            return;
        }
        match &mut self.session {
            Some(session) if session.handle.is_over() => {
                let backend = session.backend.clone();
                session.window.hide();
                self.start_session(&backend, Connect::AtOnce);
            }
            _ => self.send(Command::Open),
        }
    }

    fn send(&mut self, command: Command) {
        if let Some(session) = &self.session {
            session.handle.send(command);
        }
    }

    /// Copies the code of the session's page, or the page's text if it has none.
    fn copy(&mut self) {
        let Some(session) = &mut self.session else {
            return self.menu.iter().for_each(|menu| copy_page(menu.page()));
        };
        let page = session.window.page();
        let is_code = page.code().is_some();
        copy_page(page);
        if is_code {
            session.copied_ticks_left = COPIED_TICKS;
            session.window.set_copied(true);
        }
    }

    /// Ends a failed session and shows the other entries.
    fn choose_other(&mut self) {
        if self.menu.is_none() {
            self.open_menu();
        }
        self.end_session();
    }

    /// Shows the version and the language, or the entries again.
    fn show_about(&mut self) {
        if let Some(menu) = &mut self.menu {
            menu.toggle_about();
        }
    }

    /// Closes the window, which ends the session. If an agent is connected, the receipt follows.
    fn close_window(&mut self) {
        let Some(session) = &mut self.session else {
            self.done = true;
            return;
        };
        let state = session
            .window
            .view()
            .map_or(State::Closed, |view| view.state);
        match state {
            State::Closed | State::Failed => self.end_session(),
            State::Connected | State::Interrupted => session.handle.send(Command::Close),
            State::Opening | State::Waiting | State::Closing => {
                session.window_closed = true;
                session.handle.send(Command::Close);
                session.window.hide();
            }
        }
    }

    /// Ends the session and returns to the menu, or ends the program if there is none.
    fn end_session(&mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        session.window.hide();
        session.handle.join();
        self.claim = None;
        match &mut self.menu {
            Some(menu) => {
                menu.show();
                // An entry that couldn't be used may be usable now.
                self.probe();
            }
            None => self.done = true,
        }
    }

    fn on_view(&mut self, number: u32, view: View) {
        let Some(session) = self
            .session
            .as_mut()
            .filter(|session| session.number == number)
        else {
            return;
        };
        let state = view.state;
        let switch_to = view
            .receipt
            .as_ref()
            .and_then(|receipt| receipt.switch_to.clone());
        self.exit = Exit::of_session(&view);
        watch_escape(session, &view);
        if session.window_closed {
            if matches!(state, State::Closed | State::Failed) {
                self.end_session();
            }
            return;
        }
        session.window.set(view);
        session.quote_question();
        if let Some(id) = switch_to.filter(|_| state == State::Closed) {
            self.switch(&id);
        }
    }

    /// Replaces the session by one of another entry, as the customer has allowed.
    fn switch(&mut self, id: &str) {
        if self.launcher.backend(id).is_none() {
            return;
        }
        if let Some(mut session) = self.session.take() {
            session.window.hide();
            session.handle.join();
        }
        self.start_session(id, Connect::AtOnce);
    }

    fn on_probe_result(&mut self, result: &ProbeResult) {
        self.probed.retain(|known| known.id != result.id);
        self.probed.push(result.for_agent(&self.launcher));
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == result.id) {
            entry.unusable = result
                .unusable
                .as_ref()
                .map(|unusable| unusable.name.clone());
        }
        if let Some(menu) = &mut self.menu {
            menu.set(&self.entries);
        }
        if let Some(session) = &self.session {
            let others = self
                .probed
                .iter()
                .filter(|other| other.id != session.backend);
            session
                .handle
                .send(Command::OtherBackends(others.cloned().collect()));
        }
    }

    fn on_tick(&mut self) {
        self.answer_menu_starts();
        self.answer_starts();
        let Some(session) = &mut self.session else {
            return self.menu.iter_mut().for_each(MenuWindow::tick);
        };
        if session.window_closed && session.handle.is_over() {
            // Its last view didn't come: without a window nothing else would end it.
            return self.end_session();
        }
        session.window.tick();
        if session.copied_ticks_left > 0 {
            session.copied_ticks_left -= 1;
            if session.copied_ticks_left == 0 {
                session.window.set_copied(false);
            }
        }
    }
}

/// Watches Esc while the agent has control. The session is told directly: this loop may hang.
fn watch_escape(session: &mut ActiveSession, view: &View) {
    let is_controlled = view.state == State::Connected && view.permissions.control;
    if !is_controlled {
        session.escape = None;
    } else if session.escape.is_none() {
        let sender = session.handle.sender();
        let watch = EscapeWatch::start(move || sender.send(Command::TakeBack));
        session.escape = Some(watch);
    }
}
