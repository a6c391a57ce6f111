//! The JSON-lines front of `etatuki session`: a session on stdin and stdout, for an accounting program
//! that shows it in windows of its own. `docs/session.md` describes it, `docs/session.schema.json` is
//! its schema. [`parse`] and [`JsonPresenter`] are pure.

mod input;
mod presenter;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

pub use input::{Input, InputError, MAX_LINE, parse};
pub use presenter::JsonPresenter;

use crate::config::SessionConfig;
use crate::handle::{SessionSender, internal, start};
use crate::view::{Command, State, View};

/// The version of the protocol, in `hello`. Fields and types may be added to it; nothing is taken away.
pub const PROTOCOL: u32 = 1;

/// The customer's sentences, by stable name; the launcher has them in three languages.
pub trait Texts: Send + Sync {
    /// The sentence of that name with these arguments put in. `docs/session.md` lists both.
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String;
}

impl<F: Fn(&str, &[(&str, &str)]) -> String + Send + Sync> Texts for F {
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String {
        self(name, args)
    }
}

/// Runs one session from its opening to its end on `input` and `output`, and returns the last view.
/// `on_start` gets the session's sender, `tee` every view: for the bar, which is always ours.
///
/// Blocks until everything is gone. `input` is read on a thread of its own, which may outlive this
/// call: it ends at the end of `input`.
pub fn run(
    config: SessionConfig,
    texts: Arc<dyn Texts>,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    on_start: impl FnOnce(SessionSender),
    tee: Box<dyn Fn(&View) + Send>,
) -> View {
    let front = JsonPresenter::new(texts, config.backend.transport);
    let hello = front.hello(&config);
    let lines = Arc::new(JsonLines {
        pipe: Mutex::new((front, output)),
        sender: OnceLock::new(),
    });
    lines.write(|_| vec![hello]);

    let (over, ended) = mpsc::channel();
    let shows = Arc::clone(&lines);
    let handle = start(
        config,
        Box::new(move |view| {
            tee(&view);
            let ends = shows.show(&view);
            if ends {
                let _ = over.send(view);
            }
        }),
    );
    let sender = handle.sender();
    let _ = lines.sender.set(sender.clone());
    on_start(sender.clone());
    sender.send(Command::Open);

    let listens = Arc::clone(&lines);
    let reader = std::thread::Builder::new().name("etatuki-stdin".into());
    let reader = reader.spawn(move || listens.listen(input, &sender));
    if reader.is_err() {
        lines.close();
    }
    let last = ended
        .recv()
        .unwrap_or_else(|_| internal("the session's thread could not run".into()));
    handle.join();
    last
}

/// Where lines go out, whichever thread they come from.
struct JsonLines<W> {
    pipe: Mutex<(JsonPresenter, W)>,
    sender: OnceLock<SessionSender>,
}

impl<W: Write> JsonLines<W> {
    /// Says what changed; whether the session is over with it.
    fn show(&self, view: &View) -> bool {
        let mut over = false;
        self.write(|front| {
            let lines = front.show(view);
            over = front.is_over();
            lines
        });
        over
    }

    /// Reads commands until the end, which is `close`.
    fn listen(&self, mut input: impl BufRead, sender: &SessionSender) {
        while let Ok(Some(line)) = input::line(&mut input) {
            match line.and_then(|line| parse(&line)) {
                Ok(None) => {}
                Ok(Some(input)) => self.obey(input, sender),
                Err(error) => self.write(|front| vec![front.error(&error)]),
            }
        }
        self.close();
    }

    fn obey(&self, input: Input, sender: &SessionSender) {
        let mut refused = None;
        self.write(|front| {
            refused = front.check(&input).err();
            refused.iter().map(|error| front.error(error)).collect()
        });
        if refused.is_none() {
            sender.send(input.into());
        }
    }

    /// Nobody who reads: nobody to ask. The session ends.
    fn write(&self, lines: impl FnOnce(&mut JsonPresenter) -> Vec<String>) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, output) = &mut *pipe;
        let written = lines(front).into_iter().try_for_each(|mut line| {
            line.push('\n');
            let written = output.write_all(line.as_bytes());
            zeroize::Zeroize::zeroize(&mut line);
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

impl From<Input> for Command {
    fn from(input: Input) -> Self {
        match input {
            Input::Answer {
                id,
                allow: true,
                only_program: true,
            } => Command::AllowAppOnly { question: id },
            Input::Answer { id, allow, .. } => Command::Answer {
                question: id,
                allow,
            },
            Input::TakeBack {} => Command::TakeBack,
            Input::Close {} => Command::Close,
        }
    }
}

/// Whether nothing comes after a view in this state.
fn is_final(state: State) -> bool {
    matches!(state, State::Closed | State::Failed)
}
