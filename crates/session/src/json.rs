//! A session on stdin and stdout, as JSON lines for an accounting program that shows it in windows
//! of its own: `etatuki session`. `docs/session.md` describes the lines.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use etatuki_session_core::json::{InputLine, JsonPresenter, Texts, parse, read_line};
use etatuki_session_core::{Command, View};
use zeroize::Zeroize;

use crate::config::SessionConfig;
use crate::handle::{SessionSender, internal_failure, start};

/// Runs one session from its opening to its end on `input` and `output`, and returns the last view.
/// `on_start` gets a handle on the session; `on_view` gets every view, for the bar, which is always
/// the launcher's.
///
/// Blocks until everything is gone. `input` is read on a thread of its own, which may outlive this
/// call: it ends at the end of `input`.
pub fn run(
    config: SessionConfig,
    texts: Arc<dyn Texts>,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    on_start: impl FnOnce(SessionSender),
    on_view: Box<dyn Fn(&View) + Send>,
) -> View {
    let presenter = JsonPresenter::new(texts, config.backend.transport);
    let hello = presenter.hello(&config.installation());
    let lines = Arc::new(JsonLines {
        output: Mutex::new((presenter, output)),
        sender: OnceLock::new(),
    });
    lines.write(|_| vec![hello]);

    let (last_view, ended) = mpsc::channel();
    let writer = Arc::clone(&lines);
    let handle = start(
        config,
        Box::new(move |view| {
            on_view(&view);
            if writer.show(&view) {
                let _ = last_view.send(view);
            }
        }),
    );
    let sender = handle.sender();
    let _ = lines.sender.set(sender.clone());
    on_start(sender.clone());
    sender.send(Command::Open);

    let reader = Arc::clone(&lines);
    let thread = std::thread::Builder::new().name("etatuki-stdin".into());
    let thread = thread.spawn(move || reader.read(input, &sender));
    if thread.is_err() {
        lines.close();
    }
    let last = ended
        .recv()
        .unwrap_or_else(|_| internal_failure("the session's thread could not run"));
    handle.join();
    last
}

/// The lines of one session, written by several threads.
struct JsonLines<W> {
    output: Mutex<(JsonPresenter, W)>,
    sender: OnceLock<SessionSender>,
}

impl<W: Write> JsonLines<W> {
    /// Writes what changed. Returns whether the session is over with this view.
    fn show(&self, view: &View) -> bool {
        let mut is_over = false;
        self.write(|presenter| {
            let lines = presenter.show(view);
            is_over = presenter.is_over();
            lines
        });
        is_over
    }

    /// Reads commands to the end of `input`, which closes the session.
    fn read(&self, mut input: impl BufRead, sender: &SessionSender) {
        while let Ok(Some(line)) = read_line(&mut input) {
            match line.and_then(|line| parse(&line)) {
                Ok(None) => {}
                Ok(Some(input)) => self.execute(input, sender),
                Err(error) => self.write(|presenter| vec![presenter.error(&error)]),
            }
        }
        self.close();
    }

    /// Sends a command to the session, or writes why it is refused.
    fn execute(&self, input: InputLine, sender: &SessionSender) {
        let mut refused = None;
        self.write(|presenter| {
            refused = presenter.check(&input).err();
            refused.iter().map(|error| presenter.error(error)).collect()
        });
        if refused.is_none() {
            sender.send(input.into());
        }
    }

    /// Writes lines. Closes the session if nobody reads them, because then nobody can be asked.
    fn write(&self, lines: impl FnOnce(&mut JsonPresenter) -> Vec<String>) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (presenter, output) = &mut *output;
        let written = lines(presenter).into_iter().try_for_each(|mut line| {
            line.push('\n');
            let written = output.write_all(line.as_bytes());
            line.zeroize();
            written
        });
        if written.and_then(|()| output.flush()).is_err() {
            self.close();
        }
    }

    fn close(&self) {
        if let Some(sender) = self.sender.get() {
            sender.send(Command::Close);
        }
    }
}
