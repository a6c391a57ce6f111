//! Starts that go wrong: each says what is wrong, with the number to call where it is known, and
//! ends with its exit code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use etatuki_deployment::process::Process;

use crate::customer::Customer;
use crate::testbed::{TIMEOUT, Testbed};
use crate::windows::Xdotool;

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

    let (code, _, complaint) = run(launcher(&["opne", "ecom"]).env_remove("DISPLAY"));
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("did you mean `open`?"), "{complaint}");

    let (code, _, complaint) = run(launcher(&["list"]).args(["--program-name", "Kirjanpito"]));
    assert_eq!(code, Some(0), "{complaint}");

    let mut foreign = testbed.deployment.launcher(testbed.display.name());
    let (code, _, complaint) = run(foreign.args(["--language", "de_DE.UTF-8", "list"]));
    assert_eq!(code, Some(0), "{complaint}");
    assert!(complaint.contains("--language"), "{complaint}");

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
    let (code, _, complaint) = run(launcher(&["doctr"]).env_remove("DISPLAY"));
    assert_eq!(code, Some(3), "{complaint}");
    assert!(complaint.contains("the command `doctor`?"), "{complaint}");
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

#[test]
fn a_mistake_in_a_help_menu_is_shown_to_the_customer() {
    let testbed = Testbed::with_window_manager();
    let xdotool = Xdotool::on(&testbed);
    let mut command = testbed.deployment.launcher(testbed.display.name());
    command.args(["open", "ecom", "--app-versoin", "12.3"]);
    // Not a terminal, wherever this test runs.
    let command = command.env("LC_ALL", "fi_FI.UTF-8").stderr(Stdio::null());
    let mut launcher = Process::start(command.stdin(Stdio::null())).unwrap();
    xdotool.expect_focus("Etätuki");
    xdotool.screenshot("window-17-wrong-start.png");
    xdotool.key("Return");
    assert_eq!(launcher.wait(TIMEOUT).unwrap().code(), Some(2));
}

/// The rule of `docs/cli.md`, for all four programs.
#[test]
fn exit_codes_tell_a_wrong_command_line_from_a_lacking_machine() {
    let testbed = Testbed::new();
    let mut failed = Vec::new();
    let mut check = |program: &str, arguments: &str, expected: i32| {
        let mut command = testbed.deployment.program(program);
        command.args(arguments.split_whitespace());
        // Without a display no window waits to be closed.
        let (code, _, complaint) = run(command.env_remove("DISPLAY"));
        if code != Some(expected) || (expected != 0 && complaint.trim().is_empty()) {
            failed.push(format!("{program} {arguments}: {code:?}, {complaint}"));
        }
    };
    for program in [
        "etatuki",
        "etatuki-console",
        "etatuki-service",
        "etatuki-vendor",
    ] {
        check(program, "--help", 0);
        check(program, "--version", 0);
        check(program, "--what", 2);
        check(program, "list nothing", 2);
    }
    let registry = testbed.deployment.registry().display().to_string();
    check("etatuki", &format!("--registry {registry} open nothing"), 2);
    check("etatuki", "--registry /nonexistent/backends.toml list", 3);

    let agent = "--agent /nonexistent/agent.toml";
    check("etatuki-console", "", 2);
    check("etatuki-console", &format!("{agent} --service nowhere"), 2);
    check(
        "etatuki-console",
        &format!("{agent} --service https://s.invalid"),
        1,
    );
    let join = "join --service https://s.invalid --vnc";
    check("etatuki-console", &format!("{join} 0.0.0.0:1 {agent}"), 2);
    check("etatuki-console", &format!("{join} 127.0.0.1:0 {agent}"), 1);

    check("etatuki-service", "", 2);
    check("etatuki-service", "serve", 2);
    check("etatuki-service", "serve --vendor-key etv1-nonsense", 2);
    let key = testbed.deployment.vendor_key();
    let serve = format!("serve --listen 127.0.0.1:0 --vendor-key {key}");
    check(
        "etatuki-service",
        &format!("{serve} --public-url nowhere"),
        2,
    );
    let certificate = "--tls-cert /nonexistent/cert.pem --tls-key /nonexistent/key.pem";
    check("etatuki-service", &format!("{serve} {certificate}"), 1);

    check("etatuki-vendor", "", 2);
    check(
        "etatuki-vendor",
        "key show --key /nonexistent/vendor.key",
        1,
    );
    assert!(failed.is_empty(), "{failed:#?}");
}
