//! Agents: a challenge, a token for an agent who answers it with a good card, and the list of
//! revoked cards.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_trust::{AgentCard, CardError, CardId, UnixTime};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{
    body::JsonBody,
    error::{ApiError, ApiResult},
};
use crate::{
    peer::Peer,
    state::{ServiceState, SharedState, random},
    tokens::{TokenHash, decode_base64url, opaque_token},
};

/// Longest life of an agent's token.
const TOKEN_SECONDS: u64 = 3600;

/// Handles `GET /v1/challenge`.
pub(super) async fn challenge(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state
        .client_limiters()
        .agent_auth
        .try_acquire(peer.network(), now)?;
    let random = random().map_err(|_| ApiError::Internal)?;
    let keys = state.keys();
    let challenge = keys.tokens().challenge(state.clock.unix_time(), random);
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    Ok(Json(ChallengeResponse { challenge }).into_response())
}

#[derive(Serialize)]
struct ChallengeResponse {
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    card: String,
    challenge: String,
    proof: String,
}

/// Handles `POST /v1/agents/token`.
pub(super) async fn token(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    JsonBody(request): JsonBody<TokenRequest>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state
        .client_limiters()
        .agent_auth
        .try_acquire(peer.network(), now)?;
    let (card, expires_in) = verify(&state, &request)?;
    let token = opaque_token(random().map_err(|_| ApiError::Internal)?);
    let expires = now + Duration::from_secs(expires_in);
    state
        .agents()
        .issue_token(card, TokenHash::of(&token), expires, now)?;
    info!(serial = card.serial, "agent's token given out");
    Ok(Json(TokenResponse { token, expires_in }).into_response())
}

#[derive(Serialize)]
struct TokenResponse {
    token: String,
    expires_in: u64,
}

/// Verifies card, challenge and proof. Returns the card's id, and the token's lifetime in
/// seconds.
///
/// Only a good proof uses a challenge up, so that a stranger who saw a card can't spend others'
/// challenges.
fn verify(state: &ServiceState, request: &TokenRequest) -> ApiResult<(CardId, u64)> {
    let refused = |error| ApiError::Card(error, state.origin.clone());
    let today: UnixTime = state.clock.unix_time();
    let card = AgentCard::from_text(&request.card).map_err(refused)?;
    let trust = state.trust();
    let data = card
        .verify(&trust.vendors, &trust.revoked, today)
        .map_err(refused)?;
    let challenge = decode_base64url(&request.challenge).ok_or(ApiError::BadChallenge)?;
    let expires = state
        .keys()
        .all_tokens()
        .find_map(|key| key.challenge_expiry(&challenge, today))
        .ok_or(ApiError::BadChallenge)?;
    let proof = decode_base64url(&request.proof).ok_or_else(|| refused(CardError::BadProof))?;
    card.verify_service(&state.origin, &challenge, &proof)
        .map_err(refused)?;
    let is_first = state.used_challenges().mark_used(challenge, expires, today);
    if !is_first {
        return Err(ApiError::BadChallenge);
    }
    Ok((
        card.id(),
        TOKEN_SECONDS.min(data.expires.seconds_since(today)),
    ))
}

/// Handles `GET /v1/revocations`.
pub(super) async fn revocations(State(state): State<SharedState>) -> Response {
    match state.trust().text {
        Some(text) => text.to_string().into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}
