//! The listener: takes connections, bounds their number and their time, ends TLS, and hands requests to
//! the API and the relay.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, response::Response};
use etatuki_trust::service_origin;
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
    api,
    config::{Config, Limits, StartError},
    rate_limit::ClientNetwork,
    relay::RelayServer,
    state::{SharedState, State},
    tls,
};

/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long TLS may take to begin.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection for requests may last; then a request that is under way is still answered.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(5 * 60);

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How often what is over is forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long requests and relayed connections have to end in good order, each.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A running service. Dropping it stops it in good order, if the runtime goes on.
#[derive(Debug)]
pub struct ServiceHandle {
    /// What it listens on.
    pub addr: SocketAddr,
    /// What it listens on, as a URL.
    pub listening: String,
    /// The URL that clients are to be given: the public one, or what it listens on.
    pub url: String,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl ServiceHandle {
    /// Stops in good order, within five seconds: takes nothing new, lets requests finish, ends relayed
    /// connections.
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
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let listen_error = |error| StartError::Listen {
        address: config.listen,
        error,
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(listen_error)?;
    let addr = listener.local_addr().map_err(listen_error)?;
    let listening = format!("{scheme}://{addr}");
    let url = public_url(&config, addr, &listening)?;
    let state = Arc::new(State::new(config, url.clone())?);
    if acceptor.is_none() && !addr.ip().is_loopback() {
        warn!(
            "no certificate was given: tokens travel in the clear unless something in front ends TLS"
        );
    }
    let hub = RelayServer::new(state.clone());
    let router = api::router(state.clone(), hub.clone());
    let (stop, stopped) = watch::channel(());
    let connections = ConnectionLimiter::new(&state.limits);
    let server = Server {
        state,
        hub,
        router,
        acceptor,
        connections,
        stopped,
    };
    info!(%listening, %url, "service started");
    let task = tokio::spawn(server.run(listener));
    Ok(ServiceHandle {
        addr,
        listening,
        url,
        stop,
        task,
    })
}

fn public_url(config: &Config, addr: SocketAddr, listening: &str) -> Result<String, StartError> {
    let url = match &config.public_url {
        Some(url) => url,
        None if addr.ip().is_unspecified() => return Err(StartError::NoPublicUrl(addr)),
        None => listening,
    };
    service_origin(url).map_err(|error| StartError::PublicUrl {
        url: url.to_owned(),
        error,
    })
}

/// What every connection needs.
struct Server {
    state: SharedState,
    hub: Arc<RelayServer>,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    connections: Arc<ConnectionLimiter>,
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
                // Also when the handle was dropped.
                _ = stopped.changed() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.take(stream, address, &mut tasks),
                    Err(error) => {
                        warn!(%error, "no connection could be taken");
                        // Out of descriptors, most likely: trying at once again helps nobody.
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = tasks.join_next() => {}
                _ = sweep.tick() => self.state.sweep(),
            }
        }
        drop(listener);
        self.finish(tasks).await;
    }

    fn take(&self, stream: TcpStream, address: SocketAddr, tasks: &mut JoinSet<()>) {
        let network = ClientNetwork::of(address.ip());
        let Some(peer) = ConnectionLimiter::enter(&self.connections, network) else {
            debug!("too many connections: one was closed at once");
            return;
        };
        let connection = Connection {
            router: self.router.clone(),
            peer,
            stopped: self.stopped.clone(),
        };
        tasks.spawn(connection.serve(stream, self.acceptor.clone()));
    }

    async fn finish(self, mut tasks: JoinSet<()>) {
        let done = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, done).await.is_err() {
            tasks.shutdown().await;
        }
        if timeout(SHUTDOWN_GRACE, self.hub.shutdown()).await.is_err() {
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
        let service = service_fn(move |request| answer(router.clone(), peer.clone(), request));
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

/// Until the service stops, or the connection has lasted long enough.
async fn stopped_or_expired(stopped: &mut watch::Receiver<()>) {
    // An error means that the service's handle was dropped, which stops it too.
    let _ = timeout(MAX_CONNECTION_AGE, stopped.changed()).await;
}

async fn answer(
    mut router: Router,
    peer: Peer,
    mut request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(peer);
    router.call(request).await
}

/// Who is at the other end. As long as one of its clones lives, it counts as one connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Arc<ConnectionPermit>);

impl Peer {
    pub(crate) fn network(&self) -> ClientNetwork {
        self.0.network
    }
}

#[derive(Debug)]
struct ConnectionPermit {
    network: ClientNetwork,
    connections: Arc<ConnectionLimiter>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.all -= 1;
        if let Some(count) = open.by_caller.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.by_caller.remove(&self.network);
            }
        }
    }
}

/// How many connections there are.
#[derive(Debug)]
struct ConnectionLimiter {
    most: usize,
    most_a_caller: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_caller: HashMap<ClientNetwork, u32>,
}

impl ConnectionLimiter {
    fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.connections,
            most_a_caller: limits.connections_per_address,
            open: Mutex::default(),
        })
    }

    /// A place for one more connection, if there is one.
    fn enter(connections: &Arc<Self>, network: ClientNetwork) -> Option<Peer> {
        let mut open = connections.open();
        if open.all >= connections.most {
            return None;
        }
        let count = open.by_caller.entry(network).or_default();
        if *count >= connections.most_a_caller {
            return None;
        }
        *count += 1;
        open.all += 1;
        Some(Peer(Arc::new(ConnectionPermit {
            network,
            connections: connections.clone(),
        })))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_while_they_live() {
        let limits = Limits {
            connections: 3,
            connections_per_address: 2,
            ..Limits::default()
        };
        let connections = ConnectionLimiter::new(&limits);
        let [first, second] =
            ["192.0.2.1", "192.0.2.2"].map(|address| ClientNetwork::of(address.parse().unwrap()));
        let enter = |network| ConnectionLimiter::enter(&connections, network);
        let one = enter(first).unwrap();
        let two = enter(first).unwrap();
        assert!(enter(first).is_none(), "two of one address");
        let three = enter(second).unwrap();
        assert!(enter(second).is_none(), "three of all");
        let copy = one.clone();
        drop(one);
        assert!(enter(second).is_none(), "a clone still lives");
        drop(copy);
        assert!(enter(first).is_some());
        drop((two, three));
        assert_eq!(connections.open().all, 0);
        assert!(connections.open().by_caller.is_empty());
    }
}
