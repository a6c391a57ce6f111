//! An RFB client on an attached socket, with the launcher's own parsers: it refuses what the
//! launcher refuses. It accepts only Raw, and sends no SetEncodings by itself.

use std::time::Duration;

use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, Rect, Rectangle,
    ServerInit, ServerMessage, ServerParser, encode,
};

use super::attached_stream::{AttachedStream, READ_BYTES};
use super::clock::poll_until;
use super::instance::{Instance, STATE_TIMEOUT};
use super::outcome::{Outcome, Stop, ensure, failed};

/// Most bells and texts between two updates. The launcher drops bells and takes one text at a time;
/// each costs it time.
const MAX_EXTRAS: usize = 100;
/// Most bytes of texts between two updates.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Bytes of updates that no socket's buffer holds.
const FLOOD_BYTES: usize = 8 << 20;

/// A client after the handshake.
pub(super) struct RfbClient {
    stream: AttachedStream,
    parser: ServerParser,
    pub(super) init: ServerInit,
    format: PixelFormat,
    /// Pixels of the whole screen in `format`.
    screen: Vec<u8>,
    /// Pixels that have come since the last full request.
    received: Vec<bool>,
    /// Bells and texts since the last update, and the texts' bytes.
    extras: (usize, usize),
}

/// The pixels that answered a full request.
pub(super) struct FullUpdate {
    /// The area's pixels, row by row.
    pub(super) pixels: Vec<u8>,
    /// Number of earlier updates with no pixel of the area.
    pub(super) unrequested: usize,
}

impl RfbClient {
    /// Attaches a socket, and runs the handshake on it.
    pub(super) fn attach(instance: &Instance) -> Outcome<Self> {
        let stream = AttachedStream::attach(instance)?;
        let mut handshake = ClientHandshake::new(Limits::default());
        let init = run_handshake(&stream, &mut handshake)?;
        let bits = init.format.bits_per_pixel;
        ensure(matches!(bits, 8 | 16 | 32), || {
            format!("ServerInit says that a pixel has {bits} bits; it must be 8, 16 or 32")
        })?;
        let mut client = Self {
            stream,
            parser: parser(PixelFormat::BGRX, &init),
            format: PixelFormat::BGRX,
            screen: Vec::new(),
            received: Vec::new(),
            extras: (0, 0),
            init,
        };
        client.expect_format(client.init.format);
        client.parser.push(&handshake.into_rest());
        Ok(client)
    }

    /// Returns the rectangle of the whole screen.
    pub(super) fn screen_rect(&self) -> Rect {
        Rect::new(0, 0, self.init.width, self.init.height)
    }

    /// Expects pixels in this format from now on. No update may be under way.
    fn expect_format(&mut self, format: PixelFormat) {
        // A format that we can't read, such as a colour map, is replaced by ours before any pixels
        // are read.
        let format = if format.is_usable() {
            format
        } else {
            PixelFormat::BGRX
        };
        let pixels = self.screen_rect().area();
        self.format = format;
        self.screen = vec![0; pixels * format.bytes_per_pixel()];
        self.received = vec![false; pixels];
        self.parser = parser(format, &self.init);
    }

    /// Asks for pixels in this format from now on.
    pub(super) fn set_format(&mut self, format: PixelFormat) -> Outcome<()> {
        self.send(&ClientMessage::SetPixelFormat(format))?;
        self.expect_format(format);
        Ok(())
    }

    /// Sends one message.
    pub(super) fn send(&self, message: &ClientMessage) -> Outcome<()> {
        let mut bytes = Vec::new();
        encode::client::message(&mut bytes, message, PointerFormat::Standard);
        ensure(self.stream.send(&bytes), || {
            "the plugin ended the stream, or doesn't read what comes on it".into()
        })
    }

    /// Requests all pixels of an area, which may reach beyond the screen, and waits for those on
    /// the screen.
    pub(super) fn request_full(&mut self, area: Rect) -> Outcome<FullUpdate> {
        self.received.fill(false);
        self.send(&ClientMessage::UpdateRequest {
            incremental: false,
            rect: area,
        })?;
        self.wait_for_pixels(area.intersection(&self.screen_rect()).unwrap_or_default())
    }

    /// Waits until all pixels of a requested area have come.
    fn wait_for_pixels(&mut self, area: Rect) -> Outcome<FullUpdate> {
        let mut unrequested = 0;
        let complete = self.receive_until(STATE_TIMEOUT, |client, message| {
            if *message != ServerMessage::UpdateEnd {
                return false;
            }
            let missing = client.missing_pixels(area);
            unrequested += usize::from(missing == area.area());
            missing == 0
        })?;
        ensure(complete, || {
            let (missing, all, waited) = (
                self.missing_pixels(area),
                area.area(),
                STATE_TIMEOUT.as_secs(),
            );
            match missing {
                0 => format!(
                    "all {all} pixels have come, and the update isn't over {waited} s later: it announced more"
                ),
                missing => format!(
                    "{missing} of {all} pixels that were asked for haven't come within {waited} s"
                ),
            }
        })?;
        Ok(FullUpdate {
            pixels: self.copy_area(area),
            unrequested,
        })
    }

    /// Sends an incremental request for the whole screen.
    pub(super) fn request_changes(&self) -> Outcome<()> {
        self.send(&ClientMessage::UpdateRequest {
            incremental: true,
            rect: self.screen_rect(),
        })
    }

    /// Waits for the end of an update; returns whether it came.
    pub(super) fn receives_update(&mut self, timeout: Duration) -> Outcome<bool> {
        self.receive_until(timeout, |_, message| *message == ServerMessage::UpdateEnd)
    }

