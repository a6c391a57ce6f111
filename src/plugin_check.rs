//! `etatuki plugin check`: prints the verdicts of the plugin host's checker for the plugin's
//! author.

use std::io::Write as _;
use std::path::PathBuf;

use etatuki_plugin_host::{CheckSpec, TRIAL_TIMEOUT, Trial, Verdict, check, trials};
use serde_json::json;

use crate::cli::CheckArgs;
use crate::exit::Exit;

/// Checks one library and prints the verdicts.
pub(crate) fn run(arguments: CheckArgs) -> Exit {
    if arguments.list {
        for (name, rule) in trials() {
            print(&format!("{name:22}{rule}"));
        }
        return Exit::Normal;
    }
    let Some(spec) = check_spec(&arguments) else {
        return Exit::Usage;
    };
    let mut counts = Counts::default();
    let open = check(&spec, |trial| {
        counts.add(trial.verdict);
        if arguments.json {
            // Numbers and texts are always JSON.
            print(&serde_json::to_string(&trial).unwrap_or_default());
        } else {
            print_trial(&trial);
        }
    });
    if arguments.json {
        let totals = json!({ "passed": counts.passed, "failed": counts.failed, "skipped": counts.skipped, "open": open });
        print(&totals.to_string());
    } else {
        for gap in &open {
            print(&format!("this system can't hold a plugin back: {gap}"));
        }
        let Counts {
            passed,
            failed,
            skipped,
        } = counts;
        print(&format!(
            "{passed} passed, {failed} failed, {skipped} skipped"
        ));
    }
    if counts.failed == 0 {
        Exit::Normal
    } else {
        Exit::Check
    }
}

/// Returns the check that the command line asks for; prints what is wrong with it otherwise.
fn check_spec(arguments: &CheckArgs) -> Option<CheckSpec> {
    let library = arguments.library.clone().unwrap_or_default();
    if !library.is_file() {
        print_error(&format!("there is no file {}", library.display()));
        return None;
    }
    let known = |name: &&String| !trials().any(|(known, _)| known == name.as_str());
    if let Some(unknown) = arguments.only.iter().find(known) {
        print_error(&format!(
            "there is no trial `{unknown}`; --list shows them all"
        ));
        return None;
    }
    let options = serde_json::from_str(&arguments.options);
    let options =
        options.inspect_err(|error| print_error(&format!("--options isn't JSON: {error}")));
    Some(CheckSpec {
        exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("etatuki")),
        library,
        only: arguments.only.clone(),
        options: options.ok()?,
        network: arguments.network,
        sandbox: !arguments.no_jail,
        timeout: TRIAL_TIMEOUT,
        fail_fast: arguments.fail_fast,
    })
}

/// The number of trials by verdict.
#[derive(Clone, Copy, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Skipped => self.skipped += 1,
            Verdict::Failed | Verdict::Crashed | Verdict::Hung => self.failed += 1,
        }
    }
}

fn print_trial(trial: &Trial) {
    let verdict = match trial.verdict {
        Verdict::Passed => "passed ",
        Verdict::Failed => "FAILED ",
        Verdict::Crashed => "CRASHED",
        Verdict::Hung => "HUNG   ",
        Verdict::Skipped => "skipped",
    };
    print(format!("{verdict}  {:22}{}", trial.name, trial.text).trim_end());
    if trial.sandbox_suspected {
        let hint = "probably the plugin host's jail: without it (--no-jail) this passes";
        print(&format!("{:9}{hint}", ""));
    }
    if matches!(trial.verdict, Verdict::Passed | Verdict::Skipped) {
        return;
    }
    print(&format!("{:9}the rule: {}", "", trial.rule));
    for line in &trial.output {
        print(&format!("{:9}it printed: {line}", ""));
    }
}

/// Prints a line; a closed stdout is ignored, because there is nowhere else to report it.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn print_error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "etatuki plugin check: {line}");
}
