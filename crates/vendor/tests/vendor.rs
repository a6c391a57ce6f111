//! The vendor's tool, from its command line to its files as `etatuki-trust` reads them.

use std::{fs, path::PathBuf, process::Command};

use clap::Parser as _;
use etatuki_trust::{
    AgentFile, CardError, RevocationList, Revocations, SignedRevocations, StaleRevocations,
    UnixTime, VendorPublicKey, VerifiedList,
};
use etatuki_vendor::{Cli, Environment, Report, VendorError, run};
use tempfile::TempDir;

const NOW: UnixTime = UnixTime(1_700_000_000);

/// The vendor's folder, with a key in it.
struct VendorFolder {
    folder: TempDir,
    seed: u8,
    now: UnixTime,
}

impl VendorFolder {
    fn empty() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            seed: 1,
            now: NOW,
        }
    }

    fn with_key() -> Self {
        let mut vendor_folder = Self::empty();
        vendor_folder
            .run(&["key", "new", "--out", "vendor.key"])
            .expect("a new key");
        vendor_folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tool; file names after `--out` and `--key` are in this folder.
    fn run(&mut self, words: &[&str]) -> Result<Report, VendorError> {
        let mut line = vec!["etatuki-vendor".to_owned()];
        let mut is_file = false;
        for word in words {
            let path = self.path(word);
            line.push(if is_file {
                path.display().to_string()
            } else {
                (*word).to_owned()
            });
            is_file = matches!(*word, "--out" | "--key");
        }
        let cli = Cli::try_parse_from(line).expect("a command line that clap takes");
        self.seed += 1;
        let seed = self.seed;
        let mut random = |buffer: &mut [u8]| {
            buffer.fill(seed);
            Ok(())
        };
        run(
            &cli,
            &mut Environment {
                now: self.now,
                random: &mut random,
            },
        )
    }

    fn add(&mut self, name: &str, out: &str) -> AgentFile {
        let words = [
            "agent",
            "add",
            name,
            "--organisation",
            "Tilitieto Oy",
            "--key",
            "vendor.key",
            "--out",
            out,
        ];
        self.run(&words).expect("a new card");
        self.agent(out)
    }

    fn agent(&self, file: &str) -> AgentFile {
        let text = fs::read_to_string(self.path(file)).expect("the agent's file");
        AgentFile::parse(&text).expect("an agent's file")
    }

    fn public(&mut self) -> VendorPublicKey {
        let shown = self
            .run(&["key", "show", "--key", "vendor.key"])
            .expect("the public key");
        shown.output.trim().parse().expect("a public key")
    }

    fn revoke(&mut self, cards: &[&str]) -> Result<Report, VendorError> {
        let words = [
            &["agent", "revoke"],
            cards,
            &["--key", "vendor.key", "--out", "revocations.txt"],
        ];
        self.run(&words.concat())
    }

    fn verified_list(&mut self) -> VerifiedList {
        let text = fs::read_to_string(self.path("revocations.txt")).expect("the list");
        let signed = SignedRevocations::from_text(&text).expect("a list");
        signed.verify(&[self.public()]).expect("our list")
    }

    fn list(&mut self) -> RevocationList {
        self.verified_list().list().clone()
    }

    /// Returns what a launcher knows that has seen the newest list.
    fn revocations(&mut self) -> Revocations {
        let mut revocations = Revocations::new(StaleRevocations::Refuse);
        revocations
            .advance(self.verified_list())
            .expect("the first list");
        revocations
    }
}

#[test]
fn a_card_that_was_made_is_good_for_its_days() {
    let mut vendor_folder = VendorFolder::with_key();
    let agent = vendor_folder.add("Maija Mäkelä", "maija.toml");
    let vendors = [vendor_folder.public()];
    let no_lists = Revocations::new(StaleRevocations::Warn);
    let check = |now| agent.card.verify(&vendors, &no_lists, now).cloned();
    let card = check(NOW).expect("a good card");
    assert_eq!(
        (card.name.as_str(), card.organisation.as_str()),
        ("Maija Mäkelä", "Tilitieto Oy")
    );
    assert_eq!(card.expires, NOW.saturating_add(365 * 86_400));
    assert_eq!(check(card.expires), Err(CardError::Expired));
}

