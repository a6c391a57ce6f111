//! The child process: loads one plugin, and serves its parent until the parent is gone.
//!
//! ```text
//!  parent's pipe ─▶ main thread ──queue──▶ call thread ─▶ the plugin
//!                   (reads requests,        (every `[call]` function, and
//!                    sees the pipe's end)    the state after `changed`)
//!                                              │    ▲ watched by the watchdog thread
//!  parent's pipe ◀─ writer thread ◀────────────┘    │
//!                        ▲                          │
//!                        └── log lines, from any thread of the plugin
//! ```
//!
//! The main thread never calls the plugin, so it sees the pipe's end also when the plugin hangs.

mod call_thread;
mod file_trust;
mod host_table;
mod load;
mod message_writer;
mod parent_pipes;
mod plugin_instance;
pub(crate) mod sandbox;
mod watchdog;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use etatuki_backend_api::raw;
use rustix::process::{
    Resource, Rlimit, Signal, getpgrp, getpid, kill_current_process_group, setrlimit,
};

use crate::escaped_processes::EnvMarker;
use crate::line_decoder::LineDecoder;
use crate::wire::{self, Call, ChildMessage, PROTOCOL_VERSION, Request};
use call_thread::Job;
pub(crate) use load::{describe, open_library};
use message_writer::MessageWriter;
pub(crate) use parent_pipes::ParentPipes;

/// Longest time in which the plugin may release its resources once the parent is gone.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(800);

/// Forbids core dumps of this process from now on, because they would hold codes and keys.
pub fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Can't fail: less is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// Runs `etatuki plugin-host`: loads one plugin, and serves its parent over stdio until the parent
/// is gone.
///
/// Call it before anything else opens files or starts threads: it takes over stdin, stdout and
/// descriptor 3. As the leader of its process group, which it is under [`crate::PluginHost`], it
/// ends by killing that group, itself included.
pub fn run_child() -> ExitCode {
    forbid_core_dumps();
    let pipes = match ParentPipes::claim() {
        Ok(pipes) => pipes,
        Err(error) => {
            tracing::error!("the plugin host has no stdio: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ParentPipes {
        input,
        mut output,
        socket,
    } = pipes;
    let mut requests = RequestReader::new(input);
    let Some((load, unenforced)) = greet_and_enter_sandbox(&mut output, &mut requests) else {
        exit_with_group();
    };
    let writer = MessageWriter::start(output);
    for restriction in unenforced {
        writer.send(&ChildMessage::Log {
            level: raw::LOG_WARN,
            text: format!("the plugin host isn't closed off: {restriction}"),
        });
    }
    let (queue, jobs) = channel();
    let done = call_thread::start(queue.clone(), jobs, writer.clone());
    let _ = queue.send(Job::Call(load, None));
    while let Some(request) = requests.next() {
        let handle = match (&request.call, &socket) {
            (Call::Attach, Some(socket)) => parent_pipes::receive_handle(socket, request.id),
            _ => None,
        };
        let _ = queue.send(Job::Call(request, handle));
    }
    let _ = queue.send(Job::Quit);
    let _ = done.recv_timeout(CLEANUP_TIMEOUT);
    exit_with_group()
}

/// Sends hello, waits for the first request, which must be a load, and enters the sandbox as that
/// says; all of it before there is a second thread. Returns the restrictions that couldn't be
/// enforced.
fn greet_and_enter_sandbox(
    output: &mut File,
    requests: &mut RequestReader,
) -> Option<(Request, Vec<String>)> {
    let hello = wire::encode_line(&ChildMessage::Hello {
        protocol: PROTOCOL_VERSION,
        abi: raw::MAJOR,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    output.write_all(&hello.ok()?).ok()?;
    let load = requests.next()?;
    let Call::Load { plugin } = &load.call else {
        return None;
    };
    let unenforced = sandbox::enter(plugin.as_ref().into());
    Some((load, unenforced))
}

/// Reader of the parent's requests, one a line.
struct RequestReader {
    input: File,
    decoder: LineDecoder,
    buffer: zeroize::Zeroizing<[u8; 4096]>,
}

impl RequestReader {
    fn new(input: File) -> Self {
        Self {
            input,
            decoder: LineDecoder::default(),
            buffer: zeroize::Zeroizing::new([0; 4096]),
        }
    }

    /// Returns the next request; `None` when the pipe has ended, or its line isn't in the protocol.
    fn next(&mut self) -> Option<Request> {
        loop {
            if let Some(line) = self.decoder.next().ok()? {
                return serde_json::from_slice(&line).ok();
            }
            match self.input.read(&mut *self.buffer) {
                Ok(0) => return None,
                Ok(length) => self.decoder.push(&self.buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

/// Kills everything that the plugin started, and ends this process without the plugin's exit
/// handlers, which may hang.
fn exit_with_group() -> ! {
    if let Some(marker) = EnvMarker::inherited() {
        marker.kill_marked();
    }
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    exit_now(0)
}

/// Ends the process without exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; we have nothing to release.
    unsafe { libc::_exit(code) }
}
