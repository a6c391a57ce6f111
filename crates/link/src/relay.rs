//! The relay that carries a session when there is no direct path.

use std::fmt;

use iroh::{RelayConfig, RelayUrl};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::LinkError;

/// Address and token of a session's relay, in the service's JSON.
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
}

impl RelayAccess {
    /// Returns the access to a relay without address discovery.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: RelayToken::new(token),
            quic_port: None,
        }
    }

    pub(crate) fn relay_url(&self) -> Result<RelayUrl, LinkError> {
        self.url.parse().map_err(|_| LinkError::Relay)
    }

    pub(crate) fn config(&self) -> Result<RelayConfig, LinkError> {
        let mut config = RelayConfig::from(self.relay_url()?).with_auth_token(self.token.expose());
        match self.quic_port {
            None => config.quic = None,
            Some(port) => config.quic.get_or_insert_default().port = port,
        }
        Ok(config)
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

    #[test]
    fn the_services_json_is_read_as_it_comes() {
        let relay: RelayAccess =
            serde_json::from_str(r#"{"url":"https://relay.example:8443","token":"t0ken"}"#)
                .unwrap();
        let config = relay.config().unwrap();
        assert_eq!(config.auth_token.as_deref(), Some("t0ken"));
        assert!(config.quic.is_none());
        assert!(!format!("{relay:?}").contains("t0ken"));
        let discovers = RelayAccess {
            quic_port: Some(7),
            ..relay
        };
        assert_eq!(discovers.config().unwrap().quic.unwrap().port, 7);
        assert!(matches!(
            RelayAccess::new("relay", "t").config(),
            Err(LinkError::Relay)
        ));
    }
}
