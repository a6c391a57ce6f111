//! The customer's half of the service's HTTP API: a session's nameplate, its address, its end, and
//! the revocation list. Every call has a time-out, every response a bound, and every error a stable
//! name.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use etatuki_link::{EndpointKey, RelayAccess, RelayToken, RenewTicket, Renewal};
use etatuki_session_core::{Failure, FailureName};
use etatuki_trust::{CodeForm, MAX_LISTS_TEXT, Nameplate, UnixTime};
use reqwest::header::DATE;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use rustls::CertificateError;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Time in which the service must accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time in which the whole response must be there.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest response in JSON, in bytes.
const MAX_JSON_BYTES: usize = 16 << 10;
/// Largest revocation lists in bytes; one of ten thousand serials fits for each vendor key.
const MAX_LIST_BYTES: usize = MAX_LISTS_TEXT;

/// A failed call to the service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The service doesn't answer, or not in time.
    #[error("the service can't be reached: {0}")]
    Unreachable(String),
    /// The service's certificate is out of its time by this machine's clock.
    #[error("the service's certificate is out of its time by this machine's clock: {0}")]
    CertificateOutOfTime(String),
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
            ServiceError::Unreachable(_) => FailureName::ServiceUnreachable,
            ServiceError::CertificateOutOfTime(_) => FailureName::ClockWrong,
            ServiceError::NoNameplate => FailureName::NoNameplate,
            _ => FailureName::ServiceError,
        };
        Failure::new(name, error.to_string())
    }
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
    /// Makes a client for the service at this URL. Contacts nobody yet.
    ///
    /// # Errors
    /// The URL isn't `https`, nor `http` on loopback.
    pub(crate) fn new(service: &str) -> Result<Self, ServiceError> {
        let address = |what: &str| ServiceError::Address(format!("{service}: {what}"));
        let base = Url::parse(service).map_err(|error| address(&error.to_string()))?;
        let loopback = is_loopback(&base);
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(address("it must be https")),
        }
        // reqwest is built without a crypto provider; whoever comes first installs this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("etatuki/", env!("CARGO_PKG_VERSION")));
        if loopback {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| address(&error_chain(&error)))?;
        Ok(Self {
            http,
            base,
            clock: Arc::default(),
        })
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
        let body = read_response(CALL, response, StatusCode::OK, MAX_LIST_BYTES).await?;
        let invalid = |_| ServiceError::InvalidResponse {
            call: CALL,
            what: "not a text".into(),
        };
        String::from_utf8(body).map(Some).map_err(invalid)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        self.http.request(method, url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ServiceError> {
        let response = request.send().await.map_err(unreachable)?;
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
        read_response(call, response, expected, limit).await
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

/// Reads a response of the `expected` status.
async fn read_response(
    call: &'static str,
    response: Response,
    expected: StatusCode,
    limit: usize,
) -> Result<Vec<u8>, ServiceError> {
    let status = response.status();
    let body = read_body(call, response, limit).await?;
    if status == expected {
        Ok(body)
    } else {
        Err(refusal(call, status, &body))
    }
}

/// Reads a response's body, up to `limit` bytes.
async fn read_body(
    call: &'static str,
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, ServiceError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(ServiceError::InvalidResponse {
                call,
                what: format!("more than {limit} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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

fn unreachable(error: reqwest::Error) -> ServiceError {
    let error = error.without_url();
    if is_certificate_out_of_time(&error) {
        ServiceError::CertificateOutOfTime(error_chain(&error))
    } else {
        ServiceError::Unreachable(error_chain(&error))
    }
}

fn is_certificate_out_of_time(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|cause| {
        // An I/O error hides what is in it from source().
        let inner = cause.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(|error| error.get_ref());
        let tls = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => cause.downcast_ref::<rustls::Error>(),
        };
        matches!(
            tls,
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            ))
        )
    })
}

/// Returns an error with its causes on one line.
fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
