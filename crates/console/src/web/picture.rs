//! The page's socket for the picture: RFB in binary messages.

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

use super::Shared;
use crate::viewer::{ViewerExit, WebSink, WebSource, serve};

/// More than noVNC sends in a message; a pasted text is cut long before.
const MAX_MESSAGE: usize = 2 << 20;
/// Close codes that `web/src/picture.ts` knows.
const TAKEN_ELSEWHERE: u16 = 4001;
const SESSION_OVER: u16 = 4002;
const SENT_AWAY: u16 = 4003;

/// The cookie has let it in, so RFB asks for no password of its own.
pub(super) async fn socket(
    State(shared): State<Arc<Shared>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(hub) = shared.controller.hub() else {
        return (StatusCode::CONFLICT, "there is no session\n").into_response();
    };
    upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(|socket| async move {
            let (sink, source) = socket.split();
            let mut sink = WebSink(sink);
            let code = match serve(&hub, WebSource(source), &mut sink, Security::None).await {
                Ok(ViewerExit::Gone) => return,
                Ok(ViewerExit::Replaced) => TAKEN_ELSEWHERE,
                Ok(ViewerExit::Over) => SESSION_OVER,
                Err(error) => {
                    tracing::info!(%error, "the page's viewer was sent away");
                    SENT_AWAY
                }
            };
            let frame = CloseFrame {
                code,
                reason: "".into(),
            };
            let _ = sink.0.send(Message::Close(Some(frame))).await;
        })
}
