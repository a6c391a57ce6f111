//! The agent's page, served to the agent's own browser on this machine: assets, one socket for events and
//! commands (JSON), one for RFB. Who may have it is [`guard`]'s business.

mod assets;
mod browser;
mod events;
mod guard;
mod picture;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
    serve::ListenerExt as _,
};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::watch};

pub use browser::open as open_browser;
pub use guard::{Ancestor, AncestorError};

use crate::{
    controller::SessionController,
    session::{AgentContext, EndReason, SessionCommand},
};
use guard::RequestGuard;

/// A session without any page is ended after this: nobody looks, and the customer is told that somebody does.
const NOBODY_WATCHING: Duration = Duration::from_secs(120);
/// How long the session may take to say goodbye when the program ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// The console as it is served.
#[derive(Debug)]
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    controller: SessionController,
    guard: RequestGuard,
    /// Pages that listen now.
    pages: watch::Sender<usize>,
}

#[derive(Deserialize)]
struct PageQuery {
    token: Option<String>,
}

impl Console {
    /// Opens the port on 127.0.0.1 (0 picks a free one). `ancestors` may show the page in a frame.
    ///
    /// # Errors
    /// What the system said.
    pub async fn open(
        context: AgentContext,
        port: u16,
        ancestors: Vec<Ancestor>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let guard = RequestGuard::new(address.port(), ancestors)?;
        let shared = Shared {
            controller: SessionController::open(context),
            guard,
            pages: watch::Sender::new(0),
        };
        Ok(Self {
            listener,
            address,
            shared: Arc::new(shared),
        })
    }

    /// The page's address with its token, for the agent's eyes only. Good once.
    #[must_use]
    pub fn address(&self) -> String {
        format!(
            "http://{}/?token={}",
            self.address,
            self.shared.guard.token()
        )
    }

    /// Serves until `until` is done; then a running session is ended.
    ///
    /// # Errors
    /// The port failed.
    pub async fn serve(self, until: impl Future<Output = ()>) -> io::Result<()> {
        let controller = self.shared.controller.clone();
        // Without it every small message would wait for an answer to the one before.
        let listener = self
            .listener
            .tap_io(|socket| drop(socket.set_nodelay(true)));
        let served = axum::serve(listener, router(Arc::clone(&self.shared)));
        let served = tokio::select! {
            served = async { served.await } => served,
            () = end_unwatched(&self.shared) => Ok(()),
            () = until => Ok(()),
        };
        controller.end().await;
        let _ = tokio::time::timeout(FAREWELL, controller.idle()).await;
        served
    }
}

fn router(shared: Arc<Shared>) -> Router {
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

/// The page; or, with the token, the cookie for it. The way from the token to the page is the page's own
/// step, not a redirect: a browser that came here from elsewhere would not send the new cookie along.
async fn page(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(entrance): Query<PageQuery>,
) -> Response {
    let known = shared.guard.has_cookie(&headers);
    match entrance.token {
        Some(_) if known => Redirect::to("/").into_response(),
        Some(token) => match shared.guard.redeem_token(&token) {
            Some(cookie) => ([(header::SET_COOKIE, cookie)], Html(assets::WELCOME)).into_response(),
            None => (StatusCode::UNAUTHORIZED, Html(assets::LOCKED)).into_response(),
        },
        None if known => assets::page().into_response(),
        None => (StatusCode::UNAUTHORIZED, Html(assets::LOCKED)).into_response(),
    }
}

/// Ends every session that nobody has had a page open for. Never done.
async fn end_unwatched(shared: &Shared) {
    let mut pages = shared.pages.subscribe();
    loop {
        let _ = pages.wait_for(|open| *open == 0).await;
        let back = pages.wait_for(|open| *open > 0);
        if tokio::time::timeout(NOBODY_WATCHING, back).await.is_err() {
            let mut snapshots = shared.controller.snapshots();
            if snapshots.borrow_and_update().is_busy() {
                tracing::info!("no page is open: the session is ended");
                shared
                    .controller
                    .command(crate::controller::UiCommand::Session(SessionCommand::End(
                        EndReason::NobodyWatching,
                    )))
                    .await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
