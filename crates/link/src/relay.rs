//! The relays that carry a session when there is no direct path.

use std::fmt;

use etatuki_trust::{MAX_RELAYS, is_part_of_service};
use iroh::{RelayConfig, RelayUrl};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::LinkError;

/// Address and token of a session's relays, in the service's JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelayAccess {
    /// The URL: `https://host` (`http://` for development), with the port unless it is the scheme's
    /// own.
    pub url: String,
    /// The token that admits us to the relay.
    pub token: RelayToken,
    /// The port of the relay's QUIC address discovery, if it offers that: it tells peers their own
    /// public UDP address. Without it two ends behind NAT stay on the relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic_port: Option<u16>,
    /// The relays that stand in when this one is gone. The token is good at each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<RelayAddress>,
}

/// Address of a relay that stands in for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAddress {
    /// The URL, as in [`RelayAccess`].
    pub url: String,
    /// The port of its QUIC address discovery, if it offers that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic_port: Option<u16>,
}

impl RelayAccess {
    /// Returns the access to a relay without address discovery.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: RelayToken::new(token),
            quic_port: None,
            others: Vec::new(),
        }
    }

    /// Returns whether all of these relays belong to the service at `origin`: clients follow no other,
    /// whatever the service says.
    #[must_use]
    pub fn is_of_service(&self, origin: &str) -> bool {
        let mut others = self.others.iter();
        is_part_of_service(&self.url, origin)
            && others.all(|relay| is_part_of_service(&relay.url, origin))
    }
}

/// The relays of a session, the first one first. All take the same ticket.
#[derive(Clone, Debug)]
pub(crate) struct RelaySet {
    relays: Vec<(RelayUrl, Option<u16>)>,
    first_token: RelayToken,
}

impl RelaySet {
    /// Reads the service's word.
    ///
    /// # Errors
    /// [`LinkError::Relay`] for what isn't an URL.
    pub(crate) fn new(access: &RelayAccess) -> Result<Self, LinkError> {
        let first = (&access.url, access.quic_port);
        let others = access.others.iter();
        let all = std::iter::once(first).chain(others.map(|relay| (&relay.url, relay.quic_port)));
        let parse = |(url, port): (&String, _)| match url.parse() {
            Ok(url) => Ok((url, port)),
            Err(_) => Err(LinkError::Relay),
        };
        Ok(Self {
            relays: all.take(MAX_RELAYS).map(parse).collect::<Result<_, _>>()?,
            first_token: access.token.clone(),
        })
    }

    pub(crate) fn first(&self) -> &RelayUrl {
        &self.relays[0].0
    }

    pub(crate) fn urls(&self) -> impl Iterator<Item = &RelayUrl> {
        self.relays.iter().map(|(url, _)| url)
    }

    /// Returns the relay after `url`, round and round; `None` if it is the only one.
    pub(crate) fn after(&self, url: &RelayUrl) -> Option<&RelayUrl> {
        let mut rest = self.urls().skip_while(|known| *known != url).skip(1);
        rest.next()
            .or(Some(self.first()))
            .filter(|next| *next != url)
    }

    /// Returns iroh's configuration of the relays that `is_wanted`, with the ticket, or with the first
    /// one.
    pub(crate) fn configs(
        &self,
        ticket: Option<&RelayToken>,
        is_wanted: impl Fn(&RelayUrl) -> bool,
    ) -> Vec<RelayConfig> {
        let token = ticket.unwrap_or(&self.first_token);
        let wanted = self.relays.iter().filter(|(url, _)| is_wanted(url));
        let config = |(url, quic_port): &(RelayUrl, Option<u16>)| {
            let mut config = RelayConfig::from(url.clone()).with_auth_token(token.expose());
            match quic_port {
                None => config.quic = None,
                Some(port) => config.quic.get_or_insert_default().port = *port,
            }
            config
        };
        wanted.map(config).collect()
    }
}

/// The bearer token of one session at its relay.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelayToken(String);

impl RelayToken {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Returns the token, to send it to the relay and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for RelayToken {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayToken(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<RelaySet, LinkError> {
        RelaySet::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_services_json_is_read_as_it_comes() {
        let set = read(r#"{"url":"https://relay.example:8443","token":"t0ken"}"#).unwrap();
        assert!(!format!("{set:?}").contains("t0ken"));
        let config = set.configs(None, |_| true).remove(0);
        assert_eq!(config.auth_token.as_deref(), Some("t0ken"));
        assert!(config.quic.is_none());
        let set = read(r#"{"url":"https://relay.example","token":"t","quic_port":7}"#).unwrap();
        let renewed = RelayToken::new("renewed");
        let config = set.configs(Some(&renewed), |_| true).remove(0);
        assert_eq!(config.quic.unwrap().port, 7);
        assert_eq!(config.auth_token.as_deref(), Some("renewed"));
        let nowhere = read(r#"{"url":"relay","token":"t"}"#);
        assert!(matches!(nowhere, Err(LinkError::Relay)));
        let other = read(r#"{"url":"https://a.example","token":"t","others":[{"url":"relay"}]}"#);
        assert!(matches!(other, Err(LinkError::Relay)));
    }

    #[test]
    fn relays_stand_in_for_one_another_in_turn() {
        let access = |others: &[&str]| RelayAccess {
            others: others
                .iter()
                .map(|url| RelayAddress {
                    url: (*url).into(),
                    quic_port: Some(9),
                })
                .collect(),
            ..RelayAccess::new("https://a.example", "t")
        };
        let url = |text: &str| text.parse::<RelayUrl>().unwrap();
        let set = RelaySet::new(&access(&["https://b.example", "https://c.example"])).unwrap();
        let (a, b, c) = (
            url("https://a.example"),
            url("https://b.example"),
            url("https://c.example"),
        );
        assert_eq!(set.first(), &a);
        assert_eq!(set.after(&a), Some(&b));
        assert_eq!(set.after(&b), Some(&c));
        assert_eq!(set.after(&c), Some(&a));
        let config = set.configs(None, |known| *known == b).remove(0);
        assert_eq!(config.quic.unwrap().port, 9);
        let alone = RelaySet::new(&access(&[])).unwrap();
        assert_eq!(alone.after(&a), None);
        let many = ["https://b.example"; 40];
        assert_eq!(
            RelaySet::new(&access(&many)).unwrap().urls().count(),
            MAX_RELAYS
        );
    }

    #[test]
    fn clients_follow_the_services_own_relays_alone() {
        let mut access = RelayAccess::new("https://tuki.example", "t");
        assert!(access.is_of_service("https://tuki.example:443"));
        assert!(!access.is_of_service("https://elsewhere.example:443"));
        for (url, expected) in [
            ("https://r2.tuki.example:8443", true),
            ("https://r2.example", false),
        ] {
            let url = url.to_owned();
            access.others = vec![RelayAddress {
                url,
                quic_port: None,
            }];
            assert_eq!(access.is_of_service("https://tuki.example:443"), expected);
        }
    }
}
