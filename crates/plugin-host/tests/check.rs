//! The checker, proved by plugins that do one thing wrong each: it names the rule that each breaks, and how.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::{CheckSpec, TRIAL_LIMIT, Trial, Verdict, check, trials};
use serde_json::json;
use support::{Folder, exe};

/// The results of these trials, or of all.
fn checked(spec: CheckSpec) -> BTreeMap<&'static str, Trial> {
    let mut found = BTreeMap::new();
    let open = check(&spec, |trial| {
        found.insert(trial.name, trial);
    });
    // Older kernels can't keep signals in; anything else is a system on which other tests would fail.
    let signals = |what: &String| what.contains("signalled");
    assert!(open.iter().all(signals), "{open:?}");
    found
}

/// All trials of a library.
fn all(library: PathBuf) -> CheckSpec {
    CheckSpec {
        exe: exe().to_owned(),
        library,
        only: Vec::new(),
        options: serde_json::Value::Null,
        network: false,
        jail: true,
        limit: TRIAL_LIMIT,
    }
}

/// One trial of a plugin of `tests/plugins`.
fn one(folder: &Folder, plugin: &str, trial: &str) -> CheckSpec {
    CheckSpec {
        only: vec![trial.to_owned()],
        ..all(folder.misbehaving(plugin).path)
    }
}

/// This is judged so in its one trial, and the words say what was found.
#[track_caller]
fn judged(spec: CheckSpec, verdict: Verdict, words: &str) -> Trial {
    let what = format!("{spec:?}");
    let mut found = checked(spec).into_values();
    let (trial, more) = (found.next().expect("a trial"), found.next());
    assert!(more.is_none(), "{what}");
    assert_eq!(trial.verdict, verdict, "{what}: {}", trial.text);
    assert!(trial.text.contains(words), "{what}: {}", trial.text);
    trial
}

/// This plugin is judged so in this trial, and it isn't the jail's doing.
#[track_caller]
fn breaks(plugin: &str, trial: &'static str, verdict: Verdict, words: &str) {
    let folder = Folder::new();
    let mut spec = one(&folder, plugin, trial);
    if verdict == Verdict::Hung {
        spec.limit = Duration::from_secs(2);
    }
    assert!(!judged(spec, verdict, words).jailed, "{plugin}, {trial}");
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

/// What the guide shows as a model is one.
#[test]
fn the_examples_break_no_rule() {
    let folder = Folder::new();
    let found = checked(all(folder.testcard_in_c().path));
    assert_eq!(found.len(), trials().count());
    for (name, Trial { verdict, text, .. }) in found {
        assert_eq!(verdict, Verdict::Passed, "{name}: {text}");
    }
}

/// What the plugin gets that tries this; as in `real/jail.rs`, by the checker.
#[track_caller]
fn tries(network: bool, jail: bool, what: &str, expected: &str) {
    let folder = Folder::new();
    let spec = CheckSpec {
        options: json!({ "try": what }),
        network,
        jail,
        ..one(&folder, "breaks-out", "probe")
    };
    judged(spec, Verdict::Passed, expected);
}

#[test]
fn the_trials_run_behind_the_plugin_hosts_jail() {
    let refused = "error 13";
    tries(false, true, "udp", refused);
    tries(true, true, "udp", "done");
    tries(false, false, "udp", "done");
    let private = tempfile::NamedTempFile::new().unwrap();
    let read = format!("read {}", private.path().display());
    tries(false, true, &read, refused);
    tries(true, true, &read, refused);
    tries(false, false, &read, "done");
    tries(false, true, "allocate", "error 12");
}

#[test]
fn a_plugin_that_wants_the_network_has_to_be_given_it() {
    let folder = Folder::new();
    let given = |spec: CheckSpec| CheckSpec {
        network: true,
        ..spec
    };
    let spec = one(&folder, "wants-network", "network");
    judged(spec.clone(), Verdict::Failed, "`network = true`");
    judged(given(spec), Verdict::Passed, "may have it");
    // Nobody makes an instance of it without.
    let spec = one(&folder, "wants-network", "open");
    judged(spec.clone(), Verdict::Skipped, "--network");
    judged(given(spec), Verdict::Passed, "WAITING");
}

#[test]
fn what_the_jail_refuses_is_said_to_be_its_doing() {
    let folder = Folder::new();
    let spec = one(&folder, "writes-file", "open");
    assert!(judged(spec.clone(), Verdict::Failed, "open returned 202").jailed);
    let free = CheckSpec {
        jail: false,
        ..spec
    };
    assert!(!judged(free, Verdict::Passed, "WAITING").jailed);
}
