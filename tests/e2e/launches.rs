//! Starts that go wrong: each says what is wrong, with the number to call where it is known, and
//! ends with its exit code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use crate::customer::Customer;
use crate::testbed::Testbed;

/// Runs a command to its end; returns its exit code, what it printed, and its complaints.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn every_wrong_start_says_what_is_wrong() {
    let testbed = Testbed::new();
    let launcher = |arguments: &[&str]| {
        let mut command = testbed.deployment.launcher(testbed.display.name());
        command.args(["--language", "fi"]).args(arguments);
        command
    };

    let fonts = testbed.deployment.folder().join("fonts.conf");
    std::fs::write(&fonts, "<fontconfig><dir>/nonexistent</dir></fontconfig>").unwrap();
    let without_fonts = |arguments| run(launcher(arguments).env("FONTCONFIG_FILE", &fonts));
    for arguments in [&["open", "ecom"][..], &[]] {
        let (code, _, complaint) = without_fonts(arguments);
        assert_eq!(code, Some(4), "{complaint}");
        assert!(complaint.contains("puuttuvat kirjasimet"), "{complaint}");
        assert!(complaint.contains("02-2767 171"), "{complaint}");
    }
    let (code, line, _) = without_fonts(&["session", "ecom"]);
    assert_eq!(code, Some(4), "{line}");
    assert!(line.contains(r#""name":"fonts-missing""#), "{line}");

    let (code, _, complaint) = run(&mut launcher(&["opne", "ecom"]));
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("did you mean `open`?"), "{complaint}");

    let (code, _, complaint) = run(&mut launcher(&["--app-version", "foo", "list"]));
    assert_eq!(code, Some(0), "{complaint}");
    assert!(complaint.contains("--app-version"), "{complaint}");

    let latin1 = OsStr::from_bytes(b"Kirjanpit\xe4j\xe4");
    let mut named = launcher(&["list", "--program-pid", "1", "--program-name"]);
    let (code, _, complaint) = run(named.arg(latin1));
    assert_eq!(code, Some(0), "{complaint}");

    let (code, entries, _) = run(launcher(&["list"]).env_remove("DISPLAY"));
    assert_eq!(code, Some(0));
    for line in entries.lines() {
        assert_eq!(line.matches("not set").count(), 1, "{line}");
    }

    let registry = testbed.deployment.registry();
    let text = testbed.deployment.registry_text();
    std::fs::write(&registry, text.replace("[[backend]]", "[[backnd]]")).unwrap();
    let (code, _, complaint) = run(launcher(&["open", "ecom"]).env_remove("DISPLAY"));
    assert_eq!(code, Some(3), "{complaint}");
    assert!(complaint.contains("02-2767 171"), "{complaint}");
}

#[test]
fn in_a_user_namespace_nothing_is_said_of_tampering() {
    let testbed = Testbed::new();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(testbed.deployment.folder(), everybody).unwrap();
    let mut command = Command::new("unshare");
    // The namespace maps a user alone who isn't root: so root's files belong to nobody there.
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command = Command::new("setpriv");
        command.args([
            "--reuid",
            "1000",
            "--regid",
            "1000",
            "--clear-groups",
            "unshare",
        ]);
    }
    let launcher = testbed.deployment.launcher(testbed.display.name());
    command.args(["--user", "--map-current-user"]);
    command
        .arg(launcher.get_program())
        .args(launcher.get_args());
    for (name, value) in launcher.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let (code, entries, complaint) = run(command.arg("list"));
    assert_eq!(code, Some(0), "{complaint}");
    for line in entries.lines() {
        assert!(line.contains("plugin-unverifiable"), "{line}");
    }
    assert!(entries.contains("ecom"), "{entries}");
}

/// The accounting program may have closed the pipe that it reads the launcher's errors from.
#[test]
fn a_warning_that_nobody_reads_keeps_nobody_from_help() {
    let testbed = Testbed::new();
    let mut command = testbed.deployment.launcher(testbed.display.name());
    command.args(["--app-version", "no version", "session", "ecom"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer);
    let mut customer = Customer::spawn(command);
    customer.code();
}
