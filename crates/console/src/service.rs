//! The service, from the console's side: who we are is proved with the agent's card, then codes are looked up.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_link::RelayAccess;
use etatuki_trust::{AgentFile, CodeForm, Nameplate, service_origin};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::session_error::SessionError;

/// For a connection to the service, and for a whole answer of it.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// More bytes than any answer of the service has.
const MAX_ANSWER: usize = 64 << 10;
/// A token is asked for anew after this long, whatever the service says of its life.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// How long a code is asked for again whose customer hasn't said yet where to be reached.
const READY_WAIT: Duration = Duration::from_secs(5);
const READY_STEP: Duration = Duration::from_millis(250);

/// A URL that isn't one of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--service needs an address like https://support.example.com, not {0:?} (plain http is for this machine alone)"
)]
pub struct ServiceUrlError(String);

/// The service as the agent was told it.
#[derive(Debug)]
pub struct Service {
    origin: String,
    http: Client,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: Zeroizing<String>,
    until: Instant,
}

/// Where a customer is to be reached.
#[derive(Debug)]
pub struct CustomerLocation {
    /// The endpoint's address, for the link to read.
    pub address: Value,
    /// The relay between.
    pub relay: RelayAccess,
}

#[derive(Deserialize)]
struct Challenge {
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
struct Refusal {
    #[serde(default)]
    error: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

impl Service {
    /// The service at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// It isn't the URL of a service.
    pub fn new(url: &str) -> Result<Self, ServiceUrlError> {
        let origin = service_origin(url).map_err(|_| ServiceUrlError(url.to_owned()))?;
        let parsed = Url::parse(&origin).map_err(|_| ServiceUrlError(url.to_owned()))?;
        // Whoever uses reqwest first has to; it fails only when it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none());
        if matches!(parsed.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")) {
            builder = builder.no_proxy();
        } else if parsed.scheme() != "https" {
            // Tokens would be in the clear.
            return Err(ServiceUrlError(url.to_owned()));
        }
        let http = builder
            .build()
            .map_err(|_| ServiceUrlError(url.to_owned()))?;
        Ok(Self {
            origin,
            http,
            token: Mutex::default(),
        })
    }

    /// The service's origin: `scheme://host:port`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Asks where the customer with this nameplate is. Takes at most about 30 s.
    ///
    /// # Errors
    /// Why there is no answer that helps.
    pub async fn look_up(
        &self,
        agent: &AgentFile,
        nameplate: &Nameplate,
    ) -> Result<CustomerLocation, SessionError> {
        let begun = Instant::now();
        let mut renewed = false;
        loop {
            let token = self.token(agent).await?;
            let url = format!("{}/v1/sessions/{nameplate}", self.origin);
            let answer = self
                .http
                .get(url)
                .bearer_auth(token.text.as_str())
                .send()
                .await
                .map_err(unreachable)?;
            match answer.status() {
                StatusCode::OK => return found(read(answer).await?, nameplate),
                // A service that was started anew knows no tokens of before.
                StatusCode::UNAUTHORIZED if !renewed => {
                    renewed = true;
                    self.keep(None);
                }
                StatusCode::CONFLICT if begun.elapsed() < READY_WAIT => {
                    tokio::time::sleep(READY_STEP).await
                }
                _ => return Err(refused(answer).await),
            }
        }
    }

    async fn token(&self, agent: &AgentFile) -> Result<Token, SessionError> {
        let kept = self
            .token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match kept {
            Some(token) if token.until > Instant::now() => Ok(token),
            _ => {
                let token = self.new_token(agent).await?;
                self.keep(Some(token.clone()));
                Ok(token)
            }
        }
    }

    async fn new_token(&self, agent: &AgentFile) -> Result<Token, SessionError> {
        let url = format!("{}/v1/challenge", self.origin);
        let answer = self.http.get(url).send().await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        let Challenge { challenge } = read(answer).await?;
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
        let answer = self
            .http
            .post(url)
            .json(&body)
            .send()
            .await
            .map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        let granted: TokenGrant = read(answer).await?;
        let life = Duration::from_secs(granted.expires_in).min(TOKEN_LIFE);
        let life = life.saturating_sub(TOKEN_MARGIN);
        Ok(Token {
            text: granted.token,
            until: Instant::now() + life,
        })
    }

    fn keep(&self, token: Option<Token>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

fn found(look_up: LookupResponse, nameplate: &Nameplate) -> Result<CustomerLocation, SessionError> {
    if look_up.form != nameplate.form() {
        return Err(SessionError::ServiceError(
            "it answered for another kind of code".into(),
        ));
    }
    Ok(CustomerLocation {
        address: look_up.address,
        relay: look_up.relay,
    })
}

/// The reason in a few words; reqwest's own text would name the URL again.
fn unreachable(error: reqwest::Error) -> SessionError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    tracing::info!(error = %error.without_url(), "the service can't be reached");
    SessionError::ServiceUnreachable(what.into())
}

async fn refused(answer: Response) -> SessionError {
    let status = answer.status();
    let refusal: Refusal = read(answer).await.unwrap_or_default();
    let name = plain(&refusal.error);
    match (status, name.as_str()) {
        (StatusCode::NOT_FOUND, _) => SessionError::UnknownCode,
        (StatusCode::CONFLICT, _) => SessionError::NotReady,
        (StatusCode::TOO_MANY_REQUESTS, _) => SessionError::TooMany,
        (StatusCode::FORBIDDEN, card) if card.starts_with("card-") => {
            SessionError::CardRefused(card.into())
        }
        (_, "") => SessionError::ServiceError(status.as_u16().to_string()),
        (_, name) => SessionError::ServiceError(name.into()),
    }
}

/// A stable name from outside, as far as it looks like one.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(40)
        .collect()
}

async fn read<T: DeserializeOwned>(mut answer: Response) -> Result<T, SessionError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
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

    #[test]
    fn names_from_outside_are_short_and_plain() {
        assert_eq!(plain("card-expired"), "card-expired");
        assert_eq!(plain("<b>\u{1b}[2J"), "b2J");
        assert_eq!(plain(&"a".repeat(99)).len(), 40);
    }
}
