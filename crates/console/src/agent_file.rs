//! The agent's file: card and private key. A file that others can read or write is refused: anybody
//! with the key can act as this agent.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use etatuki_trust::{AgentFile, AgentFileError};
use zeroize::Zeroizing;

/// Bytes that are read at most; an agent's file has fewer.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// The reason that the agent's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be opened or read.
    #[error("can't read the agent's file {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Other users can read or write the file.
    #[error(
        "others can read or write the agent's file {path}; make it yours alone: chmod 600 {path}"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error("the agent's file {path} belongs to another user")]
    ForeignOwner {
        /// The file.
        path: PathBuf,
    },
    /// The content is no card and key.
    #[error("{path}: {error}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: AgentFileError,
    },
}

/// Reads the agent's file. The permissions are checked on the opened file, not by its name: the
/// file behind the name may change.
///
/// # Errors
/// The file can't be read, is open to others, or has no card and key.
pub fn load(path: &Path) -> Result<AgentFile, LoadError> {
    let unreadable = |error| LoadError::Read {
        path: path.into(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    check_access(path, &file.metadata().map_err(unreadable)?)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize));
    file.take(MAX_FILE_BYTES)
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
        return Err(LoadError::ForeignOwner { path: path.into() });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(LoadError::OpenToOthers { path: path.into() });
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
