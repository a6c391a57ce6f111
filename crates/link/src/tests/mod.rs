//! Both ends over real QUIC on loopback. Here are the fixtures: a vendor, an agent, a customer, and
//! a raw peer whose every message a test chooses.

use std::time::Duration;

use etatuki_protocol::{HandshakeMessage, Hello, StreamKind, Violation};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CodeForm, Nameplate, RevocationList, Revocations,
    Secret, SessionCode, SignedRevocations, StaleRevocations, UnixTime, VendorKey,
};
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{Connection, ConnectionError, RecvStream, SendStream, VarInt},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{
    ALPN, AcceptParams, AgentEndpoint, AgentLink, Attempt, CustomerEndpoint, CustomerLink,
    DialError,
    endpoint::bind,
    handshake::{self, customer::Checks},
    keys::{LinkKeys, Transcript},
    pake::{Pake, Parties, Role, Spake2Ed25519},
};

mod aborts;
mod happy;
mod hostile_links;
mod lab;
mod middle;
mod refusals;
mod restart;
mod resume;
mod streams;

/// 2100-01-01.
const FAR: UnixTime = UnixTime(4_102_444_800);

fn vendor() -> VendorKey {
    VendorKey::from_seed([1; 32])
}

fn card_data() -> CardData {
    CardData {
        serial: 7,
        name: "Aino Agentti".into(),
        organisation: "Tilitoimisto Oy".into(),
        issued: UnixTime(1_600_000_000),
        expires: FAR,
        key: agent_key().public(),
    }
}

fn agent_key() -> AgentKey {
    AgentKey::from_seed([2; 32])
}

fn agent_with(vendor: &VendorKey, data: CardData) -> AgentFile {
    AgentFile {
        card: AgentCard::issue(vendor, data).unwrap(),
        key: agent_key(),
    }
}

fn agent() -> AgentFile {
    agent_with(&vendor(), card_data())
}

fn code(form: CodeForm) -> SessionCode {
    SessionCode::mint(
        Nameplate::from_number(form, 123_456).unwrap(),
        4711_u64.to_le_bytes(),
    )
}

fn params() -> AcceptParams {
    params_for(CodeForm::SingleCode)
}

fn params_for(form: CodeForm) -> AcceptParams {
    AcceptParams {
        code: code(form),
        vendors: vec![vendor().public()],
        revoked: Revocations::new(StaleRevocations::Warn),
    }
}

fn wrong_secret() -> Secret {
    Secret::from_random(CodeForm::SingleCode, 4712_u64.to_le_bytes())
}

/// Fails a test that hangs; nothing here takes that long.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("this hangs")
}

async fn customer() -> CustomerEndpoint {
    CustomerEndpoint::bind(None).await.unwrap()
}

/// Connects as `agent` with this secret; returns the results of both ends.
async fn connect(
    customer: &CustomerEndpoint,
    params: &AcceptParams,
    secret: &Secret,
    agent: &AgentFile,
) -> (Attempt, Result<AgentLink, DialError>) {
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let address = customer.address();
    let dial = endpoint.dial(&address, &params.code.nameplate, secret, agent);
    soon(async { tokio::join!(customer.accept(params), dial) }).await
}

/// Checks that the right agent gets in.
async fn check_open(customer: &CustomerEndpoint) {
    let params = params();
    let (attempt, dialled) = connect(customer, &params, &params.code.secret, &agent()).await;
    assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
    dialled.unwrap();
}

/// Returns the two ends of an established link.
async fn linked() -> (CustomerLink, AgentLink) {
    let customer = customer().await;
    let params = params();
    match connect(&customer, &params, &params.code.secret, &agent()).await {
        (Attempt::Authenticated(customer), Ok(agent)) => (*customer, agent),
        other => panic!("no link: {other:?}"),
    }
}

fn endpoint_addr(address: &Value) -> EndpointAddr {
    serde_json::from_value(address.clone()).unwrap()
}

