//! One viewer's connection, from its greeting to its end.

use std::{io, time::Duration};

use etatuki_rfb::{
    ClientParser, Limits, PixelFormat, PointerFormat, ProtocolError, Security, ServerHandshake,
    ServerInit, encode,
};
use tokio::time::timeout;

use super::{
    ViewerHub,
    hub::{AttachedViewer, DisconnectReason, Readiness},
    negotiated_viewer::CannotResize,
    pipe::{Sink, Source},
};

/// For everything that a viewer must say before it gets in.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why a viewer left in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewerExit {
    /// It went away.
    Gone,
    /// Another viewer took its place.
    Replaced,
    /// The session is over.
    Over,
}

/// Why a viewer was sent away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewerError {
    /// It broke the protocol, or its password was wrong.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// It was silent in the handshake.
    #[error("the viewer didn't finish its handshake in {} s", HANDSHAKE.as_secs())]
    Slow,
    /// Its connection failed.
    #[error("the viewer's connection failed: {0}")]
    Connection(#[from] io::Error),
    /// See the type.
    #[error(transparent)]
    CannotResize(#[from] CannotResize),
    /// There is no picture, and there won't be one.
    #[error("the session ended before there was a picture")]
    NoPicture,
}

/// Lets a viewer in and serves it until it goes. Before the customer's screen is known it is asked for its
/// password and then waits.
///
/// # Errors
/// Why it was sent away.
pub(crate) async fn serve<R: Source, W: Sink>(
    hub: &ViewerHub,
    mut source: R,
    mut sink: W,
    security: Security,
) -> Result<ViewerExit, ViewerError> {
    let handshake = let_in(&mut source, &mut sink, security);
    let rest = timeout(HANDSHAKE, handshake)
        .await
        .map_err(|_| ViewerError::Slow)??;
    let mut readiness = hub.readiness();
    readiness
        .wait_for(|readiness| *readiness != Readiness::Waiting)
        .await
        .map_err(|_| ViewerError::NoPicture)?;
    let seated = hub.attach_viewer().ok_or(ViewerError::NoPicture)?;
    let mut init = Vec::new();
    encode::server::server_init(&mut init, &seated.init);
    sink.write(&mut init).await?;
    both_ways(seated, source, sink, &rest).await
}

/// The handshake but for its last message, which tells the screen's size; comes back with what the viewer
/// sent after it.
async fn let_in<R: Source, W: Sink>(
    source: &mut R,
    sink: &mut W,
    security: Security,
) -> Result<Vec<u8>, ViewerError> {
    let placeholder = ServerInit {
        width: 1,
        height: 1,
        format: PixelFormat::BGRX,
        name: String::new(),
    };
    let mut last = Vec::new();
    encode::server::server_init(&mut last, &placeholder);
    let mut handshake = ServerHandshake::new(placeholder, security);
    loop {
        let step = handshake.step();
        let mut output = handshake.take_output();
        if let Ok(Some(_shared)) = step {
            let kept = output
                .strip_suffix(&last[..])
                .expect("a handshake ends with its ServerInit");
            output.truncate(kept.len());
        }
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

async fn both_ways<R: Source, W: Sink>(
    seated: AttachedViewer<'_>,
    mut source: R,
    mut sink: W,
    rest: &[u8],
) -> Result<ViewerExit, ViewerError> {
    let AttachedViewer {
        place,
        mut picture,
        dismissed,
        ..
    } = seated;
    let reading = async {
        let mut parser = ClientParser::new(Limits::default());
        parser.push(rest);
        loop {
            parser.set_pointer_format(PointerFormat::negotiated(place.extended_pointer()));
            while let Some(message) = parser.next()? {
                place.take_in(message).await?;
                parser.set_pointer_format(PointerFormat::negotiated(place.extended_pointer()));
            }
            match source.read().await {
                Ok(Some(bytes)) => parser.push(&bytes),
                Ok(None) | Err(_) => return Ok(ViewerExit::Gone),
            }
        }
    };
    let writing = async {
        let mut buffer = Vec::new();
        loop {
            picture.next(&mut buffer).await;
            sink.write(&mut buffer).await?;
        }
    };
    tokio::select! {
        left = reading => left,
        left = writing => left,
        why = dismissed => match why {
            Ok(DisconnectReason::Replaced) => Ok(ViewerExit::Replaced),
            Ok(DisconnectReason::CannotResize) => Err(CannotResize.into()),
            Ok(DisconnectReason::Over) | Err(_) => Ok(ViewerExit::Over),
        },
    }
}
