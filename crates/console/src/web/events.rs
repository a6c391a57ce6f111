//! The page's socket for events and commands: JSON, one message each; `web/src/protocol.ts` is its other end.

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use etatuki_link::{Ask, MAX_CLIPBOARD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

use super::Shared;
use crate::{
    code::{Code, Read},
    desk::{Desk, Wish},
    session::{Command, Why},
};

/// JSON may write a character as six.
const MAX_MESSAGE: usize = 6 * MAX_CLIPBOARD + 1024;
/// More pages than anybody has open.
const MAX_PAGES: usize = 16;

/// What the page asks for.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum FromPage {
    Connect {
        code: Zeroizing<String>,
        password: Option<Zeroizing<String>>,
    },
    AskView {},
    AskControl {},
    AskSwitch {
        backend: String,
    },
    Clipboard {
        text: String,
    },
    End {},
}

pub(super) async fn socket(
    State(shared): State<Arc<Shared>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if *shared.pages.borrow() >= MAX_PAGES {
        return (StatusCode::TOO_MANY_REQUESTS, "too many pages are open\n").into_response();
    }
    upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(|socket| async move {
            shared.pages.send_modify(|open| *open += 1);
            let _left = Leaving(&shared);
            serve(socket, shared.desk.clone()).await;
        })
}

struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.pages.send_modify(|open| *open -= 1);
    }
}

async fn serve(socket: WebSocket, desk: Desk) {
    let (mut out, mut input) = socket.split();
    let mut snapshots = desk.snapshots();
    snapshots.mark_changed();
    let mut extras = desk.extras();
    let telling = async {
        loop {
            let message = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => json(&**snapshots.borrow_and_update()),
                    Err(_) => return,
                },
                extra = extras.recv() => match extra {
                    Ok(extra) => json(&extra),
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            if out.send(message).await.is_err() {
                return;
            }
        }
    };
    let hearing = async {
        while let Some(Ok(message)) = input.next().await {
            match message {
                Message::Text(text) => match wish(text.as_str()) {
                    Some(wish) => desk.wish(wish).await,
                    None => tracing::debug!("the page sent something that makes no sense"),
                },
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => return,
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = hearing => {}
    }
}

fn json(message: &impl Serialize) -> Message {
    Message::text(serde_json::to_string(message).expect("messages are made of strings and numbers"))
}

/// `None` for what the page would never send.
fn wish(text: &str) -> Option<Wish> {
    let command = match serde_json::from_str(text).ok()? {
        FromPage::Connect { code, password } => {
            return Some(Wish::Connect(Box::new(read(&code, password)?)));
        }
        FromPage::AskView {} => Command::Ask(Ask::View),
        FromPage::AskControl {} => Command::Ask(Ask::Control),
        FromPage::AskSwitch { backend } => Command::Ask(Ask::Switch { backend }),
        FromPage::Clipboard { text } => Command::Clipboard(text),
        FromPage::End {} => Command::End(Why::Agent),
    };
    Some(Wish::Session(command))
}

/// The page has checked the code already; see `web/src/code.ts`.
fn read(code: &str, password: Option<Zeroizing<String>>) -> Option<Code> {
    match password {
        Some(password) => Code::with_password(code, &password).ok(),
        None => match Code::read(code).ok()? {
            Read::Whole(code) => Some(code),
            Read::NeedsPassword(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = wish(text).map_or_else(|| "nothing".to_owned(), |wish| format!("{wish:?}"));
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
        let shown = format!("{:?}", wish(&text));
        assert!(
            shown.contains("Connect") && !shown.contains(code.secret.expose()),
            "{shown}"
        );
    }
}