/// Returns an endpoint that plays the customer's end by hand, and its address.
async fn raw_customer_endpoint() -> (Endpoint, Value) {
    let endpoint = bind(None, vec![ALPN.to_vec()], VarInt::from_u32(1))
        .await
        .unwrap();
    let port = endpoint
        .bound_sockets()
        .iter()
        .find(|bound| bound.is_ipv4())
        .unwrap()
        .port();
    let address = EndpointAddr::new(endpoint.id()).with_ip_addr(([127, 0, 0, 1], port).into());
    (endpoint, serde_json::to_value(address).unwrap())
}

/// A raw peer that has dialled a customer's endpoint, whose `accept` runs in a task.
struct CustomerTrial {
    peer: RawPeer,
    accept: JoinHandle<(CustomerEndpoint, Attempt)>,
}

impl CustomerTrial {
    async fn start() -> Self {
        let customer = customer().await;
        let address = customer.address();
        let accept = tokio::spawn(async move {
            let attempt = customer.accept(&params()).await;
            (customer, attempt)
        });
        Self {
            peer: soon(RawPeer::dial(&address)).await,
            accept,
        }
    }

    /// Waits for the outcome of `accept`.
    async fn attempt(&mut self) -> (CustomerEndpoint, Attempt) {
        soon(&mut self.accept).await.unwrap()
    }
}

/// A raw peer in the customer's part, with an agent's `dial` in a task. Kind, hello and PAKE
/// message of the agent have been received.
struct AgentTrial {
    peer: RawPeer,
    /// The agent's PAKE message.
    pake: Vec<u8>,
    /// With the endpoint, which must live until it has closed its connection.
    dial: JoinHandle<(AgentEndpoint, Result<AgentLink, DialError>)>,
}

impl AgentTrial {
    async fn start() -> Self {
        let (endpoint, address) = raw_customer_endpoint().await;
        let dial = tokio::spawn(async move {
            let (agent_endpoint, code) = (AgentEndpoint::bind(None).await.unwrap(), params().code);
            let dialled = agent_endpoint
                .dial(&address, &code.nameplate, &code.secret, &agent())
                .await;
            (agent_endpoint, dialled)
        });
        let mut peer = soon(RawPeer::accept(&endpoint)).await;
        assert!(matches!(
            peer.recv().await,
            Some(HandshakeMessage::Hello(_))
        ));
        let Some(HandshakeMessage::Pake(pake)) = peer.recv().await else {
            panic!("no PAKE message")
        };
        Self { peer, pake, dial }
    }

    /// Waits for the outcome of `dial`.
    async fn dialled(&mut self) -> Result<AgentLink, DialError> {
        soon(&mut self.dial).await.unwrap().1
    }
}

/// A peer on the handshake's stream whose messages the test chooses.
struct RawPeer {
    endpoint: Endpoint,
    connection: Connection,
    writer: SendStream,
    reader: RecvStream,
}

impl RawPeer {
    /// Dials as an agent. Nothing is sent yet, so the stream doesn't exist for the customer.
    async fn dial(address: &Value) -> Self {
        let endpoint = bind(None, Vec::new(), VarInt::from_u32(0)).await.unwrap();
        Self::dial_from(endpoint, address).await
    }

    async fn dial_from(endpoint: Endpoint, address: &Value) -> Self {
        let connection = endpoint
            .connect(endpoint_addr(address), ALPN)
            .await
            .unwrap();
        let (writer, reader) = connection.open_bi().await.unwrap();
        Self {
            endpoint,
            connection,
            writer,
            reader,
        }
    }

    /// Accepts the next agent who dials `endpoint`, and reads the kind of their stream.
    async fn accept(endpoint: &Endpoint) -> Self {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (writer, mut reader) = connection.accept_bi().await.unwrap();
        let mut kind = [0];
        reader.read_exact(&mut kind).await.unwrap();
        assert_eq!(kind, [StreamKind::Control as u8]);
        Self {
            endpoint: endpoint.clone(),
            connection,
            writer,
            reader,
        }
    }

