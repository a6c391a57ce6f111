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

/// Time after which a page that isn't open is taken for one that the browser couldn't read.
const FIRST_TRY: Duration = Duration::from_secs(15);

/// Opens `address` in the system's browser. Returns after a minute, when the file is removed.
///
/// A browser in a sandbox of its own (snap, flatpak) can't read the runtime folder, and shows an
/// error page. If the page hasn't been opened after a while, the file is tried in the home folder,
/// where such browsers may read what isn't hidden.
///
/// # Errors
/// The file can't be written, or the system's opener doesn't start.
pub async fn open(address: &str, was_opened: impl Fn() -> bool) -> io::Result<()> {
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let _first = start_opener(&runtime, address)?;
    tokio::time::sleep(FIRST_TRY).await;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let _second = home
        .filter(|_| !was_opened())
        .map(|home| start_opener(&home, address))
        .transpose()?;
    tokio::time::sleep(FILE_LIFETIME).await;
    if !was_opened() {
        tracing::warn!("no browser has opened the page: open the printed address yourself");
    }
    Ok(())
}

/// Writes the file into `folder` and starts the system's opener with it.
fn start_opener(folder: &Path, address: &str) -> io::Result<RedirectFile> {
    let file = RedirectFile::create(folder, address)?;
    let mut opener = opener(&file.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // The opener may run for as long as the browser; this thread reaps it.
    std::thread::spawn(move || opener.wait());
    Ok(file)
}

/// A file that redirects to the page; removed when dropped.
struct RedirectFile(PathBuf);

impl RedirectFile {
    /// Creates a file with a random name that this user alone can read.
    fn create(folder: &Path, address: &str) -> io::Result<Self> {
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
