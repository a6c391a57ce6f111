//! The launcher's commands, and the reports when one can't be carried out.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use etatuki_restart::TakeError;
use serde::Serialize;

use crate::cli::{self, Cli, Command, Options, PluginSubcommand};
use crate::doctor;
use crate::embedded;
use crate::exit::Exit;
use crate::fonts::{self, FONTS_MISSING, NO_FONTS};
use crate::launcher::{Environment, Launcher};
use crate::plugin_check;
use crate::probe::{self, ProbeResult};
use crate::registry::Backend;
use crate::registry::installed::LoadError;
use crate::restart;
use crate::startup::{begin_log, display};
use crate::texts::Texts;
use crate::window::app;
use crate::window::session_context::Vendor;

/// Runs the launcher to its end.
pub fn run(cli: Cli) -> ExitCode {
    let (options, command) = cli.into_command();
    // Without a registry, which a plugin's author doesn't have.
    if let Some(Command::Plugin { command }) = command {
        let PluginSubcommand::Check(arguments) = command;
        return plugin_check::run(arguments).into();
    }
    if let Some(Command::Doctor { json }) = command {
        return doctor::run(Environment::new(options), json).into();
    }
    if command == Some(Command::ComeBack) {
        return come_back(options).into();
    }
    let exit = match Environment::new(options).load_registry() {
        Ok(launcher) => run_with_registry(launcher, command),
        Err(refused) => report_no_registry(&refused.0, &refused.1, command.as_ref()),
    };
    exit.into()
}

fn run_with_registry(launcher: Launcher, command: Option<Command>) -> Exit {
    if let Some(Command::Link { url: Some(url) }) = &command {
        return report_unknown_link(&launcher, url);
    }
    let backend = match &command {
        Some(Command::Open { backend } | Command::Session { backend }) => Some(backend.as_str()),
        _ => None,
    };
    if let Some(id) = backend.filter(|id| launcher.backend(id).is_none()) {
        return report_unknown_backend(&launcher, id, &command);
    }
    match command {
        Some(Command::List { json }) => list(&launcher, json),
        Some(Command::Session { backend }) => embedded::run(launcher, &backend),
        Some(Command::Open { backend }) => {
            on_display(launcher, |launcher| app::run_entry(launcher, &backend))
        }
        None => on_display(launcher, app::run_menu),
        // Handled above.
        Some(
            Command::PluginHost
            | Command::ComeBack
            | Command::Plugin { .. }
            | Command::Link { .. }
            | Command::Doctor { .. },
        ) => Exit::Internal,
    }
}

/// Goes on with the session that a restart of the machine has interrupted. What was kept for that is
/// taken, and gone, before anything else can fail.
fn come_back(options: Options) -> Exit {
    let taken = restart::take();
    if taken == Err(TakeError::Missing) {
        return Exit::Normal;
    }
    match Environment::new(options).load_registry() {
        Ok(launcher) => on_display(launcher, |launcher| {
            let (backend, come_back) = restart::judge(&launcher, taken);
            app::run_come_back(launcher, &backend, come_back)
        }),
        Err(refused) => report_no_registry(&refused.0, &refused.1, None),
    }
}

fn on_display(launcher: Launcher, run: impl FnOnce(Launcher) -> Exit) -> Exit {
    if let Some(_connection) = display() {
        return match fonts::are_there() {
            true => run(launcher),
            false => report_no_fonts(&launcher),
        };
    }
    begin_log(launcher.environment());
    tracing::error!("there is no display");
    print_failure(&launcher.texts, "display-missing", None, None);
    Exit::Backend
}

/// Says that no window can be shown, because the display has no fonts.
fn report_no_fonts(launcher: &Launcher) -> Exit {
    begin_log(launcher.environment());
    tracing::error!("{NO_FONTS}");
    let support = launcher.vendor().support(&launcher.texts);
    print_failure(
        &launcher.texts,
        FONTS_MISSING,
        Some(&support),
        Some(NO_FONTS),
    );
    Exit::Backend
}

fn report_no_registry(
    environment: &Environment,
    error: &LoadError,
    command: Option<&Command>,
) -> Exit {
    begin_log(environment);
    tracing::error!("{error}");
    let texts = Texts::load(environment.language());
    let support = error.vendor().map(|vendor| {
        let vendor = Vendor {
            name: vendor.name.clone(),
            phone: vendor.phone.clone(),
        };
        vendor.support(&texts)
    });
    let name = match error {
        LoadError::NotTrusted { writable, .. } if owner_is_unknown(writable) => {
            "plugin-unverifiable"
        }
        _ => "registry-broken",
    };
    let mut detail = error.to_string();
    if let Some(Command::Open { backend }) = command {
        push_similar_command(&mut detail, backend);
    }
    report_failure(&texts, name, support.as_deref(), &detail, command);
    Exit::Registry
}

/// Appends the command that an entry's id was probably meant to be.
fn push_similar_command(detail: &mut String, id: &str) {
    if let Some(meant) = cli::similar_command(id) {
        detail.push_str(&format!("; did you mean the command `{meant}`?"));
    }
}

/// Returns whether this user namespace doesn't know who owns the file.
fn owner_is_unknown(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata()
        .is_ok_and(|metadata| etatuki_plugin_host::is_unmapped_owner(metadata.uid()))
}

/// Reports a link that names no entry, in a window for the person who clicked on it.
fn report_unknown_link(launcher: &Launcher, url: &str) -> Exit {
    begin_log(launcher.environment());
    let shown: String = url.chars().filter(|c| !c.is_control()).take(80).collect();
    let detail = format!("`{shown}` is not a link such as etatuki://open/ecom");
    tracing::error!("{detail}");
    let support = launcher.vendor().support(&launcher.texts);
    report_failure(
        &launcher.texts,
        "unknown-backend",
        Some(&support),
        &detail,
        None,
    );
    Exit::Usage
}

