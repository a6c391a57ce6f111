//! The ticket and its autostart entry together: kept by a consent, taken once, or discarded.
//!
//! The ticket is in the system's secret store, if that is there and unlocked; then the file holds
//! one word that says so. Otherwise the file holds the ticket itself. Either way the file and the
//! entry decide who takes it.

use std::io;
use std::path::Path;

use directories::{BaseDirs, ProjectDirs};
use etatuki_trust::{RestartTicket, RestartTicketError, UnixTime};
use zeroize::Zeroizing;

use crate::autostart::{AutostartEntry, EntryError};
use crate::file_store::FileStore;
use crate::secret_service::SecretStore;

/// Content of the file while the ticket is in the secret store.
const IN_SECRET_STORE: &str = "in-secret-store";

/// The place of a restart ticket and of the entry that uses it.
#[derive(Clone, Debug)]
pub struct RestartStore {
    file: FileStore,
    secrets: SecretStore,
    entry: AutostartEntry,
}

/// The reason why nothing is kept over a restart.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another session of this user waits for the same restart.
    #[error("another session of this user waits for a restart")]
    Occupied,
    /// The ticket can't be written.
    #[error("the restart ticket can't be written: {0}")]
    Ticket(io::Error),
    /// The entry can't be written.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// The reason why a launcher doesn't come back. Ticket and entry are gone in each case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// There is no entry or no ticket: both were used, discarded, or never kept.
    #[error("there is no restart ticket")]
    Missing,
    /// The file belongs to another user.
    #[error("the restart ticket belongs to another user")]
    Foreign,
    /// Others may read or write the file.
    #[error("the restart ticket could be read by others")]
    Exposed,
    /// A link, a folder or a device stands in the ticket's place.
    #[error("the restart ticket isn't a file")]
    NotAFile,
    /// The file can't be read.
    #[error("the restart ticket can't be read: {0}")]
    Unreadable(String),
    /// The entry can't be removed, and would start the launcher at each login.
    #[error("the autostart entry can't be removed: {0}")]
    Entry(String),
    /// The text isn't a ticket.
    #[error("the restart ticket is damaged")]
    Malformed,
    /// The 15 minutes are over.
    #[error("the restart ticket has expired")]
    Expired,
    /// The clock was set back since the consent.
    #[error("this computer's clock was set back since the restart was allowed")]
    ClockSetBack,
}

impl From<RestartTicketError> for TakeError {
    fn from(error: RestartTicketError) -> Self {
        match error {
            RestartTicketError::Malformed => Self::Malformed,
            RestartTicketError::Expired => Self::Expired,
            RestartTicketError::NotYetValid => Self::ClockSetBack,
        }
    }
}

impl RestartStore {
    /// Asks the system for the user's folders; `None` if it doesn't know the user's home.
    #[must_use]
    pub fn from_system() -> Option<Self> {
        let own = ProjectDirs::from("", "", "etatuki")?;
        let state = own.state_dir().unwrap_or_else(|| own.data_local_dir());
        Some(Self {
            secrets: SecretStore::Session,
            ..Self::in_folders(state, BaseDirs::new()?.config_dir())
        })
    }

    /// Uses these folders, and no secret store: the launcher's own state, and the user's
    /// configuration.
    #[must_use]
    pub fn in_folders(state: &Path, config: &Path) -> Self {
        let entry = config.join("autostart").join("etatuki-come-back.desktop");
        Self {
            file: FileStore::new(state.join("restart-ticket")),
            secrets: SecretStore::Absent,
            entry: AutostartEntry::new(entry),
        }
    }

    /// Keeps `ticket`, in place of an older one of the same link, and lets the desktop run `command` at the user's
    /// next login. `name` is the entry's name in lists of programs that start at login.
    ///
    /// # Errors
    /// Nothing of this ticket is kept then.
    pub fn keep(
        &self,
        ticket: &RestartTicket,
        name: &str,
        command: &[&str],
    ) -> Result<(), KeepError> {
        let kept = self
            .kept()
            .filter(|kept| kept.check_time(ticket.issued).is_ok());
        if kept.is_some_and(|kept| !is_same_link(&kept, ticket)) {
            return Err(KeepError::Occupied);
        }
        let kept = self.try_keep(ticket, name, command);
        if kept.is_err() {
            self.discard();
        }
        kept
    }

