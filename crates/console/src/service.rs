//! The service's HTTP client: proves the agent's identity with the card, then looks up codes
//! (docs/service.md).

pub(crate) mod endings;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_link::{EndpointKey, RelayAccess, RelayToken, RenewTicket, Renewal};
use etatuki_network::{Cause, ClientOptions, Network, Unreachable, is_loopback};
use etatuki_trust::{AgentFile, CodeForm, Nameplate, UnixTime, service_origin};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header::DATE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{sanitize::stable_name, session_error::SessionError};

/// Time for connecting to the service; longer than the resolver's limit
/// ([`NAME_TIMEOUT`](etatuki_network::NAME_TIMEOUT)).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request with its whole response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// Bytes of a response body that are accepted; the service's own have fewer.
const MAX_RESPONSE: usize = 64 << 10;
/// Longest use of a token, whatever lifetime the service grants.
const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Time before a token's end at which it is renewed.
const TOKEN_RENEWAL_MARGIN: Duration = Duration::from_secs(60);
/// Time for which a look-up is repeated while the customer hasn't registered an address yet.
const NOT_READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between these repetitions.
const NOT_READY_POLL: Duration = Duration::from_millis(250);

/// A URL that is not the address of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--service needs an address like https://support.example.com, not {0:?} (plain http is for this machine alone)"
)]
pub struct ServiceUrlError(String);

/// A client of one service.
#[derive(Debug)]
pub struct Service {
    origin: String,
    url: Url,
    /// The way to the service; `None` until it is needed, and after it failed, so that changed
    /// settings of this machine count.
    way: Mutex<Option<Arc<Way>>>,
    token: Mutex<Option<AccessToken>>,
    /// The service's clock, as the last look-up told it.
    clock: Mutex<Option<(Instant, UnixTime)>>,
}

/// The settings of this machine, and the HTTP client that keeps to them.
#[derive(Debug)]
struct Way {
    network: Network,
    http: Client,
}

#[derive(Clone)]
struct AccessToken {
    text: Zeroizing<String>,
    expires: Instant,
}

/// The network location of a customer.
#[derive(Debug)]
pub struct CustomerLocation {
    /// The customer's endpoint address, in the link's own format.
    pub address: Value,
    /// The relay for both sides, with the access to it.
    pub relay: RelayAccess,
}

#[derive(Deserialize)]
struct ChallengeResponse {
    challenge: String,
}

#[derive(Deserialize)]
struct TokenGrant {
    token: Zeroizing<String>,
    expires_in: u64,
}

#[derive(Deserialize)]
struct LookupResponse {
    form: CodeForm,
    address: Value,
    relay: RelayAccess,
}

#[derive(Default, Deserialize)]
struct ErrorResponse {
    #[serde(default)]
    error: String,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(<redacted>)")
    }
}

impl Service {
    /// Creates a client of the service at `url`, without sending anything.
    ///
    /// # Errors
    /// The URL is not the origin of a service, or would send tokens unencrypted to another machine.
    pub fn new(url: &str) -> Result<Self, ServiceUrlError> {
        let origin = service_origin(url).map_err(|_| ServiceUrlError(url.to_owned()))?;
        let parsed = Url::parse(&origin).map_err(|_| ServiceUrlError(url.to_owned()))?;
        if parsed.scheme() != "https" && !is_loopback(&parsed) {
            // Without TLS, tokens would be sent in the clear.
            return Err(ServiceUrlError(url.to_owned()));
        }
        Ok(Self {
            origin,
            url: parsed,
            way: Mutex::default(),
            token: Mutex::default(),
            clock: Mutex::default(),
        })
    }

    /// Returns the service's origin: `scheme://host:port`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the network settings by which the service is reached.
    ///
    /// # Errors
    /// This machine can't make TLS connections.
    pub(crate) async fn network(&self) -> Result<Network, SessionError> {
        Ok(self.way().await?.network.clone())
    }

    async fn way(&self) -> Result<Arc<Way>, SessionError> {
        let kept = self.kept_way().clone();
        if let Some(way) = kept {
            return Ok(way);
        }
        let broken = |error: String| {
            SessionError::ServiceUnreachable(Unreachable {
                cause: Cause::CertificateUntrusted,
                detail: error,
            })
        };
        let network = Network::from_system(None)
            .await
            .map_err(|error| broken(error.to_string()))?;
        let options = ClientOptions {
            connect_timeout: CONNECT_TIMEOUT,
            timeout: REQUEST_TIMEOUT,
            user_agent: concat!("etatuki-console/", env!("CARGO_PKG_VERSION")),
        };
        let http = network
            .http_client(&self.url, options)
            .map_err(|error| broken(error.to_string()))?;
        let way = Arc::new(Way { network, http });
        *self.kept_way() = Some(way.clone());
        Ok(way)
    }

