//! A bridge between the launcher and the tool that gives the agent's keys and pointer to the display
//! itself, as the built-in backend does. Tools of those years know five buttons and no scan codes,
//! and each types in its own way; the picture is theirs alone.
//!
//! Buffers are bounded: when one side doesn't read, the bridge stops reading from the other.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use etatuki_rfb::{ClientMessage, ProtocolError};
use etatuki_screen::{Input, ScreenError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client_stream::{ClientStream, Part};
use crate::control::Control;

/// Maximum number of bytes that wait for either side.
const MAX_PENDING_BYTES: usize = 256 * 1024;
/// Bytes that are read from the launcher at a time.
const LAUNCHER_CHUNK: usize = 16 * 1024;

/// Why a bridge ended otherwise than by either side's leaving.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// The display refuses input, or is gone.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// The launcher's bytes aren't RFB.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A socket failed.
    #[error("the tool's connection failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// Runs the bridge until either side ends. Both sockets are closed when it returns, and everything
/// that was held is released.
pub(crate) fn run(
    launcher: UnixStream,
    tool: UnixStream,
    display: &str,
    control: Arc<Control>,
) -> Result<(), BridgeError> {
    launcher.set_nonblocking(true)?;
    tool.set_nonblocking(true)?;
    let mut bridge = InputBridge {
        launcher,
        tool,
        display,
        control,
        stream: ClientStream::new(),
        to_launcher: Vec::new(),
        to_tool: Vec::new(),
        input: None,
    };
    match bridge.run() {
        Err(BridgeError::Screen(ScreenError::Cancelled)) => Ok(()),
        ended => ended,
    }
}

struct InputBridge<'a> {
    launcher: UnixStream,
    tool: UnixStream,
    display: &'a str,
    control: Arc<Control>,
    stream: ClientStream,
    to_launcher: Vec<u8>,
    to_tool: Vec<u8>,
    /// Open while control is permitted and something was typed.
    input: Option<Input>,
}

/// The descriptors that have something to do.
#[derive(Clone, Copy, Debug)]
struct Ready {
    launcher: bool,
    tool: bool,
    /// The permission has changed, the display has events, or input that had to wait is due.
    input: bool,
}

/// Whether both sides are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Connected,
    Gone,
}

impl InputBridge<'_> {
    fn run(&mut self) -> Result<(), BridgeError> {
        loop {
            let ready = self.wait()?;
            if ready.tool && self.read_tool()? == Peer::Gone {
                self.flush()?;
                return Ok(());
            }
            if ready.launcher && self.read_launcher()? == Peer::Gone {
                return Ok(());
            }
            if ready.launcher || ready.input {
                self.pump_input()?;
            }
            self.flush()?;
        }
    }

    /// Sleeps until a descriptor is ready, or input that had to wait is due.
    fn wait(&self) -> Result<Ready, BridgeError> {
        let accepts_input = self.input.as_ref().is_none_or(Input::accepts_input);
        let mut on_launcher = PollFlags::empty();
        let may_read = self.to_tool.len() < MAX_PENDING_BYTES && accepts_input;
        on_launcher.set(PollFlags::IN, may_read);
        on_launcher.set(PollFlags::OUT, !self.to_launcher.is_empty());
        let mut on_tool = PollFlags::empty();
        on_tool.set(PollFlags::IN, self.to_launcher.len() < MAX_PENDING_BYTES);
        on_tool.set(PollFlags::OUT, !self.to_tool.is_empty());
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![
            PollFd::new(&self.launcher, on_launcher),
            PollFd::new(&self.tool, on_tool),
            readable(self.control.wake_fd()),
        ];
        fds.extend(self.input_fd().map(readable));
        let due_in = self.input.as_ref().and_then(Input::due_in).map(to_timespec);
        match poll(&mut fds, due_in.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.revents().intersects(!PollFlags::OUT);
        Ok(Ready {
            launcher: is_ready(&fds[0]),
            tool: is_ready(&fds[1]),
            input: fds[2..].iter().any(is_ready) || self.is_input_due(),
        })
    }

    fn is_input_due(&self) -> bool {
        let due_in = self.input.as_ref().and_then(Input::due_in);
        due_in.is_some_and(|left| left.is_zero())
    }

    fn input_fd(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(|input| input.as_fd())
    }

    fn read_tool(&mut self) -> Result<Peer, BridgeError> {
        let start = self.to_launcher.len();
        let room = MAX_PENDING_BYTES.saturating_sub(start);
        if room == 0 {
            return Ok(Peer::Connected);
        }
        self.to_launcher.resize(start + room, 0);
        let read = self.tool.read(&mut self.to_launcher[start..]);
        self.to_launcher
            .truncate(start + read.as_ref().copied().unwrap_or(0));
        peer_of(read)
    }

    fn read_launcher(&mut self) -> Result<Peer, BridgeError> {
        let mut chunk = [0; LAUNCHER_CHUNK];
        let read = self.launcher.read(&mut chunk);
        let length = read.as_ref().copied().unwrap_or(0);
        for part in self.stream.push(&chunk[..length])? {
            match part {
                Part::Forward(bytes) => self.to_tool.extend(bytes),
                Part::Reply(bytes) => self.to_launcher.extend(bytes),
                Part::Input(message) => self.inject(&message)?,
            }
        }
        peer_of(read)
    }

    /// Carries out a key or pointer event, while control is permitted: a second lock behind the
    /// launcher's gate.
    fn inject(&mut self, message: &ClientMessage) -> Result<(), BridgeError> {
        let Some(input) = self.permitted_input()? else {
            return Ok(());
        };
        match *message {
            ClientMessage::Key { down, keysym } => input.send_keysym(keysym, down)?,
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => input.send_scancode(keycode, keysym, down)?,
            ClientMessage::Pointer { buttons, x, y } => input.send_pointer(x, y, buttons)?,
            _ => {}
        }
        Ok(())
    }

    /// Opens the input when control is permitted. Closes it, which releases everything, when it is
    /// not.
    fn permitted_input(&mut self) -> Result<Option<&mut Input>, BridgeError> {
        if !self.control.is_permitted() {
            self.input = None;
        } else if self.input.is_none() {
            let cancel = self.control.cancel_token();
            self.input = Some(Input::open(Some(self.display), None, cancel)?);
        }
        Ok(self.input.as_mut())
    }

    /// Follows the permission, and sends the input given so far.
    fn pump_input(&mut self) -> Result<(), BridgeError> {
        self.control.clear_wake();
        if let Some(input) = self.permitted_input()? {
            input.pump()?;
            input.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BridgeError> {
        write_pending(&mut self.launcher, &mut self.to_launcher)?;
        write_pending(&mut self.tool, &mut self.to_tool)
    }
}

fn peer_of(read: std::io::Result<usize>) -> Result<Peer, BridgeError> {
    match read {
        Ok(0) => Ok(Peer::Gone),
        Ok(_) => Ok(Peer::Connected),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Peer::Connected),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Peer::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Writes as much as the socket takes. A side that is gone is noticed when it is read.
fn write_pending(socket: &mut UnixStream, pending: &mut Vec<u8>) -> Result<(), BridgeError> {
    let mut written = 0;
    while written < pending.len() {
        match socket.write(&pending[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                written = pending.len();
            }
            Err(error) => return Err(error.into()),
        }
    }
    pending.drain(..written);
    Ok(())
}

fn to_timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
