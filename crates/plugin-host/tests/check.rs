//! Tests of the checker with plugins that break one rule each: it names the rule, and how it is
//! broken.

#![allow(clippy::unwrap_used)]

#[path = "real/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::Verdict::{Crashed, Failed, Hung, Passed, Skipped};
use etatuki_plugin_host::{CheckSpec, TRIAL_TIMEOUT, Trial, Verdict, check, trials};
use serde_json::json;
use support::{Folder, exe};

/// Runs a check, and returns the results by name.
fn run_check(spec: CheckSpec) -> BTreeMap<&'static str, Trial> {
    let mut found = BTreeMap::new();
    let unenforced = check(&spec, |trial| {
        found.insert(trial.name, trial);
    });
    assert_eq!(unenforced, Vec::<String>::new());
    found
}

/// Returns a check of a library with all trials.
fn all(library: PathBuf) -> CheckSpec {
    CheckSpec {
        exe: exe().to_owned(),
        library,
        only: Vec::new(),
        options: serde_json::Value::Null,
        network: false,
        sandbox: true,
        timeout: TRIAL_TIMEOUT,
        fail_fast: false,
    }
}

/// Returns a check of a plugin of `tests/plugins` with one trial.
fn one(folder: &Folder, plugin: &str, trial: &str) -> CheckSpec {
    CheckSpec {
        only: vec![trial.to_owned()],
        ..all(folder.misbehaving(plugin).path)
    }
}

/// Runs a check of one trial; its verdict must be this one, and its text contain these words.
#[track_caller]
fn expect_verdict(spec: CheckSpec, verdict: Verdict, words: &str) -> Trial {
    let what = format!("{spec:?}");
    let mut found = run_check(spec).into_values();
    let (trial, more) = (found.next().expect("a trial"), found.next());
    assert!(more.is_none(), "{what}");
    assert_eq!(trial.verdict, verdict, "{what}: {}", trial.text);
    assert!(trial.text.contains(words), "{what}: {}", trial.text);
    trial
}

/// Checks the verdict and text of a trial of a plugin; the sandbox must not be suspected.
#[track_caller]
fn check_plugin(plugin: &str, trial: &'static str, verdict: Verdict, words: &str) {
    let folder = Folder::new();
    let mut spec = one(&folder, plugin, trial);
    if verdict == Hung {
        spec.timeout = Duration::from_secs(2);
    }
    assert!(
        !expect_verdict(spec, verdict, words).sandbox_suspected,
        "{plugin}, {trial}"
    );
}