#[test]
fn a_revoked_card_is_on_the_list_and_numbers_rise() {
    let mut vendor_folder = VendorFolder::with_key();
    let first = vendor_folder.add("Maija", "maija.toml");
    let second = vendor_folder.add("Kalle", "kalle.toml");
    let serial = second.card.claims().serial;
    assert_ne!(first.card.claims().serial, serial);

    vendor_folder.revoke(&["Maija"]).expect("revoked by name");
    let after_first = vendor_folder.list();
    assert_eq!(after_first.serials, [first.card.claims().serial].into());

    vendor_folder
        .revoke(&[&serial.to_string()])
        .expect("revoked by serial");
    let after_second = vendor_folder.list();
    assert_eq!(after_second.serials.len(), 2);
    assert!(after_second.number > after_first.number);
    let newest = vendor_folder.revocations();
    let refused = second
        .card
        .verify(&[vendor_folder.public()], &newest, NOW)
        .cloned();
    assert_eq!(refused, Err(CardError::Revoked));

    vendor_folder
        .run(&[
            "revocations",
            "renew",
            "--key",
            "vendor.key",
            "--out",
            "revocations.txt",
        ])
        .expect("signed again");
    assert!(vendor_folder.list().number > after_second.number);
    assert_eq!(vendor_folder.list().serials, after_second.serials);
}

#[test]
fn a_new_key_has_its_first_list_and_renewing_it_moves_its_date() {
    let mut vendor_folder = VendorFolder::with_key();
    let first = vendor_folder.list();
    assert_eq!(first.serials.len(), 0);
    assert_eq!(first.until, NOW.saturating_add(30 * 86_400));

    vendor_folder.now = NOW.saturating_add(7 * 86_400);
    let renew = [
        "revocations",
        "renew",
        "--days",
        "14",
        "--key",
        "vendor.key",
        "--out",
        "revocations.txt",
    ];
    vendor_folder.run(&renew).expect("renewed");
    let second = vendor_folder.list();
    assert_eq!(second.until, vendor_folder.now.saturating_add(14 * 86_400));
    assert!(second.number > first.number);

    vendor_folder.now = vendor_folder.now.saturating_add(11 * 86_400);
    let file = vendor_folder.path("revocations.txt").display().to_string();
    let shown = vendor_folder.run(&["revocations", "show", &file]);
    let (key, number) = (vendor_folder.public(), second.number);
    assert_eq!(
        shown.expect("shown").output,
        format!("{key}\t{number}\tgood\t3\t0\n")
    );
}

#[test]
fn a_new_key_overwrites_no_other_keys_list() {
    let mut vendor_folder = VendorFolder::with_key();
    let before = vendor_folder.list();
    let second = vendor_folder.run(&["key", "new", "--out", "second.key"]);
    let refused = second.expect_err("another key's list is there").to_string();
    assert!(refused.contains("folder of its own"), "{refused}");
    assert!(!vendor_folder.path("second.key").exists());
    assert_eq!(vendor_folder.list(), before);
}

#[test]
fn revoking_twice_changes_nothing_but_the_number() {
    let mut vendor_folder = VendorFolder::with_key();
    vendor_folder.add("Maija", "maija.toml");
    vendor_folder.revoke(&["Maija"]).expect("revoked");
    vendor_folder.revoke(&["Maija"]).expect("revoked again");
    assert_eq!(vendor_folder.list().serials.len(), 1);
    let ledger = fs::read_to_string(vendor_folder.path("vendor.key.ledger")).expect("the ledger");
    assert_eq!(
        ledger
            .lines()
            .filter(|line| line.contains("revoked"))
            .count(),
        1
    );
}

