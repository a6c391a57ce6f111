//! Access to the page: only the one browser that redeemed the token. Every request must name this
//! server in its Host header (against DNS rebinding), must not come from another origin, and must
//! carry the cookie that was given for the token. Cookies don't know ports, so another web server of
//! this machine gets it too, if the browser visits that: the two sockets, which carry everything,
//! want a secret besides that the page keeps in its own origin's storage.

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

use super::ServerState;

/// Random bytes in the token, in the cookie, and in the sockets' secret.
const SECRET_BYTES: usize = 32;
/// Paths that are served without the cookie; they contain nothing about anybody.
const PUBLIC_PATHS: [&str; 3] = ["/", "/console.css", "/icon.svg"];
/// WebSocket paths: their requests must name the page's own origin.
const SOCKET_PATHS: [&str; 2] = ["/events", "/rfb"];
/// The WebSocket protocol that both sockets speak; a browser wants one of its offers taken.
pub(super) const SOCKET_PROTOCOL: &str = "etatuki";

/// An origin that may show the page in a frame, such as `http://127.0.0.1:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameAncestor(String);

/// A text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--frame-ancestor needs an origin like http://127.0.0.1:8080, and nothing after it")]
pub struct FrameAncestorError;

impl FromStr for FrameAncestor {
    type Err = FrameAncestorError;

    /// Parses one origin. Refuses anything that would add to the header it is put into.
    fn from_str(text: &str) -> Result<Self, FrameAncestorError> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let plain =
            |character: char| character.is_ascii_alphanumeric() || ".-:[]".contains(character);
        match rest {
            Some(rest) if !rest.is_empty() && rest.chars().all(plain) => Ok(Self(text.to_owned())),
            _ => Err(FrameAncestorError),
        }
    }
}

/// The token, the cookie and the checks of one server.
pub(super) struct RequestGuard {
    hosts: [String; 2],
    cookie_name: String,
    cookie: Zeroizing<String>,
    socket_secret: Zeroizing<String>,
    /// `None` once it was redeemed.
    token: Mutex<Option<Zeroizing<String>>>,
    content_security_policy: HeaderValue,
    may_be_framed: bool,
}

