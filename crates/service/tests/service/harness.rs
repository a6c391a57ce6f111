//! A service on a free port of loopback, with a clock that stands still, and a client of it.

use std::{net::SocketAddr, sync::Once, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_service::{Clock, Config, ServiceHandle, start};
use etatuki_trust::{AgentCard, AgentKey, CardData, UnixTime, VendorKey};
use iroh_base::{EndpointId, SecretKey};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

pub(crate) const TODAY: UnixTime = UnixTime(1_700_000_000);
pub(crate) const ENDPOINT: &str =
    "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";

/// The endpoint of the agent who looks sessions up.
pub(crate) fn agents_endpoint() -> EndpointId {
    SecretKey::from_bytes(&[2; 32]).public()
}

pub(crate) struct Service {
    pub(crate) running: ServiceHandle,
    pub(crate) clock: Clock,
    client: reqwest::Client,
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Asserts that this is the error `name`, in the form that all errors of the API have.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, name: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let json = self.json();
        assert_eq!(json["error"], name, "{self:?}");
        let message = json["message"].as_str().unwrap();
        assert!(
            message.ends_with('.') && message.len() > 10,
            "{message:?} is no sentence"
        );
    }

    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn vendor() -> VendorKey {
    VendorKey::from_seed([1; 32])
}

pub(crate) fn agent() -> AgentKey {
    AgentKey::from_seed([2; 32])
}

pub(crate) fn card_data() -> CardData {
    CardData {
        serial: 7,
        name: "Maija Mäkelä".into(),
        organisation: "Tilitieto Oy".into(),
        issued: TODAY,
        expires: TODAY.saturating_add(1_000_000),
        key: agent().public(),
    }
}

pub(crate) fn card() -> AgentCard {
    AgentCard::issue(&vendor(), card_data()).unwrap()
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::manual(TODAY);
        let mut config = Config::new(loopback(), vec![vendor().public()]);
        config.clock = clock.clone();
        change(&mut config);
        let running = start(config).await.unwrap();
        Self {
            running,
            clock,
            client: client(),
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let url = format!("{}{path}", self.running.url);
        let mut request = self.client.request(method, url).body(body);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Response {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str, bearer: Option<&str>) -> Response {
        self.send(Method::GET, path, bearer, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, None, body.to_string()).await
    }

    /// Opens a session and returns the response's JSON.
    pub(crate) async fn open(&self, form: &str) -> Value {
        self.post("/v1/sessions", opening(form))
            .await
            .expect_status(201)
    }

    /// Opens a session for an endpoint, and returns its relay ticket.
    pub(crate) async fn ticket(&self, endpoint: EndpointId) -> String {
        let body = json!({ "form": "ecom", "endpoint": endpoint });
        let opened = self.post("/v1/sessions", body).await.expect_status(201);
        text(&opened["relay"]["token"]).to_owned()
    }

    pub(crate) async fn renew(&self, ticket: &str) -> Response {
        self.send(Method::POST, "/v1/tickets", Some(ticket), "")
            .await
    }

    pub(crate) async fn put_address(&self, session: &Value, address: Value) -> Response {
        let path = format!("/v1/sessions/{}/address", text(&session["nameplate"]));
        let body = json!({ "address": address }).to_string();
        self.send(Method::PUT, &path, Some(text(&session["owner"])), body)
            .await
    }

    /// Opens a session and sets its address.
    pub(crate) async fn reachable(&self) -> Value {
        let session = self.open("remoteus").await;
        self.put_address(&session, address())
            .await
            .expect_status(204);
        session
    }

    pub(crate) async fn close(&self, session: &Value) -> Response {
        let path = format!("/v1/sessions/{}", text(&session["nameplate"]));
        self.send(Method::DELETE, &path, Some(text(&session["owner"])), "")
            .await
    }

    pub(crate) async fn look_up(&self, session: &Value, token: &str) -> Response {
        self.get(&lookup_path(session), Some(token)).await
    }

    pub(crate) async fn challenge(&self) -> [u8; 32] {
        let response = self.get("/v1/challenge", None).await.expect_status(200);
        URL_SAFE_NO_PAD
            .decode(text(&response["challenge"]))
            .unwrap()
            .try_into()
            .unwrap()
    }

    pub(crate) async fn token_for(
        &self,
        card: &AgentCard,
        challenge: &[u8; 32],
        proof: &[u8; 64],
    ) -> Response {
        let body = json!({
            "card": card.to_text(),
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "proof": URL_SAFE_NO_PAD.encode(proof),
        });
        self.post("/v1/agents/token", body).await
    }

    /// Asks for a token with `card` and a good proof.
    pub(crate) async fn authenticate(&self, card: &AgentCard) -> Response {
        let challenge = self.challenge().await;
        let proof = agent().prove_service(card, &self.running.url, &challenge);
        self.token_for(card, &challenge, &proof).await
    }

    /// Returns a good agent's token.
    pub(crate) async fn token(&self) -> String {
        text(&self.authenticate(&card()).await.expect_status(200)["token"]).to_owned()
    }
}

/// Returns the body of a request that opens a session.
pub(crate) fn opening(form: &str) -> Value {
    json!({ "form": form, "endpoint": ENDPOINT })
}

pub(crate) fn lookup_path(session: &Value) -> String {
    let (nameplate, endpoint) = (text(&session["nameplate"]), agents_endpoint());
    format!("/v1/sessions/{nameplate}?endpoint={endpoint}")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub(crate) fn address() -> Value {
    json!({ "id": ENDPOINT, "addrs": [{ "Ip": "192.0.2.1:4444" }] })
}
