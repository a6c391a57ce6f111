//! The log: a file per day in the user's state folder, seven kept. Other crates' messages below a
//! warning are left out, because some of them contain requests with their tokens.

use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Log files kept, one a day.
const MAX_LOG_FILES: usize = 7;

/// Starts the log in `folder`, and on stderr if `verbose`. Without a folder, or with one that can't
/// be written, the customer is helped all the same: then there is no file.
pub(crate) fn init(folder: Option<&Path>, verbose: bool) {
    let file = folder.and_then(|folder| {
        create_private_folder(folder)?;
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .max_log_files(MAX_LOG_FILES)
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
    let filter = || {
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("etatuki", level)
            // The output of plugins and their tools.
            .with_target("plugin", level)
    };
    let to_file = file.map(|file| {
        layer()
            .with_ansi(false)
            .with_writer(file)
            .with_filter(filter())
    });
    let to_stderr = verbose.then(|| {
        layer()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .with_filter(filter())
    });
    // Fails only when a log was started before, which then goes on.
    let _ = tracing_subscriber::registry()
        .with(to_file)
        .with(to_stderr)
        .try_init();
}

/// Creates a folder that only the user can read.
fn create_private_folder(folder: &Path) -> Option<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).ok()
}
