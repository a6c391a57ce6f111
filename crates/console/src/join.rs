//! `etatuki-console join`: a session for any VNC viewer, without a page. The code comes from standard input,
//! commands follow on it, and what happens goes to standard output, one JSON object a line.

use std::{
    fs,
    io::{self, BufRead, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use etatuki_link::{LinkStats, PathKind};
use etatuki_protocol::Ask;
use etatuki_rfb::Security;
use etatuki_trust::CodeError;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use zeroize::Zeroizing;

use crate::{
    code::{Code, ParsedCode},
    session::{self, AgentContext, ClipboardTo, EndReason, Finished, SessionCommand, SessionEvent},
    session_error::{SessionError, ended_sentence},
    signal::stop_signal,
    viewer::{TcpSource, ViewerError, ViewerHub, serve},
};

/// Longer than any line that makes sense here.
const MAX_LINE: u64 = 1024;
/// VNC authentication takes no more.
const PASSWORD: usize = 8;
/// No 0, O, 1, l or I, so that it can be typed over. 32 of them, so that a random byte picks one evenly.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// What `join` is told.
#[derive(Debug)]
pub struct Options {
    /// Where the viewer connects; on this machine only.
    pub vnc: SocketAddr,
    /// Where the link's counters are written.
    pub stats: Option<PathBuf>,
}

/// Runs one session to its end; comes back with the program's exit code.
///
/// # Errors
/// The port or the counters' file can't be used.
pub async fn run(context: AgentContext, options: Options) -> io::Result<u8> {
    let listener = TcpListener::bind(options.vnc).await?;
    let stats = StatsFile(options.stats);
    stats.write(LinkStats::default(), PathKind::Unknown)?;
    let mut lines = StdinLines::of_stdin();
    let outcome = match lines.code().await {
        Ok(code) => {
            let finished = session(&context, code, listener, &mut lines, &stats).await;
            stats.write(finished.stats, PathKind::Unknown)?;
            finished.outcome
        }
        Err(session_error) => Err(session_error),
    };
    Ok(match outcome {
        Ok(reason) => {
            print_event(
                &json!({"type": "ended", "reason": reason, "text": ended_sentence(&reason)}),
            );
            0
        }
        Err(session_error) => {
            print_event(
                &json!({"type": "failed", "name": session_error.name(), "text": session_error.sentence()}),
            );
            session_error.exit_code()
        }
    })
}

async fn session(
    context: &AgentContext,
    code: Code,
    listener: TcpListener,
    lines: &mut StdinLines,
    stats: &StatsFile,
) -> Finished {
    let (commands, mut commands_end) = mpsc::channel(16);
    let (events, mut events_end) = mpsc::channel(64);
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
    let mut complaint = None;
    let stop = stop_signal();
    tokio::pin!(stop);
    let mut stopping = false;
    let mut finished = loop {
        let command = tokio::select! {
            finished = &mut running => break finished,
            Some(event) = events_end.recv() => {
                report(event, &mut listener, &mut viewer, stats);
                continue;
            }
            Some(line) = lines.next() => match command(&line) {
                Some(command) => command,
                None => {
                    print_event(&json!({"type": "unknown-command"}));
                    continue;
                }
            },
            Some(left) = viewer.join_next() => {
                complaint = left.ok().and_then(|left: Result<(), String>| left.err());
                SessionCommand::End(EndReason::Agent)
            }
            () = &mut stop, if !stopping => {
                stopping = true;
                SessionCommand::End(EndReason::Agent)
            }
        };
        // A full queue can only hold what does the same.
        let _ = commands.try_send(command);
    };
    while let Ok(event) = events_end.try_recv() {
        report(event, &mut listener, &mut viewer, stats);
    }
    if let Some(complaint) = complaint {
        finished.outcome = finished.outcome.and(Err(SessionError::Viewer(complaint)));
    }
    finished
}

/// Tells what happened; with the link, lets the viewer come.
fn report(
    event: SessionEvent,
    listener: &mut Option<TcpListener>,
    viewer: &mut JoinSet<Result<(), String>>,
    stats: &StatsFile,
) {
    let line = match event {
        SessionEvent::Linked(hub) => {
            if let Some(listener) = listener.take() {
                invite(hub, listener, viewer);
            }
            return;
        }
        SessionEvent::Customer(customer) => json!({"type": "connected", "customer": customer}),
        SessionEvent::Permissions(permissions) => {
            json!({"type": "permissions", "view": permissions.view, "control": permissions.control})
        }
        SessionEvent::Asking(ask) => json!({"type": "asking", "ask": ask}),
        SessionEvent::Answer {
            ask,
            allowed,
            asks_left,
        } => {
            json!({"type": "answer", "ask": ask, "allowed": allowed, "asks_left": asks_left})
        }
        SessionEvent::Picture => json!({"type": "picture"}),
        SessionEvent::Traffic(counters, path) => {
            if let Err(error) = stats.write(counters, path) {
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

/// Prints the port and its password. Only the first connection is taken.
fn invite(hub: Arc<ViewerHub>, listener: TcpListener, viewer: &mut JoinSet<Result<(), String>>) {
    let (Ok(address), Ok((password, challenge))) = (listener.local_addr(), secrets()) else {
        viewer.spawn(async { Err("this computer gives no port or no random numbers".into()) });
        return;
    };
    let shown = Zeroizing::new(format!(
        "{{\"vnc\":\"{address}\",\"password\":\"{}\"}}",
        password.as_str()
    ));
    print_line(&shown);
    let security = Security::VncAuth {
        password,
        challenge,
    };
    viewer.spawn(async move {
        first_viewer(&hub, listener, security)
            .await
            .map_err(|error| error.to_string())
    });
}

async fn first_viewer(
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

fn secrets() -> Result<(Zeroizing<String>, [u8; 16]), getrandom::Error> {
    let mut random = Zeroizing::new([0; PASSWORD]);
    getrandom::fill(random.as_mut_slice())?;
    let letters = random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge)?;
    Ok((Zeroizing::new(letters.collect()), challenge))
}

/// What a line asks for.
fn command(line: &str) -> Option<SessionCommand> {
    let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match (name, rest.trim()) {
        ("ask-view", "") => Some(SessionCommand::Ask(Ask::View)),
        ("ask-control", "") => Some(SessionCommand::Ask(Ask::Control)),
        ("ask-switch", backend) if !backend.is_empty() => Some(SessionCommand::Ask(Ask::Switch {
            backend: backend.to_owned(),
        })),
        ("end", "") => Some(SessionCommand::End(EndReason::Agent)),
        _ => None,
    }
}

/// Standard input, read by a thread of its own that ends with the program.
struct StdinLines {
    lines: mpsc::Receiver<Zeroizing<String>>,
    /// A person sits there: he is told what is wanted, and may correct himself.
    interactive: bool,
}

impl StdinLines {
    fn of_stdin() -> Self {
        let (sender, lines) = mpsc::channel(16);
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

    /// The next line that isn't empty; `None` at the end of the input.
    async fn next(&mut self) -> Option<Zeroizing<String>> {
        loop {
            let line = self.lines.recv().await?;
            if !line.trim().is_empty() {
                return Some(line);
            }
        }
    }

    /// Reads the code, and the password after an ID.
    async fn code(&mut self) -> Result<Code, SessionError> {
        loop {
            match self.one_code().await {
                Err(error) if self.interactive && error != CodeError::Empty => {
                    self.prompt(&format!("{}\n", SessionError::Code(error).sentence()));
                }
                result => return result.map_err(SessionError::Code),
            }
        }
    }

    async fn one_code(&mut self) -> Result<Code, CodeError> {
        self.prompt("Session code or ID: ");
        let line = self.next().await.ok_or(CodeError::Empty)?;
        match Code::read(&line)? {
            ParsedCode::Complete(code) => Ok(code),
            ParsedCode::NeedsPassword(_) => {
                self.prompt("Password: ");
                let password = self.next().await.ok_or(CodeError::Empty)?;
                Code::with_password(&line, &password)
            }
        }
    }

    fn prompt(&self, text: &str) {
        if self.interactive {
            let _ = write!(io::stderr(), "{text}");
        }
    }
}

/// A line, or as much of it as makes sense; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LINE as usize));
    let length = io::Read::take(&mut *input, MAX_LINE)
        .read_until(b'\n', &mut bytes)
        .ok()?;
    (length > 0).then(|| Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The file with the link's counters.
struct StatsFile(Option<PathBuf>);

impl StatsFile {
    /// Written beside and moved, so that a reader never sees half of it.
    fn write(&self, stats: LinkStats, path: PathKind) -> io::Result<()> {
        let Some(file) = &self.0 else {
            return Ok(());
        };
        let text = json!({"sent": stats.sent, "received": stats.received, "path": path});
        let beside = file.with_extension("new");
        fs::write(&beside, format!("{text}\n"))?;
        fs::rename(&beside, file)
    }
}

fn print_event(line: &Value) {
    print_line(&line.to_string());
}

/// Whoever closed our output doesn't want to know.
fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_lines() {
        let shown = |line| command(line).map(|command| format!("{command:?}"));
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
    fn passwords_are_eight_readable_letters() {
        let (password, challenge) = secrets().unwrap();
        let (other, other_challenge) = secrets().unwrap();
        assert_eq!(password.len(), 8);
        assert!(password.bytes().all(|letter| LETTERS.contains(&letter)));
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
