//! A plain RFB server for one stream: no security of its own, Raw, and whatever changed since the last request.
//!
//! One thread, which sleeps until the stream or the display has news; nothing is polled on a timer. An update is
//! made only when it was asked for and the one before it has left, so a slow reader gets fewer, newer pictures.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, ProtocolError, Security, ServerHandshake, ServerInit,
};
use etatuki_screen::{Capture, Input, ScreenError, Stop};
use rustix::event::{PollFd, PollFlags, poll};

use crate::view::View;

/// Desktop names can be telling; this one isn't.
const NAME: &str = "Etatuki";

/// Why serving ended before the stream did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The display.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// The client broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The stream.
    #[error("the stream to the client: {0}")]
    Stream(#[from] std::io::Error),
}

/// Serves the display (`$DISPLAY` when `None`) on `stream` until it ends. Input is applied only while `control` says
/// so; what is held is released when it no longer does, and at the end.
///
/// # Errors
/// What ended it, other than the end of the stream.
pub fn serve(display: Option<&str>, stream: UnixStream, control: impl Fn() -> bool) -> Result<(), ServeError> {
    let stop = Stop::new()?;
    let capture = Capture::open(display, &stop)?;
    let input = Input::open(display, &stop)?;
    let Some(rest) = shake_hands(&stream, &capture)? else { return Ok(()) };
    stream.set_nonblocking(true)?;
    let mut parser = ClientParser::new(Limits::default());
    parser.set_extended_pointer(true);
    parser.push(&rest);
    let view = View::new(capture.size());
    let mut server = Server { stream, capture, input, parser, view, control, controlled: false, out: Vec::new(), sent: 0 };
    server.take_messages()?;
    while server.turn()? {}
    server.input.release_all()?;
    Ok(server.input.flush()?)
}

/// RFB's handshake, blocking: the launcher's own client is at the other end. `None` when it left.
fn shake_hands(mut stream: &UnixStream, capture: &Capture) -> Result<Option<Vec<u8>>, ServeError> {
    let size = capture.size();
    let init =
        ServerInit { width: size.width, height: size.height, format: PixelFormat::BGRX, name: NAME.to_owned() };
    let mut handshake = ServerHandshake::new(init, Security::None);
    let mut chunk = [0; 256];
    loop {
        let done = handshake.step();
        stream.write_all(&handshake.output())?;
        if done?.is_some() {
            return Ok(Some(handshake.into_rest()));
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => handshake.push(&chunk[..n]),
        }
    }
}

struct Server<C> {
    stream: UnixStream,
    capture: Capture,
    input: Input,
    parser: ClientParser,
    view: View,
    control: C,
    /// Whether the last message found control given.
    controlled: bool,
    /// An update on its way, and how much of it has left.
    out: Vec<u8>,
    sent: usize,
}

impl<C: Fn() -> bool> Server<C> {
    /// Sleeps until there is news, and does what it asks for. False at the stream's end.
    fn turn(&mut self) -> Result<bool, ServeError> {
        // A reply that was waited for may have brought events along: they are in memory, where poll can't see them.
        self.capture.pump()?;
        self.input.pump()?;
        if self.out.is_empty() {
            self.view.update(&mut self.capture, &mut self.out)?;
            self.capture.pump()?;
        }
        if !self.send()? {
            return Ok(false);
        }
        if self.out.is_empty() && self.view.wants(&self.capture) {
            return Ok(true);
        }
        self.sleep()?;
        self.receive()
    }

    fn sleep(&self) -> Result<(), ServeError> {
        let mut on_stream = PollFlags::IN;
        on_stream.set(PollFlags::OUT, !self.out.is_empty());
        let mut fds = [
            PollFd::from_borrowed_fd(self.stream.as_fd(), on_stream),
            PollFd::from_borrowed_fd(self.capture.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.input.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(error) if error != rustix::io::Errno::INTR => Err(std::io::Error::from(error).into()),
            _ => Ok(()),
        }
    }

    /// Sends what the stream takes now. False when nobody reads any more.
    fn send(&mut self) -> Result<bool, ServeError> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Takes in what the client said. False at the stream's end.
    fn receive(&mut self) -> Result<bool, ServeError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(n) => self.parser.push(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            self.take_messages()?;
        }
    }

    fn take_messages(&mut self) -> Result<(), ServeError> {
        while let Some(message) = self.parser.next()? {
            self.take(message)?;
        }
        Ok(self.input.flush()?)
    }

    fn take(&mut self, message: ClientMessage) -> Result<(), ServeError> {
        let allowed = (self.control)();
        if self.controlled && !allowed {
            self.input.release_all()?;
        }
        self.controlled = allowed;
        match message {
            ClientMessage::SetPixelFormat(format) => self.view.set_format(format),
            ClientMessage::SetEncodings(list) => self.view.set_encodings(&list, &mut self.capture),
            ClientMessage::UpdateRequest { incremental, rect } => {
                self.view.request(incremental, rect, &mut self.capture);
            }
            ClientMessage::SetDesktopSize { .. } => self.view.refuse_size(),
            _ if !allowed => {}
            ClientMessage::Key { down, keysym } => self.input.key(keysym, down)?,
            ClientMessage::QemuKey { down, keysym, keycode } => self.input.scancode(keycode, keysym, down)?,
            ClientMessage::Pointer { buttons, x, y } => self.input.pointer(x, y, buttons)?,
            ClientMessage::CutText(_) | ClientMessage::Fence { .. } | ClientMessage::EnableContinuousUpdates { .. } => {}
        }
        Ok(())
    }
}
