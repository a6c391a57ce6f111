//! A connection to an X server on which no wait is endless.

use std::cell::Cell;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{ConnectionExt as _, Screen, Setup};
use x11rb::reexports::x11rb_protocol::parse_display::{
    ConnectAddress, ParsedDisplay, parse_display,
};
use x11rb::reexports::x11rb_protocol::xauth::{Family, get_auth};
use x11rb::rust_connection::{DefaultStream, PollMode, RustConnection, Stream};
use x11rb::utils::RawFdContainer;
use x11rb::wrapper::ConnectionExt as _;

use crate::error::ScreenError;
use crate::stop::Stop;

/// How long the X server may take to answer. Programs that grab the whole server (a window manager
/// while a window is dragged) make everybody else wait, and are no reason to end a session.
const PATIENCE: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// How long a server may take to hear our last words, during which [`Stop`] doesn't count.
const LAST_WORDS: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How long a host may take to accept a connection.
const FAR_AWAY: Duration = Duration::from_secs(5);

/// What requests are made on.
pub(super) type Server = RustConnection<Watched>;

/// A connection and the screen on it that is shared.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) server: Server,
    screen: usize,
    /// How often the server was grabbed and not let go of yet.
    grabs: Cell<u32>,
}

impl Connection {
    /// Connects to `display`, or to `$DISPLAY`.
    pub(super) fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
        let missing = |reason: String| ScreenError::NoDisplay {
            display: name_of(display),
            reason,
        };
        let parsed = parse_display(display).map_err(|e| missing(e.to_string()))?;
        let screen = usize::from(parsed.screen);
        let server = connect(&parsed, stop).map_err(|error| match error {
            ConnectError::IoError(e) if stop.is_stopped() || is_stop(&e) => ScreenError::Stopped,
            error => missing(error.to_string()),
        })?;
        Ok(Self {
            server,
            screen,
            grabs: Cell::new(0),
        })
    }

    /// The number of the screen that is shared.
    pub(super) fn number(&self) -> usize {
        self.screen
    }

    /// Nobody but us changes anything on the server until [`let_go`](Self::let_go), once for each of these.
    /// A connection that ends lets go too.
    pub(super) fn hold(&self) -> Result<(), ScreenError> {
        if self.grabs.get() == 0 {
            self.server.grab_server()?;
        }
        self.grabs.set(self.grabs.get() + 1);
        Ok(())
    }

    /// See [`hold`](Self::hold).
    pub(super) fn let_go(&self) -> Result<(), ScreenError> {
        self.grabs.set(self.grabs.get().saturating_sub(1));
        if self.grabs.get() == 0 {
            self.server.ungrab_server()?;
            self.server.flush()?;
        }
        Ok(())
    }

    /// The screen that is shared, as it was when the connection was made.
    pub(super) fn screen(&self) -> &Screen {
        &self.server.setup().roots[self.screen]
    }

    /// Has everything that `say` asks for carried out, also when stopped: the answer to one more request
    /// is awaited, for what still lies in a connection's buffer when it is closed may never be read.
    pub(super) fn last_words(
        &self,
        say: impl FnOnce(&Server) -> Result<(), ScreenError>,
    ) -> Result<(), ScreenError> {
        let hurried = &self.server.stream().hurried;
        hurried.store(true, Ordering::Relaxed);
        let heard = say(&self.server).and_then(|()| Ok(self.server.sync()?));
        hurried.store(false, Ordering::Relaxed);
        heard
    }

    /// What the server told about itself.
    pub(super) fn setup(&self) -> &Setup {
        self.server.setup()
    }

    /// Whether the server has an extension.
    pub(super) fn has(&self, extension: &'static str) -> Result<bool, ScreenError> {
        Ok(self.server.extension_information(extension)?.is_some())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server.stream().inner.as_fd()
    }
}

