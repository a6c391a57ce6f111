//! One QUIC stream: messages in, messages out, both cancel safe.
//!
//! A stream exists for the other end only once bytes have come, so each one starts with a byte that says
//! what it is, sent at once.

use etatuki_protocol::{FrameDecoder, StreamKind, Violation};
use iroh::endpoint::{RecvStream, SendStream};

use crate::error::LinkError;

/// The most that is taken from a stream at a time.
const PIECE: usize = 64 << 10;

/// What a send buffer may keep of its room between messages.
const KEEP: usize = 256 << 10;

/// The sending end of a stream.
///
/// What is queued goes out whole, also when the caller gives up waiting: the rest is sent before the
/// next message. Nothing waits for more to come; QUIC sends what it is given at once.
#[derive(Debug)]
pub(crate) struct Outlet {
    stream: SendStream,
    queue: Vec<u8>,
    /// How much of the queue the stream has taken.
    taken: usize,
}

impl Outlet {
    /// Takes over a stream that this end has opened; its kind goes out with the first flush.
    pub(crate) fn new(stream: SendStream, kind: StreamKind) -> Self {
        let mut outlet = Self::answering(stream, kind);
        outlet.queue.push(kind as u8);
        outlet
    }

    /// Takes over the sending half of a stream that the other end has opened.
    pub(crate) fn answering(stream: SendStream, kind: StreamKind) -> Self {
        // Fails only for a stream that is closed already, and then so does the first message.
        let _ = stream.set_priority(kind.priority());
        Self {
            stream,
            queue: Vec::new(),
            taken: 0,
        }
    }

    /// Sends what `fill` appends. If the wait is given up, the message is either still to be made or
    /// queued whole.
    pub(crate) async fn send(
        &mut self,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        self.flush().await?;
        fill(&mut self.queue)?;
        self.flush().await
    }

    /// Gives QUIC all that is queued. Cancel safe.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(rest) = self.queue.get(self.taken..).filter(|rest| !rest.is_empty()) {
            self.taken += self.stream.write(rest).await?;
        }
        self.queue.clear();
        self.queue.shrink_to(KEEP);
        self.taken = 0;
        Ok(())
    }

    /// Ends the stream after what is queued: the other end reads to the end and then gets `None`.
    pub(crate) async fn finish(&mut self) -> Result<(), LinkError> {
        self.flush().await?;
        self.stream.finish().map_err(|_| LinkError::Closed)
    }
}

/// The receiving end of a stream.
#[derive(Debug)]
pub(crate) struct Inlet<C> {
    stream: RecvStream,
    collect: C,
}

impl<C: FrameDecoder> Inlet<C> {
    pub(crate) const fn new(stream: RecvStream, collect: C) -> Self {
        Self { stream, collect }
    }

    /// The next whole message; `None` once the other end has finished the stream. Cancel safe: what has
    /// come of a message stays here.
    pub(crate) async fn recv(&mut self) -> Result<Option<C::Message>, LinkError> {
        loop {
            let missing = self.collect.missing_bytes()?;
            if missing == 0 {
                return Ok(Some(self.collect.take_message()?));
            }
            match self.stream.read_chunk(missing.min(PIECE)).await? {
                Some(bytes) => self.collect.push(&bytes),
                None if self.collect.is_empty() => return Ok(None),
                None => return Err(Violation::Truncated.into()),
            }
        }
    }

    /// The same stream, read in another way from here on. Nothing is lost: a collector never takes more
    /// than its own message.
    pub(crate) fn then<D>(self, collect: D) -> Inlet<D> {
        Inlet {
            stream: self.stream,
            collect,
        }
    }
}

/// Reads a new stream's first byte.
pub(crate) async fn read_kind(stream: &mut RecvStream) -> Result<StreamKind, LinkError> {
    let byte = stream
        .read_chunk(1)
        .await?
        .and_then(|bytes| bytes.first().copied());
    Ok(StreamKind::from_byte(byte.ok_or(Violation::Truncated)?)?)
}
