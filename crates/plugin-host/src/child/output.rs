//! What goes to the parent, through one thread, so that a plugin that logs is never held up by a parent that is slow.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use zeroize::Zeroizing;

use crate::wire::{self, FromChild};

/// Lines that wait; a log's line above that is dropped.
const QUEUE: usize = 512;

/// A handle on the writer. Clones are one and the same.
#[derive(Clone)]
pub(super) struct Output(SyncSender<Zeroizing<Vec<u8>>>);

impl Output {
    /// The thread lives as long as the process.
    pub(super) fn start(pipe: File) -> Self {
        let (sender, lines) = sync_channel(QUEUE);
        std::thread::spawn(move || write(pipe, &lines));
        Self(sender)
    }

    /// Queues a message; waits when the queue is full. A parent that is gone is noticed by the main thread.
    pub(super) fn send(&self, message: &FromChild) {
        if let Ok(line) = wire::line(message) {
            let _ = self.0.send(line);
        }
    }

    /// Queues a message if there is room.
    pub(super) fn try_send(&self, message: &FromChild) {
        if let Ok(line) = wire::line(message) {
            let _ = self.0.try_send(line);
        }
    }
}

fn write(mut pipe: File, lines: &Receiver<Zeroizing<Vec<u8>>>) {
    while let Ok(line) = lines.recv() {
        if pipe.write_all(&line).is_err() {
            return;
        }
    }
}
