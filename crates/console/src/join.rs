//! `etatuki-console join`: a session for any VNC viewer, without a page. Reads the code and then
//! commands from standard input, and prints events on standard output, one JSON object a line
//! (docs/console.md).

use std::{
    fs,
    io::{self, BufRead, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use etatuki_link::{LinkStats, PathKind};
use etatuki_protocol::Ask;
use etatuki_rfb::Security;
use etatuki_texts::catalogue::Catalogue;
use etatuki_trust::CodeError;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use zeroize::Zeroizing;

use crate::{
    code::{Code, ParsedCode},
    controller::log_messages,
    message::Message,
    session::{
        self, AgentContext, COMMAND_QUEUE, ClipboardTo, EVENT_QUEUE, EndReason, Finished,
        SessionCommand, SessionEvent,
    },
    session_error::{SessionError, ended_message},
    signal::stop_signal,
    viewer::{TcpSource, ViewerError, ViewerHub, serve},
};

/// Bytes of a line of input; longer ones are split.
const MAX_LINE: u64 = 1024;
/// Lines of input that may wait.
const LINE_QUEUE: usize = 16;
/// Characters of the viewer's password; VNC authentication uses no more.
const PASSWORD_LENGTH: usize = 8;
/// Characters of the password: no 0, O, 1, l or I, which look alike. There are 32, so that a random
/// byte selects each with the same probability.
const PASSWORD_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// The options of `join`.
#[derive(Debug)]
pub struct Options {
    /// The address for the viewer; a loopback address.
    pub vnc: SocketAddr,
    /// The file for the link's counters.
    pub stats: Option<PathBuf>,
    /// The language of the sentences.
    pub texts: Catalogue,
}

/// Runs one session to its end. Returns the program's exit code.
///
/// # Errors
/// The port or the counters' file can't be used.
pub async fn run(context: AgentContext, options: Options) -> io::Result<u8> {
    let listener = TcpListener::bind(options.vnc).await?;
    let (stats, texts) = (StatsFile(options.stats), options.texts);
    stats.write(LinkStats::default(), PathKind::Unknown)?;
    let mut lines = StdinLines::spawn_reader();
    let outcome = match lines.read_code(&texts).await {
        Ok(code) => {
            let finished = run_session(&context, code, listener, &mut lines, &stats, &texts).await;
            stats.write(finished.stats, PathKind::Unknown)?;
            finished.outcome
        }
        Err(error) => Err(error),
    };
    Ok(match outcome {
        Ok(reason) => {
            print_event(
                &json!({"type": "ended", "reason": reason, "text": ended_message(&reason).text(&texts)}),
            );
            0
        }
        Err(error) => {
            print_event(
                &json!({"type": "failed", "name": error.name(), "text": error.message().text(&texts)}),
            );
            error.exit_code()
        }
    })
}

/// Runs the session of a code, its one viewer, and the commands from standard input.
async fn run_session(
    context: &AgentContext,
    code: Code,
    listener: TcpListener,
    lines: &mut StdinLines,
    stats: &StatsFile,
    texts: &Catalogue,
) -> Finished {
    let (commands, mut commands_end) = mpsc::channel(COMMAND_QUEUE);
    let (events, mut events_end) = mpsc::channel(EVENT_QUEUE);
    let running = session::run(
        context,
        code,
        ClipboardTo::Viewer,
        &mut commands_end,
        &events,
    );
    tokio::pin!(running);
    let mut listener = Some(listener);
    let mut viewer = JoinSet::new();
    let mut viewer_error = None;
    let stop = stop_signal();
    tokio::pin!(stop);
    let mut stopping = false;
    let mut finished = loop {
        let command = tokio::select! {
            finished = &mut running => break finished,
            Some(event) = events_end.recv() => {
                handle_event(event, &mut listener, &mut viewer, stats, texts);
                continue;
            }
            Some(line) = lines.next() => match parse_command(&line) {
                Some(command) => command,
                None => {
                    print_event(&json!({"type": "unknown-command"}));
                    continue;
                }
            },
            Some(served) = viewer.join_next() => {
                viewer_error = served.ok().and_then(|served: Result<(), String>| served.err());
                SessionCommand::End(EndReason::Agent)
            }
            () = &mut stop, if !stopping => {
                stopping = true;
                SessionCommand::End(EndReason::Agent)
            }
        };
        // A full queue means that the session reads no more commands: it is ending.
        let _ = commands.try_send(command);
    };
    while let Ok(event) = events_end.try_recv() {
        handle_event(event, &mut listener, &mut viewer, stats, texts);
    }
    if let Some(error) = viewer_error {
        finished.outcome = finished.outcome.and(Err(SessionError::Viewer(error)));
    }
    finished
}

/// Prints an event. Opens the port to the viewer once the link is established.
fn handle_event(
    event: SessionEvent,
    listener: &mut Option<TcpListener>,
    viewer: &mut JoinSet<Result<(), String>>,
    stats: &StatsFile,
    texts: &Catalogue,
) {
    let line = match event {
        SessionEvent::Linked(hub) => {
            if let Some(listener) = listener.take() {
                serve_first_viewer(hub, listener, viewer);
            }
            return;
        }
        SessionEvent::Interrupted { left, restart } => {
            let text = log_messages::interruption(restart).text(texts);
            json!({"type": "interrupted", "seconds_left": whole_seconds(left), "text": text})
        }
        SessionEvent::Restarting { left } => {
            json!({"type": "restarting", "seconds_left": left.map_or(0, whole_seconds)})
        }
        SessionEvent::Resumed => {
            json!({"type": "resumed", "text": Message::new("log.resumed").text(texts)})
        }
        SessionEvent::Customer(customer) => json!({"type": "connected", "customer": customer}),
        SessionEvent::Permissions(permissions) => {
            json!({"type": "permissions", "view": permissions.view, "control": permissions.control})
        }
        SessionEvent::Asking(ask) => json!({"type": "asking", "ask": ask}),
        SessionEvent::Shown(shown) => {
            json!({"type": "shown", "ask": shown.ask, "seconds_left": shown.seconds_left, "text": shown.text})
        }
        SessionEvent::Answer {
            ask,
            allowed,
            asks_left,
        } => {
            json!({"type": "answer", "ask": ask, "allowed": allowed, "asks_left": asks_left})
        }
        SessionEvent::Picture => json!({"type": "picture"}),
        SessionEvent::ClipboardLoss(lost) => json!({"type": "clipboard-loss", "characters": lost}),
        SessionEvent::Screen(status) => {
            json!({"type": "screen", "condition": status.condition, "age": status.age})
        }
        SessionEvent::Traffic(report) => {
            if let Err(error) = stats.write(report.stats, report.path) {
                tracing::warn!(%error, "the counters can't be written");
            }
            return;
        }
        SessionEvent::Located
        | SessionEvent::Asked(_)
        | SessionEvent::Clipboard(_)
        | SessionEvent::Desktop { .. }
        | SessionEvent::Pointer(..) => return,
    };
    print_event(&line);
}

/// Prints the port and its password, and serves the first connection only.
fn serve_first_viewer(
    hub: Arc<ViewerHub>,
    listener: TcpListener,
    viewer: &mut JoinSet<Result<(), String>>,
) {
    let (Ok(address), Ok((password, challenge))) = (listener.local_addr(), random_credentials())
    else {
        viewer.spawn(async { Err("this computer gives no port or no random numbers".into()) });
        return;
    };
    let ready_line = Zeroizing::new(format!(
        "{{\"vnc\":\"{address}\",\"password\":\"{}\"}}",
        password.as_str()
    ));
    print_line(&ready_line);
    let security = Security::VncAuth {
        password,
        challenge,
    };
    viewer.spawn(async move {
        accept_viewer(&hub, listener, security)
            .await
            .map_err(|error| error.to_string())
    });
}

async fn accept_viewer(
    hub: &ViewerHub,
    listener: TcpListener,
    security: Security,
) -> Result<(), ViewerError> {
    let (socket, _) = listener.accept().await?;
    drop(listener);
    socket.set_nodelay(true)?;
    let (source, sink) = socket.into_split();
    serve(hub, TcpSource(source), sink, security)
        .await
        .map(drop)
}

/// Returns a one-time password and a challenge for VNC authentication.
fn random_credentials() -> Result<(Zeroizing<String>, [u8; 16]), getrandom::Error> {
    let mut random = Zeroizing::new([0; PASSWORD_LENGTH]);
    getrandom::fill(random.as_mut_slice())?;
    let characters = random
        .iter()
        .map(|byte| char::from(PASSWORD_ALPHABET[usize::from(byte % 32)]));
    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge)?;
    Ok((Zeroizing::new(characters.collect()), challenge))
}

/// Returns seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}

/// Parses a command line; `None` for anything else.
fn parse_command(line: &str) -> Option<SessionCommand> {
    let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match (name, rest.trim()) {
        ("ask-view", "") => Some(SessionCommand::Ask(Ask::View)),
        ("ask-control", "") => Some(SessionCommand::Ask(Ask::Control)),
        ("ask-restart", "") => Some(SessionCommand::Ask(Ask::Restart)),
        ("ask-switch", backend) if !backend.is_empty() => Some(SessionCommand::Ask(Ask::Switch {
            backend: backend.to_owned(),
        })),
        ("end", "") => Some(SessionCommand::End(EndReason::Agent)),
        _ => None,
    }
}

/// The lines of standard input, read by a thread that ends with the program.
struct StdinLines {
    lines: mpsc::Receiver<Zeroizing<String>>,
    /// Whether standard input is a terminal: then the agent gets prompts and may retry a mistyped
    /// code.
    interactive: bool,
}

impl StdinLines {
    fn spawn_reader() -> Self {
        let (sender, lines) = mpsc::channel(LINE_QUEUE);
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            while let Some(line) = read_line(&mut input) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            lines,
            interactive: io::stdin().is_terminal(),
        }
    }

    /// Returns the next line that isn't empty; `None` at the end of the input. Cancel safe.
    async fn next(&mut self) -> Option<Zeroizing<String>> {
        loop {
            let line = self.lines.recv().await?;
            if !line.trim().is_empty() {
                return Some(line);
            }
        }
    }

    /// Reads a code; at a terminal until one is well-formed.
    async fn read_code(&mut self, texts: &Catalogue) -> Result<Code, SessionError> {
        loop {
            match self.try_read_code(texts).await {
                Err(error) if self.interactive && error != CodeError::Empty => {
                    let sentence = SessionError::Code(error).message().text(texts);
                    self.prompt(&format!("{sentence}\n"));
                }
                result => return result.map_err(SessionError::Code),
            }
        }
    }

    /// Reads a code, and after an ID its password.
    async fn try_read_code(&mut self, texts: &Catalogue) -> Result<Code, CodeError> {
        self.prompt(texts.text("console.terminal.ask-code"));
        let line = self.next_digits().await?;
        match Code::parse(&line)? {
            ParsedCode::Complete(code) => Ok(code),
            ParsedCode::NeedsPassword(_) => {
                self.prompt(texts.text("console.terminal.ask-password"));
                let password = self.next_digits().await?;
                Code::with_password(&line, &password)
            }
        }
    }

    /// Returns the next line that isn't a mere label: whole texts are pasted too.
    async fn next_digits(&mut self) -> Result<Zeroizing<String>, CodeError> {
        let mut missing = CodeError::Empty;
        loop {
            let line = self.next().await.ok_or(missing)?;
            match Code::parse(&line) {
                Err(CodeError::NotDigits)
                    if !self.interactive && !line.contains(char::is_numeric) =>
                {
                    missing = CodeError::NotDigits;
                }
                _ => return Ok(line),
            }
        }
    }

    fn prompt(&self, text: &str) {
        if self.interactive {
            let _ = write!(io::stderr(), "{text}");
        }
    }
}