    fn try_keep(
        &self,
        ticket: &RestartTicket,
        name: &str,
        command: &[&str],
    ) -> Result<(), KeepError> {
        let text = ticket.to_text();
        let in_file = match self.secrets.put(&text) {
            Ok(()) => IN_SECRET_STORE,
            Err(reason) => {
                tracing::info!(%reason, "the restart ticket is kept in a file");
                text.as_str()
            }
        };
        self.file.put(in_file).map_err(KeepError::Ticket)?;
        Ok(self.entry.write(name, command)?)
    }

    /// Removes entry and ticket, and only then reads the ticket: it is used once, whatever happens
    /// afterwards. Of several launchers at once only one gets it.
    ///
    /// # Errors
    /// The reason why this launcher has no session to go on with.
    pub fn take(&self, now: UnixTime) -> Result<RestartTicket, TakeError> {
        let removed = self.entry.remove();
        let text = match removed {
            Ok(true) => self.take_text()?,
            // Another launcher had the entry. What it left behind, if anything, is nobody's.
            Ok(false) => None,
            Err(error) => {
                self.discard();
                return Err(TakeError::Entry(error.to_string()));
            }
        };
        let ticket = RestartTicket::parse(&text.ok_or(TakeError::Missing)?)?;
        ticket.check_time(now)?;
        Ok(ticket)
    }

    /// Removes this ticket and its entry, because the consent was withdrawn. Leaves the ticket of
    /// another link alone.
    pub fn withdraw(&self, ticket: &RestartTicket) {
        if self.kept().is_none_or(|kept| is_same_link(&kept, ticket)) {
            self.discard();
        }
    }

    /// Removes entry and ticket unless the ticket is good at `now`: the machine wasn't restarted in
    /// time, or its desktop starts no entries.
    pub fn discard_expired(&self, now: UnixTime) {
        if self.kept().is_none_or(|kept| kept.check_time(now).is_err()) {
            self.discard();
        }
    }

    fn take_text(&self) -> Result<Option<Zeroizing<String>>, TakeError> {
        let in_file = self.file.take()?;
        if in_file.as_deref().map(String::as_str) != Some(IN_SECRET_STORE) {
            return Ok(in_file);
        }
        let taken = self.secrets.take();
        taken.map_err(|error| TakeError::Unreadable(error.to_string()))
    }

    /// Returns the ticket that is kept, good or expired.
    fn kept(&self) -> Option<RestartTicket> {
        let in_file = self.file.peek()?;
        let text = match in_file.as_str() {
            IN_SECRET_STORE => self.secrets.peek().ok()??,
            _ => in_file,
        };
        RestartTicket::parse(&text).ok()
    }

    fn discard(&self) {
        let entry = self.entry.remove().map(drop);
        let in_secret_store = self
            .file
            .peek()
            .is_some_and(|text| *text == IN_SECRET_STORE);
        for removed in [entry, self.file.remove()] {
            if let Err(error) = removed {
                tracing::error!(%error, "something is left of a restart");
            }
        }
        // Worthless by now: a store that is locked may keep it.
        if let Err(error) = in_secret_store.then(|| self.secrets.remove()).transpose() {
            tracing::warn!(%error, "a restart ticket is left in the secret store");
        }
    }
}

fn is_same_link(one: &RestartTicket, other: &RestartTicket) -> bool {
    one.link.endpoint_key == other.link.endpoint_key
}

#[cfg(test)]
mod tests {
    use std::fs;

    use etatuki_trust::{LinkCredentials, RESTART_LIFETIME, RestartKey};

    use super::*;
    #[cfg(feature = "secret-service")]
    use crate::secret_service::tests::Keyring;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const COMMAND: [&str; 2] = ["/opt/etatuki", "come-back"];

