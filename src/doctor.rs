//! `etatuki doctor`: says in words, and as JSON, what this machine can and can't do. For the
//! integrator's installer, and for the support person who asks a customer to read it out.

use std::fmt::Write as _;
use std::io::Write as _;

use etatuki_plugin_host::{CheckSpec, TRIAL_TIMEOUT};
use serde::Serialize;

use crate::display_check;
use crate::exit::Exit;
use crate::fonts;
use crate::launcher::{Environment, Launcher};
use crate::probe::{self, ProbeResult};
use crate::registry::Backend;
use crate::startup::display;

mod service;
mod surroundings;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It works.
    Ok,
    /// Help is possible, and something is less than it should be.
    Warning,
    /// No help is possible until this is mended.
    Blocked,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// The stable name, such as `display` or `entry ecom`.
    name: String,
    verdict: Verdict,
    /// One sentence in English: what was found and, if it isn't right, what to do.
    text: String,
}

impl Check {
    fn new(name: impl Into<String>, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            text: text.into(),
        }
    }

    fn ok(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, text)
    }

    fn warning(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warning, text)
    }

    fn blocked(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Blocked, text)
    }
}

/// Checks this machine and prints the results. A broken registry doesn't end it: the rest is told
/// all the same.
pub(crate) fn run(environment: Environment, json: bool) -> Exit {
    let mut checks = vec![surroundings::system()];
    let connection = display();
    let unsupported = display_check::check().err().map(|failure| failure.detail);
    checks.push(surroundings::display(connection.is_some(), unsupported));
    if connection.is_some() {
        checks.push(surroundings::fonts(fonts::are_there()));
    }
    checks.push(surroundings::log_folder(environment.folders()));
    if let Some(error) = &environment.settings_error {
        checks.push(Check::warning("settings", format!("ignored: {error}")));
    }
    match environment.load_registry() {
        Ok(launcher) => check_registry(&launcher, &mut checks),
        Err(refused) => checks.push(Check::blocked("registry", refused.1.to_string())),
    }
    let text = if json {
        as_json(&checks)
    } else {
        as_lines(&checks)
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) if checks.iter().any(|check| check.verdict == Verdict::Blocked) => Exit::Check,
        Ok(()) => Exit::Normal,
        Err(_) => Exit::Internal,
    }
}

/// Checks the registry and all that it names.
fn check_registry(launcher: &Launcher, checks: &mut Vec<Check>) {
    checks.push(surroundings::registry(&launcher.installed));
    let results = probe_entries(launcher);
    checks.extend(check_entries(launcher, &results));
    checks.extend(check_sandbox(launcher, &results));
    let service = &launcher.installed.registry.service;
    checks.extend(service::check(service, &launcher.texts));
}

/// Probes every entry, as the menu does.
fn probe_entries(launcher: &Launcher) -> Vec<ProbeResult> {
    let ids = launcher.entries().into_iter();
    let ids: Vec<_> = ids.map(|backend| backend.id.clone()).collect();
    let mut results = Vec::new();
    probe::probe_all(launcher, &ids, |result| results.push(result));
    results
}

/// Says of each entry whether it can be used. One usable entry is enough for help.
fn check_entries(launcher: &Launcher, results: &[ProbeResult]) -> Vec<Check> {
    let any_usable = results.iter().any(|result| result.unusable.is_none());
    let check = |backend: &Backend| {
        let name = format!("entry {}", backend.id);
        let Some(result) = results.iter().find(|result| result.id == backend.id) else {
            return Check::blocked(name, "the probe died");
        };
        match &result.unusable {
            None => Check::ok(name, "usable"),
            Some(unusable) => {
                let verdict = if any_usable {
                    Verdict::Warning
                } else {
                    Verdict::Blocked
                };
                let sentence = launcher.texts.failure(&unusable.name).sentence();
                let text = format!("{}: {} ({sentence})", unusable.name, unusable.detail);
                Check::new(name, verdict, text)
            }
        }
    };
    launcher.entries().into_iter().map(check).collect()
}

/// Says what this system can't forbid a plugin, by loading one as a session does: the first whose
/// file the launcher trusts.
fn check_sandbox(launcher: &Launcher, results: &[ProbeResult]) -> Option<Check> {
    let is_trusted = |backend: &&Backend| {
        let result = results.iter().find(|result| result.id == backend.id);
        let reason = result.map(|result| result.unusable.as_ref().map(|found| &found.name));
        reason.is_some_and(|name| name.is_none_or(|name| !name.starts_with("plugin-")))
    };
    let backend = launcher.entries().into_iter().find(is_trusted)?;
    let plugin = launcher.plugin_spec(backend);
    let spec = CheckSpec {
        exe: launcher.exe().to_owned(),
        library: plugin.path,
        only: vec!["symbol".to_owned()],
        options: plugin.options,
        network: plugin.network,
        sandbox: true,
        timeout: TRIAL_TIMEOUT,
        fail_fast: true,
    };
    let open = etatuki_plugin_host::check(&spec, |_| {});
    Some(match open.is_empty() {
        true => Check::ok("sandbox", "this kernel holds plugins back"),
        false => Check::warning(
            "sandbox",
            format!("this system can't hold a plugin back: {}", open.join("; ")),
        ),
    })
}

fn as_json(checks: &[Check]) -> String {
    let blocked = checks.iter().any(|check| check.verdict == Verdict::Blocked);
    let report = serde_json::json!({ "ok": !blocked, "checks": checks });
    format!("{report:#}\n")
}

fn as_lines(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "WARNING",
            Verdict::Blocked => "BLOCKED",
        };
        // Writing into a String doesn't fail.
        let _ = writeln!(text, "{verdict}  {:width$}  {}", check.name, check.text);
    }
    text
}
