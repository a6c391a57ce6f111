//! The page's WebSocket for the picture: RFB in binary messages.

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use etatuki_rfb::Security;
use futures_util::{SinkExt as _, StreamExt as _};

use super::{ServerState, guard::SOCKET_PROTOCOL};
use crate::viewer::{ViewerExit, WebSink, WebSource, serve};

/// Bytes of a message from noVNC, which sends fewer; rfb's limit for clipboard texts is lower too.
const MAX_MESSAGE: usize = 2 << 20;
/// WebSocket close code: another viewer took this one's place (`web/src/picture-view.ts`).
const CLOSE_REPLACED: u16 = 4001;
/// WebSocket close code: the session is over.
const CLOSE_SESSION_OVER: u16 = 4002;
/// WebSocket close code: the viewer failed.
const CLOSE_VIEWER_ERROR: u16 = 4003;

/// Serves RFB to the page's viewer, without a password: the cookie has admitted the page.
pub(super) async fn socket(
    State(shared): State<Arc<ServerState>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(hub) = shared.controller.hub() else {
        return (StatusCode::CONFLICT, "there is no session\n").into_response();
    };
    upgrade
        .protocols([SOCKET_PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(|socket| async move {
            let (sink, source) = socket.split();
            let mut sink = WebSink(sink);
            let code = match serve(&hub, WebSource(source), &mut sink, Security::None).await {
                Ok(ViewerExit::Disconnected) => return,
                Ok(ViewerExit::Replaced) => CLOSE_REPLACED,
                Ok(ViewerExit::SessionOver) => CLOSE_SESSION_OVER,
                Err(error) => {
                    tracing::info!(%error, "the page's viewer was sent away");
                    CLOSE_VIEWER_ERROR
                }
            };
            let frame = CloseFrame {
                code,
                reason: "".into(),
            };
            let _ = sink.0.send(Message::Close(Some(frame))).await;
        })
}
