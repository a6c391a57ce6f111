//! Metrics, which an operator watches: in Prometheus's text format, at an address of their own.
//!
//! Counters count as things happen; gauges are read when somebody asks. The recorder is this service's
//! own, not the process's.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use etatuki_trust::CodeForm;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{Recorder, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::{
    certificate_facts::CertificateFacts, config::StartError, peer::Connections, relay::RelayServer,
    state::SharedState, tls::CurrentCertificate,
};

/// Askers at a time.
const MAX_ASKERS: usize = 8;

/// Time-out of one asker, from its connection to the end of its answer.
const ASKER_TIMEOUT: Duration = Duration::from_secs(10);

/// The type of the text (Prometheus, exposition formats).
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The counters, and what renders them.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            describe();
            begin();
        });
        Self {
            handle: recorder.handle(),
            recorder,
        }
    }

    /// Counts a session that was opened.
    pub(crate) fn session_opened(&self, form: CodeForm) {
        let form = form.to_string();
        self.with(|| counter!("etatuki_sessions_opened_total", "form" => form).increment(1));
    }

    /// Counts a session to which an agent was led.
    pub(crate) fn looked_up(&self) {
        self.with(|| counter!("etatuki_lookups_total").increment(1));
    }

    /// Counts a request that was answered with this error's name.
    pub(crate) fn refused(&self, error: &'static str) {
        self.with(|| counter!("etatuki_requests_refused_total", "error" => error).increment(1));
    }

    /// Counts a relay client that was refused for the reason of this name.
    pub(crate) fn relay_refused(&self, reason: &'static str) {
        self.with(|| counter!("etatuki_relay_refused_total", "reason" => reason).increment(1));
    }

    /// Counts a connection that was closed at once, because there are too many.
    pub(crate) fn connection_dropped(&self) {
        self.with(|| counter!("etatuki_connections_dropped_total").increment(1));
    }

    fn with(&self, work: impl FnOnce()) {
        with_local_recorder(&self.recorder as &dyn Recorder, work);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(..)")
    }
}

fn describe() {
    describe_counter!(
        "etatuki_sessions_opened_total",
        "Sessions opened, by the code's form."
    );
    describe_counter!(
        "etatuki_lookups_total",
        "Sessions to which an agent was led."
    );
    describe_counter!(
        "etatuki_requests_refused_total",
        "Requests refused, by the error's stable name; too-many is a limit that was hit."
    );
    describe_counter!(
        "etatuki_relay_refused_total",
        "Relay clients refused, by the reason's stable name."
    );
    describe_counter!(
        "etatuki_connections_dropped_total",
        "Connections closed at once, because there are too many."
    );
    describe_counter!(
        "etatuki_relay_received_bytes_total",
        "Bytes that relay clients sent."
    );
    describe_counter!(
        "etatuki_relay_sent_bytes_total",
        "Bytes sent to relay clients."
    );
    describe_gauge!(
        "etatuki_sessions_waiting",
        "Sessions that wait for an agent, by the code's form."
    );
    describe_gauge!("etatuki_relay_connections", "Connections of relay clients.");
    describe_gauge!("etatuki_connections", "Connections of all kinds.");
    describe_gauge!(
        "etatuki_connections_limit",
        "Connections that may be open at a time."
    );
    describe_gauge!("etatuki_vendor_keys", "Vendor keys.");
    describe_gauge!(
        "etatuki_vendor_keys_without_list",
        "Vendor keys whose revocation list is missing or outdated: launchers let in none of their agents."
    );
    describe_gauge!(
        "etatuki_certificate_not_after_seconds",
        "End of the certificate in its file, in seconds since 1970."
    );
}

/// The parts of the service that the gauges are read from.
pub(crate) struct Gauges {
    pub(crate) state: SharedState,
    pub(crate) relay: Arc<RelayServer>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) certificate: Arc<CurrentCertificate>,
}

impl Gauges {
    /// Returns everything as it is now.
    fn render(&self) -> String {
        let metrics = &self.state.metrics;
        metrics.with(|| self.read());
        metrics.handle.render()
    }

    #[allow(clippy::cast_precision_loss)] // No count comes near 2^53.
    fn read(&self) {
        let Self { state, relay, .. } = self;
        for (form, waiting) in state.directory().waiting() {
            gauge!("etatuki_sessions_waiting", "form" => form.to_string()).set(waiting as f64);
        }
        let relayed = state.relay_admissions().connection_count();
        gauge!("etatuki_relay_connections").set(relayed as f64);
        let (received, sent) = relay.bytes();
        counter!("etatuki_relay_received_bytes_total").absolute(received);
        counter!("etatuki_relay_sent_bytes_total").absolute(sent);
        gauge!("etatuki_connections").set(self.connections.count() as f64);
        gauge!("etatuki_connections_limit").set(state.limits.connections as f64);
        let (keys, without) = state.vendor_keys();
        gauge!("etatuki_vendor_keys").set(keys as f64);
        gauge!("etatuki_vendor_keys_without_list").set(without as f64);
        let facts = self
            .certificate
            .files()
            .as_ref()
            .map(CertificateFacts::read);
        if let Some(Ok(facts)) = facts {
            gauge!("etatuki_certificate_not_after_seconds").set(facts.ends as f64);
        }
    }
}

/// Begins the counters whose labels are known before anything has happened.
fn begin() {
    counter!("etatuki_lookups_total").absolute(0);
    counter!("etatuki_connections_dropped_total").absolute(0);
    for form in [CodeForm::SingleCode, CodeForm::IdAndPassword] {
        counter!("etatuki_sessions_opened_total", "form" => form.to_string()).absolute(0);
    }
}

/// Begins to listen for askers.
///
/// # Errors
/// [`StartError::Listen`].
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    info!(%bound, "metrics are told here");
    Ok((listener, bound))
}

/// Answers askers until the service stops.
pub(crate) async fn serve(listener: TcpListener, gauges: Gauges, mut stopped: watch::Receiver<()>) {
    let gauges = Arc::new(gauges);
    let places = Arc::new(Semaphore::new(MAX_ASKERS));
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "no asker for metrics could be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let gauges = gauges.clone();
        tokio::spawn(async move {
            let _ = timeout(ASKER_TIMEOUT, answer(stream, gauges)).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, gauges: Arc<Gauges>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let response = respond(&request, &gauges);
        async move { Ok::<_, Infallible>(response) }
    });
    let answered = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if answered.is_err() {
        debug!("an asker for metrics went away");
    }
}

fn respond(request: &hyper::Request<Incoming>, gauges: &Gauges) -> Response {
    if request.uri().path() != "/metrics" {
        return (StatusCode::NOT_FOUND, "Metrics are at /metrics.\n").into_response();
    }
    if request.method() != Method::GET {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let kind = HeaderValue::from_static(TEXT_FORMAT);
    ([(header::CONTENT_TYPE, kind)], gauges.render()).into_response()
}
