//! The log: a file per day in the user's state folder, seven kept. What other crates have to tell below
//! a warning is left out, for some of them tell requests with their tokens.

use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const DAYS: usize = 7;

/// Begins the log in `folder`, and on stderr if `verbose`. No folder, or one that can't be written, is
/// no reason not to help the customer: then there is no file.
pub(crate) fn begin(folder: Option<&Path>, verbose: bool) {
    let file = folder.and_then(|folder| {
        make_private(folder)?;
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .max_log_files(DAYS)
            .filename_prefix("etatuki")
            .filename_suffix("log")
            .build(folder)
            .ok()
    });
    let level = if verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let ours = || {
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("etatuki", level)
            // What plugins and their tools say.
            .with_target("plugin", level)
    };
    let to_file = file.map(|file| {
        layer()
            .with_ansi(false)
            .with_writer(file)
            .with_filter(ours())
    });
    let to_stderr = verbose.then(|| {
        layer()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .with_filter(ours())
    });
    // Fails only when a log was begun before, which then goes on.
    let _ = tracing_subscriber::registry()
        .with(to_file)
        .with(to_stderr)
        .try_init();
}

/// The folder, for its user alone.
fn make_private(folder: &Path) -> Option<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).ok()
}
