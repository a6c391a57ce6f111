//! The ways to start the windows: the menu, one entry, and one that goes on after a restart. Each looks
//! first whether another launcher has the display.

use super::fatal::{self, NextStep, show_fatal};
use super::{LauncherApp, SESSION_RUNNING};
use crate::claim::{self, MenuElsewhere, Start, Started};
use crate::exit::Exit;
use crate::launcher::Launcher;
use crate::restart::Judgement;
use crate::startup::begin_log;
use crate::window::theme;

/// Shows the menu until it is closed.
pub fn run_menu(launcher: Launcher) -> Exit {
    let claim = match claim::claim_menu() {
        Ok(claim) => claim,
        Err(MenuElsewhere::Shown) => return Exit::Normal,
        Err(MenuElsewhere::Refused) => return refuse_start(&launcher),
    };
    let _fltk = theme::init();
    let mut app = LauncherApp::new(launcher);
    app.menu_claim = claim;
    app.open_menu();
    app.run()
}

/// Goes on with an entry's session after a restart, or says why not, with a button for a new code.
pub(crate) fn run_come_back(launcher: Launcher, backend: &str, come_back: Judgement) -> Exit {
    start_entry(launcher, backend, Some(come_back))
}

/// Shows one entry's session until its window is closed.
pub fn run_entry(launcher: Launcher, backend: &str) -> Exit {
    start_entry(launcher, backend, None)
}

fn start_entry(launcher: Launcher, backend: &str, come_back: Option<Judgement>) -> Exit {
    let mut fltk = None;
    let claim = loop {
        match claim::claim_session(&Start::Entry(backend.to_owned())) {
            Started::Claimed(claim) => break claim,
            Started::Elsewhere => return Exit::Normal,
            Started::Refused(refusal) => {
                begin_log(launcher.environment());
                fltk.get_or_insert_with(theme::init);
                if fatal::show_refusal(&launcher, &refusal) == NextStep::GiveUp {
                    return Exit::Backend;
                }
            }
        }
    };
    fltk.get_or_insert_with(theme::init);
    let mut app = LauncherApp::new(launcher);
    app.claim = Some(claim);
    app.come_back = come_back;
    app.open_entry(backend);
    app.run()
}

/// Says that a session without a window of ours is connected on this display.
fn refuse_start(launcher: &Launcher) -> Exit {
    begin_log(launcher.environment());
    tracing::warn!("no start: a session is connected");
    let support = launcher.vendor().support(&launcher.texts);
    show_fatal(&launcher.texts, SESSION_RUNNING, Some(&support), None);
    Exit::Backend
}
