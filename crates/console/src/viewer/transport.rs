//! The transports of a viewer's connection: a TCP socket, or the page's WebSocket.

use std::{future::Future, io};

use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};

/// Bytes that are read from a TCP socket at once, at most.
const READ_BUFFER: usize = 16 << 10;
/// Bytes of a WebSocket message, at most: the page can draw before a large picture is complete.
const MAX_WS_MESSAGE: usize = 256 << 10;

/// The receiving half of a viewer's connection.
pub(crate) trait ByteSource: Send {
    /// Waits for bytes; `None` at the end of the connection.
    fn read(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// The sending half of a viewer's connection.
pub(crate) trait ByteSink: Send {
    /// Sends all bytes. Leaves the buffer empty, with or without its capacity.
    fn write(&mut self, bytes: &mut Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;
}

impl<S: ByteSink> ByteSink for &mut S {
    fn write(&mut self, bytes: &mut Vec<u8>) -> impl Future<Output = io::Result<()>> + Send {
        (**self).write(bytes)
    }
}

/// The receiving half of a TCP socket.
#[derive(Debug)]
pub(crate) struct TcpSource(pub(crate) OwnedReadHalf);

impl ByteSource for TcpSource {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut buffer = Vec::with_capacity(READ_BUFFER);
        let length = self.0.read_buf(&mut buffer).await?;
        Ok((length > 0).then(|| buffer.into()))
    }
}

impl ByteSink for OwnedWriteHalf {
    async fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(bytes).await?;
        bytes.clear();
        Ok(())
    }
}

/// The receiving half of a WebSocket, for binary messages.
#[derive(Debug)]
pub(crate) struct WebSource(pub(crate) SplitStream<WebSocket>);

impl ByteSource for WebSource {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            return match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Text(_))) => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "text among RFB"))
                }
                Some(Ok(Message::Close(_))) | None => Ok(None),
                Some(Err(error)) => Err(io::Error::other(error)),
            };
        }
    }
}

/// The sending half of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSink(pub(crate) SplitSink<WebSocket, Message>);

impl ByteSink for WebSink {
    async fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = Bytes::from(std::mem::take(bytes));
        while !rest.is_empty() {
            let message = rest.split_to(rest.len().min(MAX_WS_MESSAGE));
            self.0
                .send(Message::Binary(message))
                .await
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}