#[test]
fn a_name_that_several_cards_have_is_not_guessed_at() {
    let mut vendor_folder = VendorFolder::with_key();
    vendor_folder.add("Maija", "old.toml");
    let new = vendor_folder.add("Maija", "new.toml");
    let refused = vendor_folder
        .revoke(&["Maija"])
        .expect_err("two cards have the name");
    assert!(
        refused
            .to_string()
            .contains(&new.card.claims().serial.to_string())
    );
    assert!(matches!(
        vendor_folder.revoke(&["Minna"]),
        Err(VendorError::UnknownCard(_))
    ));
    assert!(matches!(
        vendor_folder.revoke(&["12345"]),
        Err(VendorError::UnknownCard(_))
    ));
}

#[test]
fn serials_rise_although_the_clock_goes_back() {
    let mut vendor_folder = VendorFolder::with_key();
    let first = vendor_folder.add("Maija", "a.toml");
    vendor_folder.now = UnixTime(NOW.0 - 1000);
    let second = vendor_folder.add("Kalle", "b.toml");
    assert!(second.card.claims().serial > first.card.claims().serial);
}

#[test]
fn nothing_is_overwritten() {
    let mut vendor_folder = VendorFolder::with_key();
    let key = fs::read(vendor_folder.path("vendor.key")).expect("the key");
    let again = vendor_folder.run(&["key", "new", "--out", "vendor.key"]);
    assert!(matches!(again, Err(VendorError::Exists(_))));
    assert_eq!(
        fs::read(vendor_folder.path("vendor.key")).expect("the key"),
        key
    );

    vendor_folder.add("Maija", "maija.toml");
    let words = [
        "agent",
        "add",
        "X",
        "--organisation",
        "Y",
        "--key",
        "vendor.key",
        "--out",
        "maija.toml",
    ];
    assert!(matches!(
        vendor_folder.run(&words),
        Err(VendorError::Exists(_))
    ));
    assert_eq!(
        vendor_folder.agent("maija.toml").card.claims().name,
        "Maija"
    );
}

#[test]
fn a_refused_card_leaves_no_file() {
    let mut vendor_folder = VendorFolder::with_key();
    fs::write(vendor_folder.path("vendor.key.ledger"), "rubbish\n").expect("a damaged ledger");
    let words = [
        "agent",
        "add",
        "X",
        "--organisation",
        "Y",
        "--key",
        "vendor.key",
        "--out",
        "x.toml",
    ];
    assert!(matches!(
        vendor_folder.run(&words),
        Err(VendorError::Ledger { line: 1, .. })
    ));
    assert!(!vendor_folder.path("x.toml").exists());
}

#[test]
fn hostile_names_are_refused() {
    let mut vendor_folder = VendorFolder::with_key();
    for name in ["", " ", "Mai\u{202e}ja", "Mai\nja", &"x".repeat(81)] {
        let words = [
            "agent",
            "add",
            name,
            "--organisation",
            "Y",
            "--key",
            "vendor.key",
            "--out",
            "x.toml",
        ];
        assert!(matches!(
            vendor_folder.run(&words),
            Err(VendorError::Name { field: "name", .. })
        ));
    }
    assert!(!vendor_folder.path("x.toml").exists());
}

#[test]
fn a_missing_or_damaged_key_is_said_in_words() {
    let mut vendor_folder = VendorFolder::empty();
    let show = ["key", "show", "--key", "vendor.key"];
    let missing = vendor_folder.run(&show).expect_err("no key").to_string();
    assert!(missing.contains("etatuki-vendor key new"), "{missing}");

    write_private(&vendor_folder, "vendor.key", "etv1-private-AAAA\n");
    let damaged = vendor_folder.run(&show).expect_err("a damaged key");
    assert!(matches!(damaged, VendorError::Key { .. }));
    assert!(!damaged.to_string().contains("AAAA"));
}

