//! The system's secret store: freedesktop.org's Secret Service on the session bus, which GNOME
//! Keyring, KWallet and KeePassXC offer.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use secret_service::blocking::{Item, SecretService};
use secret_service::{EncryptionType, Error};
use zbus::blocking::connection::Builder;
use zeroize::Zeroizing;

/// Name of the item in the store's own windows.
const LABEL: &str = "Etätuki: restart";
/// Time-out of a store that asks nobody; it may be started by this question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time-out of a store that may ask the customer for its password, after the login.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The session bus on which the store is looked for.
#[derive(Clone, Debug)]
pub(crate) enum SecretStore {
    /// The bus of this desktop session.
    Session,
    /// No bus: secrets are kept in files alone.
    Absent,
    /// The bus at this address.
    #[cfg(test)]
    At(String),
}

/// The reason why the store wasn't used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretStoreError {
    /// There is no store, or it answers with an error.
    #[error("the secret store can't be used: {0}")]
    Unusable(String),
    /// It would ask for its password, while an agent may be looking.
    #[error("the secret store is locked")]
    Locked,
    /// No answer in time.
    #[error("the secret store doesn't answer")]
    Timeout,
}

impl From<Error> for SecretStoreError {
    fn from(error: Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Fate of an item that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Kept,
    Removed,
}

impl SecretStore {
    /// Puts the text into the store, in place of an earlier one. Never lets the store ask for a
    /// password.
    pub(crate) fn put(&self, text: &str) -> Result<(), SecretStoreError> {
        let text = Zeroizing::new(text.to_owned());
        self.run(ANSWER_TIMEOUT, move |service| {
            let collection = service.get_default_collection()?;
            if collection.is_locked()? {
                return Err(SecretStoreError::Locked);
            }
            // KWallet takes text alone.
            collection.create_item(LABEL, attributes(), text.as_bytes(), true, "text/plain")?;
            Ok(())
        })
    }

    /// Returns the text, if the store has one and is unlocked.
    pub(crate) fn peek(&self) -> Result<Option<Zeroizing<String>>, SecretStoreError> {
        self.run(ANSWER_TIMEOUT, |service| {
            let found = service.search_items(attributes())?;
            read(found.unlocked, Reading::Kept)
        })
    }

    /// Removes and returns the text. The store may ask for its password first.
    pub(crate) fn take(&self) -> Result<Option<Zeroizing<String>>, SecretStoreError> {
        self.run(UNLOCK_TIMEOUT, |service| {
            let found = service.search_items(attributes())?;
            if !found.locked.is_empty() {
                service.unlock_all(&found.locked.iter().collect::<Vec<_>>())?;
            }
            let all = found.unlocked.into_iter().chain(found.locked).collect();
            read(all, Reading::Removed)
        })
    }

    /// Removes the text, if there is one.
    pub(crate) fn remove(&self) -> Result<(), SecretStoreError> {
        self.run(ANSWER_TIMEOUT, |service| {
            let found = service.search_items(attributes())?;
            for item in found.unlocked.iter().chain(&found.locked) {
                item.delete()?;
            }
            Ok(())
        })
    }

    /// Runs `work` on a thread of its own, since the store's answers have no time-out. A thread that
    /// is late ends with the store's answer, or with the process.
    fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&SecretService<'_>) -> Result<T, SecretStoreError> + Send + 'static,
    ) -> Result<T, SecretStoreError> {
        let store = self.clone();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("etatuki-secret".into());
        let spawned = thread.spawn(move || {
            let done = store.connect().and_then(|service| work(&service));
            // The caller may have given up.
            let _ = sender.send(done);
        });
        spawned.map_err(|error| SecretStoreError::Unusable(error.to_string()))?;
        receiver
            .recv_timeout(limit)
            .unwrap_or(Err(SecretStoreError::Timeout))
    }

    /// Connects to the store; on the bus the secrets are encrypted by a key of this connection.
    fn connect(&self) -> Result<SecretService<'static>, SecretStoreError> {
        let builder = match self {
            Self::Session => Builder::session(),
            Self::Absent => return Err(SecretStoreError::Unusable("none is used".into())),
            #[cfg(test)]
            Self::At(address) => Builder::address(address.as_str()),
        };
        let bus = builder.and_then(Builder::build).map_err(Error::Zbus)?;
        Ok(SecretService::connect_with_existing(
            EncryptionType::Dh,
            bus,
        )?)
    }
}

/// Attributes of the item, by which it is found. They aren't secret.
fn attributes() -> HashMap<&'static str, &'static str> {
    HashMap::from([("application", "etatuki"), ("purpose", "restart")])
}

