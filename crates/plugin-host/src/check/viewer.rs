//! An RFB client on an attached socket, as the launcher is one, with the launcher's own parsers: what they refuse here they
//! refuse there. It asks, and keeps what it is shown. It knows nothing but Raw, and sends no SetEncodings by itself.

use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::raw;
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, Rect, Rectangle,
    ServerInit, ServerMessage, ServerParser, encode,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::bench::{Instance, Outcome, PATIENCE, Stop, ensure, failed, status_name};
use super::clock::patiently;

/// Bytes that are read at a time.
const MOUTHFUL: usize = 64 * 1024;

/// The other end of a socket that the plugin has.
pub(super) struct Wire(UnixStream);

impl Wire {
    /// Attaches a socket.
    pub(super) fn attach(instance: &Instance) -> Outcome<Self> {
        let (ours, theirs) = pair()?;
        // By its number from here on: a plugin may close what isn't its own.
        let handle = theirs.into_raw_fd();
        let before = what_is(handle);
        let status = instance.attach(handle as isize);
        if status == raw::OK {
            return Ok(Self(ours));
        }
        let still = what_is(handle) == before;
        failed(format!(
            "attach() returned {}{}{}",
            status_name(status),
            instance.last_words(),
            if still { "" } else { CLOSED_REFUSED }
        ))
    }

    /// All that is there now, or nothing; `None` when the stream has ended.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(&self.0, buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Ok(None),
            Ok((read, _)) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends as much as fits within the patience; false if that isn't all. Never raises SIGPIPE.
    pub(super) fn send(&self, mut bytes: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = patiently(PATIENCE, || {
            while !bytes.is_empty() {
                match send(&self.0, bytes, flags) {
                    Ok(sent) => bytes = &bytes[sent..],
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return None,
                    Err(_) => return Some(false),
                }
            }
            Some(true)
        });
        sent == Some(true)
    }

    /// Sends as much as fits now; false if the stream has ended. Never raises SIGPIPE.
    fn offer(&self, bytes: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        matches!(
            send(&self.0, bytes, flags),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR)
        )
    }

    /// Whether it ends. What comes until then is dropped.
    pub(super) fn ends(&self) -> bool {
        let mut buffer = [0; MOUTHFUL];
        let ended = patiently(PATIENCE, || {
            while let Ok(Some(read)) = self.read(&mut buffer) {
                if read == 0 {
                    return None;
                }
            }
            Some(())
        });
        ended.is_some()
    }
}

/// A connected pair of sockets.
pub(super) fn pair() -> Outcome<(UnixStream, UnixStream)> {
    UnixStream::pair().map_err(|error| Stop::Skipped(format!("no socket pair: {error}")))
}

/// What a handle of this process stands for, as the system names it; `None` when it is closed.
pub(super) fn what_is(handle: i32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{handle}")).ok()
}

/// To be put after a refusal.
pub(super) const CLOSED_REFUSED: &str =
    "; the plugin closed a handle that it had refused, and that is still the host's";

/// A client that is through with the handshake.
pub(super) struct Viewer {
    wire: Wire,
    parser: ServerParser,
    pub(super) init: ServerInit,
    format: PixelFormat,
    /// The whole screen in that format.
    screen: Vec<u8>,
    /// Which of its pixels have come since the last request for all of an area.
    come: Vec<bool>,
}

/// What came after a request.
pub(super) struct Answer {
    /// The area's pixels, row by row.
    pub(super) pixels: Vec<u8>,
    /// Updates before it that had nothing of what was asked for.
    pub(super) strays: usize,
}

impl Viewer {
    /// Attaches a socket and shakes hands on it.
    pub(super) fn attach(instance: &Instance) -> Outcome<Self> {
        Self::shake_hands(Wire::attach(instance)?)
    }

