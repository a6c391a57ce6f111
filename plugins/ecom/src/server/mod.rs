//! A plain RFB server for one client: no security (the socket is private, the gate stands before it),
//! Raw pixels of what changed, the pointer's shape, sizes, keys and pointer.
//!
//! One thread: it sleeps until the client, the X server or the [`Share`] has something to say, or, while the pointer
//! moves, until its next place is due. While the client hasn't asked for more, or hasn't read what it was sent, changes only add up.

mod hands;
mod outbox;
mod picture;
mod places;
mod sent;
mod viewer;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, ProtocolError, Rect, Security,
    ServerHandshake, ServerInit,
};
use etatuki_screen::{Capture, ScreenError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::share::Share;
use hands::Hands;
use outbox::Outbox;
use sent::Sent;
use viewer::Viewer;

/// How long a client may take to say what it wants.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes that are read at a time.
const MOUTHFUL: usize = 64 * 1024;

/// Why a client could not be served to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The screen is missing, can't be shared, or was lost.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// The client broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The client said nothing in time.
    #[error("the client did not finish its handshake in {} s", HANDSHAKE.as_secs())]
    Silent,
    /// The operating system refused something.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

impl ServeError {
    /// A stable name: the screen's own (`display-missing`, `display-lost`, …), `protocol`, `silent` or `internal`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Screen(e) => e.name(),
            Self::Protocol(_) => "protocol",
            Self::Silent => "silent",
            Self::System(_) => "internal",
        }
    }
}

/// Serves the client on `stream` (a connected socket) until it hangs up or the share is stopped. Blocks.
///
/// # Errors
/// [`ServeError`]; a client that hangs up, in whatever way, is none.
pub fn serve(share: &Share, stream: impl Into<OwnedFd>) -> Result<(), ServeError> {
    let socket = stream.into();
    rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
    let ended = Session::open(share, socket).and_then(|session| match session {
        Some(mut session) => session.run(),
        None => Ok(()),
    });
    match ended {
        Err(ServeError::Screen(ScreenError::Cancelled)) => Ok(()),
        ended => ended,
    }
}

/// One client being served.
struct Session<'a> {
    share: &'a Share,
    socket: OwnedFd,
    parser: ClientParser,
    outbox: Outbox,
    viewer: Viewer,
    sent: Sent,
    /// The client has lost this, which counts for the next update.
    lost: Rect,
    capture: Capture,
    hands: Hands<'a>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

impl<'a> Session<'a> {
    /// Opens the screen and takes the client through the handshake; `None` when it hung up meanwhile.
    fn open(share: &'a Share, socket: OwnedFd) -> Result<Option<Self>, ServeError> {
        let capture = Capture::open_filtered(share.display(), share.app(), share.cancel_token())?;
        let size = (capture.size().width, capture.size().height);
        let mut parser = ClientParser::new(Limits::default());
        let Some(rest) = shake_hands(share, &socket, size)? else {
            return Ok(None);
        };
        parser.push(&rest);
        let mut session = Self {
            share,
            socket,
            parser,
            outbox: Outbox::default(),
            viewer: Viewer::new(size),
            sent: Sent::default(),
            lost: Rect::default(),
            capture,
            hands: Hands::new(share),
        };
        session.look()?;
        session.obey()?;
        Ok(Some(session))
    }

    fn run(&mut self) -> Result<(), ServeError> {
        let mut mouthful = vec![0; MOUTHFUL];
        loop {
            let grabbed = |part, out: &mut Vec<u8>| picture::append(&self.capture, part, out);
            if self.outbox.write(&self.socket, grabbed)? == Going::Over {
                return Ok(());
            }
            self.capture.pump()?;
            if self.show()? {
                // It is to be sent, and waiting for pixels may have brought more news: `poll` sees neither.
                continue;
            }
            let ready = self.wait()?;
            if ready.stopped {
                return Ok(());
            }
            if ready.permissions {
                self.share.awake();
            }
            if ready.permissions || ready.hands {
                self.look()?;
            }
            if ready.client && self.listen(&mut mouthful)? == Going::Over {
                return Ok(());
            }
        }
    }

    /// See [`Hands::look`].
    fn look(&mut self) -> Result<(), ServeError> {
        let utf8 = self.viewer.speaks_utf8();
        self.hands.look(utf8, self.outbox.answer())
    }

    /// Puts the next update together when there is something to show to somebody who waits for it.
    /// Says whether it asked the X server for anything.
    fn show(&mut self) -> Result<bool, ServeError> {
        if !self.outbox.is_empty() || !self.share.may_view() {
            return Ok(false);
        }
        let lost = std::mem::take(&mut self.lost);
        self.capture.mark_damaged(picture::on_screen(lost));
        self.sent.forget(lost);
        let pointed = self.hands.pointed();
        picture::compose(
            &mut self.capture,
            &mut self.viewer,
            &mut self.sent,
            &mut self.outbox,
            pointed,
        )
    }

