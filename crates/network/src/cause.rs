//! Why a connection to the service failed. Each cause has one stable name, and a person can do
//! something else about each.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use rustls::CertificateError;
use url::Url;

use crate::resolver::ResolveError;
use crate::{Network, UnusedProxy};

/// The cause of a failed connection to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// This machine has no network at all.
    Offline,
    /// The name servers don't answer.
    NameServerSilent,
    /// The service's name isn't there (NXDOMAIN).
    NameUnknown,
    /// The service's machine is there, and its port is closed.
    ConnectionRefused,
    /// No answer in time, or the connection broke.
    NoAnswer,
    /// The proxy can't be reached.
    ProxyUnreachable,
    /// The proxy wants a user and password, or others (407).
    ProxyLogin,
    /// The proxy doesn't let anybody to the service.
    ProxyRefused,
    /// A proxy is set in a form that isn't used, and without one nothing answers.
    ProxyUnsupported,
    /// The service's certificate is by a CA that isn't in the system's store.
    CertificateUntrusted,
    /// The service's certificate is out of its time by this machine's clock.
    ClockWrong,
    /// Somebody else answers in the service's place, as the login page of a guest network does.
    LoginPage,
}

impl Cause {
    /// All causes, for tables of texts.
    pub const ALL: [Self; 12] = [
        Self::Offline,
        Self::NameServerSilent,
        Self::NameUnknown,
        Self::ConnectionRefused,
        Self::NoAnswer,
        Self::ProxyUnreachable,
        Self::ProxyLogin,
        Self::ProxyRefused,
        Self::ProxyUnsupported,
        Self::CertificateUntrusted,
        Self::ClockWrong,
        Self::LoginPage,
    ];

    /// Returns the stable name, of failures at both ends.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "network-offline",
            Self::NameServerSilent => "dns-silent",
            Self::NameUnknown => "dns-name-unknown",
            Self::ConnectionRefused => "connection-refused",
            Self::NoAnswer => "service-unreachable",
            Self::ProxyUnreachable => "proxy-unreachable",
            Self::ProxyLogin => "proxy-login",
            Self::ProxyRefused => "proxy-refused",
            Self::ProxyUnsupported => "proxy-unsupported",
            Self::CertificateUntrusted => "certificate-untrusted",
            Self::ClockWrong => "clock-wrong",
            Self::LoginPage => "login-page",
        }
    }
}

/// A service that can't be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unreachable {
    /// The cause.
    pub cause: Cause,
    /// The libraries' own words, without addresses of requests and without secrets.
    pub detail: String,
}

impl Network {
    /// Finds the cause of a failed request to `service`. Behind a proxy the proxy is asked once more,
    /// for libraries hide its answer; that takes at most five seconds.
    pub async fn explain(&self, service: &Url, error: reqwest::Error) -> Unreachable {
        let error = error.without_url();
        let mut detail = error_chain(&error);
        let found = match (certificate_cause(&error), self.proxy_for(service)) {
            (Some(cause), _) => cause,
            (None, Some(proxy)) => {
                detail = format!("by the proxy {proxy}: {detail}");
                self.ask_proxy(proxy, service).await
            }
            (None, None) => connection_cause(&error),
        };
        let cause = self.refine(found, is_offline());
        if let (Cause::ProxyUnsupported, Some(unused)) = (cause, self.proxies().unused()) {
            detail = format!("{} names {unused}: {detail}", self.proxies().source());
        }
        Unreachable { cause, detail }
    }

    /// Looks at what else could be behind a cause.
    fn refine(&self, cause: Cause, offline: bool) -> Cause {
        let is_silence = match cause {
            Cause::NameServerSilent | Cause::NoAnswer | Cause::ProxyUnreachable => true,
            // Inside a network that has proxies alone, names from outside are often unknown.
            Cause::NameUnknown | Cause::ConnectionRefused => false,
            _ => return cause,
        };
        let unused = self.proxies().unused();
        match unused {
            _ if is_silence && offline => Cause::Offline,
            Some(UnusedProxy::Scheme(_) | UnusedProxy::Script | UnusedProxy::Malformed) => {
                Cause::ProxyUnsupported
            }
            None => cause,
        }
    }
}

