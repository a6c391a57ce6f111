//! The two ways in which a viewer is connected: a TCP socket, and the page's WebSocket.

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

/// Bytes that are read from a socket at a time.
const READ: usize = 16 << 10;
/// Bytes of one WebSocket message: the page can begin to draw before a large picture is whole.
const MESSAGE: usize = 256 << 10;

/// Bytes from a viewer.
pub(crate) trait Source: Send {
    /// The next bytes; `None` at the end.
    fn read(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// Bytes to a viewer.
pub(crate) trait Sink: Send {
    /// Sends all of it, and empties the buffer or takes it.
    fn write(&mut self, bytes: &mut Vec<u8>) -> impl Future<Output = io::Result<()>> + Send;
}

impl<S: Sink> Sink for &mut S {
    fn write(&mut self, bytes: &mut Vec<u8>) -> impl Future<Output = io::Result<()>> + Send {
        (**self).write(bytes)
    }
}

/// A TCP socket's reading half.
#[derive(Debug)]
pub(crate) struct TcpSource(pub(crate) OwnedReadHalf);

impl Source for TcpSource {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut buffer = Vec::with_capacity(READ);
        let length = self.0.read_buf(&mut buffer).await?;
        Ok((length > 0).then(|| buffer.into()))
    }
}

impl Sink for OwnedWriteHalf {
    async fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(bytes).await?;
        bytes.clear();
        Ok(())
    }
}

/// A WebSocket's reading half; only binary messages count.
#[derive(Debug)]
pub(crate) struct WebSource(pub(crate) SplitStream<WebSocket>);

impl Source for WebSource {
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

/// A WebSocket's writing half.
#[derive(Debug)]
pub(crate) struct WebSink(pub(crate) SplitSink<WebSocket, Message>);

impl Sink for WebSink {
    async fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = Bytes::from(std::mem::take(bytes));
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(MESSAGE));
            self.0
                .send(Message::Binary(part))
                .await
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}
