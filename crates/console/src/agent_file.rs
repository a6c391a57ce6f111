//! Reads the agent's file: card and private key. A file that others can read is refused, for whoever has
//! the key can act as this agent.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use etatuki_trust::{AgentFile, AgentFileError};
use zeroize::Zeroizing;

/// More bytes than any agent's file has.
const MAX_FILE: u64 = 16 << 10;

/// Why the agent's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be opened or read.
    #[error("can't read the agent's file {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else can read or write it.
    #[error(
        "others can read or write the agent's file {path}; make it yours alone: chmod 600 {path}"
    )]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("the agent's file {path} belongs to another user")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It isn't an agent's file.
    #[error("{path}: {error}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: AgentFileError,
    },
}

/// Reads the file. What is checked is the file that was opened, not its name.
///
/// # Errors
/// Why it can't be used.
pub fn load(path: &Path) -> Result<AgentFile, LoadError> {
    let unreadable = |error| LoadError::Read {
        path: path.into(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    check_access(path, &file.metadata().map_err(unreadable)?)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    AgentFile::parse(&text).map_err(|error| LoadError::Content {
        path: path.into(),
        error,
    })
}

#[cfg(unix)]
fn check_access(path: &Path, metadata: &std::fs::Metadata) -> Result<(), LoadError> {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && user != 0 {
        return Err(LoadError::Foreign { path: path.into() });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(LoadError::Open { path: path.into() });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_access(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), LoadError> {
    Ok(())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test may end with a panic")]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use etatuki_trust::{AgentCard, AgentKey, CardData, UnixTime, VendorKey};

    use super::*;

    fn agent_file() -> AgentFile {
        let key = AgentKey::from_seed([2; 32]);
        let data = CardData {
            serial: 1,
            name: "Sari Saarinen".into(),
            organisation: "Tilitieto".into(),
            issued: UnixTime(1),
            expires: UnixTime(2),
            key: key.public(),
        };
        let card = AgentCard::issue(&VendorKey::from_seed([1; 32]), data).unwrap();
        AgentFile { card, key }
    }

    #[track_caller]
    fn check(mode: u32, content: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let result = load(&path).map(|_| ()).map_err(|error| error.to_string());
        match result {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{error}"),
        }
    }

    #[test]
    fn only_its_owner_may_read_it() {
        let text = agent_file().to_text();
        check(0o600, &text, "");
        check(0o400, &text, "");
        check(0o640, &text, "chmod 600");
        check(0o604, &text, "chmod 600");
        check(0o620, &text, "chmod 600");
    }

    #[test]
    fn other_files_are_named() {
        check(0o600, "card = 3", "agent.toml");
        check(0o600, &"#".repeat(20_000), "agent.toml");
        let missing = load(Path::new("/nonexistent/agent.toml")).unwrap_err();
        assert!(matches!(missing, LoadError::Read { .. }));
    }
}
