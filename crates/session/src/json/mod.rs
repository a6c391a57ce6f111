//! The JSON-lines front of `etatuki session`: a session on stdin and stdout, for an accounting program
//! that shows it in windows of its own. `docs/session.md` describes it, `docs/session.schema.json` is
//! its schema. [`parse`] and [`Front`] are pure.

mod input;
mod output;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

pub use input::{Input, InputError, MAX_LINE, parse};
pub use output::Front;

use crate::config::SessionConfig;
use crate::run::{Commander, internal, start};
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
/// `on_start` gets the session's commander, `tee` every view: for the bar, which is always ours.
///
/// Blocks until everything is gone. `input` is read on a thread of its own, which may outlive this
/// call: it ends at the end of `input`.
pub fn run(
    config: SessionConfig,
    texts: Arc<dyn Texts>,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    on_start: impl FnOnce(Commander),
    tee: Box<dyn Fn(&View) + Send>,
) -> View {
    let front = Front::new(texts, config.backend.transport);
    let hello = front.hello(&config);
    let outlet = Arc::new(Outlet {
        pipe: Mutex::new((front, output)),
        commander: OnceLock::new(),
    });
    outlet.write(|_| vec![hello]);

    let (over, ended) = mpsc::channel();
    let shows = Arc::clone(&outlet);
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
    let commander = handle.commander();
    let _ = outlet.commander.set(commander.clone());
    on_start(commander.clone());
    commander.send(Command::Open);

    let listens = Arc::clone(&outlet);
    let reader = std::thread::Builder::new().name("etatuki-stdin".into());
    let reader = reader.spawn(move || listens.listen(input, &commander));
    if reader.is_err() {
        outlet.close();
    }
    let last = ended
        .recv()
        .unwrap_or_else(|_| internal("the session's thread could not run".into()));
    handle.join();
    last
}

/// Where lines go out, whichever thread they come from.
struct Outlet<W> {
    pipe: Mutex<(Front, W)>,
    commander: OnceLock<Commander>,
}

impl<W: Write> Outlet<W> {
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
    fn listen(&self, mut input: impl BufRead, commander: &Commander) {
        while let Ok(Some(line)) = input::line(&mut input) {
            match line.and_then(|line| parse(&line)) {
                Ok(None) => {}
                Ok(Some(input)) => self.obey(input, commander),
                Err(error) => self.write(|front| vec![front.error(&error)]),
            }
        }
        self.close();
    }

    fn obey(&self, input: Input, commander: &Commander) {
        let mut refused = None;
        self.write(|front| {
            refused = front.check(&input).err();
            refused.iter().map(|error| front.error(error)).collect()
        });
        if refused.is_none() {
            commander.send(input.into());
        }
    }

    /// Nobody who reads: nobody to ask. The session ends.
    fn write(&self, lines: impl FnOnce(&mut Front) -> Vec<String>) {
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
        if let Some(commander) = self.commander.get() {
            commander.send(Command::Close);
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
            } => Command::AllowProgram { question: id },
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
