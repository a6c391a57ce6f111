//! The integrations: the script that puts the entries into GnuCash's Help menu without touching the
//! user's own configuration, GnuCash itself with them, and the embedding examples.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

use etatuki_demo::gnucash;
use etatuki_deployment::process::Process;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::outcomes::{expect_no_processes, processes};
use crate::testbed::{TIMEOUT, Testbed, wait_until};
use crate::windows::Xdotool;

/// A user's configuration folder for GnuCash.
struct UserFolder(TempDir);

impl UserFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn install(&self, arguments: &[&str]) -> Output {
        self.installer(arguments).output().unwrap()
    }

    fn install_with(&self, variable: &str, value: &str) -> Output {
        self.installer(&[]).env(variable, value).output().unwrap()
    }

    fn installer(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/gnucash/install.sh");
        let mut command = Command::new("sh");
        command.arg(script).args(arguments);
        command.env("GNC_CONFIG_HOME", self.0.path());
        command
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("config-user.scm")).unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(self.path("config-user.scm"), text).unwrap();
    }
}

const OWN: &str = ";; mine: Ä\n(display \"hei\")\n";

#[test]
fn installed_twice_and_taken_out_the_users_own_lines_are_as_they_were() {
    let user = UserFolder::new();
    user.write(OWN);
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(user.path("config-user.scm"), mode).unwrap();
    for _ in 0..2 {
        assert!(user.install(&[]).status.success());
        let loads = user.config().matches("etatuki.scm").count();
        assert_eq!(loads, 1, "{}", user.config());
        assert!(user.config().starts_with(OWN));
    }
    assert!(user.path("etatuki.scm").is_file());
    assert!(user.install(&["--remove"]).status.success());
    assert_eq!(user.config(), OWN);
    let metadata = user.path("config-user.scm").metadata().unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o640);
    assert!(!user.path("etatuki.scm").exists());
    let left = fs::read_dir(user.0.path()).unwrap().count();
    assert_eq!(left, 1, "something was left behind");
}

#[test]
fn without_a_config_there_is_one_afterwards() {
    let user = UserFolder::new();
    assert!(user.install(&["--remove"]).status.success());
    assert!(user.install(&[]).status.success());
    assert!(user.config().contains("(load \""));
}

#[test]
fn the_installer_names_the_menu_and_a_missing_launcher() {
    let user = UserFolder::new();
    let done = user.install_with("ETATUKI", "/nowhere/etatuki");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    // Whichever version is installed: 4 has the entries in Help, 5 in Reports.
    assert!(
        said.contains("its Help (Ohje) menu") || said.contains("its Reports (Raportit) menu"),
        "{said}"
    );
    let warned = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(warned.contains("/nowhere/etatuki"), "{warned}");
    let there = user.install_with("ETATUKI", "/bin/sh");
    assert!(there.stderr.is_empty(), "{there:?}");
}

#[test]
fn a_linked_config_stays_linked() {
    let user = UserFolder::new();
    let elsewhere = user.path("dotfiles.scm");
    fs::write(&elsewhere, OWN).unwrap();
    symlink(&elsewhere, user.path("config-user.scm")).unwrap();
    assert!(user.install(&[]).status.success());
    assert!(user.path("config-user.scm").is_symlink());
    assert!(fs::read_to_string(&elsewhere).unwrap().starts_with(OWN));
}

#[test]
fn half_a_block_is_refused_and_nothing_is_lost() {
    let user = UserFolder::new();
    let broken = format!(";; Etätuki: begin (kept by install.sh)\n{OWN}");
    user.write(&broken);
    for arguments in [&[][..], &["--remove"]] {
        let done = user.install(arguments);
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains("don't come in pairs"), "{said}");
        assert_eq!(user.config(), broken);
    }
}

/// Each of the three entries, from the real menu to its window. GnuCash 4 has them in its Help
/// menu; GnuCash 5 puts all that an extension adds into its Reports menu.
#[test]
fn gnucash_opens_each_entry_from_its_help_menu() {
    let testbed = Testbed::with_window_manager();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let _gnucash = gnucash::start(&testbed.deployment, testbed.display.name(), here).unwrap();
    let xdotool = Xdotool::on(&testbed);
    let menu = MenuPath::new(&testbed);
    let book = menu.title;
    for (nth, title) in [
        "Ecom Etätuki",
        "Remoteus etätuki (2008)",
        "Remoteus etätuki (2010)",
    ]
    .into_iter()
    .enumerate()
    {
        xdotool.expect_focus(book);
        menu.select(&xdotool, nth);
        xdotool.screenshot(&format!("gnucash-menu-{nth}.png"));
        xdotool.key("Return");
        xdotool.expect_focus(title);
        xdotool.screenshot(&format!("gnucash-entry-{nth}.png"));
        // The launcher and its plugin host, which GnuCash only started.
        let is_ours = |name: &String| name == "etatuki";
        wait_until("the launcher", || {
            processes(&testbed).values().any(is_ours).then_some(())
        });
        xdotool.close(title);
        wait_until("the launcher to end", || {
            (!processes(&testbed).values().any(is_ours)).then_some(())
        });
    }
    // Without the launcher's file GnuCash reports that in a window of its own.
    fs::remove_file(testbed.deployment.folder().join("etatuki")).unwrap();
    xdotool.expect_focus(book);
    menu.select(&xdotool, 0);
    xdotool.key("Return");
    xdotool.expect_no_focus(book);
    xdotool.screenshot("gnucash-lost.png");
}

