//! Bytes on their way to the client.

use std::os::fd::OwnedFd;

use etatuki_rfb::encode::server;
use etatuki_rfb::{PixelFormat, Rect, translate};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::{Going, ServeError};

/// Bytes of answers (fences and the like) that may wait for a client that doesn't read them; then it
/// isn't listened to until it does.
const MOST_ANSWERS: usize = 64 * 1024;
/// Bytes of an update that are put together at a time: the client reads the first while the next are made, and no
/// screen is held once more.
const PIECE: usize = 128 * 1024;

/// One buffer, emptied before the next update is put into it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Go behind `bytes`.
    pixels: Pixels,
    /// Go behind the pixels.
    answers: Vec<u8>,
}

/// Raw rectangles that end an update. Their pixels stay where they were grabbed to until they go.
#[derive(Debug)]
pub(super) struct Pixels {
    format: PixelFormat,
    parts: std::vec::IntoIter<Part>,
    /// What is left of the one that has begun.
    rest: Part,
    /// Pixels on their way into the client's format.
    bgrx: Vec<u8>,
}

/// A part of what was grabbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Of which piece of it.
    pub(super) piece: usize,
    /// Where on the screen: inside that piece.
    pub(super) rect: Rect,
}

impl Outbox {
    /// Whether everything has gone.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pixels.is_empty() && self.answers.is_empty()
    }

    /// Whether there is room for what the client asks next.
    pub(super) fn takes_answers(&self) -> bool {
        self.answers.len() < MOST_ANSWERS
    }

    /// To append whole messages to, other than updates. They go behind the update that is on its way.
    pub(super) fn answer(&mut self) -> &mut Vec<u8> {
        &mut self.answers
    }

    /// To append updates to, while it is empty of anything else.
    pub(super) fn update(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The last update ends with these.
    pub(super) fn end_update(&mut self, pixels: Pixels) {
        self.pixels = pixels;
    }

    /// Sends as much as the socket takes. `grabbed` appends the pixels of a part (BGRX, rows without gaps): those of one
    /// grab until it [is empty](Self::is_empty).
    pub(super) fn write(
        &mut self,
        socket: &OwnedFd,
        grabbed: impl Fn(Part, &mut Vec<u8>),
    ) -> Result<Going, ServeError> {
        loop {
            self.fill(&grabbed);
            if self.bytes.is_empty() {
                return Ok(Going::On);
            }
            match rustix::net::send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(Going::On),
                Err(Errno::INTR) => {}
                Err(_) => return Ok(Going::Over),
            }
        }
    }

    /// Puts together what goes at a time: a small update goes whole, with what is behind it, and wakes the client once.
    fn fill(&mut self, grabbed: impl Fn(Part, &mut Vec<u8>)) {
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        if self.sent == 0 {
            self.pixels.append(grabbed, &mut self.bytes);
            if self.pixels.is_empty() && self.bytes.len() < PIECE {
                self.bytes.append(&mut self.answers);
            }
        }
    }
}

impl Default for Pixels {
    /// None.
    fn default() -> Self {
        Self::new(PixelFormat::BGRX, Vec::new())
    }
}

impl Pixels {
    /// These parts, in this order.
    pub(super) fn new(format: PixelFormat, parts: Vec<Part>) -> Self {
        Self {
            format,
            parts: parts.into_iter(),
            rest: Part::default(),
            bgrx: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.rest.rect.is_empty() && self.parts.len() == 0
    }

    /// Appends rows until there is a piece.
    fn append(&mut self, grabbed: impl Fn(Part, &mut Vec<u8>), out: &mut Vec<u8>) {
        while out.len() < PIECE {
            if self.rest.rect.is_empty() {
                let Some(part) = self.parts.next() else {
                    return;
                };
                server::raw_head(out, part.rect);
                self.rest = part;
            }
            let Part { piece, rect } = self.rest;
            let row = usize::from(rect.w) * 4;
            let room = (PIECE - out.len().min(PIECE)).div_ceil(row);
            let h = rect.h.min(u16::try_from(room).unwrap_or(u16::MAX));
            let rows = Part {
                piece,
                rect: Rect { h, ..rect },
            };
            self.rest.rect.y += h;
            self.rest.rect.h -= h;
            if self.format == PixelFormat::BGRX {
                grabbed(rows, out);
            } else {
                self.bgrx.clear();
                grabbed(rows, &mut self.bgrx);
                translate(&self.bgrx, &self.format, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    const SIZE: (u16, u16) = (640, 480);
    const WHOLE: Rect = Rect::new(0, 0, SIZE.0, SIZE.1);

    /// Two pieces, each of one colour but for the place in it.
    fn grabbed(part: Part, out: &mut Vec<u8>) {
        for y in part.rect.y..part.rect.y + part.rect.h {
            for x in part.rect.x..part.rect.x + part.rect.w {
                out.extend([x as u8, y as u8, part.piece as u8, 0]);
            }
        }
    }

    /// An update of two pieces, with an answer behind it; and all of its bytes.
    fn outbox(format: PixelFormat) -> (Outbox, Vec<u8>) {
        let small = Rect::new(3, 5, 7, 9);
        let parts = [(0, WHOLE), (1, small)].map(|(piece, rect)| Part { piece, rect });
        let mut whole = b"update".to_vec();
        for part in parts {
            server::raw_head(&mut whole, part.rect);
            let mut pixels = Vec::new();
            grabbed(part, &mut pixels);
            translate(&pixels, &format, &mut whole);
        }
        whole.extend(b"answer");
        let mut outbox = Outbox::default();
        outbox.update().extend(b"update");
        outbox.end_update(Pixels::new(format, parts.to_vec()));
        outbox.answer().extend(b"answer");
        (outbox, whole)
    }

    #[test]
    fn an_update_goes_in_pieces_and_answers_behind_it() {
        check_in_pieces(PixelFormat::BGRX);
    }

    #[test]
    fn an_update_goes_in_the_clients_own_format() {
        check_in_pieces(PixelFormat {
            bits_per_pixel: 16,
            depth: 15,
            big_endian: true,
            red_max: 31,
            green_max: 31,
            blue_max: 31,
            red_shift: 10,
            green_shift: 5,
            blue_shift: 0,
        });
    }

    #[track_caller]
    fn check_in_pieces(format: PixelFormat) {
        let (mut outbox, mut whole) = outbox(format);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        let (mut got, mut most) = (Vec::new(), 0);
        while !outbox.is_empty() {
            assert!(outbox.write(&socket, grabbed).unwrap() == Going::On);
            most = most.max(outbox.bytes.capacity());
            if got.is_empty() {
                outbox.answer().extend(b"later");
                whole.extend(b"later");
            }
            let mut bytes = vec![0; 100_000];
            let read = theirs.read(&mut bytes).unwrap();
            got.extend_from_slice(&bytes[..read]);
        }
        theirs.set_nonblocking(true).unwrap();
        let _ = theirs.read_to_end(&mut got);
        assert!(got == whole, "not what was to be sent");
        assert!(most <= 4 * PIECE, "{most} bytes in memory");
    }

    #[test]
    fn a_client_that_reads_nothing_is_answered_within_bounds() {
        let (mut outbox, _) = outbox(PixelFormat::BGRX);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        for _ in 0..100_000 {
            assert!(outbox.write(&socket, grabbed).unwrap() == Going::On);
            if !outbox.takes_answers() {
                return;
            }
            outbox.answer().extend([7; 64]);
        }
        panic!("it is listened to for ever");
    }
}
