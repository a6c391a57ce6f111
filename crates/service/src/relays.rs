//! The relays that sessions name.

use etatuki_trust::{MAX_RELAYS, is_part_of_service, service_origin};
use iroh_base::RelayUrl;
use serde::Serialize;

use crate::config::{Config, StartError};

/// A relay, and the UDP port of address discovery at its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct KnownRelay {
    /// Its origin (see [`service_origin`]).
    pub(crate) url: String,
    /// Its URL as it stands in addresses.
    #[serde(skip)]
    parsed: RelayUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quic_port: Option<u16>,
}

/// The relays that sessions name, in the operator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownRelays(Vec<KnownRelay>);

impl KnownRelays {
    /// Reads the configuration of the service at `origin`, whose own UDP port is `quic_port`.
    ///
    /// # Errors
    /// [`StartError::Relay`].
    pub(crate) fn new(
        config: &Config,
        origin: &str,
        quic_port: Option<u16>,
    ) -> Result<Self, StartError> {
        let refused = |url: &str| StartError::Relay {
            url: url.to_owned(),
            service: origin.to_owned(),
        };
        let named = config.relays.iter().map(String::as_str);
        let own = config.relays.is_empty().then_some(origin);
        let mut relays = Vec::new();
        for url in own.into_iter().chain(named) {
            let is_good = relays.len() < MAX_RELAYS && is_part_of_service(url, origin);
            let relay = service_origin(url).ok().filter(|_| is_good);
            let parsed = relay.as_ref().and_then(|relay| relay.parse().ok());
            let (url, parsed) = relay.zip(parsed).ok_or_else(|| refused(url))?;
            let quic_port = match url == origin {
                true => quic_port,
                false => quic_port.and_then(|_| other_quic_port(config, &parsed)),
            };
            relays.push(KnownRelay {
                url,
                parsed,
                quic_port,
            });
        }
        Ok(Self(relays))
    }

    /// Returns the relay with this URL.
    pub(crate) fn find(&self, url: &RelayUrl) -> Option<&KnownRelay> {
        self.0.iter().find(|relay| relay.parsed == *url)
    }

    /// Returns the one that sessions begin with.
    pub(crate) fn first(&self) -> &KnownRelay {
        &self.0[0]
    }

    /// Returns the others than `relay`.
    pub(crate) fn others(&self, relay: &KnownRelay) -> Vec<&KnownRelay> {
        let others = self.0.iter().filter(|other| *other != relay);
        others.collect()
    }
}

/// Returns the UDP port of another service, which is configured as this one: its TCP port, if the own
/// one isn't another.
fn other_quic_port(config: &Config, url: &RelayUrl) -> Option<u16> {
    let chosen = config
        .quic_port
        .filter(|port| *port != config.listen.port());
    chosen
        .filter(|port| *port != 0)
        .or(url.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://tuki.example:443";

    fn relays(urls: &[&str], quic_port: Option<u16>) -> Result<KnownRelays, StartError> {
        let mut config = Config::new("0.0.0.0:8443".parse().unwrap(), Vec::new());
        config.relays = urls.iter().copied().map(String::from).collect();
        config.quic_port = quic_port;
        KnownRelays::new(&config, ORIGIN, quic_port)
    }

    #[test]
    fn a_service_alone_is_its_own_relay() {
        let alone = relays(&[], Some(8443)).unwrap();
        assert_eq!(alone.first().url, ORIGIN);
        assert_eq!(alone.first().quic_port, Some(8443));
        assert!(alone.others(alone.first()).is_empty());
    }

    #[test]
    fn others_have_the_udp_port_of_their_own_convention() {
        let check = |own, other| {
            let urls = ["https://tuki.example", "https://r2.tuki.example:444"];
            let relays = relays(&urls, own).unwrap();
            assert_eq!(relays.first().quic_port, own);
            assert_eq!(relays.others(relays.first())[0].quic_port, other);
        };
        check(Some(8443), Some(444));
        check(Some(7842), Some(7842));
        check(None, None);
    }

    #[test]
    fn what_clients_would_not_follow_is_refused() {
        for urls in [
            &["https://r1.example"][..],
            &["http://tuki.example"],
            &["tuki.example"],
            &["https://tuki.example"; MAX_RELAYS + 1],
        ] {
            let refused = relays(urls, None);
            assert!(matches!(refused, Err(StartError::Relay { .. })), "{urls:?}");
        }
    }
}
