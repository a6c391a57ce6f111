//! The relay: iroh's, behind our own listener and our own access control.
//!
//! It moves encrypted packets between endpoints that can't reach each other directly. It doesn't
//! pair them: an endpoint decides itself whom it talks to. The relay asks for a ticket, limits the
//! rate of what comes in, and bounds the handshake in time; iroh's own server would do the first of
//! these only.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{
        FromRequestParts as _, Request,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use etatuki_trust::TicketError;
use futures_util::{Sink, Stream};
use iroh_base::EndpointId;
use iroh_relay::{
    ExportKeyingMaterial, KeyCache,
    http::{CLIENT_AUTH_HEADER, ProtocolVersion, RELAY_PATH, RELAY_PROBE_PATH},
    protos::{handshake, streams::StreamError},
    server::{
        Access, AccessControl, ClientRequest, ConnectionId, DynAccessControl, Metrics,
        OnDisconnectGuard,
        client::Config,
        clients::Clients,
        streams::{Bucket, RelayedStream},
    },
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::{debug, info};

use crate::{api::ApiError, peer::Peer, relay_admissions::AdmissionError, state::SharedState};

/// Time-out for the relay's handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message; iroh's own are at most 64 KiB and a few bytes.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// Initial read buffer of a connection. Small, since most connections only wait; it grows with
/// longer messages.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// Bytes gathered before a write, unless there is nothing more to gather.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Messages queued for one client. Fewer than iroh's 512: an old picture is of no use.
const SEND_QUEUE_MESSAGES: usize = 128;

/// Endpoints whose decoded public keys are cached.
const KEY_CACHE_ENTRIES: usize = 16 * 1024;

/// The relay of one service.
#[derive(Debug)]
pub(crate) struct RelayServer {
    state: SharedState,
    auth: Arc<dyn DynAccessControl>,
    bytes_per_second: u32,
    clients: Clients,
    key_cache: KeyCache,
    metrics: Arc<Metrics>,
}

impl RelayServer {
    pub(crate) fn new(state: SharedState) -> Arc<Self> {
        Arc::new(Self {
            bytes_per_second: state.limits.relay_bytes_per_second,
            auth: Arc::new(RelayAuth(state.clone())),
            state,
            clients: Clients::default(),
            key_cache: KeyCache::new(KEY_CACHE_ENTRIES),
            metrics: Arc::default(),
        })
    }

    /// Ends the connections of agents whose card was revoked, or whose vendor key is gone; to be
    /// called every few seconds.
    pub(crate) fn drop_revoked(&self) {
        let trust = self.state.trust();
        let revoked = self
            .state
            .relay_admissions()
            .revoked(|card| trust.is_out(card));
        for (endpoint, connection) in revoked {
            if let Ok(endpoint) = EndpointId::from_bytes(&endpoint) {
                info!("a revoked agent was dropped from the relay");
                self.clients.disconnect(endpoint, Some(connection));
            }
        }
    }

    /// Returns the bytes that clients have sent so far, and those sent to clients.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.metrics.bytes_recv.get(), self.metrics.bytes_sent.get())
    }

    /// Ends every connection.
    pub(crate) async fn shutdown(&self) {
        self.clients.shutdown().await;
    }
}

/// Returns the routes at which iroh's clients look for a relay.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(relay: Arc<RelayServer>) -> Router<S> {
    Router::new()
        .route(RELAY_PATH, get(upgrade_to_relay))
        .route(RELAY_PROBE_PATH, get(probe))
        .layer(Extension(relay))
}

/// Answers the request with which clients measure the latency to the relay.
async fn probe() -> impl IntoResponse {
    (StatusCode::OK, [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")])
}

async fn upgrade_to_relay(
    Extension(relay): Extension<Arc<RelayServer>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return ApiError::BadRequest.into_response();
    };
    upgrade
        .protocols([ProtocolVersion::V2.to_str()])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_MESSAGE_BYTES * 4)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| relay.accept(socket, parts, peer))
}

impl RelayServer {
    async fn accept(self: Arc<Self>, socket: WebSocket, parts: Parts, peer: Peer) {
        let Some(mut socket) = RelaySocket::new(socket, self.bytes_per_second, peer) else {
            return;
        };
        match timeout(HANDSHAKE_TIMEOUT, self.authenticate(&mut socket, parts)).await {
            Ok(Ok(guard)) => {
                let stream = RelayedStream::new(socket, self.key_cache.clone());
                let mut config = Config::new(guard, stream, ProtocolVersion::V2);
                config.channel_capacity = SEND_QUEUE_MESSAGES;
                self.clients.register(config, self.metrics.clone());
            }
            // The details may quote the client's proof: they stay out of the log.
            Ok(Err(_)) => debug!("a relay client was refused"),
            Err(_) => {
                debug!("a relay client took too long to say who it is");
                self.state.metrics.relay_refused("timeout");
            }
        }
    }

