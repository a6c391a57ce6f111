//! The customer's half of the service's HTTP API: a session's nameplate, its address, its end, and
//! the revocation list. Every call has a time-out, every response a bound, and every error a stable
//! name.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use etatuki_link::{EndpointKey, RelayAccess, RelayToken, RenewTicket, Renewal};
use etatuki_network::{Cause, CertificateError, ClientOptions, Network, Unreachable, is_loopback};
use etatuki_session_core::{Failure, FailureName};
use etatuki_trust::{CodeForm, MAX_LISTS_TEXT, Nameplate, UnixTime};
use reqwest::header::DATE;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Time in which the service's name must be found and the connection accepted. Longer than the
/// resolver's limit ([`NAME_TIMEOUT`](etatuki_network::NAME_TIMEOUT)), so that a lost question is
/// repeated.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which the whole response must be there.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);
/// Largest response in JSON, in bytes.
const MAX_JSON_BYTES: usize = 16 << 10;
/// Largest revocation lists in bytes; one of ten thousand serials fits for each vendor key.
const MAX_LIST_BYTES: usize = MAX_LISTS_TEXT;

/// A failed call to the service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// There is no connection to the service, or no answer in time.
    #[error("the service can't be reached: {0}")]
    Unreachable(#[from] Unreachable),
    /// The service has no nameplate free.
    #[error("the service has no code left at the moment")]
    NoNameplate,
    /// The service answered with an error.
    #[error("the service refused {call}: {status} {name}")]
    Refused {
        call: &'static str,
        status: u16,
        name: String,
    },
    /// The response isn't what docs/service.md promises.
    #[error("the service gave a wrong answer to {call}: {what}")]
    InvalidResponse { call: &'static str, what: String },
    /// The service's address in the registry can't be used.
    #[error("the service's address can't be used: {0}")]
    Address(String),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let name = match error {
            ServiceError::Unreachable(Unreachable { cause, .. }) => failure_name(cause),
            ServiceError::NoNameplate => FailureName::NoNameplate,
            _ => FailureName::ServiceError,
        };
        Failure::new(name, error.to_string())
    }
}

/// Returns the name of a failure with this cause.
fn failure_name(cause: Cause) -> FailureName {
    // The names are the same, as a test says.
    FailureName::from_name(cause.name()).unwrap_or(FailureName::ServiceUnreachable)
}

/// Reads the network settings of this machine.
///
/// # Errors
/// The vendor's CA can't be read.
pub(crate) async fn network() -> Result<Network, ServiceError> {
    let address = |error: CertificateError| ServiceError::Address(error.to_string());
    Network::from_system(None).await.map_err(address)
}

/// A bearer token that proves the ownership of a nameplate.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Deserialize)]
#[serde(transparent)]
pub(crate) struct OwnerToken(String);

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken(<redacted>)")
    }
}

/// A nameplate that this session owns.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) nameplate: Nameplate,
    pub(crate) owner: OwnerToken,
}

/// A client of the service.
#[derive(Clone, Debug)]
pub(crate) struct ServiceClient {
    http: Client,
    network: Network,
    base: Url,
    clock: Arc<ServiceClock>,
}

/// The service's clock, as the last response told it.
#[derive(Debug, Default)]
struct ServiceClock(Mutex<Option<(Instant, UnixTime)>>);

impl ServiceClock {
    /// Records the time of a response (RFC 9110 section 6.6.1); one that is missing or makes no
    /// sense tells nothing.
    fn observe(&self, response: &Response) {
        let date = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        if let Some(since) = since {
            *self.lock() = Some((Instant::now(), UnixTime(since.as_secs())));
        }
    }