    /// Sleeps until somebody has something to say.
    fn wait(&self) -> Result<Ready, ServeError> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.outbox.takes_answers());
        wanted.set(PollFlags::OUT, !self.outbox.is_empty());
        let wake = self.share.wake();
        let mut fds = vec![
            PollFd::new(&self.socket, wanted),
            PollFd::new(self.share.cancel_token(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
            PollFd::new(&self.capture, PollFlags::IN),
        ];
        let of_hands = self.hands.fds();
        fds.extend(of_hands.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, self.patience().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let is_ready = |at: usize| !fds[at].revents().is_empty();
        Ok(Ready {
            client: fds[0].revents().intersects(!PollFlags::OUT),
            stopped: is_ready(1),
            permissions: is_ready(2),
            hands: (4..fds.len()).any(is_ready),
        })
    }

    /// How long nobody needs to say anything: for ever, unless the client waits for the pointer's next place.
    fn patience(&self) -> Option<Timespec> {
        let free = self.outbox.is_empty() && self.share.may_view() && self.viewer.owed().is_some();
        let left = picture::place_due_in(&self.capture, &self.viewer);
        left.filter(|_| free).map(limit)
    }

    /// Reads what the client has said, once, and does it.
    fn listen(&mut self, mouthful: &mut [u8]) -> Result<Going, ServeError> {
        match rustix::io::read(&self.socket, &mut *mouthful) {
            Ok(0) => return Ok(Going::Over),
            Ok(read) => self.parser.push(&mouthful[..read]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Going::On),
            Err(_) => return Ok(Going::Over),
        }
        self.obey()?;
        Ok(Going::On)
    }

    fn obey(&mut self) -> Result<(), ServeError> {
        while let Some(message) = self.parser.next()? {
            self.obey_one(message)?;
        }
        self.hands.flush()
    }

    fn obey_one(&mut self, message: ClientMessage) -> Result<(), ServeError> {
        match message {
            ClientMessage::SetPixelFormat(format) => self.viewer.set_format(format),
            ClientMessage::SetEncodings(list) => {
                self.viewer.set_encodings(&list, self.outbox.answer());
                self.parser
                    .set_extended_pointer(self.viewer.has_nine_buttons());
            }
            ClientMessage::UpdateRequest { incremental, rect } => {
                if !incremental {
                    self.lost = self.lost.around(&rect);
                }
                self.viewer.request(incremental, rect);
            }
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                self.viewer
                    .continuous(enable.then_some(rect), self.outbox.answer());
            }
            ClientMessage::Fence { flags, payload } => {
                self.viewer.fence(flags, &payload, self.outbox.answer());
            }
            ClientMessage::SetDesktopSize { .. } => self.viewer.refuse_size(),
            other => self.hands.obey(&other, self.viewer.speaks_utf8())?,
        }
        Ok(())
    }
}

/// Who woke us. The X server's news of the picture isn't in it: that is taken in anyway.
struct Ready {
    client: bool,
    stopped: bool,
    permissions: bool,
    /// The X server, to the connections that give input and exchange the clipboard.
    hands: bool,
}

/// The handshake; gives what came after it, or `None` when the client hung up or the share was stopped.
fn shake_hands(
    share: &Share,
    socket: &OwnedFd,
    (width, height): (u16, u16),
) -> Result<Option<Vec<u8>>, ServeError> {
    let (format, name) = (PixelFormat::BGRX, "screen".to_owned());
    let init = ServerInit {
        width,
        height,
        format,
        name,
    };
    let mut handshake = ServerHandshake::new(init, Security::None);
    let (mut outbox, deadline) = (Outbox::default(), Instant::now() + HANDSHAKE);
    let mut bytes = [0; 512];
    loop {
        let step = handshake.step();
        outbox.answer().extend(handshake.output());
        if outbox.write(socket, |_, _| {})? == Going::Over {
            return Ok(None);
        }
        if step?.is_some() && outbox.is_empty() {
            return Ok(Some(handshake.into_rest()));
        }
        let wanted = if outbox.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::OUT
        };
        let mut fds = [
            PollFd::new(socket, wanted),
            PollFd::new(share.cancel_token(), PollFlags::IN),
        ];
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut fds, Some(&limit(left))) {
            Ok(0) => return Err(ServeError::Silent),
            Ok(_) if !fds[1].revents().is_empty() => return Ok(None),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        match rustix::io::read(socket.as_fd(), &mut bytes) {
            Ok(0) => return Ok(None),
            Ok(read) => handshake.push(&bytes[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Ok(None),
        }
    }
}

fn limit(left: Duration) -> Timespec {
    Timespec {
        tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
