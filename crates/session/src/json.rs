//! The JSON-lines front of `etatuki session`: a session on stdin and stdout, for an accounting program
//! that shows it in windows of its own. `docs/session.md` describes it, `docs/session.schema.json` is
//! its schema.

use std::io::{BufRead, Write};
use std::sync::Arc;

use crate::config::SessionConfig;
use crate::run::Commander;
use crate::view::View;

/// The customer's sentences, by stable name; the launcher has them in three languages.
pub trait Texts: Send + Sync {
    /// The sentence of that name with these arguments put in.
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String;
}

impl<F: Fn(&str, &[(&str, &str)]) -> String + Send + Sync> Texts for F {
    fn text(&self, name: &str, args: &[(&str, &str)]) -> String {
        self(name, args)
    }
}

/// Runs one session from its opening to its end on `input` and `output`, and returns the last view.
/// `on_start` gets the session's commander, `tee` every view: for the bar, which is always ours.
pub fn run(
    config: SessionConfig,
    texts: Arc<dyn Texts>,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    on_start: impl FnOnce(Commander),
    tee: Box<dyn Fn(&View) + Send>,
) -> View {
    let _ = (config, texts, input, output, on_start, tee);
    todo!()
}