#[test]
fn another_keys_ledger_is_refused() {
    let mut vendor_folder = VendorFolder::with_key();
    vendor_folder.add("Maija", "maija.toml");
    fs::remove_file(vendor_folder.path("vendor.key")).expect("the key removed");
    fs::remove_file(vendor_folder.path("revocations.txt")).expect("the list removed");
    let second = vendor_folder.run(&["key", "new", "--out", "vendor.key"]);
    assert!(matches!(second, Err(VendorError::LedgerOfOtherKey { .. })));
    assert!(!vendor_folder.path("vendor.key").exists());
}

#[test]
fn the_list_of_agents_tells_their_state() {
    let mut vendor_folder = VendorFolder::with_key();
    vendor_folder.add("Maija", "a.toml");
    vendor_folder.add("Kalle", "b.toml");
    vendor_folder.revoke(&["Kalle"]).expect("revoked");
    let listed = vendor_folder
        .run(&["agent", "list", "--key", "vendor.key"])
        .expect("a table")
        .output;
    let states: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split('\t').skip(1).collect())
        .collect();
    assert_eq!(states[0], ["good", "365", "Maija", "Tilitieto Oy"]);
    assert_eq!(states[1], ["revoked", "365", "Kalle", "Tilitieto Oy"]);
    vendor_folder.now = NOW.saturating_add(366 * 86_400);
    let later = vendor_folder
        .run(&["agent", "list", "--key", "vendor.key"])
        .expect("a table")
        .output;
    assert!(later.contains("\texpired\t0\tMaija"));
}

#[cfg(unix)]
#[test]
fn secrets_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut vendor_folder = VendorFolder::with_key();
    vendor_folder.add("Maija", "maija.toml");
    for file in ["vendor.key", "maija.toml", "vendor.key.ledger"] {
        let mode = fs::metadata(vendor_folder.path(file))
            .expect(file)
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    fs::set_permissions(
        vendor_folder.path("vendor.key"),
        fs::Permissions::from_mode(0o640),
    )
    .expect("chmod");
    let exposed = vendor_folder.run(&["key", "show", "--key", "vendor.key"]);
    assert!(matches!(
        exposed,
        Err(VendorError::Exposed { mode: 0o640, .. })
    ));
}

#[test]
fn the_program_prints_for_scripts_and_fails_with_a_sentence() {
    let vendor_folder = VendorFolder::empty();
    let tool = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_etatuki-vendor"))
            .args(words)
            .current_dir(vendor_folder.folder.path())
            .output()
            .expect("the program runs")
    };
    let made = tool(&["key", "new"]);
    assert!(made.status.success());
    let public = String::from_utf8(made.stdout).expect("text");
    assert!(public.trim().parse::<VendorPublicKey>().is_ok());

    let added = tool(&[
        "agent",
        "add",
        "Maija Mäkelä",
        "--organisation",
        "Tilitieto Oy",
        "--days",
        "30",
    ]);
    assert_eq!(
        String::from_utf8(added.stdout).expect("text"),
        "maija-makela.agent.toml\n"
    );

    let again = tool(&["key", "new"]);
    assert_eq!(again.status.code(), Some(1));
    let words = String::from_utf8(again.stderr).expect("text");
    assert!(
        words.starts_with("etatuki-vendor: vendor.key exists already"),
        "{words}"
    );
    assert_eq!(tool(&["agent", "add"]).status.code(), Some(2));
    assert_eq!(
        tool(&["agent", "add", "M", "--organisation", "O", "--days", "0"])
            .status
            .code(),
        Some(2)
    );
}

fn write_private(vendor_folder: &VendorFolder, name: &str, text: &str) {
    let path = vendor_folder.path(name);
    fs::write(&path, text).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
}
