//! The commands.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CardError, RevocationList, SignedRevocations,
    UnixTime, VendorKey, check_name,
};
use zeroize::Zeroizing;

use crate::{
    cli::{
        AgentCommand, Cli, Command, DEFAULT_LIST_DAYS, KeyArg, KeyCommand, ListArgs,
        RevocationsCommand,
    },
    error::VendorError,
    files::{self, NewPrivateFile},
    ledger::{Entry, Ledger},
};

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// File of a new key's first list, beside the key.
const LIST_FILE: &str = "revocations.txt";

/// The inputs of a run besides command line and files.
pub struct Environment<'a> {
    /// The current time.
    pub now: UnixTime,
    /// Fills a buffer with cryptographic randomness.
    pub random: &'a mut dyn FnMut(&mut [u8]) -> Result<(), VendorError>,
}

/// The result of a command, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Output for a program: a key, a path, a table. Whole lines.
    pub output: String,
    /// Notes for the person: the things done and the next steps. Whole lines.
    pub notes: String,
}

/// Runs the command on the command line.
///
/// # Errors
/// The reason why it failed. No existing file is changed then.
pub fn run(cli: &Cli, environment: &mut Environment<'_>) -> Result<Report, VendorError> {
    match &cli.command {
        Command::Key(KeyCommand::New { out }) => new_key(out, environment),
        Command::Key(KeyCommand::Show { key }) => show_key(&key.key),
        Command::Agent(AgentCommand::Add {
            name,
            organisation,
            days,
            key,
            out,
        }) => {
            let new = NewAgent {
                name,
                organisation,
                days: *days,
                out: out.as_deref(),
            };
            add_agent(&key.key, &new, environment)
        }
        Command::Agent(AgentCommand::Revoke { cards, list }) => {
            revoke(cards, list, environment.now)
        }
        Command::Agent(AgentCommand::List { key }) => list_agents(&key.key, environment.now),
        Command::Revocations(RevocationsCommand::Renew { list }) => {
            sign_list(list, &[], environment.now)
        }
        Command::Revocations(RevocationsCommand::Show { files }) => {
            show_lists(files, environment.now)
        }
    }
}

/// Makes a key, and its first list: until there is one, launchers let nobody in.
fn new_key(out: &Path, environment: &mut Environment<'_>) -> Result<Report, VendorError> {
    let list = ListArgs {
        key: KeyArg {
            key: out.to_owned(),
        },
        out: out.with_file_name(LIST_FILE),
        days: DEFAULT_LIST_DAYS,
    };
    let file = NewPrivateFile::create(out)?;
    if list.out.exists() {
        return Err(VendorError::ListOfOtherKey(list.out));
    }
    let key = VendorKey::from_seed(random_seed(environment)?);
    let text = Zeroizing::new(format!(
        "# The vendor's private key. Whoever has it can make agents' cards: keep it offline, and a copy in a safe.\n{}\n",
        *key.to_text()
    ));
    // Before the key is written: with another key's ledger beside it, it couldn't sign anything.
    drop(Ledger::open(out, key.public())?);
    file.write(&text)?;
    let signed = sign_list(&list, &[], environment.now)?;
    Ok(Report {
        output: format!("{}\n", key.public()),
        notes: format!(
            "The private key is in {}; keep it offline. The public key goes into backends.toml and to the service.\n{}",
            out.display(),
            signed.notes
        ),
    })
}

fn show_key(path: &Path) -> Result<Report, VendorError> {
    let public = read_key(path)?.public();
    Ok(Report {
        output: format!("{public}\n"),
        notes: String::new(),
    })
}

/// The options of a new card.
struct NewAgent<'a> {
    name: &'a str,
    organisation: &'a str,
    days: u16,
    out: Option<&'a Path>,
}

