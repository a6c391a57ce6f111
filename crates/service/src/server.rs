//! The listener: accepts connections, bounds their number and their time, ends TLS, and hands
//! requests to the API and the relay.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Version, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;
use tracing::{debug, info, warn};

use crate::{
    address_discovery::AddressDiscovery,
    api::{self, ApiError, ErrorName},
    config::{Config, StartError},
    metrics::{self, Gauges},
    peer::{Connections, Peer},
    rate_limit::ClientNetwork,
    relay::{self, RelayServer},
    state::{ServiceState, SharedState},
    tls::{self, CurrentCertificate},
};

/// Time-out for a request's head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Time-out for the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest life of a connection for requests; a request that is under way then is still answered.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(5 * 60);

/// Requests of a connection that may be refused as too many; the last of them closes it.
const MAX_LIMITED_REQUESTS: u32 = 5;

/// Longest head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Time between two removals of expired state.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Time that requests, and then relayed connections, have to end cleanly.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A running service. Dropping it stops it cleanly, if the runtime goes on.
#[derive(Debug)]
pub struct ServiceHandle {
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// `addr` as a URL.
    pub listening: String,
    /// The URL that clients are to be given: the public one, or `listening`.
    pub url: String,
    /// The UDP port of address discovery, if there is one.
    pub quic_port: Option<u16>,
    /// The address at which metrics are told, if they are.
    pub metrics: Option<SocketAddr>,
    state: SharedState,
    certificate: Arc<CurrentCertificate>,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl ServiceHandle {
    /// Takes the vendor keys, the revocation lists and the certificate of `config`, and reads the
    /// key ring again. Sessions and connections go on; nothing else of `config` is looked at.
    ///
    /// # Errors
    /// One of them can't be used; all of them stay as they were.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        // Checked first, so that either all of it is taken or nothing.
        config.tls.as_ref().map(tls::acceptor).transpose()?;
        self.state.reload(config.vendors.clone())?;
        match &config.tls {
            Some(files) => self.certificate.reload(files),
            None => Ok(()),
        }
    }

    /// Stops cleanly, within five seconds: accepts no more connections, lets requests finish,
    /// ends relayed connections.
    pub async fn shutdown(self) {
        self.stop.send_replace(());
        if self.task.await.is_err() {
            warn!("the listener failed while it stopped");
        }
    }
}

/// Starts a service.
///
/// # Errors
/// The address, the URL, the certificate or the revocation list can't be used.
pub async fn start(config: Config) -> Result<ServiceHandle, StartError> {
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let listen_error = |error| StartError::Listen {
        address: config.listen,
        error,
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(listen_error)?;
    let addr = listener.local_addr().map_err(listen_error)?;
    let listening = config.listening(addr);
    let url = config.origin(addr)?;
    warn_of_plain_http(&config, addr);
    let discovery = start_discovery(&config, addr)?;
    let metrics = match config.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    let files = config.tls.as_ref();
    let certificate = Arc::new(CurrentCertificate::new(acceptor, discovery, files));
    let quic_port = certificate.quic_port();
    let state = Arc::new(ServiceState::new(config, url.clone(), quic_port)?);
    let relay = RelayServer::new(state.clone());
    let router = router(state.clone(), relay.clone());
    let (stop, stopped) = watch::channel(());
    let connections = Connections::new(&state.limits);
    let metrics = metrics.map(|(listener, address)| {
        let gauges = Gauges {
            state: state.clone(),
            relay: relay.clone(),
            connections: connections.clone(),
            certificate: certificate.clone(),
        };
        tokio::spawn(metrics::serve(listener, gauges, stopped.clone()));
        address
    });
    let server = Server {
        state: state.clone(),
        relay,
        router,
        certificate: certificate.clone(),
        connections,
        stopped,
    };
    info!(%listening, %url, quic_port, "service started");
    let task = tokio::spawn(server.run(listener));
    Ok(ServiceHandle {
        addr,
        listening,
        url,
        quic_port,
        metrics,
        state,
        certificate,
        stop,
        task,
    })
}

fn warn_of_plain_http(config: &Config, addr: SocketAddr) {
    if config.tls.is_none() && !addr.ip().is_loopback() {
        warn!(
            "no certificate was given: tokens travel in the clear unless something in front ends TLS"
        );
    }
}

/// Starts address discovery at the address that is listened on, if there is a certificate for it.
fn start_discovery(
    config: &Config,
    addr: SocketAddr,
) -> Result<Option<AddressDiscovery>, StartError> {
    let Some((certificate, port)) = config.tls.as_ref().zip(config.quic_port) else {
        return Ok(None);
    };
    let listen = SocketAddr::new(addr.ip(), port);
    AddressDiscovery::start(listen, certificate, Connections::new(&config.limits)).map(Some)
}

/// Returns every route of the service: the API's and the relay's.
fn router(state: SharedState, relay: Arc<RelayServer>) -> Router {
    api::routes()
        .merge(relay::routes(relay))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            limit_requests,
        ))
        .with_state(state)
}

