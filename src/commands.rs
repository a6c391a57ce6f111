//! What each command does, and what is said when it can't.

use std::io::Write as _;
use std::process::ExitCode;

use etatuki_screen::{CancelToken, EscapeKey};
use serde::Serialize;

use crate::check;
use crate::cli::{Cli, Command, PluginCommand};
use crate::embedded;
use crate::exit::Exit;
use crate::launcher::{Launcher, Start};
use crate::logs;
use crate::probe::{self, Probed};
use crate::registry::Backend;
use crate::registry::place::PlaceError;
use crate::texts::Texts;
use crate::window::run as window;

/// Runs the launcher.
pub fn run(cli: Cli) -> ExitCode {
    let (options, command) = cli.into_command();
    // Needs no registry: a plugin's author has none.
    if let Some(Command::Plugin { what }) = command {
        let PluginCommand::Check(arguments) = what;
        return check::run(arguments).into();
    }
    let exit = match Start::new(options).launcher() {
        Ok(launcher) => with_registry(launcher, command),
        Err(refused) => without_registry(&refused.0, &refused.1, command.as_ref()),
    };
    exit.into()
}

fn with_registry(launcher: Launcher, command: Option<Command>) -> Exit {
    if let Some(Command::Link { url: Some(url) }) = &command {
        return unknown_link(&launcher, url);
    }
    let backend = match &command {
        Some(Command::Open { backend } | Command::Session { backend }) => Some(backend.as_str()),
        _ => None,
    };
    if let Some(id) = backend.filter(|id| launcher.backend(id).is_none()) {
        return unknown_backend(&launcher, id, &command);
    }
    match command {
        Some(Command::List { json }) => list(&launcher, json),
        Some(Command::Session { backend }) => embedded::run(launcher, &backend),
        Some(Command::Open { backend }) => {
            on_display(launcher, |launcher| window::open(launcher, &backend))
        }
        None => on_display(launcher, window::menu),
        // Taken care of before.
        Some(Command::PluginHost | Command::Plugin { .. } | Command::Link { .. }) => Exit::Internal,
    }
}

/// A display that answers; FLTK ends the program when there is none. To be kept until FLTK has a
/// connection of its own, for an X server that loses its last client starts afresh, which takes time.
pub(crate) fn display() -> Option<EscapeKey> {
    let cancel = CancelToken::new().ok()?;
    EscapeKey::open(None, &cancel).ok()
}

fn on_display(launcher: Launcher, show: impl FnOnce(Launcher) -> Exit) -> Exit {
    if let Some(_answers) = display() {
        return show(launcher);
    }
    begin_log(launcher.start());
    tracing::error!("there is no display");
    say(&launcher.texts, "display-missing", None);
    Exit::Backend
}

fn without_registry(start: &Start, error: &PlaceError, command: Option<&Command>) -> Exit {
    begin_log(start);
    tracing::error!("{error}");
    let texts = Texts::load(start.language());
    refuse(&texts, "registry-broken", &error.to_string(), command);
    Exit::Registry
}

/// A link that isn't one of ours: whoever clicked on it sees a window.
fn unknown_link(launcher: &Launcher, url: &str) -> Exit {
    begin_log(launcher.start());
    let shown: String = url.chars().filter(|c| !c.is_control()).take(80).collect();
    let detail = format!("`{shown}` is not a link such as etatuki://open/ecom");
    tracing::error!("{detail}");
    refuse(&launcher.texts, "unknown-backend", &detail, None);
    Exit::Usage
}

fn unknown_backend(launcher: &Launcher, id: &str, command: &Option<Command>) -> Exit {
    begin_log(launcher.start());
    let known: Vec<_> = launcher
        .entries()
        .iter()
        .map(|backend| backend.id.clone())
        .collect();
    let detail = format!(
        "there is no backend `{id}` in the registry; it has {}",
        known.join(", ")
    );
    tracing::error!("{detail}");
    refuse(
        &launcher.texts,
        "unknown-backend",
        &detail,
        command.as_ref(),
    );
    Exit::Usage
}

/// On stderr for whoever calls us, and in a window when it was a window that was wanted: a Help menu
/// shows nobody our stderr. `session` tells its caller on stdout.
fn refuse(texts: &Texts, name: &str, detail: &str, command: Option<&Command>) {
    say(texts, name, Some(detail));
    match command {
        Some(Command::Session { .. }) => embedded::refuse(texts, name, detail),
        None | Some(Command::Open { .. }) => {
            if let Some(_answers) = display() {
                window::complain(texts, name, detail);
            }
        }
        _ => {}
    }
}

fn say(texts: &Texts, name: &str, detail: Option<&str>) {
    let mut stderr = std::io::stderr().lock();
    // Nobody may be reading; there is nobody else to tell.
    let _ = writeln!(stderr, "{}", texts.failure(name).sentence());
    if let Some(detail) = detail {
        let _ = writeln!(stderr, "{detail}");
    }
}

pub(crate) fn begin_log(start: &Start) {
    logs::begin(start.folders().logs().as_deref(), start.verbose());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    if let Some(error) = &start.settings_error {
        tracing::warn!("{error}");
    }
}

/// An entry as an integrator's own menu gets it.
#[derive(Serialize)]
struct Listed {
    id: String,
    label: String,
    /// Whether it is the one for the accounting program's version, as `--app-version` gives it.
    fits: bool,
    usable: bool,
    reason: Option<String>,
    text: Option<String>,
    detail: Option<String>,
}

fn list(launcher: &Launcher, json: bool) -> Exit {
    begin_log(launcher.start());
    let ids: Vec<_> = launcher
        .entries()
        .iter()
        .map(|backend| backend.id.clone())
        .collect();
    let mut probed = Vec::new();
    probe::all(launcher, &ids, |answer| probed.push(answer));
    let listed: Vec<_> = launcher
        .entries()
        .into_iter()
        .map(|backend| {
            let answer = probed.iter().find(|answer| answer.id == backend.id);
            listed(launcher, backend, answer)
        })
        .collect();
    let text = if json {
        as_json(&listed)
    } else {
        as_lines(&listed)
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Normal,
        Err(_) => Exit::Internal,
    }
}

fn listed(launcher: &Launcher, backend: &Backend, answer: Option<&Probed>) -> Listed {
    let unusable = answer.and_then(|answer| answer.unusable.as_ref());
    let reason = match answer {
        Some(_) => unusable.map(|unusable| unusable.name.clone()),
        // Its probe ended without a word.
        None => Some("internal".to_owned()),
    };
    Listed {
        id: backend.id.clone(),
        label: launcher.label(backend).to_owned(),
        fits: launcher.fits(backend).is_some(),
        usable: reason.is_none(),
        text: reason
            .as_deref()
            .map(|name| launcher.texts.failure(name).sentence()),
        reason,
        detail: unusable.map(|unusable| unusable.detail.clone()),
    }
}

fn as_json(listed: &[Listed]) -> String {
    let json = serde_json::to_string_pretty(listed).expect("texts and booleans are always JSON");
    format!("{json}\n")
}

fn as_lines(listed: &[Listed]) -> String {
    let width = listed.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    let line = |entry: &Listed| {
        let state = match (&entry.reason, &entry.detail) {
            (None, _) => "usable".to_owned(),
            (Some(reason), None) => reason.clone(),
            (Some(reason), Some(detail)) => format!("{reason}: {detail}"),
        };
        format!("{:width$}  {}  ({state})\n", entry.id, entry.label)
    };
    listed.iter().map(line).collect()
}