/// Reads a line, or its next [`MAX_LINE`] bytes; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LINE as usize));
    let length = io::Read::take(&mut *input, MAX_LINE)
        .read_until(b'\n', &mut bytes)
        .ok()?;
    (length > 0).then(|| Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The file for the link's counters, if one was asked for.
struct StatsFile(Option<PathBuf>);

impl StatsFile {
    /// Writes a new file and renames it over the old one, so that a reader never sees half of it.
    fn write(&self, stats: LinkStats, path: PathKind) -> io::Result<()> {
        let Some(file) = &self.0 else {
            return Ok(());
        };
        let text = json!({"sent": stats.sent, "received": stats.received, "path": path});
        let temporary = file.with_extension("new");
        fs::write(&temporary, format!("{text}\n"))?;
        fs::rename(&temporary, file)
    }
}

fn print_event(line: &Value) {
    print_line(&line.to_string());
}

/// Prints a line. Ignores errors: whoever closed standard output doesn't read it.
fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_lines() {
        let shown = |line| parse_command(line).map(|command| format!("{command:?}"));
        assert_eq!(shown("ask-control\n").as_deref(), Some("Ask(Control)"));
        assert_eq!(shown(" ask-view ").as_deref(), Some("Ask(View)"));
        assert_eq!(
            shown("ask-switch ecom").as_deref(),
            Some("Ask(Switch { backend: \"ecom\" })")
        );
        assert_eq!(shown("end\r\n").as_deref(), Some("End(Agent)"));
        for line in ["", "ask-switch", "end now", "END", "123456789012"] {
            assert_eq!(shown(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_bounded() {
        let long = [b"7".repeat(5000), b"\nend\n".to_vec()].concat();
        let mut input = &long[..];
        let lengths: Vec<usize> = std::iter::from_fn(|| read_line(&mut input))
            .map(|line| line.len())
            .collect();
        assert_eq!(lengths.iter().sum::<usize>(), 5005);
        assert!(lengths.iter().all(|length| *length <= MAX_LINE as usize));
    }

    #[test]
    fn passwords_are_eight_readable_characters() {
        let (password, challenge) = random_credentials().unwrap();
        let (other, other_challenge) = random_credentials().unwrap();
        assert_eq!(password.len(), 8);
        assert!(
            password
                .bytes()
                .all(|character| PASSWORD_ALPHABET.contains(&character))
        );
        assert!(*password != *other && challenge != other_challenge);
    }

    #[test]
    fn counters_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stats.json");
        let stats = StatsFile(Some(file.clone()));
        stats
            .write(
                LinkStats {
                    sent: 1,
                    received: 2,
                },
                PathKind::Direct,
            )
            .unwrap();
        stats
            .write(
                LinkStats {
                    sent: 3,
                    received: 4,
                },
                PathKind::Relayed,
            )
            .unwrap();
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(text, "{\"path\":\"relayed\",\"received\":4,\"sent\":3}\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
