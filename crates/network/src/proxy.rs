//! HTTP proxies: from the environment, as curl reads it; else from the desktop.

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

use crate::gnome;
use crate::no_proxy::NoProxy;

/// Most bytes of a setting that is looked at.
const MAX_SETTING: usize = 16 << 10;

/// The password of a proxy. Never shown, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// Returns the password, to send it to the proxy and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(<redacted>)")
    }
}

/// An HTTP proxy that is asked with CONNECT (RFC 9110 section 9.3.6). `Display` shows neither its
/// user nor its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http` or `https`, host and port; without user and password.
    url: Url,
    user: Option<(String, Password)>,
}

/// A proxy setting that isn't used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnusedProxy {
    /// A scheme that we don't speak: SOCKS.
    Scheme(String),
    /// A script that decides on the proxy (PAC).
    Script,
    /// No address of a proxy.
    Malformed,
}

impl fmt::Display for UnusedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) => write!(f, "a {scheme} proxy, and only HTTP proxies are used"),
            Self::Script => f.write_str("a script (PAC), which isn't run"),
            Self::Malformed => f.write_str("something that is no proxy's address"),
        }
    }
}

impl Proxy {
    /// Parses `[http://][user:password@]host[:port]`, the user and password percent-encoded.
    ///
    /// # Errors
    /// It is of another scheme, or no address at all.
    pub fn parse(text: &str) -> Result<Self, UnusedProxy> {
        let text = text.trim();
        if text.len() > MAX_SETTING {
            return Err(UnusedProxy::Malformed);
        }
        let with_scheme = match text.contains("://") {
            true => Zeroizing::new(text.to_owned()),
            false => Zeroizing::new(format!("http://{text}")),
        };
        let mut url = Url::parse(&with_scheme).map_err(|_| UnusedProxy::Malformed)?;
        match url.scheme() {
            "http" | "https" => {}
            scheme if scheme.starts_with("socks") => {
                return Err(UnusedProxy::Scheme("SOCKS".into()));
            }
            _ => return Err(UnusedProxy::Malformed),
        }
        if url.host().is_none() {
            return Err(UnusedProxy::Malformed);
        }
        let user = (!url.username().is_empty()).then(|| {
            let password = decode(url.password().unwrap_or_default());
            (decode(url.username()), Password::new(password))
        });
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { url, user })
    }

    pub(crate) fn with_user(mut self, user: String, password: Password) -> Self {
        self.user = Some((user, password));
        self
    }

    /// Returns the address: scheme, host and port.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns user and password, if the setting has them.
    #[must_use]
    pub fn user(&self) -> Option<(&str, &Password)> {
        let (user, password) = self.user.as_ref()?;
        Some((user, password))
    }

    /// Returns the address with user and password, percent-encoded: for libraries that take it so.
    /// Never to be logged.
    #[must_use]
    pub fn expose_url(&self) -> Url {
        let mut url = self.url.clone();
        if let Some((user, password)) = self.user() {
            // Both fail for URLs without a host alone.
            let _ = url.set_username(&encode(user));
            let _ = url.set_password(Some(&encode(password.expose())));
        }
        url
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Decodes percent-encoding (RFC 3986 section 2.1); a percent sign without two digits stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |place: usize| char::from(*bytes.get(place)?).to_digit(16);
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
fn encode(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The proxy of this machine for HTTPS, and the hosts that need none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) no_proxy: NoProxy,
    /// The place of the setting, in words; empty if there is none.
    pub(crate) source: String,
    pub(crate) unused: Option<UnusedProxy>,
}

impl ProxySettings {
    /// Reads the environment, and the desktop's settings if the environment says nothing.
    pub async fn from_system() -> Self {
        let from_environment = Self::from_environment(|name| std::env::var(name).ok());
        match from_environment {
            Some(settings) => settings,
            None => gnome::settings().await.unwrap_or_default(),
        }
    }

