//! `etatuki doctor`: what it says of a machine on which all is well, of one without a display, and
//! without a registry.

use std::process::Command;

use serde_json::Value;

use crate::testbed::Testbed;

/// Runs a `doctor --json`; returns its exit code and the report.
fn examine(mut command: Command) -> (Option<i32>, Value) {
    let done = command.args(["doctor", "--json"]).output().unwrap();
    let report = serde_json::from_slice(&done.stdout);
    (done.status.code(), report.unwrap())
}

/// Returns the verdict of the check with that name, and its text.
fn verdict<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}: {report:#}"));
    (
        check["verdict"].as_str().unwrap(),
        check["text"].as_str().unwrap(),
    )
}

#[test]
fn a_sound_machine_is_called_so_and_each_gap_by_its_name() {
    let mut testbed = Testbed::new();
    let launcher = || testbed.deployment.launcher(testbed.display.name());

    let (code, report) = examine(launcher());
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["ok"], true);
    for name in [
        "system",
        "display",
        "log",
        "fonts",
        "entry ecom",
        "entry remoteus-2008",
        "sandbox",
        "clock",
    ] {
        assert_eq!(verdict(&report, name).0, "ok", "{report:#}");
    }
    // Named with --registry: nobody vouches for it.
    assert_eq!(verdict(&report, "registry").0, "warning");

    let mut without_display = launcher();
    without_display.env_remove("DISPLAY");
    let (code, report) = examine(without_display);
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    let (display, text) = verdict(&report, "display");
    assert_eq!(display, "blocked");
    assert!(text.contains("DISPLAY isn't set"), "{text}");
    assert_eq!(verdict(&report, "entry ecom").0, "blocked");

    let mut without_registry = testbed.deployment.program("etatuki");
    without_registry
        .args(["--registry", "/nonexistent/backends.toml"])
        .env("DISPLAY", testbed.display.name());
    let (code, report) = examine(without_registry);
    assert_eq!(code, Some(1));
    assert_eq!(verdict(&report, "registry").0, "blocked");
    assert_eq!(verdict(&report, "display").0, "ok");

    testbed.deployment.kill_service().unwrap();
    let (code, report) = examine(testbed.deployment.launcher(testbed.display.name()));
    assert_eq!(code, Some(1));
    let (service, text) = verdict(&report, "service");
    assert_eq!(service, "blocked");
    assert!(text.starts_with("connection-refused: "), "{text}");

    // In words, a line for each check.
    let words = testbed
        .deployment
        .launcher(testbed.display.name())
        .arg("doctor")
        .output()
        .unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("ok       display"), "{words}");
}