fn name_of(display: Option<&str>) -> String {
    display.map_or_else(
        || std::env::var("DISPLAY").unwrap_or_else(|_| "(DISPLAY is not set)".into()),
        str::to_owned,
    )
}

/// Tries the addresses that the display's name stands for, one after the other.
fn connect(display: &ParsedDisplay, stop: &Stop) -> Result<Server, ConnectError> {
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for address in display.connect_instruction() {
        match reach(&address) {
            Ok((inner, (family, peer))) => {
                let (name, data) = get_auth(family, &peer, display.display)
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                let watched = Watched {
                    inner,
                    stop: stop.clone(),
                    hurried: AtomicBool::new(false),
                };
                return RustConnection::connect_to_stream_with_auth_info(
                    watched,
                    display.screen.into(),
                    name,
                    data,
                );
            }
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
}

/// Connects to one address. A name may stand for several; a host that doesn't answer is given up.
fn reach(address: &ConnectAddress<'_>) -> io::Result<(DefaultStream, (Family, Vec<u8>))> {
    let ConnectAddress::Hostname(host, port) = address else {
        return DefaultStream::connect(address);
    };
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for address in (*host, *port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, FAR_AWAY) {
            Ok(stream) => return DefaultStream::from_tcp_stream(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// The stream of a connection, which gives up when stopped or when the server is silent for too long.
#[derive(Debug)]
pub(super) struct Watched {
    inner: DefaultStream,
    stop: Stop,
    /// Whether these are [`Connection::last_words`].
    hurried: AtomicBool,
}

impl Stream for Watched {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, mode.readable());
        wanted.set(PollFlags::OUT, mode.writable());
        let mut hurried = self.hurried.load(Ordering::Relaxed);
        loop {
            let mut fds = [
                PollFd::new(&self.inner, wanted),
                PollFd::new(&self.stop, PollFlags::IN),
            ];
            let (fds, limit) = if hurried {
                (&mut fds[..1], &LAST_WORDS)
            } else {
                (&mut fds[..], &PATIENCE)
            };
            match poll(fds, Some(limit)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) if fds.get(1).is_some_and(|stop| !stop.revents().is_empty()) => {
                    // A request that is cut off would confuse all that come after it, last words too.
                    if !mode.writable() {
                        return Err(io::Error::other(StoppedWhileWaiting));
                    }
                    hurried = true;
                }
                Ok(_) | Err(Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self, buf: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.inner.read(buf, fds)
    }

    fn write(&self, buf: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.inner.write(buf, fds)
    }

    fn write_vectored(
        &self,
        bufs: &[io::IoSlice<'_>],
        fds: &mut Vec<RawFdContainer>,
    ) -> io::Result<usize> {
        self.inner.write_vectored(bufs, fds)
    }
}

/// What an `io::Error` carries when a wait was cut short by [`Stop`].
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct StoppedWhileWaiting;

fn is_stop(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<StoppedWhileWaiting>())
}

impl From<ConnectionError> for ScreenError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::IoError(e) if is_stop(&e) => Self::Stopped,
            ConnectionError::IoError(e) if e.kind() == io::ErrorKind::TimedOut => {
                Self::Lost("it doesn't answer any more".into())
            }
            ConnectionError::IoError(e) => Self::Lost(e.to_string()),
            ConnectionError::UnsupportedExtension => {
                Self::Unsupported("an extension is missing".into())
            }
            error => Self::Lost(error.to_string()),
        }
    }
}

impl From<ReplyError> for ScreenError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(e) => e.into(),
            ReplyError::X11Error(e) => Self::Lost(format!(
                "the server refused {} ({:?})",
                e.request_name.unwrap_or("a request"),
                e.error_kind
            )),
        }
    }
}

impl From<ReplyOrIdError> for ScreenError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(e) => e.into(),
            ReplyOrIdError::X11Error(e) => ReplyError::X11Error(e).into(),
            ReplyOrIdError::IdsExhausted => Self::Lost("no resource ids left".into()),
        }
    }
}