/// The position of the entries, as keys from the menu bar's first menu.
struct MenuPath {
    /// The title of the book's window.
    title: &'static str,
    /// The keys to the menu.
    keys: &'static [&'static str],
    /// GnuCash's own entries above ours.
    entries_above: usize,
}

impl MenuPath {
    fn new(testbed: &Testbed) -> Self {
        let version = Command::new("gnucash")
            .arg("--version")
            .env("DISPLAY", testbed.display.name())
            .output()
            .unwrap();
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        if version.contains("GnuCash 4") {
            return Self {
                title: "Esimerkki.gnucash - Tilit - GnuCash",
                keys: &["Left"],
                entries_above: 2,
            };
        }
        // GnuCash 5 is translated into Finnish in a few words only.
        Self {
            title: "Esimerkki.gnucash - Accounts - GnuCash",
            keys: &["Right"; 5],
            entries_above: 7,
        }
    }

    /// Opens the menu and selects the nth of our entries.
    fn select(&self, xdotool: &Xdotool, nth: usize) {
        xdotool.key("F10");
        for key in self.keys {
            xdotool.key(key);
        }
        for _ in 0..=self.entries_above + nth {
            xdotool.key("Down");
        }
    }
}

/// The line that marks in the example's output that the agent may view.
const ANSWERED: &str = "(answered)";

/// Plays a session through with one of the embedding examples: reads the code, allows the first
/// question, ends it from the agent's side, and expects the example to exit as the launcher does.
fn check_embedding(mut example: Command) {
    let testbed = Testbed::new();
    let launcher = testbed.deployment.launcher(testbed.display.name());
    example
        .arg(launcher.get_program())
        .args(launcher.get_args());
    example.args(["--language", "fi", "session", "ecom"]);
    for (name, value) in launcher.get_envs() {
        example.env(name, value.unwrap_or_default());
    }
    let mut example = Process::start(example.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
    let mut keyboard = example.child().stdin.take().unwrap();
    let screen = BufReader::new(example.child().stdout.take().unwrap());
    let (sender, lines) = channel();
    let shown = sender.clone();
    std::thread::spawn(move || {
        for line in screen.lines().map_while(Result::ok) {
            let _ = shown.send(line);
        }
    });
    let mut seen = Vec::new();
    let mut see = |what: &str, fits: &dyn Fn(&str) -> bool| {
        loop {
            let line = lines.recv_timeout(TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("the example never showed {what}: {seen:?}"));
            seen.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    };
    let digits = |line: &str| -> String { line.chars().filter(char::is_ascii_digit).collect() };
    let id = see("the ID", &|line| digits(line).len() == 9);
    let password = see("the password", &|line| digits(line).len() == 6);
    // What is typed before the question is no answer to it.
    write!(keyboard, "k\nk\nk\n").unwrap();
    let mut agent = Agent::join(&testbed, &[digits(&id), digits(&password)], &[]);
    let is_question = |line: &str| line.starts_with("Saako Maija Virtanen");
    // At once is too early: the example says so and accepts another answer. On a machine that slept
    // over the question's first second the first answer counts; on a busy one the second may be too
    // early too.
    let early = |line: &str| line.starts_with("Vastasit liian pian.");
    for (typed, allowed) in [("e", false), ("k", true)] {
        see("the question", &is_question);
        writeln!(keyboard, "{typed}").unwrap();
        let answered = sender.clone();
        let waiting = std::thread::spawn(move || {
            let answer = agent.expect_type("answer");
            let _ = answered.send(ANSWERED.to_owned());
            (agent, answer)
        });
        while see("the outcome of the answer", &|line| {
            early(line) || line == ANSWERED
        }) != ANSWERED
        {
            writeln!(keyboard, "{typed}").unwrap();
        }
        let answer;
        (agent, answer) = waiting.join().unwrap();
        assert_eq!(answer["allowed"], allowed, "{answer}");
        if !allowed {
            agent.send("ask-view");
        }
    }
    agent.send("end");
    see("the receipt", &|line| {
        line.starts_with("Yhteys on suljettu.")
    });
    assert_eq!(example.wait(TIMEOUT).unwrap().code(), Some(0));
    agent.wait_exit();
    expect_no_processes(&testbed);
}

fn embedding(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("integrations/embedding")
        .join(file)
}

#[test]
fn embedded_in_python() {
    let mut example = Command::new("python3");
    example.arg(embedding("session.py"));
    check_embedding(example);
}

#[test]
fn embedded_in_c() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("session");
    let made = Command::new("gcc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Wno-unused-result",
            "-Werror",
            "-o",
        ])
        .arg(&program)
        .arg(embedding("session.c"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    check_embedding(Command::new(program));
}

/// Runs only where there is a JDK; the other examples are tried everywhere.
#[test]
fn embedded_in_java() {
    let version = Command::new("java").arg("-version").output();
    let version = version.map(|out| String::from_utf8_lossy(&out.stderr).into_owned());
    if !version.unwrap_or_default().contains("version \"17") {
        return eprintln!("no JDK 17 here: the example in Java is not tried");
    }
    let mut example = Command::new("java");
    example.arg(embedding("Session.java"));
    check_embedding(example);
}

#[test]
fn the_desktop_entry_is_one() {
    let done = Command::new("desktop-file-validate")
        .arg(embedding("etatuki.desktop"))
        .output()
        .expect("desktop-file-validate: Debian's package desktop-file-utils");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}");
}