fn add_agent(
    key_path: &Path,
    new: &NewAgent<'_>,
    environment: &mut Environment<'_>,
) -> Result<Report, VendorError> {
    for (field, text) in [("name", new.name), ("organisation", new.organisation)] {
        check_name(text).map_err(|error| VendorError::Name { field, error })?;
    }
    let vendor = read_key(key_path)?;
    let mut ledger = Ledger::open(key_path, vendor.public())?;
    let out = new
        .out
        .map_or_else(|| default_agent_path(new.name), Path::to_owned);
    // Created before the ledger entry, and written after it: every card that exists is in the
    // ledger.
    let file = NewPrivateFile::create(&out)?;
    let key = AgentKey::from_seed(random_seed(environment)?);
    let data = CardData {
        serial: ledger.next_serial(environment.now),
        name: new.name.to_owned(),
        organisation: new.organisation.to_owned(),
        issued: environment.now,
        expires: environment
            .now
            .saturating_add(u64::from(new.days) * SECONDS_PER_DAY),
        key: key.public(),
    };
    let card = AgentCard::issue(&vendor, data.clone()).map_err(refused)?;
    ledger.append(&[Entry::Issued(data)])?;
    file.write(&AgentFile { card, key }.to_text())?;
    Ok(Report {
        output: format!("{}\n", out.display()),
        notes: format!(
            "The card of {}, {}, is good for {} days. Its file is as good as a password: hand it to nobody else.\n",
            new.name, new.organisation, new.days
        ),
    })
}

fn refused(_: CardError) -> VendorError {
    // Names and days have been checked; only a clock at the end of time is left.
    VendorError::Clock
}

fn revoke(cards: &[String], list: &ListArgs, now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(&list.key.key)?;
    let ledger = Ledger::open(&list.key.key, vendor.public())?;
    let serials = cards
        .iter()
        .map(|card| find_serial(&ledger, card))
        .collect::<Result<Vec<_>, _>>()?;
    // This releases the ledger's lock; signing takes it again.
    drop(ledger);
    sign_list(list, &serials, now)
}

/// Returns the serial of the card with this serial or name.
fn find_serial(ledger: &Ledger, serial_or_name: &str) -> Result<u64, VendorError> {
    let revoked_serials = ledger.revoked();
    let by_serial = serial_or_name
        .parse()
        .ok()
        .filter(|serial| ledger.cards().any(|card| card.serial == *serial));
    if let Some(serial) = by_serial {
        return Ok(serial);
    }
    let named = ledger
        .cards()
        .filter(|card| card.name == serial_or_name)
        .map(|card| card.serial);
    let (revoked, valid): (Vec<u64>, Vec<u64>) =
        named.partition(|serial| revoked_serials.contains(serial));
    match (valid.as_slice(), revoked.first()) {
        ([serial], _) => Ok(*serial),
        ([], Some(serial)) => Ok(*serial),
        ([], None) => Err(VendorError::UnknownCard(serial_or_name.to_owned())),
        (several, _) => {
            let serials: Vec<String> = several.iter().map(u64::to_string).collect();
            Err(VendorError::AmbiguousName {
                name: serial_or_name.to_owned(),
                serials: serials.join(" or "),
            })
        }
    }
}

/// Signs the list with `revoked` serials added, and records both in the ledger.
fn sign_list(list: &ListArgs, revoked: &[u64], now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(&list.key.key)?;
    let mut ledger = Ledger::open(&list.key.key, vendor.public())?;
    let mut serials = ledger.revoked();
    let added: Vec<u64> = revoked
        .iter()
        .copied()
        .filter(|serial| serials.insert(*serial))
        .collect();
    let (number, count) = (ledger.next_list_number(now), serials.len());
    let revoked = RevocationList {
        number,
        until: now.saturating_add(u64::from(list.days) * SECONDS_PER_DAY),
        serials,
    };
    let signed = SignedRevocations::sign(&vendor, revoked)?;
    let mut entries: Vec<Entry> = added
        .iter()
        .map(|serial| Entry::Revoked {
            serial: *serial,
            at: now,
        })
        .collect();
    entries.push(Entry::List { number, at: now });
    ledger.append(&entries)?;
    files::write_atomically(&list.out, &format!("{}\n", signed.to_text()))?;
    Ok(Report {
        output: format!("{}\n", list.out.display()),
        notes: format!(
            "List {number} revokes {count} card{}, and counts for {} days once the service has it: etatuki-service serve --revocations {}\nRenew it before they are over, or no agent gets in: etatuki-vendor revocations renew\n",
            if count == 1 { "" } else { "s" },
            list.days,
            list.out.display()
        ),
    })
}