    /// Requests the whole screen more often than any socket holds the updates, and reads none of
    /// them. The plugin is then in the middle of a write, or will be. Nothing can be sent
    /// afterwards.
    pub(super) fn flood_requests(&self) -> Outcome<()> {
        let update_bytes = self.screen_rect().area() * self.format.bytes_per_pixel();
        let times = (FLOOD_BYTES / update_bytes).clamp(20, 5000);
        let mut bytes = Vec::new();
        let request = ClientMessage::UpdateRequest {
            incremental: false,
            rect: self.screen_rect(),
        };
        for _ in 0..times {
            encode::client::message(&mut bytes, &request, PointerFormat::Standard);
        }
        ensure(self.stream.send_some(&bytes), || {
            "the plugin ended the stream".into()
        })
    }

    /// Ends the client, and returns its socket.
    pub(super) fn into_stream(self) -> AttachedStream {
        self.stream
    }

    /// Returns an area's pixels as they were last received.
    pub(super) fn copy_area(&self, area: Rect) -> Vec<u8> {
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

    /// Returns the number of an area's pixels that haven't come.
    fn missing_pixels(&self, area: Rect) -> usize {
        let rows = self.received.chunks_exact(usize::from(self.init.width));
        let (from, to) = (usize::from(area.x), area.right() as usize);
        rows.skip(usize::from(area.y))
            .take(usize::from(area.h))
            .map(|row| row[from..to].iter().filter(|received| !**received).count())
            .sum()
    }

    /// Receives messages up to the one for which `is_last` holds; returns false when it doesn't
    /// come.
    fn receive_until(
        &mut self,
        timeout: Duration,
        mut is_last: impl FnMut(&Self, &ServerMessage) -> bool,
    ) -> Outcome<bool> {
        let received = poll_until(timeout, || self.receive_available(&mut is_last).transpose());
        received.transpose().map(|last| last.is_some())
    }

    fn receive_available(
        &mut self,
        is_last: &mut impl FnMut(&Self, &ServerMessage) -> bool,
    ) -> Outcome<Option<()>> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let next = self.parser.next();
            if let Some(message) = next.map_err(|error| Stop::Failed(error.to_string()))? {
                if let ServerMessage::Rectangle(Rectangle::Raw { rect, pixels }) = &message {
                    self.draw(*rect, pixels);
                }
                self.count_extras(&message)?;
                if is_last(self, &message) {
                    return Ok(Some(()));
                }
                continue;
            }
            match self.stream.read(&mut buffer) {
                Ok(Some(0)) => return Ok(None),
                Ok(Some(read)) => self.parser.push(&buffer[..read]),
                Ok(None) | Err(_) => return failed("the plugin ended the stream"),
            }
        }
    }

    /// Fails when what comes beside the picture has no end.
    fn count_extras(&mut self, message: &ServerMessage) -> Outcome<()> {
        let (count, bytes) = &mut self.extras;
        match message {
            ServerMessage::UpdateEnd => self.extras = (0, 0),
            ServerMessage::CutTextSkipped { length } => {
                let max = Limits::default().max_cut_text;
                return failed(format!(
                    "a cut text has {length} bytes; the launcher takes {max} at most"
                ));
            }
            ServerMessage::CutText(text) => (*count, *bytes) = (*count + 1, *bytes + text.len()),
            ServerMessage::Bell => *count += 1,
            _ => {}
        }
        let (count, bytes) = self.extras;
        ensure(count <= MAX_EXTRAS && bytes <= MAX_TEXT_BYTES, || {
            format!(
                "{count} bells and texts with {bytes} bytes came before an update; at most {MAX_EXTRAS} with {MAX_TEXT_BYTES} bytes are a server's business"
            )
        })
    }

    /// Copies a Raw rectangle into the screen; the parser has checked that it lies inside.
    fn draw(&mut self, rect: Rect, pixels: &[u8]) {
        let (size, width) = (self.format.bytes_per_pixel(), usize::from(self.init.width));
        let length = usize::from(rect.w);
        for (row, pixels) in pixels.chunks_exact(length * size).enumerate() {
            let start = (usize::from(rect.y) + row) * width + usize::from(rect.x);
            self.screen[start * size..(start + length) * size].copy_from_slice(pixels);
            self.received[start..start + length].fill(true);
        }
    }
}

fn run_handshake(stream: &AttachedStream, handshake: &mut ClientHandshake) -> Outcome<ServerInit> {
    let mut buffer = [0; READ_BYTES];
    let mut received = 0;
    let done = poll_until(STATE_TIMEOUT, || {
        loop {
            match handshake.step() {
                Err(error) => return Some(failed(error.to_string())),
                Ok(Some(init)) => return Some(Ok(init)),
                Ok(None) => {}
            }
            if !stream.send(&handshake.take_output()) {
                return Some(failed("the plugin ended the stream in the handshake"));
            }
            match stream.read(&mut buffer) {
                Ok(Some(0)) => return None,
                Ok(Some(read)) => {
                    received += read;
                    handshake.push(&buffer[..read]);
                }
                Ok(None) | Err(_) => {
                    return Some(failed("the plugin ended the stream in the handshake"));
                }
            }
        }
    });
    done.unwrap_or_else(|| {
        failed(format!(
            "the handshake stands still: the plugin has sent {received} bytes, and nothing more for {} s",
            STATE_TIMEOUT.as_secs()
        ))
    })
}

fn parser(format: PixelFormat, init: &ServerInit) -> ServerParser {
    ServerParser::new(Limits::default(), format, init.width, init.height)
}
