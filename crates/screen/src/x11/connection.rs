//! A connection to an X server whose waits all end: by reply, cancellation or time-out.

use std::cell::Cell;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// The time-out of a reply. It is long because a program that grabs the server (a window manager
/// while a window is dragged) makes everybody else wait, which is no reason to end a session.
const REPLY_TIMEOUT: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// The time-out of [`Connection::run_cleanup`], during which the [`CancelToken`] doesn't count.
const CLEANUP_TIMEOUT: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The time-out of a TCP connection to a display on another machine.
const TCP_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection on which x11rb makes requests.
pub(super) type XConnection = RustConnection<CancellableStream>;

/// A connection, and the screen on it that is shared.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) server: XConnection,
    screen: usize,
    /// Server grabs that are not released yet.
    grab_depth: Cell<u32>,
}

impl Connection {
    /// Connects to `display`, or to `$DISPLAY`.
    ///
    /// # Errors
    /// [`ScreenError::DisplayNotSet`], [`ScreenError::NoDisplay`] or [`ScreenError::Cancelled`].
    pub(super) fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let missing = |reason: String| ScreenError::NoDisplay {
            display: display_name(display),
            reason,
        };
        if display.is_none() && std::env::var_os("DISPLAY").is_none_or(|name| name.is_empty()) {
            return Err(ScreenError::DisplayNotSet);
        }
        let parsed = parse_display(display).map_err(|e| missing(e.to_string()))?;
        let screen = usize::from(parsed.screen);
        let server = connect(&parsed, cancel).map_err(|error| match error {
            ConnectError::IoError(e) if cancel.is_cancelled() || is_cancellation(&e) => {
                ScreenError::Cancelled
            }
            error => missing(error.to_string()),
        })?;
        Ok(Self {
            server,
            screen,
            grab_depth: Cell::new(0),
        })
    }

    /// Returns the number of the shared screen.
    pub(super) fn screen_number(&self) -> usize {
        self.screen
    }

    /// Returns the error of a cancelled wait once the token is cancelled, also if nothing had to be
    /// waited for.
    pub(super) fn check_cancelled(&self) -> Result<(), ScreenError> {
        match self.server.stream().cancel.is_cancelled() {
            true => Err(ScreenError::Cancelled),
            false => Ok(()),
        }
    }

    /// Grabs the server: no other client changes anything until
    /// [`ungrab_server`](Self::ungrab_server). Grabs nest. The end of the connection ends the grab.
    pub(super) fn grab_server(&self) -> Result<(), ScreenError> {
        if self.grab_depth.get() == 0 {
            self.server.grab_server()?;
        }
        self.grab_depth.set(self.grab_depth.get() + 1);
        Ok(())
    }

    /// Ends one [`grab_server`](Self::grab_server).
    pub(super) fn ungrab_server(&self) -> Result<(), ScreenError> {
        self.grab_depth.set(self.grab_depth.get().saturating_sub(1));
        if self.grab_depth.get() == 0 {
            self.server.ungrab_server()?;
            self.server.flush()?;
        }
        Ok(())
    }

    /// Returns the shared screen, as it was when the connection was made.
    pub(super) fn screen(&self) -> &Screen {
        &self.server.setup().roots[self.screen]
    }

    /// Makes `requests` and waits until the server has carried them out, also when cancelled. The
    /// wait is a round trip: the server may never read bytes that still lie in the connection's
    /// buffer when it is closed.
    pub(super) fn run_cleanup(
        &self,
        requests: impl FnOnce(&XConnection) -> Result<(), ScreenError>,
    ) -> Result<(), ScreenError> {
        let in_cleanup = &self.server.stream().in_cleanup;
        in_cleanup.store(true, Ordering::Relaxed);
        let result = requests(&self.server).and_then(|()| Ok(self.server.sync()?));
        in_cleanup.store(false, Ordering::Relaxed);
        result
    }

    /// Makes every later wait on this connection one of its cleanup: short, and not cancelled.
    pub(super) fn begin_cleanup(&self) {
        let in_cleanup = &self.server.stream().in_cleanup;
        in_cleanup.store(true, Ordering::Relaxed);
    }

    /// Waits for the server to send something, at most until `end`. Returns whether it did.
    pub(super) fn wait_until(&self, end: Instant) -> Result<bool, ScreenError> {
        let left = end.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Returns the server's description of itself.
    pub(super) fn setup(&self) -> &Setup {
        self.server.setup()
    }

    /// Checks that the server has all of these extensions.
    ///
    /// # Errors
    /// [`ScreenError::Unsupported`] names the first that is missing.
    pub(super) fn require_extensions(
        &self,
        extensions: &[&'static str],
    ) -> Result<(), ScreenError> {
        for extension in extensions {
            if !self.has_extension(extension)? {
                return Err(ScreenError::Unsupported(format!(
                    "the X server has no {extension} extension"
                )));
            }
        }
        Ok(())
    }

    /// Returns whether the server has an extension.
    pub(super) fn has_extension(&self, extension: &'static str) -> Result<bool, ScreenError> {
        Ok(self.server.extension_information(extension)?.is_some())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server.stream().inner.as_fd()
    }
}

fn display_name(display: Option<&str>) -> String {
    display.map_or_else(
        || std::env::var("DISPLAY").unwrap_or_default(),
        str::to_owned,
    )
}

/// Connects to the first address of the display that accepts.
fn connect(display: &ParsedDisplay, cancel: &CancelToken) -> Result<XConnection, ConnectError> {
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for address in display.connect_instruction() {
        match connect_address(&address) {
            Ok((inner, (family, peer))) => {
                let (name, data) = get_auth(family, &peer, display.display)
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                let stream = CancellableStream {
                    inner,
                    cancel: cancel.clone(),
                    in_cleanup: AtomicBool::new(false),
                };
                return RustConnection::connect_to_stream_with_auth_info(
                    stream,
                    display.screen.into(),
                    name,
                    data,
                );
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error.into())
}

/// Connects to one address. A host name may have several IP addresses; each has a time-out.
fn connect_address(address: &ConnectAddress<'_>) -> io::Result<(DefaultStream, (Family, Vec<u8>))> {
    let ConnectAddress::Hostname(host, port) = address else {
        return DefaultStream::connect(address);
    };
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for address in (*host, *port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TCP_CONNECT_TIMEOUT) {
            Ok(stream) => return DefaultStream::from_tcp_stream(stream),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// The stream of a connection. Its waits fail when cancelled, or when the server is silent for too
/// long.
#[derive(Debug)]
pub(super) struct CancellableStream {
    inner: DefaultStream,
    cancel: CancelToken,
    /// Whether [`Connection::run_cleanup`] is under way.
    in_cleanup: AtomicBool,
}

impl Stream for CancellableStream {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, mode.readable());
        wanted.set(PollFlags::OUT, mode.writable());
        let mut in_cleanup = self.in_cleanup.load(Ordering::Relaxed);
        loop {
            let mut fds = [
                PollFd::new(&self.inner, wanted),
                PollFd::new(&self.cancel, PollFlags::IN),
            ];
            let (fds, limit) = if in_cleanup {
                (&mut fds[..1], &CLEANUP_TIMEOUT)
            } else {
                (&mut fds[..], &REPLY_TIMEOUT)
            };
            match poll(fds, Some(limit)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_)
                    if fds
                        .get(1)
                        .is_some_and(|cancel| !cancel.revents().is_empty()) =>
                {
                    // A request that is cut off would garble all later ones, those of the cleanup
                    // too.
                    if !mode.writable() {
                        return Err(io::Error::other(CancelledWhileWaiting));
                    }
                    in_cleanup = true;
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

/// The source of an `io::Error` when a [`CancelToken`] ended the wait.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct CancelledWhileWaiting;

fn is_cancellation(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<CancelledWhileWaiting>())
}

impl From<ConnectionError> for ScreenError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::IoError(e) if is_cancellation(&e) => Self::Cancelled,
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