    fn shake_hands(wire: Wire) -> Outcome<Self> {
        let mut handshake = ClientHandshake::new(Limits::default());
        let mut buffer = [0; MOUTHFUL];
        let mut come = 0;
        let done = patiently(PATIENCE, || {
            loop {
                match handshake.step() {
                    Err(error) => return Some(failed(error.to_string())),
                    Ok(Some(init)) => return Some(Ok(init)),
                    Ok(None) => {}
                }
                if !wire.send(&handshake.take_output()) {
                    return Some(failed("the plugin ended the stream in the handshake"));
                }
                match wire.read(&mut buffer) {
                    Ok(Some(0)) => return None,
                    Ok(Some(read)) => {
                        come += read;
                        handshake.push(&buffer[..read]);
                    }
                    Ok(None) | Err(_) => {
                        return Some(failed("the plugin ended the stream in the handshake"));
                    }
                }
            }
        });
        let init = done.unwrap_or_else(|| {
            failed(format!(
                "the handshake stands still: the plugin has sent {come} bytes, and nothing more for {} s",
                PATIENCE.as_secs()
            ))
        })?;
        let bits = init.format.bits_per_pixel;
        ensure(matches!(bits, 8 | 16 | 32), || {
            format!("ServerInit says that a pixel has {bits} bits; it must be 8, 16 or 32")
        })?;
        let mut viewer = Self {
            wire,
            parser: ServerParser::new(
                Limits::default(),
                PixelFormat::BGRX,
                init.width,
                init.height,
            ),
            format: PixelFormat::BGRX,
            screen: Vec::new(),
            come: Vec::new(),
            init,
        };
        viewer.see_in(viewer.init.format);
        viewer.parser.push(&handshake.into_rest());
        Ok(viewer)
    }

    /// The whole screen.
    pub(super) fn all(&self) -> Rect {
        Rect::new(0, 0, self.init.width, self.init.height)
    }

    /// Expects pixels in this format from now on. No update is under way.
    fn see_in(&mut self, format: PixelFormat) {
        // What has another format than we can read (a colour map, say) is asked for in ours before it is looked at.
        let format = if format.is_usable() {
            format
        } else {
            PixelFormat::BGRX
        };
        let pixels = self.all().area();
        self.format = format;
        self.screen = vec![0; pixels * format.bytes_per_pixel()];
        self.come = vec![false; pixels];
        self.parser =
            ServerParser::new(Limits::default(), format, self.init.width, self.init.height);
    }

    /// Asks for pixels in this format from now on.
    pub(super) fn set_format(&mut self, format: PixelFormat) -> Outcome<()> {
        self.say(&ClientMessage::SetPixelFormat(format))?;
        self.see_in(format);
        Ok(())
    }

    /// Sends one message.
    pub(super) fn say(&self, message: &ClientMessage) -> Outcome<()> {
        let mut bytes = Vec::new();
        encode::client::message(&mut bytes, message, PointerFormat::Standard);
        ensure(self.wire.send(&bytes), || {
            "the plugin ended the stream, or doesn't read what comes on it".into()
        })
    }

    /// Asks for all of an area, also where it lies beyond the screen, and waits until the part on the screen has come.
    pub(super) fn ask(&mut self, area: Rect) -> Outcome<Answer> {
        self.come.fill(false);
        self.say(&ClientMessage::UpdateRequest {
            incremental: false,
            rect: area,
        })?;
        self.answer(area.intersection(&self.all()).unwrap_or_default())
    }

    /// Waits until all of an area has come that was asked for.
    fn answer(&mut self, area: Rect) -> Outcome<Answer> {
        let mut strays = 0;
        let whole = self.take(PATIENCE, |viewer, message| {
            if *message != ServerMessage::UpdateEnd {
                return false;
            }
            let left = viewer.left(area);
            strays += usize::from(left == area.area());
            left == 0
        })?;
        ensure(whole, || {
            let (left, all, waited) = (self.left(area), area.area(), PATIENCE.as_secs());
            match left {
                0 => format!(
                    "all {all} pixels have come, and the update isn't over {waited} s later: it announced more"
                ),
                left => format!(
                    "{left} of {all} pixels that were asked for haven't come within {waited} s"
                ),
            }
        })?;
        Ok(Answer {
            pixels: self.cut_out(area),
            strays,
        })
    }

