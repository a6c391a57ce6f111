//! A tool with its own transport, at work: its code is found where the profile says, its output tells who comes and
//! goes, and it ends with the session. What it prints is never logged: who knows what secrets are in it.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use etatuki_backend_api::{Failure, Host};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::driver::Driver;
use crate::pattern::Pattern;
use crate::profile::{Code, Kind, Own};
use crate::running::Outcome;

/// Where a tool may write: in memory, and nowhere else.
const MEMORY: &str = "/dev/shm";
/// How often a file that isn't there yet is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// The longest file that a code is looked for in, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// A tool that runs. It ends with [`OwnSession::close`].
#[derive(Debug)]
pub struct OwnSession {
    /// The tool's peer is gone when this is.
    peer: UnixStream,
    threads: Vec<JoinHandle<()>>,
}

impl OwnSession {
    /// Starts the tool. `host` hears of its code, of who comes and goes, and of its end. `code` is the launcher's, for
    /// a tool that takes one.
    ///
    /// # Errors
    /// No thread, socket or folder for it.
    pub fn open(driver: Arc<Driver>, host: &Host, code: &str) -> Result<Self, Failure> {
        let Kind::Own(own) = driver.profile.kind.clone() else {
            return Err(Failure::ours(
                "plugin-failed",
                "a profile of the other kind",
            ));
        };
        let (peer, ours) = UnixStream::pair().map_err(|error| broken(&error))?;
        let folder = tempfile::Builder::new()
            .prefix("etatuki-")
            .tempdir_in(MEMORY);
        let folder = Arc::new(folder.map_err(|error| broken(&error))?);
        let mut threads = Vec::new();
        if let Code::File(file, pattern) = &own.code {
            let file = file.replace("{folder}", &folder.path().to_string_lossy());
            let (host, pattern, kept) = (host.clone(), pattern.clone(), folder.clone());
            threads.push(spawn(move || {
                look(Path::new(&file), &pattern, &host, &kept)
            })?);
        }
        let host = host.clone();
        let code = Zeroizing::new(code.to_owned());
        threads.push(spawn(move || {
            run(&driver, *own, &host, &code, &ours, &folder)
        })?);
        Ok(Self { peer, threads })
    }

    /// Ends the tool and waits for it.
    pub fn close(self) {
        drop(self.peer);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name("own-tool".into());
    thread.spawn(work).map_err(|error| broken(&error))
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::ours("plugin-failed", error.to_string())
}

fn run(driver: &Driver, own: Own, host: &Host, code: &str, peer: &UnixStream, folder: &TempDir) {
    let env = match &own.code {
        Code::Launcher(variable) => vec![(variable.as_str(), code)],
        _ => vec![],
    };
    let shown = match &own.code {
        Code::Launcher(_) => Some(Zeroizing::new(code.to_owned())),
        // There is none to show: the tool's own window does.
        Code::Window => Some(Zeroizing::default()),
        Code::Output(_) | Code::File(..) => None,
    };
    if let (Some(shown), None) = (&shown, &own.ready) {
        host.waiting(shown);
    }
    let hear = {
        let (own, host) = (own.clone(), host.clone());
        move |line: &str| hear(&own, shown.as_deref().map(String::as_str), &host, line)
    };
    let place = folder.path().to_string_lossy();
    match driver.run(None, peer, &[("folder", &place)], &env, hear) {
        Ok(Outcome::Ended) => {}
        Ok(Outcome::Failed(name, line)) => {
            host.failed(Failure::tool(name, line));
        }
        // Its window was closed, say: the customer's own doing.
        Ok(Outcome::Died { calmly: true, .. }) => host.closed(),
        Ok(Outcome::Died { how, .. }) => {
            let text = format!("{}: {how}", driver.profile.tool);
            host.failed(Failure::tool("tool-died", text));
        }
        Err(failure) => {
            host.failed(failure);
        }
    }
}

/// What a line of the tool's output means.
fn hear(own: &Own, shown: Option<&str>, host: &Host, line: &str) {
    let says = |pattern: &Option<Pattern>| pattern.as_ref().is_some_and(|it| it.is_in(line));
    if let Code::Output(pattern) = &own.code
        && let Some(code) = pattern.find(line)
    {
        host.waiting(code.trim());
    }
    if let (Some(shown), true) = (shown, says(&own.ready)) {
        host.waiting(shown);
    }
    if says(&own.connected) {
        host.attached();
    }
    if says(&own.left) {
        host.detached();
    }
}

/// Waits for the code in a file. The launcher has a limit for that.
fn look(file: &Path, pattern: &Pattern, host: &Host, _kept: &TempDir) {
    while !host.closing() {
        if let Some(code) = code_in(file, pattern) {
            host.waiting(&code);
            return;
        }
        std::thread::sleep(LOOK);
    }
}

fn code_in(file: &Path, pattern: &Pattern) -> Option<Zeroizing<String>> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(file).ok()?;
    file.take(LONGEST_FILE).read_to_string(&mut text).ok()?;
    let code = text.lines().find_map(|line| pattern.find(line))?;
    Some(Zeroizing::new(code.trim().to_owned()))
}