impl Unreachable {
    /// Returns the error for a response that isn't the service's own: the login page of a guest
    /// network answers with a page of its own or leads to one (RFC 6585 section 6 for 511), a proxy
    /// that nobody set asks for a password.
    #[must_use]
    pub fn by_another(response: &reqwest::Response) -> Option<Self> {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let cause = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Cause::ProxyLogin,
            StatusCode::NETWORK_AUTHENTICATION_REQUIRED => Cause::LoginPage,
            _ if status.is_redirection() || (status.is_success() && is_page) => Cause::LoginPage,
            _ => return None,
        };
        let what = if is_page { "a page" } else { "no page" };
        Some(Self {
            cause,
            detail: format!("something else answers: status {}, {what}", status.as_u16()),
        })
    }
}

/// Returns the errors behind an error, from the outside in.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error hides what is in it from source().
        let hidden = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match hidden {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Returns the cause of an error that TLS found.
fn certificate_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    use CertificateError as C;
    let tls = causes(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    match tls {
        rustls::Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. },
        ) => Some(Cause::ClockWrong),
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => Some(Cause::LoginPage),
        rustls::Error::InvalidCertificate(_) => Some(Cause::CertificateUntrusted),
        // Plain text where TLS should be.
        rustls::Error::InvalidMessage(_) => Some(Cause::LoginPage),
        _ => None,
    }
}

/// Returns the cause of an error on the way to the service.
fn connection_cause(error: &(dyn Error + 'static)) -> Cause {
    for error in causes(error) {
        match error.downcast_ref::<ResolveError>() {
            Some(ResolveError::NoSuchName) => return Cause::NameUnknown,
            Some(ResolveError::NoAnswer) => return Cause::NameServerSilent,
            None => {}
        }
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return Cause::ConnectionRefused;
        }
    }
    Cause::NoAnswer
}

/// Returns whether this machine has no way into any network. Sends nothing: connecting a UDP socket
/// only looks up the route. The addresses are documentation's (RFC 5737, RFC 3849).
fn is_offline() -> bool {
    let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)));
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)));
    v4.is_err() && v6.is_err()
}

/// Returns an error with its causes on one line.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    for cause in causes(error).skip(1) {
        let words = cause.to_string();
        if words != last {
            text = format!("{text}: {words}");
        }
        last = words;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProxySettings;

    #[test]
    fn names_are_of_their_own() {
        let names: std::collections::BTreeSet<_> = Cause::ALL.map(Cause::name).into();
        assert_eq!(names.len(), Cause::ALL.len());
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_used_is_named_where_nothing_answers() {
        let network = Network::from_system(None).await.unwrap();
        let set = |value: &str| {
            ProxySettings::from_environment(|_| Some(value.to_owned())).unwrap_or_default()
        };
        let socks = network.clone().with_proxies(set("socks5://proxy.example"));
        let none = network.with_proxies(ProxySettings::default());
        assert_eq!(
            socks.refine(Cause::NoAnswer, false),
            Cause::ProxyUnsupported
        );
        assert_eq!(
            socks.refine(Cause::NameUnknown, true),
            Cause::ProxyUnsupported
        );
        assert_eq!(socks.refine(Cause::LoginPage, true), Cause::LoginPage);
        assert_eq!(none.refine(Cause::NoAnswer, false), Cause::NoAnswer);
        assert_eq!(none.refine(Cause::NameServerSilent, true), Cause::Offline);
        assert_eq!(
            none.refine(Cause::ConnectionRefused, true),
            Cause::ConnectionRefused
        );
    }
}
