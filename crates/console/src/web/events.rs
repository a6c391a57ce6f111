//! The page's WebSocket for events and commands: one JSON message each. `web/src/protocol.ts` has
//! the page's side.

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use etatuki_protocol::{Ask, MAX_CLIPBOARD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

use super::{ServerState, guard::SOCKET_PROTOCOL};
use crate::{
    code::{Code, ParsedCode},
    controller::{SessionController, UiCommand},
    session::{EndReason, SessionCommand},
};

/// Bytes of a message from the page: a clipboard text, in which JSON may escape a byte with six.
const MAX_MESSAGE: usize = 6 * MAX_CLIPBOARD + 1024;
/// Pages that may be open at once; nobody needs that many.
const MAX_PAGES: usize = 16;

/// A message from the page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum PageMessage {
    Connect {
        code: Zeroizing<String>,
        password: Option<Zeroizing<String>>,
    },
    AskView {},
    AskControl {},
    AskRestart {},
    AskSwitch {
        backend: String,
    },
    Clipboard {
        text: String,
    },
    End {},
}

/// Handles the upgrade to the WebSocket.
pub(super) async fn socket(
    State(shared): State<Arc<ServerState>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if *shared.pages.borrow() >= MAX_PAGES {
        return (StatusCode::TOO_MANY_REQUESTS, "too many pages are open\n").into_response();
    }
    upgrade
        .protocols([SOCKET_PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(|socket| async move {
            shared.pages.send_modify(|open| *open += 1);
            let _open = OpenPage(&shared);
            serve(socket, shared.controller.clone()).await;
        })
}

/// One of the counted open pages; dropping it ends the count.
struct OpenPage<'a>(&'a ServerState);

impl Drop for OpenPage<'_> {
    fn drop(&mut self) {
        self.0.pages.send_modify(|open| *open -= 1);
    }
}

/// Sends snapshots and events, and receives commands, until either side closes.
async fn serve(socket: WebSocket, controller: SessionController) {
    let (mut out, mut input) = socket.split();
    let mut snapshots = controller.snapshots();
    snapshots.mark_changed();
    let mut ephemeral = controller.ephemeral();
    let sending = async {
        loop {
            let message = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => json(&**snapshots.borrow_and_update()),
                    Err(_) => return,
                },
                event = ephemeral.recv() => match event {
                    Ok(event) => json(&event),
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            if out.send(message).await.is_err() {
                return;
            }
        }
    };
    let receiving = async {
        while let Some(Ok(message)) = input.next().await {
            match message {
                Message::Text(text) => match parse_command(text.as_str()) {
                    Some(command) => controller.send(command).await,
                    None => tracing::debug!("the page sent something that makes no sense"),
                },
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => return,
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
}

fn json(message: &impl Serialize) -> Message {
    Message::text(serde_json::to_string(message).expect("messages are made of strings and numbers"))
}

/// Parses a message of the page; `None` for anything that the page never sends.
fn parse_command(text: &str) -> Option<UiCommand> {
    let command = match serde_json::from_str(text).ok()? {
        PageMessage::Connect { code, password } => {
            return Some(UiCommand::Connect(Box::new(parse_code(&code, password)?)));
        }
        PageMessage::AskView {} => SessionCommand::Ask(Ask::View),
        PageMessage::AskControl {} => SessionCommand::Ask(Ask::Control),
        PageMessage::AskRestart {} => SessionCommand::Ask(Ask::Restart),
        PageMessage::AskSwitch { backend } => SessionCommand::Ask(Ask::Switch { backend }),
        PageMessage::Clipboard { text } => SessionCommand::Clipboard(text),
        PageMessage::End {} => SessionCommand::End(EndReason::Agent),
    };
    Some(UiCommand::Session(command))
}

/// Parses the code, which the page has checked already (`web/src/code.ts`).
fn parse_code(code: &str, password: Option<Zeroizing<String>>) -> Option<Code> {
    match password {
        Some(password) => Code::with_password(code, &password).ok(),
        None => match Code::parse(code).ok()? {
            ParsedCode::Complete(code) => Some(code),
            ParsedCode::NeedsPassword(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = parse_command(text)
            .map_or_else(|| "nothing".to_owned(), |command| format!("{command:?}"));
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_the_page_sends() {
        check(r#"{"type":"ask-control"}"#, "Session(Ask(Control))");
        check(r#"{"type":"ask-view"}"#, "Session(Ask(View))");
        check(
            r#"{"type":"ask-switch","backend":"ecom"}"#,
            r#"Session(Ask(Switch { backend: "ecom" }))"#,
        );
        check(r#"{"type":"end"}"#, "Session(End(Agent))");
        check(r#"{"type":"end","now":true}"#, "nothing");
        check(r#"{"type":"connect","code":"123"}"#, "nothing");
        check("end", "nothing");
    }

    #[test]
    fn a_code_is_read_and_not_shown() {
        let code =
            etatuki_trust::SessionCode::mint("12345678".parse().unwrap(), 4_711u64.to_le_bytes());
        let [id, password] = [0, 1].map(|at| code.shown().fields[at].digits.clone());
        let text = format!(r#"{{"type":"connect","code":"{id}","password":"{password}"}}"#);
        let shown = format!("{:?}", parse_command(&text));
        assert!(
            shown.contains("Connect") && !shown.contains(code.secret.expose()),
            "{shown}"
        );
    }
}
