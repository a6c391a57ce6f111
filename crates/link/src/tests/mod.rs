//! Both ends over real QUIC on loopback. The fixtures: a vendor, an agent, a customer, and a peer that
//! says what it likes.

use std::time::Duration;

use etatuki_protocol::{HandshakeMessage, Hello, StreamKind, Violation};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CodeForm, LinkProof, Nameplate, Revocations, Secret,
    SessionCode, UnixTime, VendorKey,
};
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{Connection, ConnectionError, RecvStream, SendStream, VarInt},
};
use serde_json::Value;

use crate::{
    ALPN, AgentEndpoint, AgentLink, Attempt, CustomerEndpoint, CustomerLink, DialError, Offer,
    endpoint::bind,
    handshake,
    keys::{LinkKeys, Transcript},
    pake::{Pake, Parties, Role, Spake},
};

mod aborts;
mod happy;
mod hostile_links;
mod middle;
mod refusals;
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

fn offer() -> Offer {
    offer_of(CodeForm::Remoteus)
}

fn offer_of(form: CodeForm) -> Offer {
    Offer {
        code: code(form),
        vendors: vec![vendor().public()],
        revoked: Revocations::default(),
    }
}

fn wrong_secret() -> Secret {
    Secret::from_random(CodeForm::Remoteus, 4712_u64.to_le_bytes())
}

/// Nothing here takes that long; a test that hangs says so.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("this hangs")
}

async fn customer() -> CustomerEndpoint {
    CustomerEndpoint::bind(None).await.unwrap()
}

/// What both ends come to when `agent` dials with this secret.
async fn meet(
    customer: &CustomerEndpoint,
    offer: &Offer,
    secret: &Secret,
    agent: &AgentFile,
) -> (Attempt, Result<AgentLink, DialError>) {
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let address = customer.address();
    let dial = endpoint.dial(&address, &offer.code.nameplate, secret, agent);
    soon(async { tokio::join!(customer.accept(offer), dial) }).await
}

/// A link that stands.
async fn linked() -> (CustomerLink, AgentLink) {
    let customer = customer().await;
    let offer = offer();
    match meet(&customer, &offer, &offer.code.secret, &agent()).await {
        (Attempt::Authenticated(customer), Ok(agent)) => (*customer, agent),
        other => panic!("no link: {other:?}"),
    }
}

fn endpoint_addr(address: &Value) -> EndpointAddr {
    serde_json::from_value(address.clone()).unwrap()
}

/// A peer on the handshake's stream that says what the test likes.
struct Raw {
    endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Raw {
    /// An agent's end; nothing is sent yet, and so the stream doesn't exist for the customer.
    async fn dial(address: &Value) -> Self {
        let endpoint = bind(None, Vec::new(), VarInt::from_u32(0)).await.unwrap();
        Self::dial_from(endpoint, address).await
    }

    async fn dial_from(endpoint: Endpoint, address: &Value) -> Self {
        let connection = endpoint
            .connect(endpoint_addr(address), ALPN)
            .await
            .unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        Self {
            endpoint,
            connection,
            send,
            recv,
        }
    }

    /// A customer's end, for the next who dials `endpoint`.
    async fn answer(endpoint: &Endpoint) -> Self {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (send, recv) = connection.accept_bi().await.unwrap();
        Self {
            endpoint: endpoint.clone(),
            connection,
            send,
            recv,
        }
    }

    fn parties(&self, role: Role, nameplate: Nameplate) -> Parties {
        let ours = *self.endpoint.id().as_bytes();
        let theirs = *self.connection.remote_id().as_bytes();
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
        handshake::exporter(&self.connection).unwrap()
    }

    /// An honest hello of `agent`'s for this very connection.
    fn hello(&self, agent: &AgentFile, nameplate: Nameplate) -> HandshakeMessage {
        let parties = self.parties(Role::Agent, nameplate);
        let proof = LinkProof {
            exporter: &self.exporter(),
            nameplate: &parties.nameplate,
            agent: &parties.agent,
            customer: &parties.customer,
        };
        let proof = agent.key.prove_link(&agent.card, &proof);
        HandshakeMessage::Hello(Hello {
            proof,
            card: agent.card.to_text(),
        })
    }

    async fn bytes(&mut self, bytes: &[u8]) {
        // The other end may have had enough already.
        let _ = self.send.write_all(bytes).await;
    }

    async fn kind(&mut self) {
        self.bytes(&[StreamKind::Control as u8]).await;
    }

    async fn say(&mut self, message: &HandshakeMessage) {
        let mut frame = Vec::new();
        message.append_to(&mut frame);
        self.bytes(&frame).await;
    }

    /// The other end's next frame, whole with its header.
    async fn frame(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.recv.read_exact(&mut header).await.ok()?;
        let mut body = vec![0; u32::from_be_bytes(header) as usize];
        self.recv.read_exact(&mut body).await.ok()?;
        Some([&header[..], &body].concat())
    }

    async fn hear(&mut self) -> Option<HandshakeMessage> {
        let frame = self.frame().await?;
        Some(HandshakeMessage::parse(&frame[4..]).unwrap())
    }

    /// Says kind, hello and PAKE message, and hears the customer's: from then on a guess is counted.
    async fn up_to_guess(&mut self, offer: &Offer, secret: &Secret) -> (LinkKeys, Transcript) {
        let nameplate = offer.code.nameplate;
        let agent = agent();
        let parties = self.parties(Role::Agent, nameplate);
        let (pake, ours) = Spake::start(Role::Agent, secret, &parties);
        self.kind().await;
        let hello = self.hello(&agent, nameplate);
        self.say(&hello).await;
        self.say(&HandshakeMessage::Pake(ours.clone())).await;
        let Some(HandshakeMessage::Pake(theirs)) = self.hear().await else {
            panic!("no PAKE message")
        };
        let key = pake.finish(&theirs).unwrap();
        let transcript = Transcript::new(&parties, &agent.card.hash(), [&ours, &theirs]);
        (LinkKeys::derive(&key, &self.exporter()), transcript)
    }

    /// How the other end closed: the code and the name it gave.
    async fn closed(&self) -> (u64, String) {
        match self.connection.closed().await {
            ConnectionError::ApplicationClosed(close) => (
                close.error_code.into(),
                String::from_utf8(close.reason.to_vec()).unwrap(),
            ),
            other => panic!("closed otherwise: {other}"),
        }
    }
}
