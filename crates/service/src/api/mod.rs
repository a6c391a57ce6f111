//! The HTTP API, version 1: routes, and what is the same for all of them.

mod agents;
mod body;
mod error;
mod sessions;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::Serialize;

use crate::{
    relay::{self, RelayServer},
    server::Peer,
    state::SharedState,
};
use error::ApiResult;

pub(crate) use error::ApiError;

/// Every route of the service, the relay's included.
pub(crate) fn router(state: SharedState, hub: Arc<RelayServer>) -> Router {
    Router::new()
        .route("/v1/sessions", post(sessions::open))
        .route(
            "/v1/sessions/{nameplate}",
            get(sessions::look_up).merge(delete(sessions::close)),
        )
        .route(
            "/v1/sessions/{nameplate}/address",
            put(sessions::set_address),
        )
        .route("/v1/challenge", get(agents::challenge))
        .route("/v1/agents/token", post(agents::token))
        .route("/v1/revocations", get(agents::revocations))
        .route("/health", get(health))
        .route("/ready", get(health))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(middleware::map_response(harden))
        .merge(relay::routes(hub))
        .layer(middleware::from_fn_with_state(state.clone(), limit))
        .with_state(state)
}

/// Where clients find the relay, and what lets them in.
#[derive(Serialize)]
struct RelayAccess<'a> {
    url: &'a str,
    token: String,
}

/// The service holds no connection to anything else, so it is ready as soon as it answers.
async fn health() -> &'static str {
    "ok\n"
}

/// Counts every request of an address, whatever it asks for.
async fn limit(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let counted = state
        .client_limiters()
        .requests
        .count(peer.network(), state.clock.now());
    match counted {
        Ok(()) => next.run(request).await,
        Err(limited) => ApiError::from(limited).into_response(),
    }
}

/// Answers hold tokens: nobody is to keep them, or to take them for a page.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// The bearer token of a request.
fn bearer(headers: &axum::http::HeaderMap) -> ApiResult<&str> {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, token) = value
        .and_then(|value| value.split_once(' '))
        .ok_or(ApiError::Unauthorised)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(ApiError::Unauthorised)
    }
}

/// 201 with JSON.
fn created(body: impl Serialize) -> Response {
    (StatusCode::CREATED, axum::Json(body)).into_response()
}