impl fmt::Debug for RequestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestGuard")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl RequestGuard {
    /// Creates a guard with a new token and cookie.
    pub(super) fn new(port: u16, ancestors: Vec<FrameAncestor>) -> io::Result<Self> {
        let may_be_framed = !ancestors.is_empty();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let policy = content_security_policy(&hosts, &ancestors);
        Ok(Self {
            hosts,
            // Cookies ignore ports: the name keeps two consoles' cookies apart.
            cookie_name: format!("etatuki_console_{port}"),
            cookie: random_secret()?,
            socket_secret: random_secret()?,
            token: Mutex::new(Some(random_secret()?)),
            content_security_policy: HeaderValue::from_str(&policy).map_err(io::Error::other)?,
            may_be_framed,
        })
    }

    /// Returns the token; empty once it was redeemed.
    pub(super) fn token(&self) -> String {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token
            .as_ref()
            .map_or_else(String::new, |token| token.to_string())
    }

    /// Redeems the token: returns the Set-Cookie header's value, the first time only.
    pub(super) fn redeem_token(&self, offered: &str) -> Option<String> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if !token
            .as_ref()
            .is_some_and(|token| is_same_secret(token, offered))
        {
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

    /// Returns the secret that the page's sockets have to carry.
    pub(super) fn socket_secret(&self) -> &str {
        &self.socket_secret
    }

    /// Returns whether the request offers the page's secret as one of its WebSocket protocols: the
    /// one header of a socket that a page can set.
    fn has_socket_secret(&self, headers: &HeaderMap) -> bool {
        single_header(headers, header::SEC_WEBSOCKET_PROTOCOL)
            .into_iter()
            .flat_map(|protocols| protocols.split(','))
            .filter_map(|protocol| protocol.trim().strip_prefix("secret."))
            .any(|offered| is_same_secret(&self.socket_secret, offered))
    }

    /// Returns whether the request carries the cookie.
    pub(super) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && is_same_secret(&self.cookie, value))
    }

    fn is_our_host(&self, headers: &HeaderMap) -> bool {
        single_header(headers, header::HOST)
            .is_some_and(|host| self.hosts.iter().any(|ours| ours == host))
    }

    /// Returns whether the Origin header names this server. Browsers always send one for a
    /// WebSocket, so it must be there; for other requests they may omit it when it is the page's
    /// own.
    fn is_our_origin(&self, path: &str, headers: &HeaderMap) -> bool {
        if !headers.contains_key(header::ORIGIN) {
            return !SOCKET_PATHS.contains(&path);
        }
        let host = single_header(headers, header::HOST).unwrap_or_default();
        single_header(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"))
            == Some(host)
    }

    /// Checks the host, the origin and the cookie.
    ///
    /// # Errors
    /// The status and the text of the refusal.
    fn authorize(&self, path: &str, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        if !self.is_our_host(headers) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this is not the host you asked for\n",
            ));
        }
        if !self.is_our_origin(path, headers) {
            return Err((
                StatusCode::FORBIDDEN,
                "requests of other pages are refused\n",
            ));
        }
        let is_admitted = PUBLIC_PATHS.contains(&path)
            || self.has_cookie(headers)
                && (!SOCKET_PATHS.contains(&path) || self.has_socket_secret(headers));
        if !is_admitted {
            return Err((
                StatusCode::UNAUTHORIZED,
                "open the console by the address that it prints\n",
            ));
        }
        Ok(())
    }

    fn add_security_headers(&self, headers: &mut HeaderMap) {
        let constant = [
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
        for (name, value) in constant {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if !self.may_be_framed {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            self.content_security_policy.clone(),
        );
    }
}

/// Middleware in front of every handler: refuses unauthorised requests and adds the security
/// headers.
pub(super) async fn check(
    State(shared): State<Arc<ServerState>>,
    request: Request,
    next: Next,
) -> Response {
    let authorized = shared
        .guard
        .authorize(request.uri().path(), request.headers());
    let mut response = match authorized {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    shared.guard.add_security_headers(response.headers_mut());
    response
}

/// Returns a policy that allows only this server's files and sockets. The sockets are listed
/// because some browsers don't count them as 'self'; `data:` images are noVNC's pointers.
fn content_security_policy([address, name]: &[String; 2], ancestors: &[FrameAncestor]) -> String {
    let frame_ancestors = match ancestors {
        [] => "'none'".to_owned(),
        origins => origins
            .iter()
            .map(|ancestor| ancestor.0.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' ws://{address} ws://{name}; base-uri 'none'; form-action 'none'; \
         frame-ancestors {frame_ancestors}"
    )
}

/// Returns [`SECRET_BYTES`] random bytes in base64url.
fn random_secret() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// Returns whether the secrets are equal, in a time that doesn't depend on where they differ.
fn is_same_secret(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}

/// Returns a header's value if the header occurs exactly once.
fn single_header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
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
            assert!(good.parse::<FrameAncestor>().is_ok(), "{good}");
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
            assert_eq!(
                bad.parse::<FrameAncestor>(),
                Err(FrameAncestorError),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_policy_names_the_ancestors() {
        let hosts = ["127.0.0.1:2".to_owned(), "localhost:2".to_owned()];
        assert!(content_security_policy(&hosts, &[]).ends_with("frame-ancestors 'none'"));
        let two = [
            "http://127.0.0.1:1".parse().unwrap(),
            "http://localhost:1".parse().unwrap(),
        ];
        assert!(
            content_security_policy(&hosts, &two)
                .ends_with("frame-ancestors http://127.0.0.1:1 http://localhost:1")
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
