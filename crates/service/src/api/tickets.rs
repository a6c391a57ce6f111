//! Relay tickets: renewed for whoever has a good one.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use etatuki_trust::TICKET_SECONDS;
use serde::Serialize;

use super::{bearer, error::ApiResult};
use crate::state::SharedState;

/// Handles `POST /v1/tickets`: answers with a ticket that is good for another while. From then on
/// the relay admits the endpoint with its earlier tickets too.
pub(super) async fn renew(
    State(state): State<SharedState>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let ticket = state.renew_ticket(bearer(&headers)?)?;
    let expires_in = TICKET_SECONDS;
    Ok(Json(TicketResponse { ticket, expires_in }).into_response())
}

#[derive(Serialize)]
struct TicketResponse {
    ticket: String,
    expires_in: u64,
}
