//! The demonstration's page: on the left a plain view of the virtual display, on the right the
//! console's page.
//!
//! The left side stands for the customer at their machine. It isn't a session: it shows and drives
//! the virtual display directly, for this demonstration only.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use etatuki_texts::{Language, Texts, fill};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The state of the page's server.
pub(crate) struct Page {
    /// The folder with `demo.js` and `demo.css`.
    pub(crate) folder: PathBuf,
    /// The secret that opens the page; it becomes a cookie.
    pub(crate) token: String,
    /// The URL of the console's page, with its own token.
    pub(crate) console: String,
    /// The RFB socket of the virtual display's own server.
    pub(crate) display: PathBuf,
}

/// Serves the page until `stopped` completes.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    page: Page,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let page = Arc::new(page);
    let app = Router::new()
        .route("/", get(index))
        .route("/demo.js", get(script))
        .route("/demo.css", get(style))
        .route("/customer", get(customer))
        .layer(middleware::from_fn_with_state(page.clone(), authorize))
        .with_state(page);
    tokio::select! {
        served = axum::serve(listener, app) => Ok(served?),
        () = stopped => Ok(()),
    }
}

#[derive(serde::Deserialize)]
struct Token {
    token: Option<String>,
}

/// Lets requests through that have the token or its cookie, and a loopback name as host.
async fn authorize(
    State(page): State<Arc<Page>>,
    Query(query): Query<Token>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if !matches!(host.split(':').next(), Some("127.0.0.1" | "localhost")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if query.token.as_deref() == Some(&page.token) {
        let cookie = format!(
            "etatuki-demo={}; HttpOnly; SameSite=Strict; Path=/",
            page.token
        );
        return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response();
    }
    if !has_cookie(headers, &page.token) {
        return (
            StatusCode::FORBIDDEN,
            "Open the address that `make run` printed.",
        )
            .into_response();
    }
    next.run(request).await
}

fn has_cookie(headers: &HeaderMap, token: &str) -> bool {
    let cookies = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    cookies
        .split(';')
        .any(|cookie| cookie.trim().strip_prefix("etatuki-demo=") == Some(token))
}

async fn index(State(page): State<Arc<Page>>) -> Html<String> {
    Html(instructions(&page.console))
}

/// Returns the page with the words that stand on the customer's buttons, from the same message file.
fn instructions(console: &str) -> String {
    let texts = Texts::load(Language::Fi);
    let program = [("program", "GnuCash")];
    // An ampersand marks the letter of a button's key.
    let label = |text: &str| fill(text, &program).replace('&', "");
    let words = [
        ("{open}", label(&texts.before.open)),
        ("{view-all}", label(&texts.question.view_all)),
        ("{view-program}", label(&texts.question.view_program)),
        ("{view-allow}", label(&texts.question.view_allow)),
        ("{control-allow}", label(&texts.question.control_allow)),
        ("{close}", label(&texts.bar.close)),
        ("{development}", texts.window.development),
        ("{console}", console.to_owned()),
    ];
    let page = include_str!("../web/index.html").to_owned();
    words
        .iter()
        .fold(page, |page, (name, word)| page.replace(name, word))
}

async fn script(State(page): State<Arc<Page>>) -> Response {
    file(&page, "demo.js", "text/javascript").await
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css")],
        include_str!("../web/demo.css"),
    )
}

async fn file(page: &Page, name: &str, kind: &'static str) -> Response {
    match tokio::fs::read(page.folder.join(name)).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(error) => (
            StatusCode::NOT_FOUND,
            format!("{name}: {error}; start it with `make run`"),
        )
            .into_response(),
    }
}

async fn customer(State(page): State<Arc<Page>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        // A broken connection ends the viewer too; nothing else is to be done.
        let _ = show_display(socket, page.display.clone()).await;
    })
}

/// Relays plain RFB of the virtual display's own server through a WebSocket, until either ends. The
/// server takes these keys and clicks for a hand's: a capture of the display would inject them, and
/// what is injected answers no question while the agent has control.
async fn show_display(mut socket: WebSocket, display: PathBuf) -> Result<()> {
    let mut stream = tokio::net::UnixStream::connect(display).await?;
    let mut chunk = vec![0; 256 * 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut chunk) => match read? {
                0 => return Ok(()),
                n => socket.send(Message::Binary(Bytes::copy_from_slice(&chunk[..n]))).await?,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => stream.write_all(&bytes).await?,
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_name_the_buttons_of_the_customers_windows() {
        let page = instructions("http://127.0.0.1:1/");
        let texts = Texts::load(Language::Fi);
        for text in [&texts.question.view_all, &texts.question.control_allow] {
            assert!(page.contains(&text.replace('&', "")), "{text}");
        }
        assert!(!page.contains('{') && !page.contains('}'), "{page}");
    }
}
