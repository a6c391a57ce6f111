//! The script that puts our entries into GnuCash's Help menu, and the user's own config that it must leave alone.
//! And GnuCash itself, with the entries in its menu.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use etatuki_demo::gnucash;
use tempfile::TempDir;

use crate::traces::processes;
use crate::windows::Hands;
use crate::world::{World, until};

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
