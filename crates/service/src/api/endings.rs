//! Endings: what one end of an interrupted link leaves for the other one.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use iroh_base::EndpointId;
use serde::{Deserialize, Serialize};

use super::{
    bearer,
    body::JsonBody,
    error::{ApiError, ApiResult},
};
use crate::{endings::MAX_ENDING_BYTES, state::SharedState};

/// An ending, which only the other end of the link can tell from another text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndingBody {
    ending: String,
}

/// Handles `PUT /v1/endings`: keeps the ending of the ticket's endpoint.
pub(super) async fn put(
    State(state): State<SharedState>,
    headers: HeaderMap,
    JsonBody(EndingBody { ending }): JsonBody<EndingBody>,
) -> ApiResult<StatusCode> {
    let endpoint = state.ticket_endpoint(bearer(&headers)?)?;
    if ending.len() > MAX_ENDING_BYTES || !ending.is_ascii() {
        return Err(ApiError::BadRequest);
    }
    state
        .endings()
        .put(endpoint, ending, state.clock.unix_time());
    Ok(StatusCode::NO_CONTENT)
}

/// Handles `GET /v1/endings/{endpoint}`: answers with that endpoint's ending. Asked by any endpoint
/// with a ticket.
pub(super) async fn get(
    State(state): State<SharedState>,
    Path(endpoint): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<EndingBody>> {
    state.ticket_endpoint(bearer(&headers)?)?;
    let endpoint: EndpointId = endpoint.parse().map_err(|_| ApiError::BadRequest)?;
    let now = state.clock.unix_time();
    let ending = state.endings().get(endpoint.as_bytes(), now);
    let ending = ending.ok_or(ApiError::NotFound)?;
    Ok(Json(EndingBody { ending }))
}
