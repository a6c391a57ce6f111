//! Writer of messages to the parent: one thread, so that a slow parent never blocks a plugin that
//! logs.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use zeroize::Zeroizing;

use crate::wire::{self, ChildMessage};

/// Lines that may wait; a log line above that is dropped.
const MAX_QUEUED_LINES: usize = 512;

/// A handle on the writer thread; all clones are equal.
#[derive(Clone)]
pub(super) struct MessageWriter(SyncSender<Zeroizing<Vec<u8>>>);

impl MessageWriter {
    /// Starts the thread, which lives as long as the process.
    pub(super) fn start(pipe: File) -> Self {
        let (sender, lines) = sync_channel(MAX_QUEUED_LINES);
        std::thread::spawn(move || write_lines(pipe, &lines));
        Self(sender)
    }

    /// Queues a message; blocks while the queue is full. The main thread notices when the parent is
    /// gone.
    pub(super) fn send(&self, message: &ChildMessage) {
        if let Ok(line) = wire::encode_line(message) {
            let _ = self.0.send(line);
        }
    }

    /// Queues a message, or drops it when the queue is full.
    pub(super) fn try_send(&self, message: &ChildMessage) {
        if let Ok(line) = wire::encode_line(message) {
            let _ = self.0.try_send(line);
        }
    }
}

fn write_lines(mut pipe: File, lines: &Receiver<Zeroizing<Vec<u8>>>) {
    while let Ok(line) = lines.recv() {
        if pipe.write_all(&line).is_err() {
            return;
        }
    }
}