/// Checks all cases at once, since many faults are found by a time-out.
#[track_caller]
fn check_plugins(cases: &[(&str, &'static str, Verdict, &str)]) {
    std::thread::scope(|scope| {
        for (plugin, trial, verdict, words) in cases {
            scope.spawn(|| check_plugin(plugin, trial, *verdict, words));
        }
    });
}

#[test]
fn what_is_no_plugin_is_told_first() {
    check_plugins(&[
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
    check_plugins(&[
        ("abort-in-open", "open", Crashed, "SIGABRT"),
        ("segfault-later", "permissions", Crashed, "SIGSEGV"),
        ("exit-in-open", "open", Crashed, "exit code"),
    ]);
}

#[test]
fn hangs_are_hangs() {
    check_plugin("hang-in-open", "open", Hung, "within 2 s");
}

#[test]
fn what_a_plugin_sleeps_and_computes_is_its_own() {
    let (opening, loading) = (
        "belongs to a thread of the plugin's",
        "loading hasn't returned",
    );
    let leaving = "destroy() in CLOSED hasn't returned";
    check_plugins(&[
        ("slow-open", "open-returns", Failed, opening),
        ("computes-in-open", "open-returns", Failed, opening),
        ("hang-in-open", "open-returns", Failed, opening),
        ("hang-in-load", "load-time", Failed, loading),
        ("hang-in-destroy", "destroy-anywhere", Failed, leaving),
    ]);
}

/// Wall-clock time beyond every rule's limit must not fail these plugins.
#[test]
fn a_machine_that_stalls_blames_no_plugin() {
    check_plugins(&[
        ("stands-still", "load-time", Passed, " ms"),
        ("stands-still", "open-returns", Passed, " ms"),
        ("stands-still", "open", Passed, " ms"),
        ("starves", "open-returns", Passed, " ms"),
    ]);
}

#[test]
fn a_change_is_told() {
    check_plugins(&[
        // The state is WAITING when open() returns, however late: no notification is needed.
        ("slow-open", "open", Passed, "WAITING after"),
        ("never-tells", "open", Failed, "never called"),
    ]);
}

#[test]
fn what_is_left_behind_is_seen() {
    check_plugins(&[
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

/// The guide's examples must keep every rule.
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
    let found = run_check(spec);
    assert_eq!(found.len(), trials().count());
    for (name, Trial { verdict, text, .. }) in found {
        assert_eq!(verdict, Passed, "{what}, {name}: {text}");
        assert!(!text.is_empty(), "{what}, {name}: what was tried?");
    }
}

/// Faults of `bad-rfb`, each with the trial that finds it and words of the finding. Without a fault
/// the plugin breaks no rule.
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
    ("bells", "rfb-picture", Failed, "bells and texts"),
    ("long-text", "rfb-picture", Failed, "the launcher takes"),
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

/// Checks all faults at once, since most are found by a time-out.
#[test]
fn what_is_wrong_on_a_stream_is_found() {
    let folder = Folder::new();
    let library = folder.misbehaving("bad-rfb").path;
    let with = |fault: &str, trial: &str| CheckSpec {
        only: vec![trial.to_owned()],
        options: json!({ "fault": fault }),
        // A trial that fails in the sandbox is repeated without it, which would take as long again.
        sandbox: false,
        ..all(library.clone())
    };
    std::thread::scope(|scope| {
        for (fault, trial, verdict, words) in FAULTS {
            let spec = with(fault, trial);
            scope.spawn(move || expect_verdict(spec, *verdict, words));
        }
    });
    breaks_no_rule(all(library));
}

/// The launcher would be the one without a descriptor.
#[test]
fn a_plugin_that_takes_every_descriptor_fails() {
    check_plugin(
        "takes-descriptors",
        "attach",
        Failed,
        "leaves none to the host",
    );
}

/// The checker's own report has to survive it.
#[test]
fn a_long_text_with_control_characters_is_a_text() {
    let folder = Folder::new();
    let trial = expect_verdict(one(&folder, "long-version", "probe"), Passed, "bytes more");
    assert!(!trial.text.contains(char::is_control), "{:?}", trial.text);
}

#[test]
fn the_first_fault_may_be_the_last() {
    let folder = Folder::new();
    let spec = CheckSpec {
        only: ["symbol", "open", "close"].map(str::to_owned).into(),
        fail_fast: true,
        ..all(folder.misbehaving("abort-in-open").path)
    };
    let found = run_check(spec);
    let verdicts: Vec<_> = found.values().map(|trial| trial.verdict).collect();
    assert_eq!(verdicts, [Crashed, Passed], "{found:?}");
}

/// Hundreds of processes were left by a plugin that is checked every day.
#[test]
fn nothing_is_left_of_a_trial() {
    let folder = Folder::new();
    let tag = format!("leave-check-{}", std::process::id());
    let spec = CheckSpec {
        options: json!({ "try": format!("daemon {tag}; leave-segment") }),
        ..one(&folder, "breaks-out", "probe")
    };
    expect_verdict(spec, Passed, "done; done");
    assert!(!support::runs(&format!("etatuki-left-{tag}")));
}

#[test]
fn no_instance_is_left_where_none_was_made() {
    check_plugin("leaves-out", "create-null", Failed, "left *out as it was");
}

/// Rights of the plugin in a trial.
#[derive(Clone, Copy, PartialEq)]
enum Rights {
    Sandbox,
    SandboxWithNetwork,
    Unrestricted,
}

/// Checks the result of a forbidden action by the checker, as `real/sandbox.rs` does by the host.
#[track_caller]
fn check_action(rights: Rights, what: &str, expected: &str) {
    let folder = Folder::new();
    let spec = CheckSpec {
        options: json!({ "try": what }),
        network: rights == Rights::SandboxWithNetwork,
        sandbox: rights != Rights::Unrestricted,
        ..one(&folder, "breaks-out", "probe")
    };
    expect_verdict(spec, Passed, expected);
}

#[test]
fn the_trials_run_in_the_plugin_hosts_sandbox() {
    let refused = "error 13";
    check_action(Rights::Sandbox, "udp", refused);
    check_action(Rights::SandboxWithNetwork, "udp", "done");
    check_action(Rights::Unrestricted, "udp", "done");
    let private = tempfile::NamedTempFile::new().unwrap();
    let read = format!("read {}", private.path().display());
    check_action(Rights::Sandbox, &read, refused);
    check_action(Rights::SandboxWithNetwork, &read, refused);
    check_action(Rights::Unrestricted, &read, "done");
    check_action(Rights::Sandbox, "allocate", "error 12");
}

#[test]
fn a_plugin_that_wants_the_network_has_to_be_given_it() {
    let folder = Folder::new();
    let given = |spec: CheckSpec| CheckSpec {
        network: true,
        ..spec
    };
    let spec = one(&folder, "wants-network", "network");
    expect_verdict(spec.clone(), Failed, "`network = true`");
    expect_verdict(given(spec), Passed, "may have it");
    // Without the network, no instance of the plugin is made.
    let spec = one(&folder, "wants-network", "open");
    expect_verdict(spec.clone(), Skipped, "--network");
    expect_verdict(given(spec), Passed, "WAITING");
}

#[test]
fn what_the_sandbox_refuses_is_reported_as_its_doing() {
    let folder = Folder::new();
    let spec = one(&folder, "writes-file", "open");
    assert!(expect_verdict(spec.clone(), Failed, "open returned 202").sandbox_suspected);
    let free = CheckSpec {
        sandbox: false,
        ..spec
    };
    assert!(!expect_verdict(free, Passed, "WAITING").sandbox_suspected);
}
