//! Opens the page in the agent's browser. The token must not stand in the browser's command line, where
//! every user of the machine can read it: it goes through a file that only the agent can read.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Long enough for a browser to start on a slow machine.
const KEEP_FILE: Duration = Duration::from_secs(60);

/// Asks the system to open `address` in the browser; the file for it is removed after a minute.
///
/// # Errors
/// There is no way to open a browser here.
pub async fn open(address: &str) -> io::Result<()> {
    let file = RedirectFile::create(address)?;
    let mut opener = opener(&file.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // It may stay for as long as the browser does; the thread is what reaps it.
    std::thread::spawn(move || opener.wait());
    tokio::time::sleep(KEEP_FILE).await;
    Ok(())
}

/// Removed when dropped.
struct RedirectFile(PathBuf);

impl RedirectFile {
    /// A file of a fresh name, readable by this user alone, that leads to the address.
    fn create(address: &str) -> io::Result<Self> {
        let folder =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(io::Error::other)?;
        let name = format!("etatuki-console-{:016x}.html", u64::from_le_bytes(number));
        let path = folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let own = Self(path);
        // The address has no character that HTML would read as its own.
        write!(
            file,
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={address}\">"
        )?;
        Ok(own)
    }
}

impl Drop for RedirectFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(target_os = "macos")]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("open");
    command.arg(file);
    command
}

#[cfg(windows)]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("explorer.exe");
    command.arg(file);
    command
}

#[cfg(not(any(target_os = "macos", windows)))]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("xdg-open");
    command.arg(file);
    command
}
