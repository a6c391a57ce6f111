//! Every error of the API: a status, a stable name and a sentence.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use etatuki_trust::{CardError, TicketError};
use serde_json::json;
use tracing::debug;

use crate::{
    agents::AuthError,
    directory::{LookupError, NoNameplate},
    rate_limit::RateLimited,
};

pub(super) type ApiResult<T> = Result<T, ApiError>;

/// The reason why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The body isn't the JSON that the path wants.
    BadRequest,
    /// The request of HTTP/1.1 names no host (RFC 9112, section 3.2).
    NoHost,
    /// The address isn't an endpoint's, or leads through somebody else's relay.
    BadAddress,
    /// The body is longer than 16 KiB.
    TooLarge,
    /// The body didn't come in time.
    Timeout,
    /// The path doesn't exist.
    NotFound,
    /// The path exists, but doesn't know the method.
    MethodNotAllowed,
    /// The bearer token is missing, or isn't good for the request.
    Unauthorized,
    /// The challenge isn't this service's, or has expired, or was answered before.
    BadChallenge,
    /// The agent's card or its proof is refused; the string is the origin that a proof must name.
    Card(CardError, String),
    /// The relay ticket is refused.
    Ticket(TicketError),
    /// No session has the nameplate.
    UnknownNameplate,
    /// The session has no address yet.
    NotReady,
    /// The request came too often; it may be tried again after this time.
    RateLimited(Duration),
    /// No nameplate is free, or the service is full.
    NoNameplate,
    /// The service failed.
    Internal,
}

/// The stable name of the error in a response, for the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorName(pub(crate) &'static str);

impl ApiError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest | Self::NoHost | Self::BadAddress => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound | Self::UnknownNameplate => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadChallenge | Self::Card(..) | Self::Ticket(_) => StatusCode::FORBIDDEN,
            Self::NotReady => StatusCode::CONFLICT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoNameplate => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::BadRequest | Self::NoHost => "bad-request",
            Self::BadAddress => "bad-address",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Unauthorized => "unauthorised",
            Self::BadChallenge => "bad-challenge",
            Self::Card(error, _) => error.name(),
            Self::Ticket(error) => error.name(),
            Self::UnknownNameplate => "unknown-nameplate",
            Self::NotReady => "not-ready",
            Self::RateLimited(_) => "too-many",
            Self::NoNameplate => "no-nameplate",
            Self::Internal => "internal",
        }
    }

    fn message(&self) -> String {
        let fixed = match self {
            Self::BadRequest => "The body isn't the JSON that this path wants.",
            Self::NoHost => "A request of HTTP/1.1 names its host.",
            Self::BadAddress => "The address isn't an endpoint's, or leads through another relay.",
            Self::TooLarge => "The body is longer than 16 KiB.",
            Self::Timeout => "The body didn't come within ten seconds.",
            Self::NotFound => "There is nothing at this path.",
            Self::MethodNotAllowed => "This path doesn't know this method.",
            Self::Unauthorized => "The bearer token is missing, wrong or expired.",
            Self::BadChallenge => "The challenge is unknown, expired or was answered before.",
            Self::Card(CardError::BadProof, origin) => {
                return format!("The proof doesn't fit the card, the challenge and {origin}.");
            }
            Self::Card(error, _) => return sentence(&error.to_string()),
            Self::Ticket(error) => return sentence(&error.to_string()),
            Self::UnknownNameplate => "No session has this nameplate, or not any more.",
            Self::NotReady => "The session is there, but its customer can't be reached yet.",
            Self::RateLimited(wait) => {
                return format!("Too often: try again in {} seconds.", whole_seconds(*wait));
            }
            Self::NoNameplate => "Too many sessions are waiting: try again in a minute.",
            Self::Internal => "The service failed; it isn't the request's fault.",
        };
        fixed.to_owned()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        debug!(error = self.name(), "request refused");
        let body = Json(json!({ "error": self.name(), "message": self.message() }));
        let mut response = (self.status(), body).into_response();
        response.extensions_mut().insert(ErrorName(self.name()));
        match self {
            Self::RateLimited(wait) => {
                let seconds = HeaderValue::from(whole_seconds(wait));
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            Self::Unauthorized => {
                let scheme = HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        response
    }
}

impl From<RateLimited> for ApiError {
    fn from(RateLimited(wait): RateLimited) -> Self {
        Self::RateLimited(wait)
    }
}

impl From<TicketError> for ApiError {
    fn from(refused: TicketError) -> Self {
        Self::Ticket(refused)
    }
}

impl From<LookupError> for ApiError {
    fn from(missed: LookupError) -> Self {
        match missed {
            LookupError::Unknown => Self::UnknownNameplate,
            LookupError::NotReady => Self::NotReady,
            LookupError::RateLimited(limited) => limited.into(),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(refused: AuthError) -> Self {
        match refused {
            AuthError::Unauthorized => Self::Unauthorized,
            AuthError::RateLimited(limited) => limited.into(),
        }
    }
}

impl From<NoNameplate> for ApiError {
    fn from(NoNameplate: NoNameplate) -> Self {
        Self::NoNameplate
    }
}

/// Rounds up, so that a client that waits for as many seconds has waited long enough.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Returns `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