    fn now(&self) -> Option<UnixTime> {
        let (at, time) = (*self.lock())?;
        Some(time.saturating_add(at.elapsed().as_secs()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, UnixTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceClient {
    /// Makes a client for the service at this URL, by the settings of this machine. Contacts nobody
    /// yet.
    ///
    /// # Errors
    /// The URL isn't `https`, nor `http` on loopback.
    pub(crate) fn new(service: &str, network: Network) -> Result<Self, ServiceError> {
        let address = |what: &str| ServiceError::Address(format!("{service}: {what}"));
        let base = Url::parse(service).map_err(|error| address(&error.to_string()))?;
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(&base) => {}
            _ => return Err(address("it must be https")),
        }
        let options = ClientOptions {
            connect_timeout: CONNECT_TIMEOUT,
            timeout: CALL_TIMEOUT,
            user_agent: concat!("etatuki/", env!("CARGO_PKG_VERSION")),
        };
        let http = network
            .http_client(&base, options)
            .map_err(|error| address(&error.to_string()))?;
        Ok(Self {
            http,
            network,
            base,
            clock: Arc::default(),
        })
    }

    /// Returns the settings by which the service is reached.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the time by the service's clock, once a response has told it.
    pub(crate) fn time(&self) -> Option<UnixTime> {
        self.clock.now()
    }

    /// Claims a nameplate for the endpoint of `key`. Returns it with the relay that goes with it.
    pub(crate) async fn claim(
        &self,
        form: CodeForm,
        key: &EndpointKey,
    ) -> Result<(Claim, RelayAccess), ServiceError> {
        const CALL: &str = "a session";
        #[derive(Deserialize)]
        struct Granted {
            nameplate: String,
            owner: OwnerToken,
            relay: RelayAccess,
        }
        let request = self
            .request(Method::POST, &["sessions"])
            .json(&json!({ "form": form, "endpoint": key.id() }));
        let body = self
            .call(CALL, request, StatusCode::CREATED, MAX_JSON_BYTES)
            .await?;
        let invalid = |what: String| ServiceError::InvalidResponse { call: CALL, what };
        // serde's message could quote a token: only the place is kept.
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|error| invalid(format!("not as documented at column {}", error.column())))?;
        let nameplate =
            Nameplate::new(form, &granted.nameplate).map_err(|error| invalid(error.to_string()))?;
        if !granted
            .relay
            .is_of_service(&self.base.origin().ascii_serialization())
        {
            return Err(invalid("its relay is another's".into()));
        }
        Ok((
            Claim {
                nameplate,
                owner: granted.owner,
            },
            granted.relay,
        ))
    }

    /// Publishes the address to which the nameplate leads.
    pub(crate) async fn publish(&self, claim: &Claim, address: &Value) -> Result<(), ServiceError> {
        let path = ["sessions", claim.nameplate.as_str(), "address"];
        let request = self.request(Method::PUT, &path).bearer_auth(&claim.owner.0);
        let request = request.json(&json!({ "address": address }));
        self.call(
            "the address",
            request,
            StatusCode::NO_CONTENT,
            MAX_JSON_BYTES,
        )
        .await?;
        Ok(())
    }

    /// Gives the nameplate back.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<(), ServiceError> {
        let path = ["sessions", claim.nameplate.as_str()];
        let request = self
            .request(Method::DELETE, &path)
            .bearer_auth(&claim.owner.0);
        self.call("the end", request, StatusCode::NO_CONTENT, MAX_JSON_BYTES)
            .await?;
        Ok(())
    }

    /// Fetches the signed revocation lists, one a line for each vendor key; `None` if there are
    /// none.
    pub(crate) async fn revocations(&self) -> Result<Option<String>, ServiceError> {
        const CALL: &str = "the revocation list";
        let request = self.request(Method::GET, &["revocations"]);
        let response = self.send(request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let body = self
            .read_response(CALL, response, StatusCode::OK, MAX_LIST_BYTES)
            .await?;
        let invalid = |_| ServiceError::InvalidResponse {
            call: CALL,
            what: "not a text".into(),
        };
        String::from_utf8(body).map(Some).map_err(invalid)
    }

    /// Leaves this end's ending for the other one.
    pub(crate) async fn leave_ending(
        &self,
        ticket: &RelayToken,
        ending: &str,
    ) -> Result<(), ServiceError> {
        let request = self.request(Method::PUT, &["endings"]);
        let request = request.bearer_auth(ticket.expose());
        let request = request.json(&json!({ "ending": ending }));
        self.call("an ending", request, StatusCode::NO_CONTENT, MAX_JSON_BYTES)
            .await?;
        Ok(())
    }

    /// Fetches the ending of another endpoint; `None` if it has left none.
    pub(crate) async fn ending_of(
        &self,
        ticket: &RelayToken,
        endpoint: &str,
    ) -> Result<Option<String>, ServiceError> {
        const CALL: &str = "an ending";
        #[derive(Deserialize)]
        struct Left {
            ending: String,
        }
        let request = self.request(Method::GET, &["endings", endpoint]);
        let response = self.send(request.bearer_auth(ticket.expose())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = self
            .read_response(CALL, response, StatusCode::OK, MAX_JSON_BYTES)
            .await?;
        let left: Option<Left> = serde_json::from_slice(&body).ok();
        Ok(left.map(|left| left.ending))
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        self.http.request(method, url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ServiceError> {
        let sent = request.send().await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Err(self.unreachable(error).await),
        };
        if let Some(another) = Unreachable::by_another(&response) {
            return Err(another.into());
        }
        self.clock.observe(&response);
        Ok(response)
    }

    async fn call(
        &self,
        call: &'static str,
        request: RequestBuilder,
        expected: StatusCode,
        limit: usize,
    ) -> Result<Vec<u8>, ServiceError> {
        let response = self.send(request).await?;
        self.read_response(call, response, expected, limit).await
    }

    /// Reads a response of the `expected` status.
    async fn read_response(
        &self,
        call: &'static str,
        response: Response,
        expected: StatusCode,
        limit: usize,
    ) -> Result<Vec<u8>, ServiceError> {
        let status = response.status();
        let body = self.read_body(call, response, limit).await?;
        if status == expected {
            Ok(body)
        } else {
            Err(refusal(call, status, &body))
        }
    }

    /// Reads a response's body, up to `limit` bytes.
    async fn read_body(
        &self,
        call: &'static str,
        mut response: Response,
        limit: usize,
    ) -> Result<Vec<u8>, ServiceError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let what = format!("more than {limit} bytes");
                    return Err(ServiceError::InvalidResponse { call, what });
                }
                Ok(None) => return Ok(body),
                Err(error) => return Err(self.unreachable(error).await),
            }
        }
    }