    /// Asks for what changes on the screen.
    pub(super) fn ask_for_changes(&self) -> Outcome<()> {
        self.say(&ClientMessage::UpdateRequest {
            incremental: true,
            rect: self.all(),
        })
    }

    /// Whether an update with anything in it comes.
    pub(super) fn is_updated(&mut self, limit: std::time::Duration) -> Outcome<bool> {
        self.take(limit, |_, message| *message == ServerMessage::UpdateEnd)
    }

    /// Asks so often for all of the screen that no socket holds the answers, and reads none of them. The plugin is in the
    /// middle of writing then, or will be. Nothing can be said afterwards.
    pub(super) fn flood(&self) -> Outcome<()> {
        let whole = self.all().area() * self.format.bytes_per_pixel();
        let times = ((8 << 20) / whole).clamp(20, 5000);
        let mut bytes = Vec::new();
        let request = ClientMessage::UpdateRequest {
            incremental: false,
            rect: self.all(),
        };
        for _ in 0..times {
            encode::client::message(&mut bytes, &request, PointerFormat::Standard);
        }
        ensure(self.wire.offer(&bytes), || {
            "the plugin ended the stream".into()
        })
    }

    /// The socket, when there is no more to be seen.
    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    /// The pixels of an area, as they were last seen.
    pub(super) fn cut_out(&self, area: Rect) -> Vec<u8> {
        let size = self.format.bytes_per_pixel();
        let (from, width) = (usize::from(area.x), usize::from(area.w));
        self.screen
            .chunks_exact(usize::from(self.init.width) * size)
            .skip(usize::from(area.y))
            .take(usize::from(area.h))
            .flat_map(|row| &row[from * size..(from + width) * size])
            .copied()
            .collect()
    }

    /// How many pixels of an area haven't come.
    fn left(&self, area: Rect) -> usize {
        let rows = self.come.chunks_exact(usize::from(self.init.width));
        let (from, to) = (usize::from(area.x), area.right() as usize);
        rows.skip(usize::from(area.y))
            .take(usize::from(area.h))
            .map(|row| row[from..to].iter().filter(|come| !**come).count())
            .sum()
    }

    /// Takes messages in until one is the last that is wanted; false when it doesn't come.
    fn take(
        &mut self,
        limit: std::time::Duration,
        mut is_last: impl FnMut(&Self, &ServerMessage) -> bool,
    ) -> Outcome<bool> {
        let taken = patiently(limit, || self.take_what_is_there(&mut is_last).transpose());
        taken.transpose().map(|last| last.is_some())
    }

    fn take_what_is_there(
        &mut self,
        is_last: &mut impl FnMut(&Self, &ServerMessage) -> bool,
    ) -> Outcome<Option<()>> {
        let mut buffer = [0; MOUTHFUL];
        loop {
            let next = self.parser.next();
            if let Some(message) = next.map_err(|error| Stop::Failed(error.to_string()))? {
                if let ServerMessage::Rectangle(Rectangle::Raw { rect, pixels }) = &message {
                    self.draw(*rect, pixels);
                }
                if is_last(self, &message) {
                    return Ok(Some(()));
                }
                continue;
            }
            match self.wire.read(&mut buffer) {
                Ok(Some(0)) => return Ok(None),
                Ok(Some(read)) => self.parser.push(&buffer[..read]),
                Ok(None) | Err(_) => return failed("the plugin ended the stream"),
            }
        }
    }

    /// The parser has seen to it that it lies on the screen.
    fn draw(&mut self, rect: Rect, pixels: &[u8]) {
        let (size, width) = (self.format.bytes_per_pixel(), usize::from(self.init.width));
        let length = usize::from(rect.w);
        for (row, pixels) in pixels.chunks_exact(length * size).enumerate() {
            let at = (usize::from(rect.y) + row) * width + usize::from(rect.x);
            self.screen[at * size..(at + length) * size].copy_from_slice(pixels);
            self.come[at..at + length].fill(true);
        }
    }
}
