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
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::descriptors;
use crate::line_decoder::LineDecoder;
use crate::supervisor::GUARD_FD;
use crate::wire::{self, Call, ChildMessage, PROTOCOL_VERSION, Request};
use call_thread::Job;
pub(crate) use load::{describe, open_library};
use message_writer::MessageWriter;
pub(crate) use parent_pipes::ParentPipes;

/// Longest time in which the plugin may release its resources once the parent is gone.
pub(crate) const CLEANUP_TIMEOUT: Duration = Duration::from_millis(800);

/// Keeps this process's memory to itself, because it holds codes and keys: no core dump from now
/// on, also to a program that collects them (core(5)), and no look into it by the user's other
/// programs. Call it first of all.
pub fn forbid_inspection() {
    forbid_core_dumps();
    // Can't fail: it is a plain flag.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Forbids core dumps. The plugin host goes no further: its supervisor has to look into it.
fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Can't fail: less is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// Makes this process a child that loads foreign code: no core dump, and no descriptor but stdio,
/// the parent's socket and the supervisor's, whoever started it.
pub(crate) fn prepare() {
    forbid_core_dumps();
    descriptors::close_from(GUARD_FD + 1);
}

/// Runs `etatuki plugin-host`: loads one plugin, and serves its parent over stdio until the parent
/// is gone.
///
/// Call it before anything else opens files or starts threads: it takes over stdin, stdout and the
/// descriptors 3 and 4. What it leaves behind is ended by its supervisor.
pub fn run_child() -> ExitCode {
    prepare();
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
        exit_now(0);
    };
    let writer = MessageWriter::start(output);
    if !unenforced.is_empty() {
        writer.send(&ChildMessage::Log {
            level: raw::LOG_WARN,
            text: format!(
                "the plugin host isn't closed off: {}",
                unenforced.join("; ")
            ),
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
    // Without the plugin's exit handlers, which may hang.
    exit_now(0)
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

/// Ends the process without exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; we have nothing to release.
    unsafe { libc::_exit(code) }
}
