//! Opens the page in the agent's browser. The address with its token goes through a file that only
//! the agent can read: the browser's command line is visible to every user of the machine.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Lifetime of the file: enough for a browser to start on a slow machine.
const FILE_LIFETIME: Duration = Duration::from_secs(60);

/// Opens `address` in the system's browser. Returns after a minute, when the file is
/// removed.
///
/// # Errors
/// The file can't be written, or the system's opener doesn't start.
pub async fn open(address: &str) -> io::Result<()> {
    let file = RedirectFile::create(address)?;
    let mut opener = opener(&file.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // The opener may run for as long as the browser; this thread reaps it.
    std::thread::spawn(move || opener.wait());
    tokio::time::sleep(FILE_LIFETIME).await;
    Ok(())
}

/// A file that redirects to the page; removed when dropped.
struct RedirectFile(PathBuf);

impl RedirectFile {
    /// Creates a file with a random name that this user alone can read.
    fn create(address: &str) -> io::Result<Self> {
        let folder =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("etatuki-console-{:016x}.html", u64::from_le_bytes(random));
        let path = folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let redirect = Self(path);
        // The address has no character that needs escaping in HTML.
        write!(
            file,
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={address}\">"
        )?;
        Ok(redirect)
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
