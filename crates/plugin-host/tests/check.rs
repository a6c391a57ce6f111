//! The checker, proved by plugins that do one thing wrong each: it names the rule that each breaks, and how.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::Verdict::{Crashed, Failed, Hung, Passed, Skipped};
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
    if verdict == Hung {
        spec.limit = Duration::from_secs(2);
    }
    assert!(!judged(spec, verdict, words).jailed, "{plugin}, {trial}");
}

/// All of them at once: many are found by waiting for what doesn't come.
#[track_caller]
fn all_break(cases: &[(&str, &'static str, Verdict, &str)]) {
    std::thread::scope(|scope| {
        for (plugin, trial, verdict, words) in cases {
            scope.spawn(|| breaks(plugin, trial, *verdict, words));
        }
    });
}

#[test]
fn what_is_no_plugin_is_told_first() {
    all_break(&[
        ("wrong-major", "symbol", Failed, "but for 2"),
        ("no-plugin", "symbol", Failed, "not a plugin"),
        ("missing-symbol", "symbol", Failed, "undefined symbol"),
        ("short-descriptor", "symbol", Failed, "32 bytes"),
        ("not-utf8", "descriptor", Failed, "vendor is not UTF-8"),
        ("odd-version", "descriptor", Failed, "not semver"),
        ("short-instance", "create", Failed, "struct_size is 64"),
        ("no-open", "create", Failed, "open is null"),
        ("create-fails", "create", Failed, "create returned 202"),
        ("prints", "quiet-load", Failed, "it printed"),
    ]);
}

#[test]
fn crashes_are_crashes() {
    all_break(&[
        ("abort-in-open", "open", Crashed, "SIGABRT"),
        ("segfault-later", "permissions", Crashed, "SIGSEGV"),
        ("exit-in-open", "open", Crashed, "exit code"),
    ]);
}

#[test]
fn hangs_are_hangs() {
    breaks("hang-in-open", "open", Hung, "within 2 s");
}

#[test]
fn what_a_plugin_sleeps_and_computes_is_its_own() {
    let (opening, loading) = (
        "belongs to a thread of the plugin's",
        "loading hasn't returned",
    );
    let leaving = "destroy() in CLOSED hasn't returned";
    all_break(&[
        ("slow-open", "open-returns", Failed, opening),
        ("computes-in-open", "open-returns", Failed, opening),
        ("hang-in-open", "open-returns", Failed, opening),
        ("hang-in-load", "load-time", Failed, loading),
        ("hang-in-destroy", "destroy-anywhere", Failed, leaving),
    ]);
}

/// These take longer than any rule allows, by the wall clock.
#[test]
fn a_machine_that_stalls_blames_no_plugin() {
    all_break(&[
        ("stands-still", "load-time", Passed, " ms"),
        ("stands-still", "open-returns", Passed, " ms"),
        ("stands-still", "open", Passed, " ms"),
        ("starves", "open-returns", Passed, " ms"),
    ]);
}

#[test]
fn a_change_is_told() {
    all_break(&[
        // It is WAITING when open() returns, however long that took: nobody has to be told.
        ("slow-open", "open", Passed, "WAITING after"),
        ("never-tells", "open", Failed, "never called"),
    ]);
}

#[test]
fn what_is_left_behind_is_seen() {
    all_break(&[
        ("leaks-thread", "hundred-opens", Failed, "more threads"),
        ("leaks-handle", "hundred-opens", Failed, "more open handles"),
        ("calls-late", "silence", Failed, "calls came afterwards"),
        (
            "logs-code",
            "code-is-secret",
            Failed,
            "has the session code",
        ),
        ("fork-bomb", "leaves-nothing", Failed, "10 more processes"),
        ("odd-state", "open", Failed, "doesn't exist"),
    ]);
}

/// What the guide shows as a model is one.
#[test]
fn the_examples_break_no_rule() {
    let folder = Folder::new();
    for spec in [folder.testcard_in_c(), folder.testcard_in_rust()] {
        breaks_no_rule(all(spec.path));
    }
}

#[track_caller]
fn breaks_no_rule(spec: CheckSpec) {
    let what = spec.library.display().to_string();
    let found = checked(spec);
    assert_eq!(found.len(), trials().count());
    for (name, Trial { verdict, text, .. }) in found {
        assert_eq!(verdict, Passed, "{what}, {name}: {text}");
        assert!(!text.is_empty(), "{what}, {name}: what was tried?");
    }
}

/// Each fault that `bad-rfb` has, the trial that finds it, and the words for it. Without one it breaks no rule.
#[rustfmt::skip]
const FAULTS: &[(&str, &str, Verdict, &str)] = &[
    ("only-version", "rfb", Failed, "has sent 12 bytes, and nothing more"),
    ("password", "rfb", Failed, "no security type in common"),
    ("odd-init", "rfb", Failed, "a pixel has 24 bits"),
    ("no-answer", "rfb-picture", Failed, "3072 of 3072 pixels"),
    ("half-picture", "rfb-picture", Failed, "1536 of 3072 pixels"),
    ("announces-nine", "rfb-picture", Failed, "announced more"),
    ("no-clip", "rfb-picture", Failed, "a request that reaches beyond the right and lower edges"),
    ("one-format", "rfb-formats", Failed, "32 bits, big-endian"),
    ("one-endian", "rfb-formats", Failed, "32 bits, big-endian"),
    ("reads-no-encodings", "rfb-skips", Failed, "after SetEncodings with Raw"),
    ("reads-no-text", "rfb-skips", Failed, "a cut text of 7 bytes"),
    ("never-incremental", "rfb-incremental", Failed, "got no answer"),
    ("stale", "fresh-stream", Failed, "nobody had asked for"),
    ("rubbish-crashes", "rfb-rubbish", Crashed, "SIGABRT"),
    ("rubbish-hangs", "rfb-rubbish", Failed, "the state is ATTACHED"),
    ("shuts-reading", "never-reads", Failed, "the state is CLOSING"),
    ("sigpipe", "peer-goes", Crashed, "SIGPIPE"),
    ("leaks-socket", "hundred-attaches", Failed, "more open handles"),
    ("closes-refused", "refused-handle", Failed, "closed a handle that it had refused"),
    ("closes-refused", "attach-early", Failed, "closed a handle that it had refused"),
    ("closes-refused", "attach-twice", Failed, "closed a handle that it had refused"),
    ("opens-once", "reopen-after-stream", Failed, "open returned 102 (E_STATE)"),
    ("fails-nameless", "attach", Failed, "last_error() has no name; WAITING was expected after the stream's end"),
    ("slow-state", "any-while-attached", Failed, "state() while ATTACHED hasn't returned"),
    ("end-untold", "changed-each-time", Failed, "from ATTACHED to WAITING"),
    ("closed-untold", "changed-each-time", Failed, "from CLOSING to CLOSED"),
    ("tells-locked", "changed-unlocked", Failed, "it holds their lock"),
    ("code-in-closing", "code-gone", Failed, "session_code() in CLOSING returned 0 (OK)"),
    ("probes-open", "probe-open", Failed, "probe() while WAITING returned 0 (OK)"),
    ("refuses-none", "permissions", Failed, "permissions(0) returned 200 (E_PLUGIN)"),
    ("prints-code", "code-not-printed", Failed, "printed the session code"),
    ("prints-code-as-error", "code-not-printed", Failed, "printed the session code"),
];

/// Most of them are found by waiting for what doesn't come: all at once.
#[test]
fn what_is_wrong_on_a_stream_is_found() {
    let folder = Folder::new();
    let library = folder.misbehaving("bad-rfb").path;
    let with = |fault: &str, trial: &str| CheckSpec {
        only: vec![trial.to_owned()],
        options: json!({ "fault": fault }),
        // What fails behind the jail is tried once more without it, which would take as long again.
        jail: false,
        ..all(library.clone())
    };
    std::thread::scope(|scope| {
        for (fault, trial, verdict, words) in FAULTS {
            let spec = with(fault, trial);
            scope.spawn(move || judged(spec, *verdict, words));
        }
    });
    breaks_no_rule(all(library));
}

#[test]
fn no_instance_is_left_where_none_was_made() {
    breaks("leaves-out", "create-null", Failed, "left *out as it was");
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
    judged(spec, Passed, expected);
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
    judged(spec.clone(), Failed, "`network = true`");
    judged(given(spec), Passed, "may have it");
    // Nobody makes an instance of it without.
    let spec = one(&folder, "wants-network", "open");
    judged(spec.clone(), Skipped, "--network");
    judged(given(spec), Passed, "WAITING");
}

#[test]
fn what_the_jail_refuses_is_said_to_be_its_doing() {
    let folder = Folder::new();
    let spec = one(&folder, "writes-file", "open");
    assert!(judged(spec.clone(), Failed, "open returned 202").jailed);
    let free = CheckSpec {
        jail: false,
        ..spec
    };
    assert!(!judged(free, Passed, "WAITING").jailed);
}
