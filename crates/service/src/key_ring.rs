//! The keys with which the service signs owner tokens, challenges and relay tickets. They live in a
//! file, so that a restart voids nothing that is signed.
//!
//! A line `key NUMBER SEED` is one key: its number and base64url of 32 bytes, from which a key for
//! each purpose is derived. The two keys with the highest numbers are valid, and the newer one
//! signs: what the older one has signed stays good until it expires. Other lines are comments.

use std::{fmt, io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_trust::{RelayTicket, TicketError, TicketKey, TicketPublicKey, VerifiedTicket};

use crate::{
    config::{KeyRingFault, StartError},
    tokens::{TokenKey, hmac},
};

/// Keys that are valid at a time.
const VALID_KEYS: usize = 2;

/// Longest file; two keys and a few comments are less than 1 KiB.
const MAX_FILE_BYTES: u64 = 16 * 1024;

const HEAD: &str = "\
# Keys of etatuki-service: whoever reads this file can take sessions and relays over.
# The two with the highest numbers are valid, and the newer one signs.
";

/// The valid keys, newest first; one at least.
#[derive(Clone)]
pub(crate) struct KeyRing(Vec<NumberedKey>);

#[derive(Clone)]
struct NumberedKey {
    number: u32,
    seed: [u8; 32],
    tokens: TokenKey,
    tickets: TicketKey,
}

impl NumberedKey {
    fn new(number: u32, seed: [u8; 32]) -> Self {
        Self {
            number,
            seed,
            tokens: TokenKey::new(number, derive(&seed, b"etatuki service tokens v1\0")),
            tickets: TicketKey::from_seed(derive(&seed, b"etatuki relay tickets v1\0")),
        }
    }
}

impl KeyRing {
    /// Returns a ring of one key, which nobody will know after this process.
    pub(crate) fn in_memory(seed: [u8; 32]) -> Self {
        Self(vec![NumberedKey::new(1, seed)])
    }

    /// Reads the keys in the file at `path`. If it isn't there, makes it, with a key from `seed` and
    /// readable by its owner alone.
    pub(crate) fn open(path: &Path, seed: [u8; 32]) -> Result<Self, StartError> {
        let made = Self::in_memory(seed);
        match made.create_file(path) {
            Ok(()) => Ok(made),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(fault(path, KeyRingFault::Io(error))),
        }
    }

    /// Reads the keys in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, StartError> {
        use std::io::Read as _;
        let unreadable = |error| fault(path, KeyRingFault::Io(error));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        if !is_private(&file).map_err(unreadable)? {
            return Err(fault(path, KeyRingFault::NotPrivate));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::parse(&text).ok_or_else(|| fault(path, KeyRingFault::Malformed))
    }

    /// Adds a key from `seed` to the file at `path`, which becomes the one that signs. The oldest
    /// goes.
    pub(crate) fn rotate(path: &Path, seed: [u8; 32]) -> Result<u32, StartError> {
        let mut ring = Self::read(path)?;
        let malformed = || fault(path, KeyRingFault::Malformed);
        let number = ring.0[0].number.checked_add(1).ok_or_else(malformed)?;
        ring.0.insert(0, NumberedKey::new(number, seed));
        ring.0.truncate(VALID_KEYS);
        let written = ring
            .write_beside(path)
            .and_then(|beside| std::fs::rename(beside, path));
        written.map_err(|error| fault(path, KeyRingFault::Io(error)))?;
        Ok(number)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let (Some("key"), Some(number), Some(seed), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return None;
            };
            let seed = URL_SAFE_NO_PAD.decode(seed).ok()?.try_into().ok()?;
            keys.push(NumberedKey::new(number.parse().ok()?, seed));
        }
        keys.sort_by_key(|key| std::cmp::Reverse(key.number));
        let is_twice = keys.windows(2).any(|two| two[0].number == two[1].number);
        keys.truncate(VALID_KEYS);
        (!keys.is_empty() && !is_twice).then_some(Self(keys))
    }

    fn to_text(&self) -> String {
        let lines = self.0.iter().map(|key| {
            let seed = URL_SAFE_NO_PAD.encode(key.seed);
            format!("key {} {seed}\n", key.number)
        });
        HEAD.to_owned() + &lines.collect::<String>()
    }

    /// Makes the file unless it exists: whole or not at all, also after a power cut.
    fn create_file(&self, path: &Path) -> std::io::Result<()> {
        if path.try_exists()? {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        let beside = self.write_beside(path)?;
        // A link doesn't replace the file of another process that was quicker.
        let linked = std::fs::hard_link(&beside, path);
        std::fs::remove_file(&beside)?;
        linked
    }

    /// Writes the keys into a new file beside `path`, readable by its owner alone.
    fn write_beside(&self, path: &Path) -> std::io::Result<std::path::PathBuf> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = std::path::PathBuf::from(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()?;
        Ok(beside)
    }

    /// Returns the key that makes tokens and challenges.
    pub(crate) fn tokens(&self) -> &TokenKey {
        &self.0[0].tokens
    }

    /// Returns the keys whose tokens and challenges are good.
    pub(crate) fn all_tokens(&self) -> impl Iterator<Item = &TokenKey> {
        self.0.iter().map(|key| &key.tokens)
    }

    /// Signs a relay ticket.
    pub(crate) fn sign_ticket(&self, ticket: VerifiedTicket) -> String {
        let key = &self.0[0];
        RelayTicket::sign(ticket, key.number, &key.tickets).to_string()
    }

    /// Verifies the signature of a relay ticket.
    pub(crate) fn verify_ticket(&self, text: &str) -> Result<VerifiedTicket, TicketError> {
        text.parse::<RelayTicket>()?.verify(self.ticket_keys())
    }

    fn ticket_keys(&self) -> impl Iterator<Item = (u32, TicketPublicKey)> {
        self.0.iter().map(|key| (key.number, key.tickets.public()))
    }
}

/// Adds a key to the key ring at `path`, and returns its number.
///
/// # Errors
/// The file can't be read or replaced.
pub fn add_key(path: &Path) -> Result<u32, StartError> {
    let seed = crate::state::random().map_err(StartError::Randomness)?;
    KeyRing::rotate(path, seed)
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(<redacted>)")
    }
}

