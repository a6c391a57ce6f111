//! The bytes to be sent to the client.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::pending_pixels::{CHUNK_BYTES, GrabbedRect, PendingPixels};
use super::{ClientStatus, ServeError};

/// Maximum bytes of replies (fences and the like) that wait for a client that doesn't read. With
/// more, the client's messages aren't read either.
const MAX_PENDING_REPLIES: usize = 64 * 1024;
/// The send buffer. It is emptied before the next update is made.
///
/// The order is: `bytes`, then `pixels`, then `replies`.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that are sent.
    sent: usize,
    pixels: PendingPixels,
    replies: Vec<u8>,
}

impl SendBuffer {
    /// Returns whether everything is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.pixels.is_empty() && self.replies.is_empty()
    }

    /// Returns whether there is room for the replies to further messages of the client.
    pub(super) fn accepts_replies(&self) -> bool {
        self.replies.len() < MAX_PENDING_REPLIES
    }

    /// Returns the buffer for whole messages other than updates. They are sent after the update
    /// under way.
    pub(super) fn replies(&mut self) -> &mut Vec<u8> {
        &mut self.replies
    }

    /// Returns the buffer for updates. To be used only while nothing else is to be sent.
    pub(super) fn update(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends pixels to the last update.
    pub(super) fn append_pixels(&mut self, pixels: PendingPixels) {
        self.pixels = pixels;
    }

    /// Sends as much as the socket takes. `append_grabbed` appends the pixels of a rectangle (BGRX,
    /// rows without gaps), from the same grab until the buffer [is empty](Self::is_empty).
    pub(super) fn write(
        &mut self,
        socket: &OwnedFd,
        append_grabbed: impl Fn(GrabbedRect, &mut Vec<u8>),
    ) -> Result<ClientStatus, ServeError> {
        loop {
            self.fill(&append_grabbed);
            if self.bytes.is_empty() {
                return Ok(ClientStatus::Connected);
            }
            match rustix::net::send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(ClientStatus::Connected),
                Err(Errno::INTR) => {}
                Err(_) => return Ok(ClientStatus::Gone),
            }
        }
    }

    /// Prepares the next bytes. A small update is sent whole, together with the replies after it,
    /// so that it wakes the client once.
    fn fill(&mut self, append_grabbed: impl Fn(GrabbedRect, &mut Vec<u8>)) {
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        if self.sent == 0 {
            self.pixels.append(append_grabbed, &mut self.bytes);
            if self.pixels.is_empty() && self.bytes.len() < CHUNK_BYTES {
                self.bytes.append(&mut self.replies);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etatuki_rfb::encode::server;
    use etatuki_rfb::{PixelFormat, Rect, convert_pixels};
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    const SIZE: (u16, u16) = (640, 480);
    const WHOLE: Rect = Rect::new(0, 0, SIZE.0, SIZE.1);

    /// Appends pixels that say their position and their rectangle's index.
    fn append_grabbed(grabbed: GrabbedRect, out: &mut Vec<u8>) {
        for y in grabbed.rect.y..grabbed.rect.y + grabbed.rect.h {
            for x in grabbed.rect.x..grabbed.rect.x + grabbed.rect.w {
                out.extend([x as u8, y as u8, grabbed.index as u8, 0]);
            }
        }
    }

    /// Returns a buffer with an update of two rectangles and a reply, and all of its bytes.
    fn filled_buffer(format: PixelFormat) -> (SendBuffer, Vec<u8>) {
        let small = Rect::new(3, 5, 7, 9);
        let rects = [(0, WHOLE), (1, small)].map(|(index, rect)| GrabbedRect { index, rect });
        let mut whole = b"update".to_vec();
        for grabbed in rects {
            server::raw_header(&mut whole, grabbed.rect);
            let mut pixels = Vec::new();
            append_grabbed(grabbed, &mut pixels);
            convert_pixels(&pixels, &format, &mut whole);
        }
        whole.extend(b"answer");
        let mut send_buffer = SendBuffer::default();
        send_buffer.update().extend(b"update");
        send_buffer.append_pixels(PendingPixels::new(format, rects.to_vec()));
        send_buffer.replies().extend(b"answer");
        (send_buffer, whole)
    }

    #[test]
    fn an_update_is_sent_in_parts_and_replies_after_it() {
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
        let (mut send_buffer, mut whole) = filled_buffer(format);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        let (mut got, mut most) = (Vec::new(), 0);
        while !send_buffer.is_empty() {
            assert!(send_buffer.write(&socket, append_grabbed).unwrap() == ClientStatus::Connected);
            most = most.max(send_buffer.bytes.capacity());
            if got.is_empty() {
                send_buffer.replies().extend(b"later");
                whole.extend(b"later");
            }
            let mut bytes = vec![0; 100_000];
            let read = theirs.read(&mut bytes).unwrap();
            got.extend_from_slice(&bytes[..read]);
        }
        theirs.set_nonblocking(true).unwrap();
        let _ = theirs.read_to_end(&mut got);
        assert!(got == whole, "not what was to be sent");
        assert!(most <= 4 * CHUNK_BYTES, "{most} bytes in memory");
    }

    #[test]
    fn a_client_that_reads_nothing_is_answered_within_bounds() {
        let (mut send_buffer, _) = filled_buffer(PixelFormat::BGRX);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = OwnedFd::from(ours);
        for _ in 0..100_000 {
            assert!(send_buffer.write(&socket, append_grabbed).unwrap() == ClientStatus::Connected);
            if !send_buffer.accepts_replies() {
                return;
            }
            send_buffer.replies().extend([7; 64]);
        }
        panic!("it is listened to for ever");
    }
}
