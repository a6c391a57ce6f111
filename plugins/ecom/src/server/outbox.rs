//! Bytes on their way to the client.

use std::os::fd::OwnedFd;

use etatuki_rfb::encode::server;
use etatuki_rfb::{PixelFormat, Rect, translate};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::sent::Sent;
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

/// Raw rectangles that end an update; how they look is in [`Sent`] until they have gone.
#[derive(Debug)]
pub(super) struct Pixels {
    format: PixelFormat,
    rects: std::vec::IntoIter<Rect>,
    /// What is left of the rectangle that has begun.
    rest: Rect,
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

    /// Sends as much as the socket takes. What the pixels look like must be the same until it [is empty](Self::is_empty).
    pub(super) fn write(&mut self, socket: &OwnedFd, sent: &Sent) -> Result<Going, ServeError> {
        loop {
            self.fill(sent);
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
    fn fill(&mut self, sent: &Sent) {
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        if self.sent == 0 {
            self.pixels.append(sent, &mut self.bytes);
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
    /// These rectangles, as [`Sent`] has them.
    pub(super) fn new(format: PixelFormat, rects: Vec<Rect>) -> Self {
        Self {
            format,
            rects: rects.into_iter(),
            rest: Rect::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.rects.len() == 0
    }

    /// Appends rows until there is a piece.
    fn append(&mut self, sent: &Sent, out: &mut Vec<u8>) {
        while out.len() < PIECE {
            if self.rest.is_empty() {
                let Some(rect) = self.rects.next() else {
                    return;
                };
                server::raw_head(out, rect);
                self.rest = rect;
            }
            for row in sent.rows(Rect { h: 1, ..self.rest }) {
                translate(row, &self.format, out);
            }
            self.rest.y += 1;
            self.rest.h -= 1;
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

    /// A client that has everything, and an update that says so, with an answer behind it; and all of its bytes.
    fn outbox() -> (Outbox, Sent, Vec<u8>) {
        let (mut sent, mut new) = (Sent::default(), Vec::new());
        sent.resize(SIZE);
        let picture: Vec<u8> = (0..WHOLE.area() * 4).map(|at| (at % 251) as u8).collect();
        sent.take(WHOLE, &picture, &mut new);
        let mut whole = b"update".to_vec();
        for rect in &new {
            server::raw_head(&mut whole, *rect);
            sent.rows(*rect).for_each(|row| whole.extend(row));
        }
        whole.extend(b"answer");
        let mut outbox = Outbox::default();
        outbox.update().extend(b"update");
        outbox.end_update(Pixels::new(PixelFormat::BGRX, new));
        outbox.answer().extend(b"answer");
        (outbox, sent, whole)
    }

    #[test]
    fn an_update_goes_in_pieces_and_answers_behind_it() {
        let (mut outbox, sent, mut whole) = outbox();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        let (mut got, mut most) = (Vec::new(), 0);
        while !outbox.is_empty() {
            assert!(outbox.write(&socket, &sent).unwrap() == Going::On);
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
        let (mut outbox, sent, _) = outbox();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        for _ in 0..100_000 {
            assert!(outbox.write(&socket, &sent).unwrap() == Going::On);
            if !outbox.takes_answers() {
                return;
            }
            outbox.answer().extend([7; 64]);
        }
        panic!("it is listened to for ever");
    }
}