    /// Reads the variables of the environment, as curl does: `https_proxy`, `HTTPS_PROXY`,
    /// `all_proxy`, `ALL_PROXY`, and `no_proxy`, `NO_PROXY`. `None` if no proxy is set.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.trim().is_empty())?;
                Some((*name, value))
            })
        };
        let (name, value) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?;
        let value = Zeroizing::new(value);
        let no_proxy = first(&["no_proxy", "NO_PROXY"]);
        let no_proxy = no_proxy.map_or_else(NoProxy::default, |(_, list)| NoProxy::parse(&list));
        let (proxy, unused) = match Proxy::parse(&value) {
            Ok(proxy) => (Some(proxy), None),
            Err(unused) => (None, Some(unused)),
        };
        Some(Self {
            proxy,
            no_proxy,
            source: name.to_owned(),
            unused,
        })
    }

    /// Returns the proxy for `url`.
    #[must_use]
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.no_proxy.matches(url))
    }

    /// Returns the setting in words, for doctors, and whether it is used.
    #[must_use]
    pub fn in_words(&self, service: &Url) -> (String, bool) {
        let source = &self.source;
        match (&self.unused, &self.proxy) {
            (Some(unused), _) => (format!("{source} names {unused}"), false),
            (None, None) => ("none is set".into(), true),
            (None, Some(proxy)) if self.proxy_for(service).is_none() => {
                let words = format!("{source} leads to {proxy}; the service is an exception");
                (words, true)
            }
            (None, Some(proxy)) => (format!("{source} leads to {proxy}"), true),
        }
    }

    /// Returns the place of the setting: a variable's name or the desktop's; empty if there is none.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the setting that is there and isn't used.
    #[must_use]
    pub fn unused(&self) -> Option<&UnusedProxy> {
        self.unused.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Option<ProxySettings> {
        ProxySettings::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Option<&str>) {
        let service = Url::parse("https://support.example").unwrap();
        let settings = settings(variables).unwrap_or_default();
        let proxy = settings.proxy_for(&service).map(ToString::to_string);
        assert_eq!(proxy.as_deref(), expected, "{variables:?}");
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let proxy = Some("http://proxy.example:3128");
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            check(&[(name, "http://proxy.example:3128")], proxy);
            check(&[(name, "proxy.example:3128")], proxy);
            check(&[(name, "http://proxy.example:3128/")], proxy);
            check(&[(name, " ")], None);
        }
        check(&[("HTTP_PROXY", "http://proxy.example")], None);
        let both = ("ALL_PROXY", "http://other.example");
        check(&[both, ("HTTPS_PROXY", "http://proxy.example:3128")], proxy);
        let https = ("HTTPS_PROXY", "proxy.example:3128");
        check(&[https, ("NO_PROXY", "support.example")], None);
        check(&[https, ("no_proxy", "other.example, example:443")], None);
        check(&[https, ("NO_PROXY", "other.example")], proxy);
    }

    #[test]
    fn what_is_not_used_is_known() {
        let unused = |value| settings(&[("ALL_PROXY", value)]).unwrap().unused;
        let socks = Some(UnusedProxy::Scheme("SOCKS".into()));
        assert_eq!(unused("socks5://proxy.example:1080"), socks);
        assert_eq!(unused("socks5h://proxy.example"), socks);
        for malformed in ["http://", "ftp://proxy.example", "http://[::1", "a b"] {
            assert_eq!(
                unused(malformed),
                Some(UnusedProxy::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn a_password_is_shown_nowhere_and_sent_whole() {
        for (text, password) in [
            ("http://aino:s3cret%40%3E@proxy.example:3128", "s3cret@>"),
            ("aino:100%s3cret@proxy.example:3128", "100%s3cret"),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            let (user, known) = proxy.user().unwrap();
            assert_eq!((user, known.expose()), ("aino", password));
            let shown = format!(
                "{proxy} {proxy:?} {known:?} {:?}",
                settings(&[("ALL_PROXY", text)])
            );
            assert!(
                !shown.contains("s3cret") && !shown.contains("aino"),
                "{shown}"
            );
            let again = Proxy::parse(proxy.expose_url().as_str()).unwrap();
            assert_eq!(again, proxy);
        }
        assert_eq!(Proxy::parse("proxy.example").unwrap().user(), None);
    }
}