fn derive(seed: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    hmac(seed, purpose, &[]).into()
}

fn fault(path: &Path, fault: KeyRingFault) -> StartError {
    StartError::KeyRing {
        path: path.to_owned(),
        fault,
    }
}

/// Returns whether nobody but the owner can read or write the file.
#[cfg(unix)]
fn is_private(file: &std::fs::File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_: &std::fs::File) -> std::io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use etatuki_trust::{TicketBearer, UnixTime};

    use super::*;

    fn ticket() -> VerifiedTicket {
        VerifiedTicket::first([3; 32], TicketBearer::Customer, UnixTime(1_700_000_000))
    }

    #[test]
    fn the_file_is_made_once_and_is_the_owners_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        let first = KeyRing::open(&path, [1; 32]).unwrap();
        let again = KeyRing::open(&path, [2; 32]).unwrap();
        assert_eq!(first.sign_ticket(ticket()), again.sign_ticket(ticket()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let open_to_group = std::fs::Permissions::from_mode(0o640);
            std::fs::set_permissions(&path, open_to_group).unwrap();
            let refused = KeyRing::open(&path, [2; 32]).unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
    }

    #[test]
    fn two_keys_are_valid_and_the_newer_one_signs() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        let first = KeyRing::open(&path, [1; 32]).unwrap();
        let old = first.sign_ticket(ticket());
        assert_eq!(KeyRing::rotate(&path, [2; 32]).unwrap(), 2);
        let both = KeyRing::read(&path).unwrap();
        assert_eq!(both.verify_ticket(&old), Ok(ticket()));
        let new = both.sign_ticket(ticket());
        let unknown = first.verify_ticket(&new);
        assert_eq!(unknown, Err(TicketError::UnknownKey));
        assert_eq!(KeyRing::rotate(&path, [3; 32]).unwrap(), 3);
        let later = KeyRing::read(&path).unwrap();
        assert_eq!(later.verify_ticket(&new), Ok(ticket()));
        assert_eq!(later.verify_ticket(&old), Err(TicketError::UnknownKey));
    }

    #[test]
    fn a_file_that_isnt_a_key_ring_is_refused() {
        let seed = URL_SAFE_NO_PAD.encode([1; 32]);
        for bad in [
            String::new(),
            "# nothing\n".into(),
            format!("key 1 {seed}\nkey 1 {seed}"),
            format!("key -1 {seed}"),
            format!("key 1 {seed} more"),
            format!("kex 1 {seed}"),
            "key 1 AAAA".into(),
        ] {
            assert!(KeyRing::parse(&bad).is_none(), "{bad}");
        }
        let good = format!("# a comment\n\n key 9 {seed}\nkey 3 {seed}\nkey 10 {seed}\n");
        let numbers: Vec<_> = KeyRing::parse(&good)
            .unwrap()
            .0
            .iter()
            .map(|key| key.number)
            .collect();
        assert_eq!(numbers, [10, 9]);
    }

    #[test]
    fn the_ring_says_nothing() {
        let ring = KeyRing::in_memory([1; 32]);
        assert_eq!(format!("{ring:?}"), "KeyRing(<redacted>)");
    }
}
