//! What each command does.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CardError, Revocations, SignedRevocations, UnixTime,
    VendorKey, check_name,
};
use zeroize::Zeroizing;

use crate::{
    cli::{AgentCommand, Cli, Command, KeyCommand, ListArgs},
    error::VendorError,
    files::{self, NewPrivateFile},
    ledger::{Entry, Ledger},
};

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// What a run takes from the outside besides files.
pub struct World<'a> {
    /// The time.
    pub now: UnixTime,
    /// Fills a buffer with good randomness.
    pub random: &'a mut dyn FnMut(&mut [u8]) -> Result<(), VendorError>,
}

/// What a command has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For the next program: a key, a path, a table. Whole lines.
    pub output: String,
    /// For the person: what was done and what comes next. Whole lines.
    pub notes: String,
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong; nothing that was there before is changed then.
pub fn run(cli: &Cli, world: &mut World<'_>) -> Result<Report, VendorError> {
    match &cli.command {
        Command::Key(KeyCommand::New { out }) => new_key(out, world),
        Command::Key(KeyCommand::Show { key }) => show_key(&key.key),
        Command::Agent(AgentCommand::Add {
            name,
            organisation,
            days,
            key,
            out,
        }) => {
            let wanted = Wanted {
                name,
                organisation,
                days: *days,
                out: out.as_deref(),
            };
            add_agent(&key.key, &wanted, world)
        }
        Command::Agent(AgentCommand::Revoke { cards, list }) => revoke(cards, list, world.now),
        Command::Agent(AgentCommand::List { key }) => list_agents(&key.key, world.now),
        Command::Revocations { list } => sign_list(list, &[], world.now),
    }
}

