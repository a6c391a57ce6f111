//! The child: loads one plugin and serves its parent until that goes away.
//!
//! ```text
//!  parent's pipe ─▶ main thread ──queue──▶ call thread ─▶ the plugin
//!                   (reads requests,        (every [call] function, and the reading of state after `changed`)
//!                    sees the pipe's end)      │    ▲ looked at by the watchdog thread
//!  parent's pipe ◀─ writer thread ◀────────────┘    │
//!                        ▲                          │
//!                        └── log lines, from any thread of the plugin
//! ```
//!
//! The main thread never calls the plugin, so it sees the end of the pipe also when the plugin hangs.

mod calls;
mod host_table;
mod load;
mod output;
mod plugin;
mod stdio;
mod trust;
mod watchdog;

use std::io::Read;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use etatuki_backend_api::raw;
use rustix::process::{
    Resource, Rlimit, Signal, getpgrp, getpid, kill_current_process_group, setrlimit,
};

use crate::lines::Messages;
use crate::strays::Mark;
use crate::wire::{Call, FromChild, PROTOCOL, Request};
use calls::Work;
use output::Output;
use stdio::Stdio;

/// How long the plugin may take to put things away once the parent is gone.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// From now on no dump of this process is written, should it crash: it would hold codes and keys.
pub fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Can't fail: less is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// What `etatuki plugin-host` runs: loads one plugin and serves its parent over stdio until that goes away.
///
/// Call it before anything else opens files or starts threads: it takes stdin, stdout and descriptor 3 over. When it
/// leads its process group, as it does under [`crate::PluginHost`], it ends by killing that group, itself included.
pub fn run_child() -> ExitCode {
    forbid_core_dumps();
    let stdio = match Stdio::take() {
        Ok(stdio) => stdio,
        Err(error) => {
            tracing::error!("the plugin host has no stdio: {error}");
            return ExitCode::FAILURE;
        }
    };
    let output = Output::start(stdio.output);
    output.send(&FromChild::Hello {
        protocol: PROTOCOL,
        abi: raw::MAJOR,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let (queue, work) = channel();
    let done = calls::start(queue.clone(), work, output.clone());
    if let Some(socket) = &stdio.socket {
        read_requests(stdio.input, &queue, |id| stdio::receive_handle(socket, id));
    } else {
        read_requests(stdio.input, &queue, |_| None);
    }
    let _ = queue.send(Work::Quit);
    let _ = done.recv_timeout(LAST_WORDS);
    end()
}

/// Until the pipe ends, or something comes that isn't in the protocol.
fn read_requests(
    mut input: impl Read,
    queue: &Sender<Work>,
    mut handle: impl FnMut(u64) -> Option<std::os::fd::OwnedFd>,
) {
    let mut messages = Messages::default();
    let mut buffer = zeroize::Zeroizing::new([0; 4096]);
    loop {
        match input.read(&mut *buffer) {
            Ok(0) => return,
            Ok(length) => messages.push(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
        loop {
            let line = match messages.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(_) => return,
            };
            let Ok(request) = serde_json::from_slice::<Request>(&line) else {
                return;
            };
            let handle = if matches!(request.call, Call::Attach) {
                handle(request.id)
            } else {
                None
            };
            let _ = queue.send(Work::Call(request, handle));
        }
    }
}

/// Ends the process without running anything of the plugin's (its exit handlers may hang), and takes along what the
/// plugin started.
fn end() -> ! {
    if let Some(mark) = Mark::inherited() {
        mark.sweep();
    }
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    // SAFETY: ends the process; nothing of ours needs to be put away.
    unsafe { libc::_exit(0) }
}
