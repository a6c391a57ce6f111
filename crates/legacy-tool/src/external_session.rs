//! A session of a tool with its own transport: its code comes from the profile's source, its output
//! reports agents who connect and leave, and it ends with the session. Its output is never logged:
//! it may contain secrets.

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
use crate::profile::{CodeSource, ExternalTool, ToolKind};
use crate::running_tool::ToolExit;

/// Interval at which the code's file is read until it has the code.
const FILE_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of a file that are searched for the code.
const MAX_CODE_FILE_BYTES: u64 = 64 * 1024;

/// A running tool with its own transport. It ends with [`ExternalSession::close`].
#[derive(Debug)]
pub struct ExternalSession {
    /// The tool is stopped when this is dropped.
    peer: UnixStream,
    threads: Vec<JoinHandle<()>>,
}

impl ExternalSession {
    /// Starts the tool. `host` is notified of its code, of agents who connect and leave, and of its
    /// end. `code` is the launcher's, for a tool that takes one.
    ///
    /// # Errors
    /// The system gives no thread, socket or folder.
    pub fn open(driver: Arc<Driver>, host: &Host, code: &str) -> Result<Self, Failure> {
        let ToolKind::External(tool) = driver.profile.kind.clone() else {
            return Err(Failure::ours(
                "plugin-failed",
                "a profile of the other kind",
            ));
        };
        let (peer, ours) = UnixStream::pair().map_err(|error| internal_failure(&error))?;
        // In the plugin host's private folder (TMPDIR), the only place where a tool may write.
        let folder = tempfile::Builder::new().prefix("tool-").tempdir();
        let folder = Arc::new(folder.map_err(|error| internal_failure(&error))?);
        let mut threads = Vec::new();
        if let CodeSource::File(file, pattern) = &tool.code {
            let file = file.replace("{folder}", &folder.path().to_string_lossy());
            let (host, pattern, folder) = (host.clone(), pattern.clone(), folder.clone());
            threads.push(spawn(move || {
                wait_for_code_file(Path::new(&file), &pattern, &host, &folder)
            })?);
        }
        let host = host.clone();
        let code = Zeroizing::new(code.to_owned());
        threads.push(spawn(move || {
            run(&driver, *tool, &host, &code, &ours, &folder)
        })?);
        Ok(Self { peer, threads })
    }

    /// Stops the tool and waits for its exit.
    pub fn close(self) {
        drop(self.peer);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    let thread = std::thread::Builder::new().name("own-tool".into());
    thread.spawn(work).map_err(|error| internal_failure(&error))
}

fn internal_failure(error: &std::io::Error) -> Failure {
    Failure::ours("plugin-failed", error.to_string())
}

fn run(
    driver: &Driver,
    tool: ExternalTool,
    host: &Host,
    code: &str,
    peer: &UnixStream,
    folder: &TempDir,
) {
    let env = match &tool.code {
        CodeSource::Launcher(variable) => vec![(variable.as_str(), code)],
        _ => vec![],
    };
    let known_code = match &tool.code {
        CodeSource::Launcher(_) => Some(Zeroizing::new(code.to_owned())),
        // An empty code: the tool's own window shows it.
        CodeSource::Window => Some(Zeroizing::default()),
        CodeSource::Output(_) | CodeSource::File(..) => None,
    };
    if let (Some(known_code), None) = (&known_code, &tool.ready) {
        host.waiting(known_code);
    }
    let on_output_line = {
        let (tool, host) = (tool.clone(), host.clone());
        move |line: &str| {
            on_output_line(
                &tool,
                known_code.as_deref().map(String::as_str),
                &host,
                line,
            )
        }
    };
    let folder_path = folder.path().to_string_lossy();
    match driver.run_tool(
        None,
        peer,
        &[("folder", &folder_path)],
        &env,
        on_output_line,
    ) {
        Ok(ToolExit::Ended) => {}
        Ok(ToolExit::Failed(name, line)) => {
            host.failed(Failure::tool(name, line));
        }
        // The customer has closed the tool's window, for example.
        Ok(ToolExit::Died { success: true, .. }) => host.closed(),
        Ok(ToolExit::Died { how, .. }) => {
            let text = format!("{}: {how}", driver.profile.tool);
            host.failed(Failure::tool("tool-died", text));
        }
        Err(failure) => {
            host.failed(failure);
        }
    }
}

/// Notifies `host` of the events that a line of the tool's output reports.
fn on_output_line(tool: &ExternalTool, known_code: Option<&str>, host: &Host, line: &str) {
    let matches = |pattern: &Option<Pattern>| pattern.as_ref().is_some_and(|it| it.is_match(line));
    if let CodeSource::Output(pattern) = &tool.code
        && let Some(code) = pattern.capture(line)
    {
        host.waiting(code.trim());
    }
    if let (Some(known_code), true) = (known_code, matches(&tool.ready)) {
        host.waiting(known_code);
    }
    if matches(&tool.connected) {
        host.attached();
    }
    if matches(&tool.disconnected) {
        host.detached();
    }
}

/// Reads the file until it has the code, or the session closes. The launcher limits the time.
/// `_folder` keeps the file's folder.
fn wait_for_code_file(file: &Path, pattern: &Pattern, host: &Host, _folder: &TempDir) {
    while !host.is_closing() {
        if let Some(code) = read_code(file, pattern) {
            host.waiting(&code);
            return;
        }
        std::thread::sleep(FILE_POLL_INTERVAL);
    }
}

fn read_code(file: &Path, pattern: &Pattern) -> Option<Zeroizing<String>> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(file).ok()?;
    file.take(MAX_CODE_FILE_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    let code = text.lines().find_map(|line| pattern.capture(line))?;
    Some(Zeroizing::new(code.trim().to_owned()))
}
