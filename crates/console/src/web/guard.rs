//! Who may have the page: one browser, the one that came with the token. Every request must name this
//! server as its host (a site that rebinds its DNS name to 127.0.0.1 can't), must not come from another
//! origin, and must bring the cookie that the token was traded for.

use std::{
    fmt, io,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Shared;

/// Bytes of randomness in token and cookie.
const SECRET: usize = 32;
/// What is served without the cookie: it says nothing of anybody.
const OPEN_PATHS: [&str; 3] = ["/", "/console.css", "/icon.svg"];
/// Sockets, which must come from the page itself.
const SOCKETS: [&str; 2] = ["/events", "/rfb"];

/// An origin that may show the page in a frame: `http://127.0.0.1:8080`, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor(String);

/// Not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--frame-ancestor needs an origin like http://127.0.0.1:8080, and nothing after it")]
pub struct AncestorError;

impl FromStr for Ancestor {
    type Err = AncestorError;

    /// Nothing that would mean more than one origin inside the header.
    fn from_str(text: &str) -> Result<Self, AncestorError> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let plain =
            |character: char| character.is_ascii_alphanumeric() || ".-:[]".contains(character);
        match rest {
            Some(rest) if !rest.is_empty() && rest.chars().all(plain) => Ok(Self(text.to_owned())),
            _ => Err(AncestorError),
        }
    }
}

/// See the module.
pub(super) struct RequestGuard {
    hosts: [String; 2],
    cookie_name: String,
    cookie: Zeroizing<String>,
    /// Gone once it was traded.
    token: Mutex<Option<Zeroizing<String>>>,
    policy: HeaderValue,
    framed: bool,
}

impl fmt::Debug for RequestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl RequestGuard {
    /// A guard with a fresh token and cookie.
    pub(super) fn new(port: u16, ancestors: Vec<Ancestor>) -> io::Result<Self> {
        let framed = !ancestors.is_empty();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let policy = policy(&hosts, &ancestors);
        Ok(Self {
            hosts,
            // Cookies don't know ports: two consoles must not overwrite each other's.
            cookie_name: format!("etatuki_console_{port}"),
            cookie: secret()?,
            token: Mutex::new(Some(secret()?)),
            policy: HeaderValue::from_str(&policy).map_err(io::Error::other)?,
            framed,
        })
    }

    /// The token; empty once it was traded.
    pub(super) fn token(&self) -> String {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token
            .as_ref()
            .map_or_else(String::new, |token| token.to_string())
    }

    /// The cookie for the token, once.
    pub(super) fn redeem_token(&self, offered: &str) -> Option<String> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if !token.as_ref().is_some_and(|token| same(token, offered)) {
            return None;
        }
        *token = None;
        let Self {
            cookie_name,
            cookie,
            ..
        } = self;
        Some(format!(
            "{cookie_name}={}; HttpOnly; SameSite=Strict; Path=/",
            cookie.as_str()
        ))
    }

    /// Whether the request brings the cookie.
    pub(super) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && same(&self.cookie, value))
    }

    fn is_our_host(&self, headers: &HeaderMap) -> bool {
        one(headers, header::HOST).is_some_and(|host| self.hosts.iter().any(|ours| ours == host))
    }

    /// Browsers name the origin for sockets always, for other requests where it isn't the page's own.
    fn is_our_origin(&self, headers: &HeaderMap, socket: bool) -> bool {
        if !headers.contains_key(header::ORIGIN) {
            return !socket;
        }
        let host = one(headers, header::HOST).unwrap_or_default();
        one(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host)
    }

    fn authorize(&self, path: &str, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        if !self.is_our_host(headers) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this is not the host you asked for\n",
            ));
        }
        if !self.is_our_origin(headers, SOCKETS.contains(&path)) {
            return Err((
                StatusCode::FORBIDDEN,
                "requests of other pages are refused\n",
            ));
        }
        if !OPEN_PATHS.contains(&path) && !self.has_cookie(headers) {
            return Err((
                StatusCode::UNAUTHORIZED,
                "open the console by the address that it prints\n",
            ));
        }
        Ok(())
    }

    fn add_security_headers(&self, headers: &mut HeaderMap) {
        let fixed = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if !self.framed {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
    }
}

/// Stands before every handler.
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let authorize = shared
        .guard
        .authorize(request.uri().path(), request.headers());
    let mut response = match authorize {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    shared.guard.add_security_headers(response.headers_mut());
    response
}

/// Only our own files and sockets (some browsers don't count sockets as 'self'); noVNC paints pointers as
/// `data:` images.
fn policy([address, name]: &[String; 2], ancestors: &[Ancestor]) -> String {
    let frames = match ancestors {
        [] => "'none'".to_owned(),
        some => some
            .iter()
            .map(|ancestor| ancestor.0.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' ws://{address} ws://{name}; base-uri 'none'; form-action 'none'; \
         frame-ancestors {frames}"
    )
}

fn secret() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; SECRET]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

fn same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}

/// A header that is there exactly once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_may_frame_the_page() {
        for good in [
            "http://127.0.0.1:8080",
            "https://demo.example",
            "http://[::1]:80",
        ] {
            assert!(good.parse::<Ancestor>().is_ok(), "{good}");
        }
        for bad in [
            "*",
            "",
            "http://",
            "http://a b",
            "http://a; script-src *",
            "http://a/path",
            "data:",
        ] {
            assert_eq!(bad.parse::<Ancestor>(), Err(AncestorError), "{bad}");
        }
    }

    #[test]
    fn the_policy_names_the_ancestors() {
        let hosts = ["127.0.0.1:2".to_owned(), "localhost:2".to_owned()];
        assert!(policy(&hosts, &[]).ends_with("frame-ancestors 'none'"));
        let two = [
            "http://127.0.0.1:1".parse().unwrap(),
            "http://localhost:1".parse().unwrap(),
        ];
        assert!(
            policy(&hosts, &two).ends_with("frame-ancestors http://127.0.0.1:1 http://localhost:1")
        );
    }

    #[test]
    fn a_token_is_good_once() {
        let guard = RequestGuard::new(1, Vec::new()).unwrap();
        let token = guard.token();
        assert_eq!(token.len(), 43);
        assert_eq!(guard.redeem_token(""), None);
        assert_eq!(guard.redeem_token("x"), None);
        assert!(
            guard
                .redeem_token(&token)
                .is_some_and(|cookie| cookie.contains("HttpOnly; SameSite=Strict"))
        );
        assert_eq!(guard.redeem_token(&token), None);
        assert_eq!(guard.redeem_token(""), None);
    }
}