fn report_unknown_backend(launcher: &Launcher, id: &str, command: &Option<Command>) -> Exit {
    begin_log(launcher.environment());
    let known: Vec<_> = launcher
        .entries()
        .iter()
        .map(|backend| backend.id.clone())
        .collect();
    let mut detail = format!(
        "there is no backend `{id}` in the registry; it has {}",
        known.join(", ")
    );
    push_similar_command(&mut detail, id);
    tracing::error!("{detail}");
    let support = launcher.vendor().support(&launcher.texts);
    let command = command.as_ref();
    report_failure(
        &launcher.texts,
        "unknown-backend",
        Some(&support),
        &detail,
        command,
    );
    Exit::Usage
}

/// Shows a command line that isn't understood to the customer, if a Help menu started it: nobody sees
/// its stderr, and nothing else would happen.
pub fn show_wrong_command_line(arguments: &[OsString], error: &str) {
    let named = arguments.windows(2).find(|pair| pair[0] == "--registry");
    let options = Options {
        registry: named.map(|pair| pair[1].clone().into()),
        ..Options::default()
    };
    let (texts, support, entries) = match Environment::new(options).load_registry() {
        Ok(launcher) => {
            let entries = launcher.entries().into_iter();
            let entries: Vec<_> = entries.map(|backend| backend.id.clone()).collect();
            let support = launcher.vendor().support(&launcher.texts);
            (launcher.texts, Some(support), entries)
        }
        Err(refused) => (Texts::load(refused.0.language()), None, Vec::new()),
    };
    let entries: Vec<_> = entries.iter().map(String::as_str).collect();
    let is_seen = std::io::stderr().is_terminal();
    if is_seen || !cli::opens_window(arguments, &entries) {
        return;
    }
    if let Some(_connection) = display().filter(|_| fonts::are_there()) {
        let detail: String = error.lines().next().unwrap_or_default().into();
        app::show_fatal(&texts, "wrong-start", support.as_deref(), Some(&detail));
    }
}

/// Reports a failure on stderr; also in a window if the command opens one, because a Help menu shows
/// nobody our stderr; and as a JSON line on stdout if the command is `session`.
fn report_failure(
    texts: &Texts,
    name: &str,
    support: Option<&str>,
    detail: &str,
    command: Option<&Command>,
) {
    print_failure(texts, name, support, Some(detail));
    match command {
        Some(Command::Session { .. }) => embedded::print_refusal(texts, name, detail),
        None | Some(Command::Open { .. }) => {
            if let Some(_connection) = display().filter(|_| fonts::are_there()) {
                app::show_fatal(texts, name, support, Some(detail));
            }
        }
        _ => {}
    }
}

fn print_failure(texts: &Texts, name: &str, support: Option<&str>, detail: Option<&str>) {
    let mut stderr = std::io::stderr().lock();
    // A closed stderr is ignored, because there is nowhere else to report it.
    let _ = writeln!(stderr, "{}", texts.failure(name).sentence());
    for line in [support, detail].into_iter().flatten() {
        let _ = writeln!(stderr, "{line}");
    }
}

/// An entry in the output of `list`, for an integrator's own menu.
#[derive(Serialize)]
struct ListedEntry {
    id: String,
    label: String,
    /// Whether it is the fitting one for the version that `--app-version` gives.
    fits: bool,
    usable: bool,
    reason: Option<String>,
    text: Option<String>,
    detail: Option<String>,
}

fn list(launcher: &Launcher, json: bool) -> Exit {
    begin_log(launcher.environment());
    let ids: Vec<_> = launcher
        .entries()
        .iter()
        .map(|backend| backend.id.clone())
        .collect();
    let mut results = Vec::new();
    probe::probe_all(launcher, &ids, |result| results.push(result));
    let entries: Vec<_> = launcher
        .entries()
        .into_iter()
        .map(|backend| {
            let result = results.iter().find(|result| result.id == backend.id);
            listed_entry(launcher, backend, result)
        })
        .collect();
    let text = if json {
        as_json(&entries)
    } else {
        as_lines(&entries)
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Normal,
        Err(_) => Exit::Internal,
    }
}

fn listed_entry(
    launcher: &Launcher,
    backend: &Backend,
    result: Option<&ProbeResult>,
) -> ListedEntry {
    let unusable = result.and_then(|result| result.unusable.as_ref());
    let reason = match result {
        Some(_) => unusable.map(|unusable| unusable.name.clone()),
        // The probe's task died.
        None => Some("internal".to_owned()),
    };
    ListedEntry {
        id: backend.id.clone(),
        label: launcher.label(backend).to_owned(),
        fits: launcher.fitting_version(backend).is_some(),
        usable: reason.is_none(),
        text: reason
            .as_deref()
            .map(|name| launcher.texts.failure(name).sentence()),
        reason,
        detail: unusable.map(|unusable| unusable.detail.clone()),
    }
}

fn as_json(entries: &[ListedEntry]) -> String {
    let json = serde_json::to_string_pretty(entries).expect("texts and booleans are always JSON");
    format!("{json}\n")
}

fn as_lines(entries: &[ListedEntry]) -> String {
    let width = entries.iter().map(|entry| entry.id.len()).max();
    let width = width.unwrap_or(0);
    let line = |entry: &ListedEntry| {
        let state = match (&entry.reason, &entry.detail) {
            (None, _) => "usable".to_owned(),
            (Some(reason), None) => reason.clone(),
            (Some(reason), Some(detail)) => format!("{reason}: {detail}"),
        };
        format!("{:width$}  {}  ({state})\n", entry.id, entry.label)
    };
    entries.iter().map(line).collect()
}
