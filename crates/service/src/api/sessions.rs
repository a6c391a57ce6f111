//! Sessions: opened, changed and closed by the customer's launcher, looked up by an agent's
//! console.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use etatuki_trust::{CodeForm, Nameplate, TicketBearer};
use iroh_base::{EndpointAddr, EndpointId, TransportAddr};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use super::{
    RelayAccess, bearer,
    body::JsonBody,
    created,
    error::{ApiError, ApiResult},
};
use crate::{
    directory::{LIFETIME_SECONDS, OwnerId},
    peer::Peer,
    relays::KnownRelays,
    state::{ServiceState, SharedState, random},
    tokens::{Ownership, TokenHash},
};

/// Transport addresses that one endpoint's address may have.
const MAX_TRANSPORT_ADDRS: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenRequest {
    form: CodeForm,
    /// The endpoint that agents will dial, and that gets a relay ticket.
    endpoint: EndpointId,
}

/// Handles `POST /v1/sessions`.
pub(super) async fn open(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    JsonBody(OpenRequest { form, endpoint }): JsonBody<OpenRequest>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state
        .client_limiters()
        .session_opens
        .try_acquire(peer.network(), now)?;
    let owner: OwnerId = random().map_err(|_| ApiError::Internal)?;
    let nameplate = state.directory().open(form, owner, now, &mut random_u64)?;
    info!(%nameplate, %form, "session opened");
    state.metrics.session_opened(form);
    let today = state.clock.unix_time();
    let ownership = Ownership {
        owner,
        expires: today.saturating_add(LIFETIME_SECONDS),
    };
    Ok(created(OpenResponse {
        nameplate,
        owner: state.keys().tokens().owner_token(nameplate, &ownership),
        expires_in: LIFETIME_SECONDS,
        relay: RelayAccess::new(
            state.relays.first(),
            &state.relays,
            state.issue_ticket(*endpoint.as_bytes(), TicketBearer::Customer),
        ),
    }))
}

#[derive(Serialize)]
struct OpenResponse<'a> {
    nameplate: Nameplate,
    owner: String,
    expires_in: u64,
    relay: RelayAccess<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressRequest {
    address: Value,
}

/// Handles `PUT /v1/sessions/{nameplate}/address`.
pub(super) async fn set_address(
    State(state): State<SharedState>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(AddressRequest { address }): JsonBody<AddressRequest>,
) -> ApiResult<StatusCode> {
    let nameplate = parse_nameplate(path)?;
    let owner = restore_session(&state, nameplate, &headers)?;
    let address = normalize_address(address, &state.relays).ok_or(ApiError::BadAddress)?;
    state
        .directory()
        .set_address(nameplate, &owner, address, state.clock.now())?;
    info!(%nameplate, "address set");
    Ok(StatusCode::NO_CONTENT)
}

/// Handles `DELETE /v1/sessions/{nameplate}`.
pub(super) async fn close(
    State(state): State<SharedState>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let nameplate = parse_nameplate(path)?;
    let owner = restore_session(&state, nameplate, &headers)?;
    state
        .directory()
        .close(nameplate, &owner, state.clock.now());
    info!(%nameplate, "session closed");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupQuery {
    /// The endpoint that will dial, and that gets a relay ticket.
    endpoint: EndpointId,
}

/// Handles `GET /v1/sessions/{nameplate}`.
pub(super) async fn look_up(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<LookupQuery>, QueryRejection>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let now = state.clock.now();
    state
        .client_limiters()
        .lookups
        .try_acquire(peer.network(), now)?;
    // Reloads the list first, so that a card that was just revoked is refused here.
    state.trust();
    let card = state
        .agents()
        .authorize_lookup(TokenHash::of(bearer(&headers)?), now)?;
    let nameplate = parse_nameplate(path)?;
    let Query(LookupQuery { endpoint }) = query.map_err(|_| ApiError::BadRequest)?;
    let address = state.directory().look_up(nameplate, now)?.to_owned();
    let address: EndpointAddr = serde_json::from_str(&address).map_err(|_| ApiError::Internal)?;
    let token = state.issue_ticket(*endpoint.as_bytes(), TicketBearer::Agent(card));
    info!(%nameplate, serial = card.serial, "looked up");
    state.metrics.looked_up();
    // The customer may have left the relay that it was given first.
    let relay = address.relay_urls().find_map(|url| state.relays.find(url));
    let relay = relay.unwrap_or(state.relays.first());
    let relay = RelayAccess::new(relay, &state.relays, token);
    Ok(Json(LookupResponse {
        form: nameplate.form(),
        address,
        relay,
    })
    .into_response())
}

#[derive(Serialize)]
struct LookupResponse<'a> {
    form: CodeForm,
    address: EndpointAddr,
    relay: RelayAccess<'a>,
}

