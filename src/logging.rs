//! The log: a file per day in the user's state folder, seven kept. Other crates' messages below a
//! warning are left out, because some of them contain requests with their tokens.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Log files kept, one a day.
const MAX_LOG_FILES: usize = 7;

/// Bytes that one run of the launcher may log. A plugin that prints for days fills no disk.
const MAX_LOG_BYTES: u64 = 16 << 20;

/// A log that ends at a bound, and says so.
struct BoundedLog<W> {
    log: W,
    /// Bytes that may follow; `None` once the log has said that it is full.
    bytes_left: Option<u64>,
}

impl<W: Write> BoundedLog<W> {
    fn new(log: W, bytes_left: u64) -> Self {
        let bytes_left = Some(bytes_left);
        Self { log, bytes_left }
    }
}

impl<W: Write> Write for BoundedLog<W> {
    /// Takes a whole line, and drops it beyond the bound.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if let Some(left) = self.bytes_left {
            self.bytes_left = left.checked_sub(length);
            self.log.write_all(match self.bytes_left {
                Some(_) => line,
                None => b"the log of this run is full\n",
            })?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.flush()
    }
}

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
        let file = BoundedLog::new(file, MAX_LOG_BYTES);
        layer()
            .with_ansi(false)
            .with_writer(Mutex::new(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_a_bound_and_says_that_it_is_reached() {
        let mut log = BoundedLog::new(Vec::new(), 100);
        for _ in 0..1000 {
            log.write_all(b"a line of 20 bytes.\n").unwrap();
        }
        let text = String::from_utf8(log.log).unwrap();
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(text.ends_with("the log of this run is full\n"), "{text}");
    }
}
