//! The network settings of the machine, as iroh wants them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

use etatuki_network::{Family, Network, ResolveError, Resolver};
use iroh::RelayUrl;
use iroh::dns::{BoxIter, DnsError, DnsResolver, Resolver as Resolve, TxtRecordData};
use iroh::endpoint::Builder;
use iroh::tls::CaTlsConfig;
use n0_error::AnyError;

use crate::relay::RelayAccess;

/// The way to a session's relay: its address and token, by the settings of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RelayRoute<'a> {
    /// The relay, and those that stand in for it.
    pub relay: &'a RelayAccess,
    /// The settings, the same as the HTTP API's.
    pub network: &'a Network,
}

/// Returns the system's resolver for an endpoint.
pub(crate) fn resolver(network: Option<&Network>) -> DnsResolver {
    let resolver = network.map(Network::resolver).cloned();
    DnsResolver::custom(SystemResolver(resolver.unwrap_or_default()))
}

/// Sets certificates, and the proxy for the way to `relay`, which is the way to those that stand in for
/// it, too.
pub(crate) fn apply(builder: Builder, network: &Network, relay: &RelayUrl) -> Builder {
    let verifier = network.verifier();
    let certificates =
        CaTlsConfig::custom_server_cert_verifier(std::sync::Arc::new(
            move |_| Ok(verifier.clone()),
        ));
    let builder = builder.ca_tls_config(certificates);
    match network.proxy_for(relay) {
        Some(proxy) => builder.proxy_url(proxy.expose_url()),
        None => builder,
    }
}

/// The system's resolver. Its own threads and time-outs stay as they are.
#[derive(Clone, Debug)]
struct SystemResolver(Resolver);

type Lookup<T> = Pin<Box<dyn Future<Output = Result<BoxIter<T>, DnsError>> + Send>>;

impl SystemResolver {
    fn lookup<T: Send + 'static>(
        &self,
        host: String,
        family: Family,
        convert: fn(IpAddr) -> Option<T>,
    ) -> Lookup<T> {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.lookup(&host, family).await.map_err(dns_error)?;
            let found: BoxIter<T> = Box::new(found.into_iter().filter_map(convert));
            Ok(found)
        })
    }
}

fn dns_error(error: ResolveError) -> DnsError {
    DnsError::from(AnyError::from_std(error))
}

impl Resolve for SystemResolver {
    fn lookup_ipv4(&self, host: String) -> Lookup<Ipv4Addr> {
        self.lookup(host, Family::V4, |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    fn lookup_ipv6(&self, host: String) -> Lookup<Ipv6Addr> {
        self.lookup(host, Family::V6, |address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        })
    }

    /// Only a discovery of peers would ask for texts, and there is none.
    fn lookup_txt(&self, _: String) -> Lookup<TxtRecordData> {
        Box::pin(async { Err(dns_error(ResolveError::NoSuchName)) })
    }

    fn clear_cache(&self) {}

    fn reset(&self) -> Box<dyn Resolve> {
        Box::new(Self(self.0.anew()))
    }
}