    fn kept_way(&self) -> std::sync::MutexGuard<'_, Option<Arc<Way>>> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to the service.
    async fn send(
        &self,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Response, SessionError> {
        let way = self.way().await?;
        match request(&way.http).send().await {
            Ok(response) => match Unreachable::by_another(&response) {
                Some(another) => Err(SessionError::ServiceUnreachable(another)),
                None => Ok(response),
            },
            Err(error) => {
                let unreachable = way.network.explain(&self.url, error).await;
                tracing::info!(error = %unreachable, "the service can't be reached");
                *self.kept_way() = None;
                Err(SessionError::ServiceUnreachable(unreachable))
            }
        }
    }

    /// Returns the time by the service's clock, if a look-up has told it.
    #[must_use]
    pub fn time(&self) -> Option<UnixTime> {
        let (at, time) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(time.saturating_add(at.elapsed().as_secs()))
    }

    /// Records the time of a response (RFC 9110 section 6.6.1); one without it tells nothing.
    fn observe_clock(&self, response: &Response) {
        let date = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(since) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) {
            let time = (Instant::now(), UnixTime(since.as_secs()));
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
        }
    }

    /// Looks up the customer with this nameplate, for the endpoint of `key`. Takes at most about
    /// 30 s.
    ///
    /// # Errors
    /// No customer waits with the nameplate, or the service refuses or can't be reached.
    pub async fn look_up(
        &self,
        agent: &AgentFile,
        nameplate: &Nameplate,
        key: &EndpointKey,
    ) -> Result<CustomerLocation, SessionError> {
        let start = Instant::now();
        let mut token_renewed = false;
        loop {
            let token = self.access_token(agent).await?;
            let endpoint = key.id();
            let url = format!(
                "{}/v1/sessions/{nameplate}?endpoint={endpoint}",
                self.origin
            );
            let response = self
                .send(|http| http.get(url).bearer_auth(token.text.as_str()))
                .await?;
            self.observe_clock(&response);
            match response.status() {
                StatusCode::OK => {
                    return location(read_json(response).await?, nameplate, &self.origin);
                }
                // A restarted service knows none of its earlier tokens.
                StatusCode::UNAUTHORIZED if !token_renewed => {
                    token_renewed = true;
                    self.store_token(None);
                }
                StatusCode::CONFLICT if start.elapsed() < NOT_READY_TIMEOUT => {
                    tokio::time::sleep(NOT_READY_POLL).await
                }
                _ => return Err(service_error(response).await),
            }
        }
    }

    /// Returns what renews relay tickets, without the agent's token.
    ///
    /// # Errors
    /// This machine can't make TLS connections.
    pub async fn ticket_renewer(&self) -> Result<TicketRenewer, SessionError> {
        Ok(TicketRenewer {
            url: format!("{}/v1/tickets", self.origin),
            http: self.way().await?.http.clone(),
        })
    }

    /// Returns the proxy setting of this machine in words, and whether it is used.
    pub(crate) async fn describe_proxy(&self) -> (String, bool) {
        match self.network().await {
            Ok(network) => network.proxies().in_words(&self.url),
            Err(_) => ("the settings can't be read".into(), false),
        }
    }

    /// Finds out why the relay isn't reached: the cause if the service isn't either.
    pub(crate) async fn relay_failure(&self) -> SessionError {
        let url = format!("{}/v1/challenge", self.origin);
        match self.send(|http| http.get(url)).await {
            Ok(_) => SessionError::RelayUnreachable,
            Err(error) => error,
        }
    }

    /// Checks that the service answers and takes the agent's card now, by asking for a fresh token.
    ///
    /// # Errors
    /// The service refuses the card, or can't be reached.
    pub async fn check(&self, agent: &AgentFile) -> Result<(), SessionError> {
        let token = self.request_token(agent).await?;
        self.store_token(Some(token));
        Ok(())
    }

    async fn access_token(&self, agent: &AgentFile) -> Result<AccessToken, SessionError> {
        let stored = self
            .token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match stored {
            Some(token) if token.expires > Instant::now() => Ok(token),
            _ => {
                let token = self.request_token(agent).await?;
                self.store_token(Some(token.clone()));
                Ok(token)
            }
        }
    }

    /// Obtains a token by the proof of the agent's card: the service sends a challenge, the agent's
    /// key signs it.
    async fn request_token(&self, agent: &AgentFile) -> Result<AccessToken, SessionError> {
        let url = format!("{}/v1/challenge", self.origin);
        let response = self.send(|http| http.get(url)).await?;
        self.observe_clock(&response);
        if response.status() != StatusCode::OK {
            return Err(service_error(response).await);
        }
        let ChallengeResponse { challenge } = read_json(response).await?;
        let mut bytes = [0; 33];
        let length = URL_SAFE_NO_PAD
            .decode_slice(&challenge, &mut bytes)
            .unwrap_or(0);
        let Ok(bytes) = <[u8; 32]>::try_from(&bytes[..length]) else {
            return Err(SessionError::ServiceError(
                "its challenge makes no sense".into(),
            ));
        };
        let proof = agent.key.prove_service(&agent.card, &self.origin, &bytes);
        let body = json!({
            "card": agent.card.to_text(),
            "challenge": challenge,
            "proof": URL_SAFE_NO_PAD.encode(proof),
        });
        let url = format!("{}/v1/agents/token", self.origin);
        let response = self.send(|http| http.post(url).json(&body)).await?;
        if !response.status().is_success() {
            return Err(service_error(response).await);
        }
        let grant: TokenGrant = read_json(response).await?;
        let lifetime = Duration::from_secs(grant.expires_in).min(MAX_TOKEN_LIFETIME);
        let lifetime = lifetime.saturating_sub(TOKEN_RENEWAL_MARGIN);
        Ok(AccessToken {
            text: grant.token,
            expires: Instant::now() + lifetime,
        })
    }

