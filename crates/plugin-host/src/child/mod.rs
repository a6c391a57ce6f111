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
pub(crate) mod jail;
mod load;
mod output;
mod plugin;
mod stdio;
mod trust;
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

use crate::lines::Messages;
use crate::strays::Mark;
use crate::wire::{self, Call, FromChild, PROTOCOL, Request};
use calls::Work;
pub(crate) use load::{describe, open_library};
use output::Output;
pub(crate) use stdio::Stdio;

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
    let Stdio {
        input,
        mut output,
        socket,
    } = stdio;
    let mut requests = Requests::new(input);
    let Some((load, open)) = begin(&mut output, &mut requests) else {
        end();
    };
    let output = Output::start(output);
    for what in open {
        output.send(&FromChild::Log {
            level: raw::LOG_WARN,
            text: format!("the plugin host isn't closed off: {what}"),
        });
    }
    let (queue, work) = channel();
    let done = calls::start(queue.clone(), work, output.clone());
    let _ = queue.send(Work::Call(load, None));
    while let Some(request) = requests.next() {
        let handle = match (&request.call, &socket) {
            (Call::Attach, Some(socket)) => stdio::receive_handle(socket, request.id),
            _ => None,
        };
        let _ = queue.send(Work::Call(request, handle));
    }
    let _ = queue.send(Work::Quit);
    let _ = done.recv_timeout(LAST_WORDS);
    end()
}

/// Says hello, waits for the first request, which has to be a load, and closes this process off as that says; all of it
/// before there is a second thread. What couldn't be closed comes back.
fn begin(output: &mut File, requests: &mut Requests) -> Option<(Request, Vec<String>)> {
    let hello = wire::line(&FromChild::Hello {
        protocol: PROTOCOL,
        abi: raw::MAJOR,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    output.write_all(&hello.ok()?).ok()?;
    let load = requests.next()?;
    let Call::Load { plugin } = &load.call else {
        return None;
    };
    let open = jail::close(plugin.as_ref().into());
    Some((load, open))
}

/// What the parent asks for, line by line.
struct Requests {
    input: File,
    messages: Messages,
    buffer: zeroize::Zeroizing<[u8; 4096]>,
}

impl Requests {
    fn new(input: File) -> Self {
        Self {
            input,
            messages: Messages::default(),
            buffer: zeroize::Zeroizing::new([0; 4096]),
        }
    }

    /// The next one; none once the pipe has ended, or something came that isn't in the protocol.
    fn next(&mut self) -> Option<Request> {
        loop {
            if let Some(line) = self.messages.next().ok()? {
                return serde_json::from_slice(&line).ok();
            }
            match self.input.read(&mut *self.buffer) {
                Ok(0) => return None,
                Ok(length) => self.messages.push(&self.buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
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
    leave(0)
}

/// Ends the process here and now.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing of ours needs to be put away.
    unsafe { libc::_exit(code) }
}
