//! The HTTP API, version 1: its routes, and what all of them share.

mod agents;
mod body;
mod endings;
mod error;
mod sessions;
mod tickets;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::Serialize;

use crate::{
    relays::{KnownRelay, KnownRelays},
    state::SharedState,
};
use error::ApiResult;

pub(crate) use error::{ApiError, ErrorName};

/// Returns the API's routes.
pub(crate) fn routes() -> Router<SharedState> {
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
        .route("/v1/tickets", post(tickets::renew))
        .route("/v1/endings", put(endings::put))
        .route("/v1/endings/{endpoint}", get(endings::get))
        .route("/v1/challenge", get(agents::challenge))
        .route("/v1/agents/token", post(agents::token))
        .route("/v1/revocations", get(agents::revocations))
        .route("/health", get(health))
        .route("/ready", get(health))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(middleware::map_response(harden))
}

/// A session's relay, a ticket as the token, and the relays at which that is good, too.
#[derive(Serialize)]
struct RelayAccess<'a> {
    #[serde(flatten)]
    relay: &'a KnownRelay,
    token: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<&'a KnownRelay>,
}

impl<'a> RelayAccess<'a> {
    fn new(relay: &'a KnownRelay, relays: &'a KnownRelays, token: String) -> Self {
        Self {
            relay,
            token,
            others: relays.others(relay),
        }
    }
}

/// Answers `GET /health` and `GET /ready`: the service holds no connection to anything else, so it
/// is ready as soon as it answers.
async fn health() -> &'static str {
    "ok\n"
}

/// Forbids caching and content sniffing: responses hold tokens.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Returns the bearer token of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> ApiResult<&str> {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, token) = value
        .and_then(|value| value.split_once(' '))
        .ok_or(ApiError::Unauthorized)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(ApiError::Unauthorized)
    }
}

/// Returns a 201 response with a JSON body.
fn created(body: impl Serialize) -> Response {
    (StatusCode::CREATED, axum::Json(body)).into_response()
}
