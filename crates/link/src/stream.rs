//! One QUIC stream as a sequence of messages. Sending and receiving are cancel safe.
//!
//! The other end learns of a stream only when bytes arrive. So the first byte of each stream is its
//! kind, and whoever opens the stream sends it at once.

use etatuki_protocol::{FrameDecoder, StreamKind, Violation};
use iroh::endpoint::{RecvStream, SendStream};

use crate::error::LinkError;

/// The most bytes that are read from a stream at a time.
const READ_CHUNK: usize = 64 << 10;

/// The most bytes of capacity that a send buffer keeps between messages.
const MAX_IDLE_CAPACITY: usize = 256 << 10;

/// The sending end of a stream.
///
/// A message in the buffer is sent whole, even if its sender stops waiting: the rest goes out
/// before the next message. Nothing waits for more bytes to come; QUIC sends what it is given at
/// once.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    stream: SendStream,
    buffer: Vec<u8>,
    /// Bytes of the buffer that QUIC has taken.
    written: usize,
}

impl FrameWriter {
    /// Takes over a stream that this end has opened; its kind goes out with the first flush.
    pub(crate) fn opened(stream: SendStream, kind: StreamKind) -> Self {
        let mut writer = Self::accepted(stream, kind);
        writer.buffer.push(kind as u8);
        writer
    }

    /// Takes over the sending half of a stream that the other end has opened.
    pub(crate) fn accepted(stream: SendStream, kind: StreamKind) -> Self {
        // Fails only on a stream that is closed already, and then so does the first message.
        let _ = stream.set_priority(kind.priority());
        Self {
            stream,
            buffer: Vec::new(),
            written: 0,
        }
    }

    /// Sends the bytes that `fill` appends. If this is dropped early, either `fill` hasn't run or
    /// its bytes are in the buffer, whole.
    pub(crate) async fn send(
        &mut self,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        self.flush().await?;
        fill(&mut self.buffer)?;
        self.flush().await
    }

    /// Gives the whole buffer to QUIC. Cancel safe.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(rest) = self
            .buffer
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            self.written += self.stream.write(rest).await?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(MAX_IDLE_CAPACITY);
        self.written = 0;
        Ok(())
    }

    /// Flushes and ends the stream: the other end reads everything and then gets `None`.
    pub(crate) async fn finish(&mut self) -> Result<(), LinkError> {
        self.flush().await?;
        self.stream.finish().map_err(|_| LinkError::Closed)
    }
}

/// The receiving end of a stream.
#[derive(Debug)]
pub(crate) struct FrameReader<D> {
    stream: RecvStream,
    decoder: D,
}

impl<D: FrameDecoder> FrameReader<D> {
    pub(crate) const fn new(stream: RecvStream, decoder: D) -> Self {
        Self { stream, decoder }
    }

    /// Returns the next whole message, or `None` once the other end has finished the stream. Cancel
    /// safe: the decoder keeps the bytes of an incomplete message.
    pub(crate) async fn recv(&mut self) -> Result<Option<D::Message>, LinkError> {
        loop {
            let missing = self.decoder.missing_bytes()?;
            if missing == 0 {
                return Ok(Some(self.decoder.take_message()?));
            }
            match self.stream.read_chunk(missing.min(READ_CHUNK)).await? {
                Some(bytes) => self.decoder.push(&bytes),
                None if self.decoder.is_empty() => return Ok(None),
                None => return Err(Violation::Truncated.into()),
            }
        }
    }

    pub(crate) const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// Continues the stream with another decoder. No byte is lost, since a decoder never takes
    /// bytes beyond its own message.
    pub(crate) fn with_decoder<E>(self, decoder: E) -> FrameReader<E> {
        FrameReader {
            stream: self.stream,
            decoder,
        }
    }
}

/// Reads the first byte of a new stream.
pub(crate) async fn read_kind(stream: &mut RecvStream) -> Result<StreamKind, LinkError> {
    let byte = stream
        .read_chunk(1)
        .await?
        .and_then(|bytes| bytes.first().copied());
    Ok(StreamKind::from_byte(byte.ok_or(Violation::Truncated)?)?)
}
