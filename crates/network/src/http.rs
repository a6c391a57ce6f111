//! HTTP clients by this machine's settings, and a look at a proxy that stands between.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::resolver::Resolver;
use crate::{Cause, Network, Proxy};

/// Time for a connection to a proxy that is asked for its reasons.
const PROXY_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the proxy's answer.
const PROXY_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a proxy's answer that hold its status.
const STATUS_BYTES: usize = 12;

/// Parameters of an HTTP client.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// Time in which the name must be found and the connection be there.
    pub connect_timeout: Duration,
    /// Time in which the whole response must be there.
    pub timeout: Duration,
    /// The client's name and version.
    pub user_agent: &'static str,
}

impl Network {
    /// Makes a client for one service. It follows no redirects, and goes to no other host.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn http_client(&self, service: &Url, options: ClientOptions) -> reqwest::Result<Client> {
        // Fails only if a provider was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(self.verifier())
            .with_no_client_auth();
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(HttpResolver(self.resolver().clone()))
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .redirect(redirect::Policy::none())
            .user_agent(options.user_agent)
            .no_proxy();
        if let Some(proxy) = self.proxy_for(service) {
            client = client.proxy(reqwest::Proxy::all(proxy.expose_url())?);
        }
        client.build()
    }

    /// Asks a proxy for a tunnel to `service`, as a client does, and returns what is wrong with it.
    pub(crate) async fn ask_proxy(&self, proxy: &Proxy, service: &Url) -> Cause {
        let connected = timeout(PROXY_CONNECT_TIMEOUT, self.connect(proxy.url())).await;
        let Ok(Some(mut stream)) = connected else {
            return Cause::ProxyUnreachable;
        };
        if proxy.url().scheme() != "http" {
            return Cause::ProxyRefused;
        }
        let status = timeout(
            PROXY_ANSWER_TIMEOUT,
            ask_tunnel(&mut stream, proxy, service),
        );
        match status.await.ok().flatten() {
            Some(407) => Cause::ProxyLogin,
            // The tunnel is there, or the proxy tried: the service doesn't answer.
            None | Some(200..=299 | 500..) => Cause::NoAnswer,
            Some(_) => Cause::ProxyRefused,
        }
    }

    async fn connect(&self, url: &Url) -> Option<TcpStream> {
        let port = url.port_or_known_default()?;
        let addresses = match url.host()? {
            Host::Ipv4(address) => vec![IpAddr::from(address)],
            Host::Ipv6(address) => vec![IpAddr::from(address)],
            Host::Domain(name) => self.resolver().lookup_all(name).await.ok()?,
        };
        for address in addresses {
            if let Ok(stream) = TcpStream::connect((address, port)).await {
                return Some(stream);
            }
        }
        None
    }
}

/// Sends a CONNECT request and returns the status of its answer; `None` without one.
async fn ask_tunnel(stream: &mut TcpStream, proxy: &Proxy, service: &Url) -> Option<u16> {
    let (host, port) = (service.host_str()?, service.port_or_known_default()?);
    let mut request = Zeroizing::new(format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
    ));
    if let Some((user, password)) = proxy.user() {
        let both = Zeroizing::new(format!("{user}:{}", password.expose()));
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(both.as_bytes()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&encoded);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = [0; STATUS_BYTES];
    stream.read_exact(&mut head).await.ok()?;
    let status = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// The resolver, as the HTTP client wants it.
struct HttpResolver(Resolver);

impl Resolve for HttpResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let addresses = resolver.lookup_all(name.as_str()).await?;
            let addresses = addresses.into_iter();
            // The client puts the port in.
            let addresses: Addrs = Box::new(addresses.map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Returns whether a URL is this machine's own.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