fn read(
    items: Vec<Item<'_>>,
    reading: Reading,
) -> Result<Option<Zeroizing<String>>, SecretStoreError> {
    let mut text = None;
    for item in items {
        let secret = item.get_secret().map(Zeroizing::new);
        if reading == Reading::Removed {
            item.delete()?;
        }
        let secret = std::str::from_utf8(&secret?).ok().map(str::to_owned);
        text = text.or(secret.map(Zeroizing::new));
    }
    Ok(text)
}

/// The store itself, on a bus of the test's own: GNOME Keyring.
#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;

    /// Longest wait for a daemon.
    const START_LIMIT: Duration = Duration::from_secs(60);

    /// A bus that starts no program by itself: else it may start a second keyring, which is locked.
    const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

    /// A bus and a keyring, ended on drop.
    pub(crate) struct Keyring {
        daemons: Vec<Child>,
        pub(crate) store: SecretStore,
        _home: TempDir,
    }

    impl Keyring {
        pub(crate) fn start() -> Self {
            let home = tempfile::tempdir().unwrap();
            let config = home.path().join("bus.conf");
            fs::write(&config, BUS).unwrap();
            let mut bus = Command::new("dbus-daemon")
                .args(["--nofork", "--nopidfile", "--print-address=1"])
                .arg(format!("--config-file={}", config.display()))
                .env("HOME", home.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut address = String::new();
            BufReader::new(bus.stdout.take().unwrap())
                .read_line(&mut address)
                .unwrap();
            let address = address.trim().to_owned();
            let mut keyring = Self {
                daemons: vec![bus],
                store: SecretStore::At(address.clone()),
                _home: home,
            };
            keyring.unlock(&address);
            keyring
        }

        fn unlock(&mut self, address: &str) {
            let home = self._home.path();
            let runtime = home.join("run");
            fs::create_dir(&runtime).unwrap();
            let mut daemon = Command::new("gnome-keyring-daemon")
                .args(["--foreground", "--unlock", "--components=secrets"])
                .env("HOME", home)
                .env("XDG_DATA_HOME", home.join("data"))
                .env("XDG_RUNTIME_DIR", runtime)
                .env("DBUS_SESSION_BUS_ADDRESS", address)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            daemon.stdin.take().unwrap().write_all(b"password").unwrap();
            self.daemons.push(daemon);
            let until = Instant::now() + START_LIMIT;
            while let Err(error) = self.store.peek_default() {
                assert!(Instant::now() < until, "{error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }

        /// Locks the keyring, as it is before a password at a login by itself.
        pub(crate) fn lock(&self) {
            let locked = self.store.run(START_LIMIT, |service| {
                service.get_default_collection()?.lock()?;
                Ok(())
            });
            locked.unwrap();
        }
    }

    impl Drop for Keyring {
        fn drop(&mut self) {
            for daemon in self.daemons.iter_mut().rev() {
                let _ = daemon.kill();
                let _ = daemon.wait();
            }
        }
    }

    impl SecretStore {
        /// Succeeds once there is a collection to write to, unlocked.
        fn peek_default(&self) -> Result<(), SecretStoreError> {
            self.run(START_LIMIT, |service| {
                match service.get_default_collection()?.is_locked()? {
                    true => Err(SecretStoreError::Locked),
                    false => Ok(()),
                }
            })
        }
    }

    fn text(taken: Result<Option<Zeroizing<String>>, SecretStoreError>) -> Option<String> {
        taken.unwrap().map(|text| text.to_string())
    }

    #[test]
    fn the_store_gives_a_text_back_once() {
        let keyring = Keyring::start();
        let store = &keyring.store;
        assert_eq!(text(store.peek()), None);
        store.put("one").unwrap();
        store.put("two").unwrap();
        assert_eq!(text(store.peek()).as_deref(), Some("two"));
        assert_eq!(text(store.take()).as_deref(), Some("two"));
        assert_eq!(text(store.take()), None);
        store.put("three").unwrap();
        store.remove().unwrap();
        store.remove().unwrap();
        assert_eq!(text(store.take()), None);
    }

    #[test]
    fn a_locked_store_is_left_alone() {
        let keyring = Keyring::start();
        keyring.lock();
        let put = keyring.store.put("text");
        assert!(matches!(put, Err(SecretStoreError::Locked)), "{put:?}");
        assert_eq!(text(keyring.store.peek()), None);
    }

    #[test]
    fn without_a_bus_there_is_no_store() {
        let nowhere = SecretStore::At("unix:path=/nonexistent/bus".into());
        for store in [nowhere, SecretStore::Absent] {
            let put = store.put("text");
            assert!(matches!(put, Err(SecretStoreError::Unusable(_))), "{put:?}");
        }
    }
}
