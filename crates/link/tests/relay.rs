//! A link through the real service: its nameplate, its relay, its look-up, and no known direct
//! path.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use etatuki_link::{
    AcceptParams, AgentEndpoint, AgentLink, Attempt, CustomerEndpoint, DialError, EndpointKey,
    RelayAccess, RelayRoute,
};
use etatuki_network::Network;
use etatuki_service::{Config, ServiceHandle, start};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, Nameplate, Revocations, SessionCode,
    StaleRevocations, UnixTime, VendorKey, service_origin,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

fn vendor() -> VendorKey {
    VendorKey::from_seed([1; 32])
}

fn agent() -> AgentFile {
    let key = AgentKey::from_seed([2; 32]);
    let data = CardData {
        serial: 7,
        name: "Aino Agentti".into(),
        organisation: "Tilitoimisto Oy".into(),
        issued: UnixTime(1_600_000_000),
        expires: UnixTime(4_102_444_800),
        key: key.public(),
    };
    AgentFile {
        card: AgentCard::issue(&vendor(), data).unwrap(),
        key,
    }
}

struct Service {
    running: ServiceHandle,
    client: Client,
}

impl Service {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::new("127.0.0.1:0".parse().unwrap(), vec![vendor().public()]);
        let running = start(config).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { running, client }
    }

    async fn call(&self, method: Method, path: &str, bearer: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.running.url);
        let mut request = self.client.request(method, url).bearer_auth(bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
        let text = response.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Opens a session, as the customer's side does. Returns the code, the owner's token and the
    /// relay.
    async fn open(&self, key: &EndpointKey) -> (SessionCode, String, RelayAccess) {
        let body = Some(json!({"form": "remoteus", "endpoint": key.id()}));
        let opened = self.call(Method::POST, "/v1/sessions", "", body).await;
        let nameplate: Nameplate = opened["nameplate"].as_str().unwrap().parse().unwrap();
        let relay = serde_json::from_value(opened["relay"].clone()).unwrap();
        let owner = opened["owner"].as_str().unwrap().to_owned();
        (SessionCode::mint(nameplate, [3; 8]), owner, relay)
    }

    /// Looks up a session, as the agent's side does. Returns the address and the relay.
    async fn look_up(&self, nameplate: &Nameplate, key: &EndpointKey) -> (Value, RelayAccess) {
        let challenge = self.call(Method::GET, "/v1/challenge", "", None).await;
        let challenge = challenge["challenge"].as_str().unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(challenge).unwrap();
        let origin = service_origin(&self.running.url).unwrap();
        let agent = agent();
        let proof = agent
            .key
            .prove_service(&agent.card, &origin, &bytes.try_into().unwrap());
        let body = json!({
            "card": agent.card.to_text(),
            "challenge": challenge,
            "proof": BASE64_URL_SAFE_NO_PAD.encode(proof),
        });
        let token = self
            .call(Method::POST, "/v1/agents/token", "", Some(body))
            .await;
        let token = token["token"].as_str().unwrap();
        let path = format!("/v1/sessions/{nameplate}?endpoint={}", key.id());
        let found = self.call(Method::GET, &path, token, None).await;
        let relay = serde_json::from_value(found["relay"].clone()).unwrap();
        (found["address"].clone(), relay)
    }
}

async fn bind_customer(key: &EndpointKey, relay: &RelayAccess) -> CustomerEndpoint {
    let network = &Network::from_system(None).await.unwrap();
    let route = RelayRoute { relay, network };
    CustomerEndpoint::bind_as(key, Some(route)).await.unwrap()
}

/// Returns the address without any direct way.
fn relay_only(mut address: Value) -> Value {
    let ways = address["addrs"].as_array_mut().unwrap();
    ways.retain(|way| way.get("Relay").is_some());
    assert_eq!(ways.len(), 1, "the relay is known from the start");
    address
}

async fn dial(
    params: &AcceptParams,
    customer: &CustomerEndpoint,
    address: &Value,
    (key, relay): (&EndpointKey, &RelayAccess),
) -> (Option<Attempt>, Result<AgentLink, DialError>) {
    let network = &Network::from_system(None).await.unwrap();
    let endpoint = AgentEndpoint::bind_as(key, Some(RelayRoute { relay, network }))
        .await
        .unwrap();
    let (agent, nameplate) = (agent(), params.code.nameplate);
    let mut accept = std::pin::pin!(customer.accept(params));
    let dial = endpoint.dial(address, &nameplate, &params.code.secret, &agent);
    let mut dial = std::pin::pin!(dial);
    tokio::select! {
        attempt = &mut accept => (Some(attempt), dial.await),
        dialled = &mut dial => match dialled {
            Ok(link) => (Some(accept.await), Ok(link)),
            Err(error) => (None, Err(error)),
        },
    }
}

#[tokio::test]
async fn a_link_through_the_services_relay() {
    let service = Service::start().await;
    let [customers, agents] = [EndpointKey::generate(), EndpointKey::generate()];
    let (code, owner, relay) = service.open(&customers).await;
    let customer = bind_customer(&customers, &relay).await;
    let path = format!("/v1/sessions/{}/address", code.nameplate);
    let body = json!({"address": relay_only(customer.address())});
    service.call(Method::PUT, &path, &owner, Some(body)).await;

    let (address, relay) = service.look_up(&code.nameplate, &agents).await;
    let params = AcceptParams {
        code,
        vendors: vec![vendor().public()],
        revoked: Revocations::new(StaleRevocations::Warn),
    };
    let start = Instant::now();
    let (attempt, link) = dial(&params, &customer, &address, (&agents, &relay)).await;
    let link = link.unwrap();
    eprintln!("through the relay: dial to link {:?}", start.elapsed());
    let Some(Attempt::Authenticated(theirs)) = attempt else {
        panic!("{attempt:?}")
    };
    let (mut theirs, mut ours) = (theirs.split(), link.split());
    theirs.picture_out.send(&[1; 300_000]).await.unwrap();
    let picture = tokio::time::timeout(Duration::from_secs(20), ours.picture_in.recv()).await;
    assert_eq!(picture.unwrap().unwrap().unwrap().len(), 300_000);
    eprintln!("the way: {:?}", ours.connection.path_kind());
}

#[tokio::test]
async fn with_a_forged_relay_token_the_customer_is_unreachable() {
    let service = Service::start().await;
    let key = EndpointKey::generate();
    let (code, _, relay) = service.open(&key).await;
    let customer = bind_customer(&key, &relay).await;
    let params = AcceptParams {
        code,
        vendors: vec![vendor().public()],
        revoked: Revocations::new(StaleRevocations::Warn),
    };
    let forged = RelayAccess::new(relay.url.clone(), "forged");
    let address = relay_only(customer.address());
    let (attempt, dialled) = dial(
        &params,
        &customer,
        &address,
        (&EndpointKey::generate(), &forged),
    )
    .await;
    assert!(attempt.is_none(), "{attempt:?}");
    assert_eq!(dialled.unwrap_err(), DialError::Unreachable);
}
