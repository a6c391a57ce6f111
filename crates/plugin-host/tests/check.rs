//! The checker, proved by plugins that do one thing wrong each: it names the rule that each breaks, and how.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::{CheckSpec, TRIAL_LIMIT, Verdict, check, trials};
use support::{Folder, exe};

/// The verdicts of these trials, or of all.
fn checked(
    library: PathBuf,
    only: &[&str],
    limit: Duration,
) -> BTreeMap<&'static str, (Verdict, String)> {
    let spec = CheckSpec {
        exe: exe().to_owned(),
        library,
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        options: serde_json::Value::Null,
        limit,
    };
    let mut found = BTreeMap::new();
    check(&spec, |trial| {
        found.insert(trial.name, (trial.verdict, trial.text));
    });
    found
}

/// This plugin is judged so in this trial, and the words say what was found.
#[track_caller]
fn breaks(plugin: &str, trial: &'static str, verdict: Verdict, words: &str) {
    let folder = Folder::new();
    let spec = folder.misbehaving(plugin);
    let limit = match verdict {
        Verdict::Hung => Duration::from_secs(2),
        _ => TRIAL_LIMIT,
    };
    let found = checked(spec.path.clone(), &[trial], limit);
    let (given, text) = &found[trial];
    assert_eq!(*given, verdict, "{plugin}, {trial}: {text}");
    assert!(text.contains(words), "{plugin}, {trial}: {text}");
}

#[test]
fn what_is_no_plugin_is_told_first() {
    breaks("wrong-major", "symbol", Verdict::Failed, "but for 2");
    breaks("no-plugin", "symbol", Verdict::Failed, "not a plugin");
    breaks(
        "missing-symbol",
        "symbol",
        Verdict::Failed,
        "undefined symbol",
    );
    breaks("short-descriptor", "symbol", Verdict::Failed, "32 bytes");
    breaks(
        "not-utf8",
        "descriptor",
        Verdict::Failed,
        "vendor is not UTF-8",
    );
    breaks("odd-version", "descriptor", Verdict::Failed, "not semver");
    breaks(
        "short-instance",
        "create",
        Verdict::Failed,
        "struct_size is 64",
    );
    breaks("no-open", "create", Verdict::Failed, "open is null");
    breaks(
        "create-fails",
        "create",
        Verdict::Failed,
        "create returned 202",
    );
    breaks("prints", "quiet-load", Verdict::Failed, "it printed");
}

#[test]
fn crashes_are_crashes() {
    breaks("abort-in-open", "open", Verdict::Crashed, "SIGABRT");
    breaks("segfault-later", "permissions", Verdict::Crashed, "SIGSEGV");
    breaks("exit-in-open", "open", Verdict::Crashed, "exit code");
}

#[test]
fn hangs_are_hangs() {
    breaks("hang-in-open", "open", Verdict::Hung, "within 2 s");
}

#[test]
fn what_a_plugin_sleeps_and_computes_is_its_own() {
    let (opening, loading) = (
        "belongs to a thread of the plugin's",
        "loading hasn't returned",
    );
    breaks("slow-open", "open-returns", Verdict::Failed, opening);
    breaks("computes-in-open", "open-returns", Verdict::Failed, opening);
    breaks("hang-in-open", "open-returns", Verdict::Failed, opening);
    breaks("hang-in-load", "load-time", Verdict::Failed, loading);
    let leaving = "destroy() in CLOSED hasn't returned";
    breaks(
        "hang-in-destroy",
        "destroy-anywhere",
        Verdict::Failed,
        leaving,
    );
}

/// These take longer than any rule allows, by the wall clock.
#[test]
fn a_machine_that_stalls_blames_no_plugin() {
    for trial in ["load-time", "open-returns", "open"] {
        breaks("stands-still", trial, Verdict::Passed, " ms");
    }
    breaks("starves", "open-returns", Verdict::Passed, " ms");
}

#[test]
fn a_change_is_told() {
    // It is WAITING when open() returns, however long that took: nobody has to be told.
    breaks("slow-open", "open", Verdict::Passed, "WAITING after");
    breaks("never-tells", "open", Verdict::Failed, "never called");
}

#[test]
fn what_is_left_behind_is_seen() {
    breaks(
        "leaks-thread",
        "hundred-opens",
        Verdict::Failed,
        "more threads",
    );
    breaks(
        "leaks-handle",
        "hundred-opens",
        Verdict::Failed,
        "more open handles",
    );
    breaks(
        "calls-late",
        "silence",
        Verdict::Failed,
        "calls came afterwards",
    );
    breaks(
        "logs-code",
        "code-is-secret",
        Verdict::Failed,
        "has the session code",
    );
    breaks(
        "fork-bomb",
        "leaves-nothing",
        Verdict::Failed,
        "10 more processes",
    );
    breaks("odd-state", "open", Verdict::Failed, "doesn't exist");
}

/// The SDK's example and the one in plain C break no rule but one: they echo, and speak no RFB.
#[test]
fn the_examples_break_no_rule() {
    let folder = Folder::new();
    for spec in [folder.echo(serde_json::Value::Null), folder.echo_in_c()] {
        let found = checked(spec.path, &[], TRIAL_LIMIT);
        assert_eq!(found.len(), trials().count());
        for (name, (verdict, text)) in found {
            let expected = if name == "rfb" {
                Verdict::Failed
            } else {
                Verdict::Passed
            };
            assert_eq!(verdict, expected, "{}: {name}: {text}", spec.id);
        }
    }
}