fn new_key(out: &Path, world: &mut World<'_>) -> Result<Report, VendorError> {
    let file = NewPrivateFile::create(out)?;
    let key = VendorKey::from_seed(seed(world)?);
    let text = Zeroizing::new(format!(
        "# The vendor's private key. Whoever has it can make agents' cards: keep it offline, and a copy in a safe.\n{}\n",
        *key.to_text()
    ));
    file.write(&text)?;
    Ok(Report {
        output: format!("{}\n", key.public()),
        notes: format!(
            "The private key is in {}; keep it offline. The public key goes into backends.toml and to the service.\n",
            out.display()
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

struct Wanted<'a> {
    name: &'a str,
    organisation: &'a str,
    days: u16,
    out: Option<&'a Path>,
}

fn add_agent(
    key_path: &Path,
    wanted: &Wanted<'_>,
    world: &mut World<'_>,
) -> Result<Report, VendorError> {
    for (what, text) in [("name", wanted.name), ("organisation", wanted.organisation)] {
        check_name(text).map_err(|error| VendorError::Name { what, error })?;
    }
    let vendor = read_key(key_path)?;
    let mut ledger = Ledger::open(key_path, vendor.public())?;
    let out = wanted
        .out
        .map_or_else(|| default_file(wanted.name), Path::to_owned);
    // Made before the ledger is written, and filled after: a card that exists is in the ledger.
    let file = NewPrivateFile::create(&out)?;
    let key = AgentKey::from_seed(seed(world)?);
    let data = CardData {
        serial: ledger.next_serial(world.now),
        name: wanted.name.to_owned(),
        organisation: wanted.organisation.to_owned(),
        issued: world.now,
        expires: world
            .now
            .saturating_add(u64::from(wanted.days) * SECONDS_A_DAY),
        key: key.public(),
    };
    let card = AgentCard::issue(&vendor, data.clone()).map_err(unissued)?;
    ledger.append(&[Entry::Issued(data)])?;
    file.write(&AgentFile { card, key }.to_text())?;
    Ok(Report {
        output: format!("{}\n", out.display()),
        notes: format!(
            "The card of {}, {}, is good for {} days. Its file is as good as a password: hand it to nobody else.\n",
            wanted.name, wanted.organisation, wanted.days
        ),
    })
}

fn unissued(_: CardError) -> VendorError {
    // Names and days were checked; what is left is a clock at the end of time.
    VendorError::Clock
}

fn revoke(cards: &[String], list: &ListArgs, now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(&list.key.key)?;
    let ledger = Ledger::open(&list.key.key, vendor.public())?;
    let serials = cards
        .iter()
        .map(|card| find(&ledger, card))
        .collect::<Result<Vec<_>, _>>()?;
    // The ledger's lock goes with it; signing takes it again.
    drop(ledger);
    sign_list(list, &serials, now)
}

/// The serial of the card that is meant by a serial or a name.
fn find(ledger: &Ledger, meant: &str) -> Result<u64, VendorError> {
    let revoked = ledger.revoked();
    let by_serial = meant
        .parse()
        .ok()
        .filter(|serial| ledger.cards().any(|card| card.serial == *serial));
    if let Some(serial) = by_serial {
        return Ok(serial);
    }
    let named = ledger
        .cards()
        .filter(|card| card.name == meant)
        .map(|card| card.serial);
    let (gone, good): (Vec<u64>, Vec<u64>) = named.partition(|serial| revoked.contains(serial));
    match (good.as_slice(), gone.first()) {
        ([serial], _) => Ok(*serial),
        ([], Some(serial)) => Ok(*serial),
        ([], None) => Err(VendorError::UnknownCard(meant.to_owned())),
        (several, _) => {
            let serials: Vec<String> = several.iter().map(u64::to_string).collect();
            Err(VendorError::Ambiguous {
                name: meant.to_owned(),
                serials: serials.join(" or "),
            })
        }
    }
}

/// Signs the list with `more` serials on it, and writes all of that down.
fn sign_list(list: &ListArgs, more: &[u64], now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(&list.key.key)?;
    let mut ledger = Ledger::open(&list.key.key, vendor.public())?;
    let mut serials = ledger.revoked();
    let fresh: Vec<u64> = more
        .iter()
        .copied()
        .filter(|serial| serials.insert(*serial))
        .collect();
    let (number, count) = (ledger.next_number(now), serials.len());
    let signed = SignedRevocations::sign(&vendor, Revocations { number, serials })?;
    let mut entries: Vec<Entry> = fresh
        .iter()
        .map(|serial| Entry::Revoked {
            serial: *serial,
            at: now,
        })
        .collect();
    entries.push(Entry::List { number, at: now });
    ledger.append(&entries)?;
    files::replace(&list.out, &format!("{}\n", signed.to_text()))?;
    Ok(Report {
        output: format!("{}\n", list.out.display()),
        notes: format!(
            "List {number} revokes {count} card{}. It counts once the service has it: etatuki-service serve --revocations {}\n",
            if count == 1 { "" } else { "s" },
            list.out.display()
        ),
    })
}

fn list_agents(key_path: &Path, now: UnixTime) -> Result<Report, VendorError> {
    let vendor = read_key(key_path)?;
    let ledger = Ledger::open(key_path, vendor.public())?;
    let revoked = ledger.revoked();
    let mut output = String::new();
    for card in ledger.cards() {
        let days = card.expires.seconds_since(now) / SECONDS_A_DAY;
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

/// The key in a file whose other lines are comments.
fn read_key(path: &Path) -> Result<VendorKey, VendorError> {
    let text = files::read_private(path)?;
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    VendorKey::from_text(line.unwrap_or_default()).map_err(|error| VendorError::Key {
        path: path.to_owned(),
        error,
    })
}

fn seed(world: &mut World<'_>) -> Result<[u8; 32], VendorError> {
    let mut seed = Zeroizing::new([0; 32]);
    (world.random)(seed.as_mut_slice())?;
    Ok(*seed)
}

/// `maija-makela.agent.toml` for Maija Mäkelä.
fn default_file(name: &str) -> PathBuf {
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
            assert_eq!(default_file(name), Path::new(expected));
        }
    }
}