    fn parties(&self, role: Role) -> Parties {
        let ours = *self.endpoint.id().as_bytes();
        let theirs = *self.connection.remote_id().as_bytes();
        let nameplate = params().code.nameplate;
        match role {
            Role::Agent => Parties {
                agent: ours,
                customer: theirs,
                nameplate,
            },
            Role::Customer => Parties {
                agent: theirs,
                customer: ours,
                nameplate,
            },
        }
    }

    fn exporter(&self) -> [u8; 32] {
        handshake::tls_exporter(&self.connection).unwrap()
    }

    /// Returns an honest hello of `agent`'s for this very connection.
    fn hello(&self, agent: &AgentFile) -> HandshakeMessage {
        let exporter = self.exporter();
        let parties = self.parties(Role::Agent);
        HandshakeMessage::Hello(Hello {
            proof: agent
                .key
                .prove_link(&agent.card, &parties.binding(&exporter)),
            card: agent.card.to_text(),
        })
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        // The other end may have closed already.
        let _ = self.writer.write_all(bytes).await;
    }

    async fn send_kind(&mut self) {
        self.send_bytes(&[StreamKind::Control as u8]).await;
    }

    async fn send(&mut self, message: &HandshakeMessage) {
        let mut frame = Vec::new();
        message.append_to(&mut frame);
        self.send_bytes(&frame).await;
    }

    /// Sends kind and hello, as an honest agent does.
    async fn send_hello(&mut self) {
        self.send_kind().await;
        let hello = self.hello(&agent());
        self.send(&hello).await;
    }

    /// Sends `role`'s valid confirmation.
    async fn send_confirmation(&mut self, role: Role, (keys, transcript): &PakeOutcome) {
        let confirmation = keys.confirmation(role, transcript);
        self.send(&HandshakeMessage::Confirm(confirmation)).await;
    }

    /// Returns the other end's next frame, its header included.
    async fn recv_frame(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.reader.read_exact(&mut header).await.ok()?;
        let mut body = vec![0; u32::from_be_bytes(header) as usize];
        self.reader.read_exact(&mut body).await.ok()?;
        Some([&header[..], &body].concat())
    }

    async fn recv(&mut self) -> Option<HandshakeMessage> {
        let frame = soon(self.recv_frame()).await?;
        Some(HandshakeMessage::parse(&frame[4..]).unwrap())
    }

    /// Plays an honest agent up to the customer's PAKE message: from then on a guess is counted.
    async fn run_until_guess(&mut self) -> PakeOutcome {
        let parties = self.parties(Role::Agent);
        let (pake, ours) = Spake2Ed25519::start(Role::Agent, &params().code.secret, &parties);
        self.send_hello().await;
        self.send(&HandshakeMessage::Pake(ours.clone())).await;
        let Some(HandshakeMessage::Pake(theirs)) = self.recv().await else {
            panic!("no PAKE message")
        };
        let key = pake.finish(&theirs).unwrap();
        let transcript = Transcript::new(&parties, &agent().card.hash(), [&ours, &theirs]);
        (LinkKeys::derive(&key, &self.exporter()), transcript)
    }

    /// Opens a unidirectional stream that begins with `kind`.
    async fn open_stream(&self, kind: u8) -> SendStream {
        self.connection.set_max_concurrent_uni_streams(2_u32.into());
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(&[kind]).await.unwrap();
        stream
    }

    fn finish(&mut self) {
        self.writer.finish().unwrap();
    }

    fn close(&self, code: u32, reason: &str) {
        self.connection.close(code.into(), reason.as_bytes());
    }

    /// Waits for the other end to close. Returns its code and reason.
    async fn closed(&self) -> (u64, String) {
        match soon(self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => (
                close.error_code.into(),
                String::from_utf8(close.reason.to_vec()).unwrap(),
            ),
            other => panic!("closed otherwise: {other}"),
        }
    }

    /// Checks that the other end closes because of this violation.
    async fn check_violation(&self, name: &str) {
        assert_eq!(self.closed().await, (3, name.to_owned()));
    }
}

/// Keys and transcript of a handshake in which the PAKE has run.
type PakeOutcome = (LinkKeys, Transcript);
