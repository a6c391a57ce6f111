//! Agents: a challenge, a token for who answers it with a good card, and the list of revoked cards.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_trust::{AgentCard, CardError, UnixTime};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{
    body::Body,
    error::{ApiError, ApiResult},
};
use crate::{
    server::Peer,
    state::{SharedState, State as Service, random},
    tokens::{TokenHash, decode, opaque},
};

/// How long an agent's token is good, in seconds.
const TOKEN_SECONDS: u64 = 3600;

/// `GET /v1/challenge`
pub(super) async fn challenge(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state.client_limiters().proving.count(peer.network(), now)?;
    let random = random().map_err(|_| ApiError::Internal)?;
    let challenge = URL_SAFE_NO_PAD.encode(state.key.challenge(now, random));
    Ok(Json(Challenge { challenge }).into_response())
}

#[derive(Serialize)]
struct Challenge {
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    card: String,
    challenge: String,
    proof: String,
}

/// `POST /v1/agents/token`
pub(super) async fn token(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    Body(body): Body<TokenRequest>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state.client_limiters().proving.count(peer.network(), now)?;
    let (serial, good_for) = verify(&state, &body, now)?;
    let token = opaque(random().map_err(|_| ApiError::Internal)?);
    let expires = now + Duration::from_secs(good_for);
    state
        .agents()
        .admit(serial, TokenHash::of(&token), expires, now)?;
    info!(serial, "agent's token given out");
    Ok(Json(Token {
        token,
        expires_in: good_for,
    })
    .into_response())
}

#[derive(Serialize)]
struct Token {
    token: String,
    expires_in: u64,
}

/// The card's serial, and for how many seconds a token may be good.
///
/// A challenge is used up only by a good proof, so that who saw a card can't spend others' challenges.
fn verify(state: &Service, body: &TokenRequest, now: Duration) -> ApiResult<(u64, u64)> {
    let refused = |error| ApiError::Card(error, state.origin.clone());
    let today: UnixTime = state.clock.unix();
    let card = AgentCard::from_text(&body.card).map_err(refused)?;
    let data = card
        .verify(&state.vendors, &state.revocations().list, today)
        .map_err(refused)?;
    let challenge = decode(&body.challenge).ok_or(ApiError::BadChallenge)?;
    let expires = state
        .key
        .challenge_expiry(&challenge, now)
        .ok_or(ApiError::BadChallenge)?;
    let proof = decode(&body.proof).ok_or_else(|| refused(CardError::BadProof))?;
    card.verify_service(&state.origin, &challenge, &proof)
        .map_err(refused)?;
    if !state.answered().first(challenge, expires, now) {
        return Err(ApiError::BadChallenge);
    }
    Ok((
        data.serial,
        TOKEN_SECONDS.min(data.expires.seconds_since(today)),
    ))
}

/// `GET /v1/revocations`
pub(super) async fn revocations(State(state): State<SharedState>) -> Response {
    match state.revocations().text {
        Some(text) => text.to_string().into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}