    struct Place {
        folder: tempfile::TempDir,
        store: RestartStore,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (state, config) = (folder.path().join("state"), folder.path().join("config"));
            let store = RestartStore::in_folders(&state, &config);
            Self { folder, store }
        }

        fn kept() -> Self {
            let place = Self::new();
            place.store.keep(&ticket(), "Etätuki", &COMMAND).unwrap();
            place
        }

        fn path(&self, path: &str) -> std::path::PathBuf {
            self.folder.path().join(path)
        }

        /// Checks that no file is left anywhere.
        fn check_empty(&self) {
            for folder in ["state", "config/autostart"] {
                let left = fs::read_dir(self.path(folder)).into_iter().flatten();
                let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
                assert!(left.is_empty(), "{left:?}");
            }
        }

        fn check_take(&self, now: UnixTime, expected: &TakeError) {
            assert_eq!(self.store.take(now).as_ref(), Err(expected));
            self.check_empty();
        }
    }

    fn ticket() -> RestartTicket {
        let link = LinkCredentials {
            endpoint_key: RestartKey::from_bytes([1; 32]),
            resume_key: RestartKey::from_bytes([2; 32]),
            agent_endpoint: [3; 32],
            card_hash: [4; 32],
            agent_name: "Maija Virtanen".into(),
            agent_organisation: "Ecom".into(),
            nameplate: "12345678".parse().unwrap(),
        };
        RestartTicket::issue("ecom".into(), link, NOW)
    }

    #[test]
    fn what_was_kept_is_taken_once() {
        let place = Place::kept();
        assert_eq!(place.store.take(NOW), Ok(ticket()));
        place.check_empty();
        place.check_take(NOW, &TakeError::Missing);
    }

    #[test]
    fn a_later_consent_takes_the_place_of_an_earlier_one() {
        let place = Place::kept();
        let later = RestartTicket::issue("ecom".into(), ticket().link, UnixTime(NOW.0 + 60));
        place.store.keep(&later, "Etätuki", &COMMAND).unwrap();
        assert_eq!(place.store.take(UnixTime(NOW.0 + 61)), Ok(later));
        place.check_empty();
    }

    #[test]
    fn of_many_launchers_at_once_one_comes_back() {
        let place = Place::kept();
        let taken = std::thread::scope(|scope| {
            let launchers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| place.store.take(NOW)))
                .collect();
            let taken = launchers.into_iter().map(|thread| thread.join().unwrap());
            taken.filter(Result::is_ok).count()
        });
        assert_eq!(taken, 1);
    }

    #[test]
    fn an_expired_ticket_and_one_from_the_future_are_refused_and_removed() {
        let late = UnixTime(NOW.0 + RESTART_LIFETIME);
        Place::kept().check_take(late, &TakeError::Expired);
        Place::kept().check_take(UnixTime(NOW.0 - 1), &TakeError::ClockSetBack);
        Place::kept().check_take(UnixTime(0), &TakeError::ClockSetBack);
    }

    #[test]
    fn a_damaged_ticket_is_refused_and_removed() {
        let place = Place::kept();
        let file = place.path("state/restart-ticket");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() - 1]).unwrap();
        place.check_take(NOW, &TakeError::Malformed);
    }

    #[test]
    fn a_ticket_without_its_entry_is_not_used() {
        let place = Place::kept();
        fs::remove_file(place.path("config/autostart/etatuki-come-back.desktop")).unwrap();
        assert_eq!(place.store.take(NOW), Err(TakeError::Missing));
        place.store.withdraw(&ticket());
        place.check_empty();
    }

    #[test]
    fn a_withdrawn_consent_leaves_nothing() {
        let place = Place::kept();
        place.store.withdraw(&ticket());
        place.check_take(NOW, &TakeError::Missing);
        place.store.withdraw(&ticket());
    }

    /// Two displays of one user: the second session is told that the first one has the restart.
    #[test]
    fn a_second_session_leaves_the_ticket_of_the_first_alone() {
        let place = Place::kept();
        let mut second = ticket();
        second.link.endpoint_key = RestartKey::from_bytes([9; 32]);
        let kept = place.store.keep(&second, "Etätuki", &COMMAND);
        assert!(matches!(kept, Err(KeepError::Occupied)));
        place.store.withdraw(&second);
        place.store.discard_expired(NOW);
        assert_eq!(place.store.take(NOW), Ok(ticket()));
    }

    #[test]
    fn an_expired_ticket_is_in_nobodys_way() {
        let late = UnixTime(NOW.0 + RESTART_LIFETIME);
        let place = Place::kept();
        place.store.discard_expired(late);
        place.check_empty();
        let place = Place::kept();
        let mut second = RestartTicket::issue("ecom".into(), ticket().link, late);
        second.link.endpoint_key = RestartKey::from_bytes([9; 32]);
        place.store.keep(&second, "Etätuki", &COMMAND).unwrap();
        assert_eq!(place.store.take(late), Ok(second));
    }

    #[test]
    fn what_cant_be_kept_whole_isnt_kept_at_all() {
        let place = Place::new();
        let kept = place.store.keep(&ticket(), "Etätuki", &["/opt/a\nb"]);
        assert!(matches!(kept, Err(KeepError::Entry(EntryError::Command))));
        place.check_empty();
        fs::create_dir_all(place.path("config")).unwrap();
        fs::write(place.path("config/autostart"), "a file").unwrap();
        let kept = place.store.keep(&ticket(), "Etätuki", &COMMAND);
        assert!(matches!(kept, Err(KeepError::Entry(EntryError::Io(_)))));
        assert!(!place.path("state/restart-ticket").exists());
    }

    #[cfg(feature = "secret-service")]
    #[test]
    fn a_ticket_in_the_secret_store_is_in_no_file_and_is_taken_once() {
        let keyring = Keyring::start();
        let mut place = Place::new();
        place.store.secrets = keyring.store.clone();
        place.store.keep(&ticket(), "Etätuki", &COMMAND).unwrap();
        let in_file = fs::read_to_string(place.path("state/restart-ticket")).unwrap();
        assert_eq!(in_file, IN_SECRET_STORE);
        place.store.discard_expired(NOW);
        assert_eq!(place.store.take(NOW), Ok(ticket()));
        place.check_empty();
        place.check_take(NOW, &TakeError::Missing);
        assert!(keyring.store.peek().unwrap().is_none());
        place.store.keep(&ticket(), "Etätuki", &COMMAND).unwrap();
        place.store.withdraw(&ticket());
        place.check_empty();
        assert!(keyring.store.peek().unwrap().is_none());
    }

    #[cfg(feature = "secret-service")]
    #[test]
    fn where_the_secret_store_is_locked_the_ticket_is_in_a_file() {
        let keyring = Keyring::start();
        keyring.lock();
        let mut place = Place::new();
        place.store.secrets = keyring.store.clone();
        place.store.keep(&ticket(), "Etätuki", &COMMAND).unwrap();
        assert_eq!(place.store.take(NOW), Ok(ticket()));
        place.check_empty();
    }

    #[test]
    fn a_store_that_is_gone_after_the_restart_leaves_nothing_to_go_on_with() {
        let place = Place::kept();
        place.store.file.put(IN_SECRET_STORE).unwrap();
        let taken = place.store.take(NOW);
        assert!(matches!(taken, Err(TakeError::Unreadable(_))), "{taken:?}");
        place.check_empty();
    }

    /// The command line is in the list of processes for everybody to read; the entry, in backups.
    #[test]
    fn the_entry_holds_nothing_of_the_ticket() {
        let place = Place::kept();
        let entry = place.path("config/autostart/etatuki-come-back.desktop");
        let entry = fs::read_to_string(entry).unwrap();
        let text = ticket().to_text();
        assert!(
            !entry.contains("etr1-") && !entry.contains("12345678"),
            "{entry}"
        );
        assert!(text.starts_with("etr1-"));
    }
}