    fn store_token(&self, token: Option<AccessToken>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

/// The part of a service's client that renews relay tickets.
#[derive(Debug)]
pub struct TicketRenewer {
    url: String,
    http: Client,
}

impl RenewTicket for TicketRenewer {
    async fn renew(&self, ticket: &RelayToken) -> Renewal {
        #[derive(Deserialize)]
        struct Renewed {
            ticket: RelayToken,
        }
        let request = self.http.post(&self.url).bearer_auth(ticket.expose());
        let Ok(response) = request.send().await else {
            return Renewal::Later;
        };
        match response.status() {
            StatusCode::OK => match read_json(response).await {
                Ok(Renewed { ticket }) => Renewal::Ticket(ticket),
                Err(_) => Renewal::Later,
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Renewal::Refused,
            _ => Renewal::Later,
        }
    }
}

fn location(
    response: LookupResponse,
    nameplate: &Nameplate,
    origin: &str,
) -> Result<CustomerLocation, SessionError> {
    // A service that was broken into sends nobody elsewhere.
    if !response.relay.is_of_service(origin) {
        return Err(SessionError::ServiceError("its relay is another's".into()));
    }
    if response.form != nameplate.form() {
        return Err(SessionError::ServiceError(
            "it answered for another kind of code".into(),
        ));
    }
    Ok(CustomerLocation {
        address: response.address,
        relay: response.relay,
    })
}

/// Converts a response that broke off.
fn broken_off(error: reqwest::Error) -> SessionError {
    SessionError::ServiceUnreachable(Unreachable {
        cause: Cause::NoAnswer,
        detail: error.without_url().to_string(),
    })
}

/// Converts an error response: by its status, and the stable name in its body.
async fn service_error(response: Response) -> SessionError {
    let status = response.status();
    let body: ErrorResponse = read_json(response).await.unwrap_or_default();
    let name = stable_name(&body.error);
    match (status, name.as_str()) {
        (StatusCode::NOT_FOUND, _) => SessionError::UnknownCode,
        (StatusCode::CONFLICT, _) => SessionError::NotReady,
        (StatusCode::TOO_MANY_REQUESTS, _) => SessionError::RateLimited,
        (StatusCode::FORBIDDEN, card) if card.starts_with("card-") => {
            SessionError::CardRefused(card.into())
        }
        (_, "") => SessionError::ServiceError(status.as_u16().to_string()),
        (_, name) => SessionError::ServiceError(name.into()),
    }
}

async fn read_json<T: DeserializeOwned>(mut response: Response) -> Result<T, SessionError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(broken_off)? {
        if body.len() + chunk.len() > MAX_RESPONSE {
            return Err(SessionError::ServiceError("its answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body)
        .map_err(|_| SessionError::ServiceError("its answer makes no sense".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_relay() {
        let origin = Service::new("https://support.example").unwrap().origin;
        let nameplate: Nameplate = "12345678".parse().unwrap();
        let check = |relay: &str, follows| {
            let response = LookupResponse {
                form: nameplate.form(),
                address: json!({}),
                relay: serde_json::from_value(json!({"url": relay, "token": "t"})).unwrap(),
            };
            let located = location(response, &nameplate, &origin);
            assert_eq!(located.is_ok(), follows, "{relay}");
        };
        check("https://support.example", true);
        check("https://support.example:443/", true);
        check("https://r1.support.example:8443", true);
        for another in [
            "https://relay.example",
            "https://support.example.evil.example",
            "https://support.example@evil.example",
            "http://support.example",
            "http://127.0.0.1:443",
            "",
        ] {
            check(another, false);
        }
    }

    #[test]
    fn only_origins_of_services() {
        assert_eq!(
            Service::new("http://127.0.0.1:8080/").unwrap().origin(),
            "http://127.0.0.1:8080"
        );
        assert_eq!(
            Service::new("https://Support.example").unwrap().origin(),
            "https://support.example:443"
        );
        for wrong in [
            "",
            "support.example",
            "ftp://support.example",
            "https://support.example/path",
            "http://support.example",
        ] {
            assert!(Service::new(wrong).is_err(), "{wrong}");
        }
    }
}