/// Counts every request of a client, whatever it asks for. A connection that goes on after it was told
/// to wait is closed.
async fn limit_requests(
    State(state): State<SharedState>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let counted = state
        .client_limiters()
        .requests
        .try_acquire(peer.network(), state.clock.now());
    let mut response = match counted {
        Ok(()) => next.run(request).await,
        Err(limited) => ApiError::from(limited).into_response(),
    };
    if let Some(ErrorName(name)) = response.extensions().get() {
        state.metrics.refused(name);
    }
    if response.status() == StatusCode::TOO_MANY_REQUESTS
        && peer.count_limited() >= MAX_LIMITED_REQUESTS
    {
        close_after(&mut response);
    }
    response
}

/// Has the connection closed after this response (RFC 9112, section 9.6).
fn close_after(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// The listener's loop, and all that a connection needs.
struct Server {
    state: SharedState,
    relay: Arc<RelayServer>,
    router: Router,
    certificate: Arc<CurrentCertificate>,
    connections: Arc<Connections>,
    stopped: watch::Receiver<()>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        let mut sweep = interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                // Completes also when the handle was dropped.
                _ = stopped.changed() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.spawn_connection(stream, address, &mut tasks),
                    Err(error) => {
                        warn!(%error, "no connection could be taken");
                        // Out of descriptors, most likely: trying at once again helps nobody.
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = tasks.join_next() => {}
                _ = sweep.tick() => {
                    self.state.sweep();
                    self.relay.drop_revoked();
                    self.certificate.look();
                }
            }
        }
        drop(listener);
        self.finish(tasks).await;
    }

    fn spawn_connection(&self, stream: TcpStream, address: SocketAddr, tasks: &mut JoinSet<()>) {
        let network = ClientNetwork::of(address.ip());
        let Some(peer) = Connections::try_acquire(&self.connections, network) else {
            debug!("too many connections: one was closed at once");
            self.state.metrics.connection_dropped();
            return;
        };
        let connection = Connection {
            router: self.router.clone(),
            peer,
            stopped: self.stopped.clone(),
        };
        tasks.spawn(connection.serve(stream, self.certificate.acceptor()));
    }

    async fn finish(self, mut tasks: JoinSet<()>) {
        let done = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, done).await.is_err() {
            tasks.shutdown().await;
        }
        if timeout(SHUTDOWN_GRACE, self.relay.shutdown())
            .await
            .is_err()
        {
            warn!("some relayed connections didn't end in time");
        }
        info!("service stopped");
    }
}

/// One connection, until it ends or becomes a relayed one.
struct Connection {
    router: Router,
    peer: Peer,
    stopped: watch::Receiver<()>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        // Nagle's delay would cost the relay 23 ms a round trip.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "no TCP_NODELAY");
        }
        let Some(acceptor) = acceptor else {
            return self.serve_http(stream).await;
        };
        match timeout(TLS_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_http(stream).await,
            Ok(Err(error)) => debug!(%error, "TLS failed"),
            Err(_) => debug!("TLS took too long"),
        }
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            router,
            peer,
            mut stopped,
        } = self;
        let service = service_fn(move |request| dispatch(router.clone(), peer.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Ok(ended),
            () = stopped_or_expired(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                timeout(SHUTDOWN_GRACE, connection).await
            }
        };
        if !matches!(ended, Ok(Ok(()))) {
            debug!("a connection ended early");
        }
    }
}

/// Waits until the service stops, or the connection reaches its longest life.
async fn stopped_or_expired(stopped: &mut watch::Receiver<()>) {
    // An error means that the service's handle was dropped, which stops it too.
    let _ = timeout(MAX_CONNECTION_AGE, stopped.changed()).await;
}

async fn dispatch(
    mut router: Router,
    peer: Peer,
    mut request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(header::HOST) {
        let mut response = ApiError::NoHost.into_response();
        close_after(&mut response);
        return Ok(response);
    }
    request.extensions_mut().insert(peer);
    router.call(request).await
}
