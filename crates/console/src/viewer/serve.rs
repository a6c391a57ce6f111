//! One viewer's connection, from its greeting to its end.

use std::{io, time::Duration};

use etatuki_rfb::{ClientParser, Limits, ProtocolError, Security, ServerHandshake, encode};
use etatuki_viewer::CannotResize;
use tokio::time::timeout;

use super::{
    guard::AttachedViewer,
    hub::{DisconnectReason, Readiness, ViewerHub},
    transport::{ByteSink, ByteSource},
};

/// Time for the viewer's whole handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An orderly end of a viewer's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewerExit {
    /// The viewer disconnected.
    Disconnected,
    /// Another viewer replaced it.
    Replaced,
    /// The session is over.
    SessionOver,
}

/// A failure of a viewer's connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewerError {
    /// The viewer broke the protocol, or its password was wrong.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The handshake took longer than [`HANDSHAKE_TIMEOUT`].
    #[error("the viewer didn't finish its handshake in {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    /// The connection failed.
    #[error("the viewer's connection failed: {0}")]
    Connection(#[from] io::Error),
    /// The viewer can't follow the screen's new size.
    #[error(transparent)]
    CannotResize(#[from] CannotResize),
    /// The session ended before the screen's size was known.
    #[error("the session ended before there was a picture")]
    NoPicture,
}

/// Serves a viewer until its connection ends. The handshake completes once the customer's screen is
/// known; the password is checked before that.
///
/// # Errors
/// The viewer fails the handshake, breaks the protocol or can't follow a new size, or the session
/// ends before there is a picture.
pub(crate) async fn serve<R: ByteSource, W: ByteSink>(
    hub: &ViewerHub,
    mut source: R,
    mut sink: W,
    security: Security,
) -> Result<ViewerExit, ViewerError> {
    let handshake = handshake(&mut source, &mut sink, security);
    let rest = timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| ViewerError::HandshakeTimeout)??;
    let mut readiness = hub.readiness();
    readiness
        .wait_for(|readiness| *readiness != Readiness::Waiting)
        .await
        .map_err(|_| ViewerError::NoPicture)?;
    let viewer = hub.attach_viewer().ok_or(ViewerError::NoPicture)?;
    let mut init = Vec::new();
    encode::server::server_init(&mut init, &viewer.init);
    sink.write(&mut init).await?;
    run(viewer, source, sink, &rest).await
}

/// Runs the handshake up to the viewer's ClientInit. Returns the bytes that came behind it.
async fn handshake<R: ByteSource, W: ByteSink>(
    source: &mut R,
    sink: &mut W,
    security: Security,
) -> Result<Vec<u8>, ViewerError> {
    let mut handshake = ServerHandshake::without_server_init(security);
    loop {
        let step = handshake.step();
        let mut output = handshake.take_output();
        if !output.is_empty() {
            sink.write(&mut output).await?;
        }
        if step?.is_some() {
            return Ok(handshake.into_rest());
        }
        match source.read().await? {
            Some(bytes) => handshake.push(&bytes),
            None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// Reads the viewer's messages, beginning with `rest`, and writes its output.
async fn run<R: ByteSource, W: ByteSink>(
    viewer: AttachedViewer<'_>,
    mut source: R,
    mut sink: W,
    rest: &[u8],
) -> Result<ViewerExit, ViewerError> {
    let AttachedViewer {
        guard,
        mut output,
        disconnected,
        ..
    } = viewer;
    let reading = async {
        let mut parser = ClientParser::new(Limits::default()).with_extended_clipboard();
        parser.push(rest);
        loop {
            parser.set_pointer_format(guard.pointer_format());
            while let Some(message) = parser.next()? {
                guard.on_message(message).await?;
                parser.set_pointer_format(guard.pointer_format());
            }
            match source.read().await {
                Ok(Some(bytes)) => parser.push(&bytes),
                Ok(None) | Err(_) => return Ok(ViewerExit::Disconnected),
            }
        }
    };
    let writing = async {
        let mut buffer = Vec::new();
        loop {
            output.next(&mut buffer).await;
            sink.write(&mut buffer).await?;
        }
    };
    tokio::select! {
        exit = reading => exit,
        exit = writing => exit,
        reason = disconnected => match reason {
            Ok(DisconnectReason::Replaced) => Ok(ViewerExit::Replaced),
            Ok(DisconnectReason::CannotResize) => Err(CannotResize.into()),
            Ok(DisconnectReason::Over) | Err(_) => Ok(ViewerExit::SessionOver),
        },
    }
}