    async fn authenticate(
        &self,
        socket: &mut RelaySocket,
        parts: Parts,
    ) -> Result<OnDisconnectGuard, handshake::Error> {
        let proof = parts.headers.get(CLIENT_AUTH_HEADER).cloned();
        let client = handshake::serverside(socket, proof).await?;
        let request = ClientRequest::new(client.client_key, ProtocolVersion::V2, parts);
        client.authorize_with(&request, &self.auth, socket).await
    }
}

/// Access control by relay ticket.
#[derive(Debug)]
struct RelayAuth(SharedState);

impl AccessControl for RelayAuth {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        match self.admit(request) {
            Ok(()) => Access::Allow,
            Err((name, sentence)) => {
                self.0.metrics.relay_refused(name);
                Access::Deny {
                    reason: Some(format!("{name}: {sentence}")),
                }
            }
        }
    }

    fn on_disconnect(&self, endpoint: EndpointId, connection: ConnectionId) {
        self.0
            .relay_admissions()
            .disconnect(endpoint.as_bytes(), &connection);
    }
}

impl RelayAuth {
    /// Admits a client, or returns the reason why not: a stable name and a sentence.
    fn admit(&self, request: &ClientRequest) -> Result<(), (&'static str, String)> {
        let refused = |error: TicketError| (error.name(), error.to_string());
        let text = request.auth_token().unwrap_or_default();
        let ticket = self.0.verify_ticket(&text).map_err(refused)?;
        let admitted = self.0.relay_admissions().connect(
            &ticket,
            request.endpoint_id().as_bytes(),
            request.connection_id(),
            self.0.clock.unix_time(),
        );
        admitted.map_err(|error| match error {
            AdmissionError::Ticket(error) => refused(error),
            AdmissionError::TooMany => ("too-many", "the endpoint has too many connections".into()),
        })
    }
}

/// A WebSocket as iroh's relay wants it: whole binary messages in both directions. What the client
/// sends is limited by a token bucket.
struct RelaySocket {
    socket: WebSocket,
    bucket: Bucket,
    /// Reading pauses until this ends.
    pause: Option<Pin<Box<Sleep>>>,
    /// Counts as a connection of its address while it lives.
    _peer: Peer,
}

impl RelaySocket {
    fn new(socket: WebSocket, bytes_per_second: u32, peer: Peer) -> Option<Self> {
        let rate = i64::from(bytes_per_second);
        let bucket = Bucket::new(rate * 2, rate, Duration::from_millis(100)).ok()?;
        Some(Self {
            socket,
            bucket,
            pause: None,
            _peer: peer,
        })
    }

    /// Charges a message to the bucket; if that overdraws it, reading pauses.
    fn charge(&mut self, bytes: usize) {
        // An empty message has a cost too.
        if let Err(until) = self.bucket.consume(bytes.max(64)) {
            let until: Instant = until;
            self.pause = Some(Box::pin(sleep_until(until)));
        }
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut WebSocket> {
        Pin::new(&mut self.get_mut().socket)
    }
}

impl Stream for RelaySocket {
    type Item = Result<axum::body::Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.as_mut().socket().poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => {
                    self.charge(bytes.len());
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(None),
                // Pings are answered by the WebSocket layer, and text means nothing here.
                Some(Ok(other)) => self.charge(other.into_data().len()),
                Some(Err(error)) => return Poll::Ready(Some(Err(StreamError::from_std(error)))),
            }
        }
    }
}

impl Sink<axum::body::Bytes> for RelaySocket {
    type Error = StreamError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.socket().poll_ready(cx).map_err(StreamError::from_std)
    }

    fn start_send(self: Pin<&mut Self>, bytes: axum::body::Bytes) -> Result<(), StreamError> {
        self.socket()
            .start_send(Message::Binary(bytes))
            .map_err(StreamError::from_std)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.socket().poll_flush(cx).map_err(StreamError::from_std)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.socket().poll_close(cx).map_err(StreamError::from_std)
    }
}

/// No keying material: the WebSocket's TLS session is out of reach. Clients prove their key by a
/// challenge instead, which costs one round trip when they connect.
impl ExportKeyingMaterial for RelaySocket {
    fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        _: T,
        _: &[u8],
        _: Option<&[u8]>,
    ) -> Option<T> {
        None
    }
}