    async fn unreachable(&self, error: reqwest::Error) -> ServiceError {
        self.network.explain(&self.base, error).await.into()
    }
}

impl RenewTicket for ServiceClient {
    async fn renew(&self, ticket: &RelayToken) -> Renewal {
        const CALL: &str = "the relay ticket";
        #[derive(Deserialize)]
        struct Renewed {
            ticket: RelayToken,
        }
        let request = self.request(Method::POST, &["tickets"]);
        let request = request.bearer_auth(ticket.expose());
        match self
            .call(CALL, request, StatusCode::OK, MAX_JSON_BYTES)
            .await
        {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(Renewed { ticket }) => Renewal::Ticket(ticket),
                Err(_) => Renewal::Later,
            },
            Err(ServiceError::Refused {
                status: 401 | 403, ..
            }) => Renewal::Refused,
            Err(_) => Renewal::Later,
        }
    }
}

/// Returns the error for a response of another status, by the name in its JSON.
fn refusal(call: &'static str, status: StatusCode, body: &[u8]) -> ServiceError {
    let error: Option<Value> = serde_json::from_slice(body).ok();
    let name = error
        .as_ref()
        .and_then(|error| error["error"].as_str())
        .unwrap_or("no reason given");
    if name == "no-nameplate" {
        return ServiceError::NoNameplate;
    }
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | ' ');
    let name = name.chars().filter(plain).take(40).collect();
    ServiceError::Refused {
        call,
        status: status.as_u16(),
        name,
    }
}

#[cfg(test)]
mod tests;
