//! `NO_PROXY`: the hosts that are reached without a proxy. There is no standard; this is curl's and
//! Go's common ground: domains with all below them, addresses, CIDR ranges, each with a port or not.

use std::net::IpAddr;

use url::{Host, Url};

/// A list of hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    /// `None` is every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// The domain and everything below it.
    Domain(String),
    /// Addresses whose first bits are these.
    Range(IpAddr, u8),
}

impl NoProxy {
    /// Parses a list with commas or spaces. An entry that makes no sense is left out.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self::from_entries(list.split([',', ' ', '\t']))
    }

    /// Parses entries.
    pub(crate) fn from_entries<'a>(entries: impl Iterator<Item = &'a str>) -> Self {
        Self {
            rules: entries.filter_map(Rule::parse).collect(),
        }
    }

    /// Returns whether `url` is reached without a proxy.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.host().is_some_and(|host| {
            self.rules.iter().any(|rule| {
                (rule.port.is_none() || rule.port == port) && rule.hosts.contains(&host)
            })
        })
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry.is_empty() {
            return None;
        }
        if let Some(hosts) = Hosts::range(entry) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let hosts = Hosts::range(host).or_else(|| Hosts::domain(host))?;
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn range(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self::Range(address, bits))
    }

    fn domain(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let name = name.trim_matches('.').to_ascii_lowercase();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!name.is_empty() && name.chars().all(allowed)).then_some(Self::Domain(name))
    }

    fn contains(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Domain(domain), Host::Domain(host)) => {
                let host = host.trim_end_matches('.');
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Self::Range(range, bits), Host::Ipv4(host)) => in_range(*range, *bits, (*host).into()),
            (Self::Range(range, bits), Host::Ipv6(host)) => in_range(*range, *bits, (*host).into()),
            _ => false,
        }
    }
}

fn in_range(range: IpAddr, bits: u8, address: IpAddr) -> bool {
    let bits = u32::from(bits);
    match (range, address) {
        (IpAddr::V4(range), IpAddr::V4(address)) => {
            let differs = range.to_bits() ^ address.to_bits();
            differs.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(range), IpAddr::V6(address)) => {
            let differs = range.to_bits() ^ address.to_bits();
            differs.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, url: &str, expected: bool) {
        let url = Url::parse(url).unwrap();
        assert_eq!(NoProxy::parse(list).matches(&url), expected, "{list} {url}");
    }

    #[test]
    fn domains_hold_what_is_below_them() {
        for list in [
            "example.com",
            ".example.com",
            "*.example.com",
            "a,EXAMPLE.com",
        ] {
            check(list, "https://example.com", true);
            check(list, "https://support.example.com:8443", true);
            check(list, "https://notexample.com", false);
            check(list, "https://example.com.evil.test", false);
        }
        check("*", "https://example.com", true);
        check("*", "https://[2001:db8::1]", true);
    }

    #[test]
    fn ports_narrow_an_entry() {
        check("example.com:443", "https://example.com", true);
        check("example.com:8443", "https://example.com", false);
        check("10.0.0.1:8443", "https://10.0.0.1:8443", true);
        check("10.0.0.1:8443", "https://10.0.0.1", false);
        check("[2001:db8::1]:443", "https://[2001:db8::1]", true);
    }

    #[test]
    fn addresses_and_ranges() {
        check("10.0.0.0/8", "https://10.255.1.2", true);
        check("10.0.0.0/8", "https://11.0.0.1", false);
        check("0.0.0.0/0", "https://11.0.0.1", true);
        check("192.0.2.7", "https://192.0.2.7", true);
        check("192.0.2.7/31", "https://192.0.2.6", true);
        check("fd00::/8", "https://[fd12::1]", true);
        check("fd00::/8", "https://[fe80::1]", false);
        check("::/0", "https://10.0.0.1", false);
        // A range isn't asked of the resolver.
        check("10.0.0.0/8", "https://intranet.example", false);
    }

    #[test]
    fn nonsense_is_left_out() {
        for list in [
            "",
            " , ",
            "10.0.0.0/33",
            "a:port",
            "http://example.com",
            "::/129",
        ] {
            check(list, "https://example.com", false);
            check(list, "https://10.0.0.1", false);
        }
    }
}