/// Parses the nameplate in the path; a text of another shape counts as an unknown nameplate.
fn parse_nameplate(path: Result<Path<String>, PathRejection>) -> ApiResult<Nameplate> {
    let Path(text) = path.map_err(|_| ApiError::UnknownNameplate)?;
    text.parse().map_err(|_| ApiError::UnknownNameplate)
}

/// Verifies the owner token, and restores the session that it names if the service was restarted
/// since it was opened.
fn restore_session(
    state: &ServiceState,
    nameplate: Nameplate,
    headers: &HeaderMap,
) -> ApiResult<OwnerId> {
    let token = bearer(headers)?;
    let Ownership { owner, expires } = state
        .keys()
        .all_tokens()
        .find_map(|key| key.verify_owner_token(nameplate, token))
        .ok_or(ApiError::Unauthorized)?;
    let rest = expires.seconds_since(state.clock.unix_time());
    let rest = Duration::from_secs(rest);
    state
        .directory()
        .restore(nameplate, owner, rest, state.clock.now())?;
    Ok(owner)
}

fn random_u64() -> u64 {
    // Without randomness the same nameplate is picked every time, and found to be in use.
    random().map_or(0, u64::from_le_bytes)
}

/// Returns the address as it is kept and handed on, or `None` if it is refused.
///
/// It is parsed and serialized again, so that what reaches an agent is well-formed. It may name no
/// relay but those that sessions name, so that no customer makes an agent's console call a server of
/// their choice.
fn normalize_address(address: Value, relays: &KnownRelays) -> Option<Box<str>> {
    let address: EndpointAddr = serde_json::from_value(address).ok()?;
    let is_allowed = |addr: &TransportAddr| match addr {
        TransportAddr::Relay(url) => relays.find(url).is_some(),
        TransportAddr::Ip(_) => true,
        _ => false,
    };
    if address.addrs.len() > MAX_TRANSPORT_ADDRS || !address.addrs.iter().all(is_allowed) {
        return None;
    }
    serde_json::to_string(&address)
        .ok()
        .map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    const ID: &str = "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";

    fn relays() -> KnownRelays {
        let mut config = Config::new("127.0.0.1:1".parse().unwrap(), Vec::new());
        config.relays = vec![
            "https://tuki.example".into(),
            "https://r2.tuki.example".into(),
        ];
        KnownRelays::new(&config, "https://tuki.example:443", None).unwrap()
    }

    #[track_caller]
    fn check(addrs: Value, accepted: bool) {
        let address = json!({ "id": ID, "addrs": addrs });
        let normalized = normalize_address(address.clone(), &relays());
        assert_eq!(normalized.is_some(), accepted, "{address}");
        if let Some(normalized) = normalized {
            assert_eq!(serde_json::from_str::<Value>(&normalized).unwrap(), address);
        }
    }

    #[test]
    fn an_address_is_direct_or_through_our_relay() {
        check(json!([]), true);
        check(
            json!([{ "Ip": "192.0.2.1:4444" }, { "Ip": "[2001:db8::1]:4444" }]),
            true,
        );
        check(json!([{ "Relay": "https://tuki.example/" }]), true);
        check(json!([{ "Relay": "https://r2.tuki.example/" }]), true);
        check(json!([{ "Relay": "https://evil.example/" }]), false);
        check(json!([{ "Relay": "http://tuki.example/" }]), false);
        check(json!([{ "Relay": "https://tuki.example:444/" }]), false);
        check(json!([{ "Ip": "tuki.example:1" }]), false);
        check(json!([{ "Custom": "00" }]), false);
        check(json!({}), false);
    }

    #[test]
    fn an_address_names_a_bounded_number_of_ways() {
        let ways = |count: u16| {
            let ways = (1..=count).map(|port| json!({ "Ip": format!("192.0.2.1:{port}") }));
            Value::Array(ways.collect())
        };
        let address = |count| json!({ "id": ID, "addrs": ways(count) });
        assert!(normalize_address(address(32), &relays()).is_some());
        assert!(normalize_address(address(33), &relays()).is_none());
    }
}
