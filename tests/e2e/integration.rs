//! What stands in `integrations/`. The script that puts our entries into GnuCash's Help menu, and the user's own config that it must leave alone.
//! And GnuCash itself, with the entries in its menu.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

use etatuki_demo::gnucash;
use etatuki_demo::process::Process;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::traces::{nothing_left, processes};
use crate::windows::Hands;
use crate::world::{LIMIT, World, until};

/// A user's folder for GnuCash.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn install(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/gnucash/install.sh");
        let mut command = Command::new("sh");
        command.arg(script).args(arguments);
        command
            .env("GNC_CONFIG_HOME", self.0.path())
            .output()
            .unwrap()
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
    let user = User::new();
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
    let user = User::new();
    assert!(user.install(&["--remove"]).status.success());
    assert!(user.install(&[]).status.success());
    assert!(user.config().contains("(load \""));
}

#[test]
fn a_linked_config_stays_linked() {
    let user = User::new();
    let elsewhere = user.path("dotfiles.scm");
    fs::write(&elsewhere, OWN).unwrap();
    symlink(&elsewhere, user.path("config-user.scm")).unwrap();
    assert!(user.install(&[]).status.success());
    assert!(user.path("config-user.scm").is_symlink());
    assert!(fs::read_to_string(&elsewhere).unwrap().starts_with(OWN));
}

#[test]
fn half_a_block_is_refused_and_nothing_is_lost() {
    let user = User::new();
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

/// From the real menu to the code, for each of the three entries. GnuCash 4 has them in its Help menu; GnuCash 5 puts
/// what an extension adds into its Reports menu, wherever the extension wants it.
#[test]
fn gnucash_opens_each_entry_from_its_help_menu() {
    let world = World::managed();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let _gnucash = gnucash::start(&world.stage, world.display.name(), here).unwrap();
    let hands = Hands::on(&world);
    let menu = Menu::of(&world);
    let book = menu.title;
    for (nth, title) in [
        "Ecom Etätuki",
        "Remoteus etätuki (2008)",
        "Remoteus etätuki (2010)",
    ]
    .into_iter()
    .enumerate()
    {
        hands.at(book);
        menu.mark(&hands, nth);
        hands.screenshot(&format!("gnucash-menu-{nth}.png"));
        hands.key("Return");
        hands.at(title);
        hands.screenshot(&format!("gnucash-entry-{nth}.png"));
        // The launcher and its plugin host: GnuCash only started them.
        let ours = |name: &String| name == "etatuki";
        until("the launcher", || {
            processes(&world).values().any(ours).then_some(())
        });
        hands.key("alt+F4");
        until("the launcher to end", || {
            (!processes(&world).values().any(ours)).then_some(())
        });
    }
    // An installation that has lost its launcher: GnuCash says so in a window of its own.
    fs::remove_file(world.stage.folder().join("etatuki")).unwrap();
    hands.at(book);
    menu.mark(&hands, 0);
    hands.key("Return");
    hands.not_at(book);
    hands.screenshot("gnucash-lost.png");
}

/// Where our entries are, as keys from the menu bar's first menu.
struct Menu {
    /// The book's window.
    title: &'static str,
    /// To the menu.
    keys: &'static [&'static str],
    /// How many entries of GnuCash's own come before ours.
    before: usize,
}

impl Menu {
    fn of(world: &World) -> Self {
        let version = Command::new("gnucash")
            .arg("--version")
            .env("DISPLAY", world.display.name())
            .output()
            .unwrap();
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        if version.contains("GnuCash 4") {
            return Self {
                title: "Esimerkki.gnucash - Tilit - GnuCash",
                keys: &["Left"],
                before: 2,
            };
        }
        // Its Finnish is a few words only.
        Self {
            title: "Esimerkki.gnucash - Accounts - GnuCash",
            keys: &["Right"; 5],
            before: 7,
        }
    }

    /// Opens the menu and marks the nth of our entries.
    fn mark(&self, hands: &Hands, nth: usize) {
        hands.key("F10");
        for key in self.keys {
            hands.key(key);
        }
        for _ in 0..=self.before + nth {
            hands.key("Down");
        }
    }
}

/// What the agent's side says in between, once it may look.
const ALLOWED: &str = "(allowed)";

/// A session by one of the embedding examples, played through: the code is read, the first question allowed, the agent
/// ends it, and the example ends as the launcher does.
fn embedded(mut example: Command) {
    let world = World::new();
    let launcher = world.stage.launcher(world.display.name());
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
            let line = lines.recv_timeout(LIMIT);
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
    let mut agent = Agent::join(&world, &[digits(&id), digits(&password)], &[]);
    see("the question", &|line| {
        line.starts_with("Saako Maija Virtanen")
    });
    // At once, which is too early: the example says so, and takes another answer. A machine that slept over the
    // question's first second hears the first one; one that is busy may find the second too early still.
    writeln!(keyboard, "k").unwrap();
    let allowed = std::thread::spawn(move || {
        agent.expect("view", |line| {
            line["type"] == "permissions" && line["view"] == true
        });
        let _ = sender.send(ALLOWED.to_owned());
        agent
    });
    let early = |line: &str| line.starts_with("Vastasit liian pian.");
    while see("what became of it", &|line| early(line) || line == ALLOWED) != ALLOWED {
        writeln!(keyboard, "k").unwrap();
    }
    let mut agent = allowed.join().unwrap();
    agent.say("end");
    see("the receipt", &|line| {
        line.starts_with("Yhteys on suljettu.")
    });
    assert_eq!(example.wait(LIMIT).unwrap().code(), Some(0));
    agent.ended();
    nothing_left(&world);
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
    embedded(example);
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
    embedded(Command::new(program));
}

/// Where a JDK is: the others are tried everywhere.
#[test]
fn embedded_in_java() {
    let version = Command::new("java").arg("-version").output();
    let version = version.map(|out| String::from_utf8_lossy(&out.stderr).into_owned());
    if !version.unwrap_or_default().contains("version \"17") {
        return eprintln!("no JDK 17 here: the example in Java is not tried");
    }
    let mut example = Command::new("java");
    example.arg(embedding("Session.java"));
    embedded(example);
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