/// Describes signed lists. Their signatures aren't checked: the keys are what is asked for.
fn show_lists(files: &[PathBuf], now: UnixTime) -> Result<Report, VendorError> {
    let mut output = String::new();
    for path in files {
        for list in SignedRevocations::lines(&files::read_list_file(path)?) {
            let signed = list.map_err(|error| VendorError::ListFile {
                path: path.clone(),
                error,
            })?;
            let (vendor, list) = signed.claims();
            let RevocationList {
                number,
                until,
                serials,
            } = list;
            let days = until.seconds_since(now) / SECONDS_PER_DAY;
            let state = if list.is_current(now) {
                "good"
            } else {
                "outdated"
            };
            let count = serials.len();
            writeln!(output, "{vendor}\t{number}\t{state}\t{days}\t{count}")
                .expect("writing to a String never fails");
        }
    }
    Ok(Report {
        output,
        notes: String::new(),
    })
}

fn list_agents(key_path: &Path, now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(key_path)?;
    let ledger = Ledger::open(key_path, vendor.public())?;
    let revoked = ledger.revoked();
    let mut output = String::new();
    for card in ledger.cards() {
        let days = card.expires.seconds_since(now) / SECONDS_PER_DAY;
        let state = if revoked.contains(&card.serial) {
            "revoked"
        } else if card.expires <= now {
            "expired"
        } else {
            "good"
        };
        let CardData {
            serial,
            name,
            organisation,
            ..
        } = card;
        writeln!(output, "{serial}\t{state}\t{days}\t{name}\t{organisation}")
            .expect("writing to a String never fails");
    }
    Ok(Report {
        output,
        notes: String::new(),
    })
}

/// Reads the key in a file whose other lines are comments.
fn read_key(path: &Path) -> Result<VendorKey, VendorError> {
    let text = files::read_key_file(path)?;
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    VendorKey::from_text(line.unwrap_or_default()).map_err(|error| VendorError::Key {
        path: path.to_owned(),
        error,
    })
}

fn random_seed(environment: &mut Environment<'_>) -> Result<[u8; 32], VendorError> {
    let mut seed = Zeroizing::new([0; 32]);
    (environment.random)(seed.as_mut_slice())?;
    Ok(*seed)
}

/// Returns the default file of an agent: `maija-makela.agent.toml` for Maija Mäkelä.
fn default_agent_path(name: &str) -> PathBuf {
    let mut plain = String::new();
    for character in name.to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' => plain.push(character),
            'ä' | 'å' | 'á' | 'à' => plain.push('a'),
            'ö' | 'ø' | 'õ' | 'ó' => plain.push('o'),
            'é' | 'è' => plain.push('e'),
            'ü' => plain.push('u'),
            _ if plain.is_empty() || plain.ends_with('-') => {}
            _ => plain.push('-'),
        }
    }
    let plain = plain.trim_end_matches('-');
    let plain = if plain.is_empty() { "new" } else { plain };
    PathBuf::from(format!("{plain}.agent.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_from_names() {
        for (name, expected) in [
            ("Maija Mäkelä", "maija-makela.agent.toml"),
            ("../../etc/passwd", "etc-passwd.agent.toml"),
            ("山田", "new.agent.toml"),
            ("O’Neill, B. ", "o-neill-b.agent.toml"),
        ] {
            assert_eq!(default_agent_path(name), Path::new(expected));
        }
    }
}
