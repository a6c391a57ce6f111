//! The web server of the agent's page, for the agent's own browser on this machine: assets, a
//! WebSocket for events and commands (JSON), and one for RFB. `guard` decides who has access.

mod assets;
mod browser;
mod events;
mod guard;
mod language;
mod picture;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::get,
    serve::ListenerExt as _,
};
use etatuki_texts::{Language, catalogue::Catalogue};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::watch};

pub use browser::open as open_browser;
pub use guard::{FrameAncestor, FrameAncestorError};

use crate::{
    controller::{SessionController, UiCommand},
    session::{AgentContext, EndReason, SessionCommand},
};
use guard::RequestGuard;

/// Time without an open page after which a session is ended: nobody looks, but the customer is told
/// that somebody does.
const UNWATCHED_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the session's orderly end when the program ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The web server, with its port open.
#[derive(Debug)]
pub struct PageServer {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<ServerState>,
}

/// The state that the request handlers share.
#[derive(Debug)]
struct ServerState {
    controller: SessionController,
    guard: RequestGuard,
    /// Number of open pages: connections of the events WebSocket.
    pages: watch::Sender<usize>,
    /// The language of `--language`; without it, each browser's own.
    language: Option<Language>,
}

/// The options of the page's server.
#[derive(Debug, Default)]
pub struct PageOptions {
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Origins that may show the page in a frame.
    pub ancestors: Vec<FrameAncestor>,
    /// Language of the page; `None` leaves it to the browser.
    pub language: Option<Language>,
}

/// The query of the page's address.
#[derive(Deserialize)]
struct PageQuery {
    token: Option<String>,
}

impl PageServer {
    /// Opens the port.
    ///
    /// # Errors
    /// The port can't be opened, or the system gives no random numbers.
    pub async fn open(context: AgentContext, options: PageOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let guard = RequestGuard::new(address.port(), options.ancestors)?;
        let shared = ServerState {
            controller: SessionController::spawn(context),
            guard,
            pages: watch::Sender::new(0),
            language: options.language,
        };
        Ok(Self {
            listener,
            address,
            shared: Arc::new(shared),
        })
    }

    /// Returns the page's address with its token, which opens once: for the agent's eyes only.
    #[must_use]
    pub fn address(&self) -> String {
        format!(
            "http://{}/?token={}",
            self.address,
            self.shared.guard.token()
        )
    }

    /// Returns a function that says whether the address was opened.
    pub fn was_opened(&self) -> impl Fn() -> bool + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.guard.token().is_empty()
    }

    /// Serves until `shutdown` completes, then ends a running session.
    ///
    /// # Errors
    /// The port failed.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let controller = self.shared.controller.clone();
        // Nagle's algorithm would delay each small message until the previous one is acknowledged.
        let listener = self
            .listener
            .tap_io(|socket| drop(socket.set_nodelay(true)));
        let served = axum::serve(listener, router(Arc::clone(&self.shared)));
        let served = tokio::select! {
            served = async { served.await } => served,
            () = end_unwatched(&self.shared, self.address) => Ok(()),
            () = shutdown => Ok(()),
        };
        controller.end_session().await;
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, controller.wait_idle()).await;
        served
    }
}

fn router(shared: Arc<ServerState>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/console.js", get(assets::script))
        .route("/console.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
        .route("/licences.txt", get(assets::licences))
        .route("/events", get(events::socket))
        .route("/rfb", get(picture::socket))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            guard::check,
        ))
        .with_state(shared)
}

/// Serves the page, or with the token the cookie. A small page leads on from the token, not a
/// redirect: a browser that came from another site would not send the new strict cookie along with
/// a redirect.
async fn page(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Response {
    let has_cookie = shared.guard.has_cookie(&headers);
    let language = language::of_request(shared.language, &headers);
    let denied = || {
        let page = assets::denied_page(language);
        (StatusCode::UNAUTHORIZED, page).into_response()
    };
    match query.token {
        Some(_) if has_cookie => Redirect::to("/").into_response(),
        Some(token) => match shared.guard.redeem_token(&token) {
            Some(cookie) => {
                let page = assets::redeemed_page(language, shared.guard.socket_secret());
                ([(header::SET_COOKIE, cookie)], page).into_response()
            }
            None => denied(),
        },
        None if has_cookie => assets::page(language).into_response(),
        None => denied(),
    }
}

/// Ends every session that has had no open page for [`UNWATCHED_TIMEOUT`]. Never returns.
async fn end_unwatched(shared: &ServerState, address: SocketAddr) {
    let mut pages = shared.pages.subscribe();
    loop {
        let _ = pages.wait_for(|open| *open == 0).await;
        if shared.controller.snapshots().borrow().is_busy() {
            report_closed_page(shared.language, address);
        }
        let reopened = pages.wait_for(|open| *open > 0);
        if tokio::time::timeout(UNWATCHED_TIMEOUT, reopened)
            .await
            .is_err()
        {
            let mut snapshots = shared.controller.snapshots();
            if snapshots.borrow_and_update().is_busy() {
                tracing::info!("no page is open: the session is ended");
                shared
                    .controller
                    .send(UiCommand::Session(SessionCommand::End(
                        EndReason::NobodyWatching,
                    )))
                    .await;
            }
        }
    }
}

/// Says in the terminal how to get back to the session's page.
fn report_closed_page(language: Option<Language>, address: SocketAddr) {
    let texts = Catalogue::load(crate::cli::terminal_language(language));
    let address = format!("http://{address}/");
    let sentence = texts.fill("console.terminal.page-closed", &[("address", &address)]);
    let _ = writeln!(io::stderr(), "{sentence}");
}

#[cfg(test)]
mod tests;
