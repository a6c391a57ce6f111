//! `etatuki-console doctor`: what this machine can and can't do for an agent, in words and as JSON.
//! `docs/console.md` has the names; the launcher's `doctor` has the same form.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use etatuki_texts::{Language, catalogue::Catalogue};
use etatuki_trust::{AgentFile, CardError, UnixTime};
use serde::Serialize;

use crate::{agent_file, service::Service, session_error::SessionError};

/// Days before a card's end from which it is worth a warning.
const CARD_WARNING_DAYS: u64 = 14;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// Seconds by which the two clocks may differ without a word.
const MAX_CLOCK_DIFFERENCE: u64 = 300;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Helping is possible, and something is less than it should be.
    Warning,
    /// No customer can be helped until it is mended.
    Blocked,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Looks at everything and prints it on standard output. Returns whether nothing blocks.
///
/// # Errors
/// Standard output is closed.
pub(crate) async fn run(agent: &Path, service: &str, json: bool) -> io::Result<bool> {
    let mut checks = vec![
        language(),
        browser(find_opener(std::env::var_os("PATH"))),
        start_file(),
    ];
    let now = UnixTime(UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()));
    let agent = agent_file::load(agent);
    checks.push(match &agent {
        Ok(agent) => card(agent, now),
        Err(error) => check("card", Verdict::Blocked, error.to_string()),
    });
    match Service::new(service) {
        Err(error) => checks.push(check("service", Verdict::Blocked, error.to_string())),
        Ok(service) => {
            checks.push(proxy(&service).await);
            checks.extend(ask_service(&service, agent.as_ref().ok(), now).await);
        }
    }
    let ok = checks.iter().all(|check| check.verdict != Verdict::Blocked);
    print(&Report { ok, checks }, json)?;
    Ok(ok)
}

/// Asks the service, with the agent's card.
async fn ask_service(service: &Service, agent: Option<&AgentFile>, now: UnixTime) -> Vec<Check> {
    let Some(agent) = agent else {
        let text = "not asked: that needs the agent's file".into();
        return vec![check("service", Verdict::Warning, text)];
    };
    let answer = service.check(agent).await;
    vec![service_check(service, answer), clock(now, service.time())]
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!(report))?;
    } else {
        for Check {
            name,
            verdict,
            text,
        } in &report.checks
        {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Blocked => "BLOCKED",
            };
            writeln!(out, "{verdict:8} {name:10} {text}")?;
        }
    }
    out.flush()
}

fn check(name: &'static str, verdict: Verdict, text: String) -> Check {
    Check {
        name,
        verdict,
        text,
    }
}

fn language() -> Check {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    let text = set.unwrap_or_else(|| "the system names none".into());
    check("language", Verdict::Ok, text)
}

/// Says which proxy is set; its password, if it has one, stays out.
async fn proxy(service: &Service) -> Check {
    match service.describe_proxy().await {
        (words, true) => check("proxy", Verdict::Ok, words),
        (words, false) => check("proxy", Verdict::Warning, words),
    }
}

/// Returns the program that opens the page, if it is in one of the folders of `path`.
fn find_opener(path: Option<std::ffi::OsString>) -> Option<PathBuf> {
    std::env::split_paths(&path.unwrap_or_default())
        .map(|folder| folder.join("xdg-open"))
        .find(|opener| opener.is_file())
}

fn browser(opener: Option<PathBuf>) -> Check {
    match opener {
        Some(opener) => check(
            "browser",
            Verdict::Ok,
            format!("{} opens the page", opener.display()),
        ),
        None => check(
            "browser",
            Verdict::Warning,
            "there is no xdg-open: open the address that the console prints yourself".into(),
        ),
    }
}

/// Looks where the file lies that leads the browser to the page.
fn start_file() -> Check {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(folder) if folder.is_dir() => check(
            "start-file",
            Verdict::Ok,
            format!(
                "in {}; a browser that can't read that is given one in the home folder",
                folder.display()
            ),
        ),
        _ => check(
            "start-file",
            Verdict::Warning,
            "XDG_RUNTIME_DIR is missing: the file goes to the folder for temporary files".into(),
        ),
    }
}

fn card(agent: &AgentFile, now: UnixTime) -> Check {
    let claims = agent.card.claims();
    let days = claims.expires.seconds_since(now) / SECONDS_PER_DAY;
    let whose = format!("{}, {}", claims.name, claims.organisation);
    let (verdict, text) = match claims.validity().check(now) {
        Err(CardError::NotYetValid) => (
            Verdict::Blocked,
            "isn't valid yet by this computer's clock: check date and time".into(),
        ),
        Err(_) => (
            Verdict::Blocked,
            "has expired: ask whoever issues the cards for a new one".into(),
        ),
        Ok(()) if days < CARD_WARNING_DAYS => (Verdict::Warning, format!("expires in {days} days")),
        Ok(()) => (Verdict::Ok, format!("good for {days} days")),
    };
    check("card", verdict, format!("{whose}: {text}"))
}

/// Tells the service's answer, which includes TLS and whether the card is revoked.
fn service_check(service: &Service, answer: Result<(), SessionError>) -> Check {
    let origin = service.origin();
    let english = Catalogue::load(Language::En);
    match answer {
        Ok(()) => check(
            "service",
            Verdict::Ok,
            format!("{origin} answers, and takes the card"),
        ),
        Err(error) => {
            let sentence = error.message().text(&english);
            let detail = match &error {
                SessionError::ServiceUnreachable(unreachable) => format!(" ({unreachable})"),
                _ => String::new(),
            };
            let text = format!("{origin}, {}: {sentence}{detail}", error.name());
            check("service", Verdict::Blocked, text)
        }
    }
}

fn clock(ours: UnixTime, services: Option<UnixTime>) -> Check {
    let Some(services) = services else {
        let text = "not compared: the service told no time".into();
        return check("clock", Verdict::Warning, text);
    };
    let apart = ours
        .seconds_since(services)
        .max(services.seconds_since(ours));
    if apart <= MAX_CLOCK_DIFFERENCE {
        return check(
            "clock",
            Verdict::Ok,
            format!("{apart} s from the service's"),
        );
    }
    let text = format!("{apart} s from the service's: set this computer's date and time");
    check("clock", Verdict::Warning, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_named() {
        let at = |seconds| clock(UnixTime(10_000), Some(UnixTime(seconds))).verdict;
        assert_eq!(at(10_300), Verdict::Ok);
        assert_eq!(at(10_301), Verdict::Warning);
        assert_eq!(at(9_000), Verdict::Warning);
        assert_eq!(clock(UnixTime(1), None).verdict, Verdict::Warning);
    }

    #[test]
    fn a_missing_opener_blocks_nothing() {
        assert_eq!(browser(find_opener(None)).verdict, Verdict::Warning);
    }
}
