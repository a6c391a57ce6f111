//! The handshake: decides who may have a link, and with whom.
//!
//! ```text
//! agent                                                        customer
//!   │ ── TLS 1.3 in QUIC, to its end: both endpoint ids proved ───  │
//!   │ ── hello: proof, card ─────────────────────────────────────▶  │ card phase, 3 s
//!   │ ── pake ───────────────────────────────────────────────────▶  │ card and proof verified
//!   │ ◀────────────────────────────────────────────────────── pake  │ a guess is counted
//!   │ ── confirm ────────────────────────────────────────────────▶  │ PAKE phase, 10 s
//!   │ ◀─────────────────────────────────────────────────── confirm  │ the agent knows the code
//!   │ ── input, clipboard ──▶               ◀── picture, clipboard ─ │ streams, 5 s
//! ```
//!
//! An interrupted link is resumed in one round trip:
//!
//! ```text
//! agent                                                        customer
//!   │ ── resume: proof, confirmation, card ──────────────────────▶  │ all verified; nothing counted
//!   │ ◀─────────────────────────────────────────────────── confirm  │ keeps old key and new key
//!   │ ── input, clipboard ──▶               ◀── picture, clipboard ─ │ the old key is gone
//! ```
//!
//! The agent's side is in `agent` and `agent_resume`, the customer's in `customer` and
//! `customer_resume`. This file holds the common parts.

use std::time::Duration;

use etatuki_protocol::{
    AgentIdentity, HandshakeMessage, LengthPrefixedDecoder, MAX_HANDSHAKE_MESSAGE, Violation,
};
use etatuki_trust::{CardValidity, Revocations, SessionCode, VendorPublicKey};
use iroh::{
    Endpoint,
    endpoint::{Connection, RecvStream},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::LinkError,
    link::{AuthenticatedConnection, CustomerLink},
    stream::{FrameReader, FrameWriter},
};

pub(crate) mod agent;
pub(crate) mod agent_resume;
pub(crate) mod customer;
pub(crate) mod customer_resume;

/// The label of the TLS exporter (RFC 8446, section 7.5). The exported value differs for each TLS
/// connection, and only the connection's two ends know it.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-etatuki/1 link";

/// Time-out of TLS; enough for a slow relay.
const TLS_TIMEOUT: Duration = Duration::from_secs(5);

/// Time-out from the end of TLS to the whole of the agent's hello.
const CARD_TIMEOUT: Duration = Duration::from_secs(3);

/// Time-out from the verification of the card to the agent's confirmation.
const PAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time-out from a confirmation to the other end's streams.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(5);

/// The terms on which a customer's side accepts an agent.
#[derive(Clone, Debug)]
pub struct AcceptParams {
    /// The code on the customer's screen.
    pub code: SessionCode,
    /// The keys of the vendors whose cards are valid.
    pub vendors: Vec<VendorPublicKey>,
    /// The cards that have been revoked.
    pub revoked: Revocations,
}

/// The terms on which a customer's side lets the agent of an interrupted link resume it.
#[derive(Clone, Debug)]
pub struct ResumeParams {
    /// The keys of the vendors whose cards are valid.
    pub vendors: Vec<VendorPublicKey>,
    /// The cards that have been revoked by now.
    pub revoked: Revocations,
}

/// The outcome of an attempt to reach a customer.
#[derive(Debug)]
pub enum Attempt {
    /// An agent of the vendor's who knows the code.
    Authenticated(Box<CustomerLink>),
    /// The agent of the endpoint's last link, who goes on with it over a new connection. The old
    /// connection is of no use any more.
    Resumed(Box<CustomerLink>),
    /// A peer that wanted to resume the link and may not. Nothing is used up: the true agent can
    /// still resume, and a link that works goes on.
    ResumeRefused {
        /// The stable name of the reason: the card's fault, or `resume-refused`.
        reason: &'static str,
    },
    /// A peer without a valid card. It was sent nothing that depends on the code.
    Unauthorized {
        /// The stable name of the fault in the card or the proof.
        reason: &'static str,
    },
    /// An agent of the vendor's, by card and proof, whose card is out of its time: the card's fault
    /// or a clock's. They were sent nothing that depends on the code.
    CardOutOfTime {
        /// The agent.
        agent: AgentIdentity,
        /// The card's time.
        validity: CardValidity,
    },
    /// A guess at the code that led to no link: the code was wrong, or the agent broke off after
    /// our PAKE message had gone out.
    WrongGuess {
        /// The agent whose guess it was.
        agent: AgentIdentity,
    },
    /// A peer that left, stalled or sent garbage before it had shown a card, or before a guess
    /// began. Nothing to tell the customer.
    Aborted,
    /// The endpoint is closed; no more attempts will come.
    Closed,
}

/// The connection's first stream while it carries handshake messages.
pub(crate) struct HandshakeStream {
    connection: Connection,
    endpoint: Endpoint,
    writer: FrameWriter,
    reader: FrameReader<LengthPrefixedDecoder>,
}

impl HandshakeStream {
    /// Returns the endpoint that has this connection.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn new(
        connection: Connection,
        endpoint: Endpoint,
        writer: FrameWriter,
        stream: RecvStream,
    ) -> Self {
        Self {
            connection,
            endpoint,
            writer,
            reader: FrameReader::new(stream, LengthPrefixedDecoder::new(MAX_HANDSHAKE_MESSAGE)),
        }
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    async fn send(&mut self, messages: &[HandshakeMessage]) -> Result<(), LinkError> {
        self.writer
            .send(|out| {
                messages.iter().for_each(|message| message.append_to(out));
                Ok(())
            })
            .await
    }

    async fn recv(&mut self) -> Result<HandshakeMessage, LinkError> {
        let body = self.reader.recv().await?.ok_or(Violation::Truncated)?;
        Ok(HandshakeMessage::parse(&body)?)
    }

    async fn recv_pake(&mut self) -> Result<Vec<u8>, LinkError> {
        match self.recv().await? {
            HandshakeMessage::Pake(message) => Ok(message),
            _ => Err(Violation::OutOfTurn.into()),
        }
    }

    async fn recv_confirmation(&mut self) -> Result<[u8; 32], LinkError> {
        match self.recv().await? {
            HandshakeMessage::Confirm(confirmation) => Ok(confirmation),
            _ => Err(Violation::OutOfTurn.into()),
        }
    }

    fn into_authenticated(self) -> AuthenticatedConnection {
        let Self {
            connection,
            endpoint,
            writer,
            reader,
        } = self;
        AuthenticatedConnection {
            connection,
            endpoint,
            writer,
            reader,
        }
    }
}

/// Exports the secret that only the two ends of this TLS connection know.
pub(crate) fn tls_exporter(connection: &Connection) -> Result<[u8; 32], LinkError> {
    let mut value = [0; 32];
    connection
        .export_keying_material(&mut value, EXPORTER_LABEL, b"")
        .map_err(|_| LinkError::Lost)?;
    Ok(value)
}

/// Runs `work` with a time-out; exceeding it is the other end's violation.
async fn with_timeout<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(|_| Err(Violation::TooSlow.into()))
}

/// Runs one step of a phase with the phase's deadline; exceeding it is the other end's violation.
async fn with_deadline<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(Violation::TooSlow.into()))
}
