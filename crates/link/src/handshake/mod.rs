//! The handshake: who may have a link, and with whom.
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
//! The agent's side is in `agent`, the customer's in `customer`; this file holds what they share.

use std::time::Duration;

use etatuki_protocol::{
    AgentIdentity, HandshakeMessage, LengthPrefixedDecoder, MAX_HANDSHAKE_MESSAGE, StreamKind,
    Violation,
};
use etatuki_trust::{Revocations, SessionCode, VendorPublicKey};
use iroh::{
    Endpoint,
    endpoint::{Connection, RecvStream, SendStream},
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    error::LinkError,
    link::{CustomerLink, RawLink},
    stream::{Inlet, Outlet},
};

pub(crate) mod agent;
pub(crate) mod customer;

/// What the exporter is asked for; the value is one per TLS connection and known to its two ends only.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-etatuki/1 link";

/// TLS, through a slow relay.
const TLS_LIMIT: Duration = Duration::from_secs(5);

/// From TLS's end to the whole of the agent's hello.
const CARD_LIMIT: Duration = Duration::from_secs(3);

/// From the card's verification to the agent's confirmation.
const PAKE_LIMIT: Duration = Duration::from_secs(10);

/// From a confirmation to the other end's streams.
const STREAMS_LIMIT: Duration = Duration::from_secs(5);

/// What the customer's side lets an agent in by.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The code that is on the customer's screen.
    pub code: SessionCode,
    /// Whose signature on an agent's card counts.
    pub vendors: Vec<VendorPublicKey>,
    /// Cards that don't count any more.
    pub revoked: Revocations,
}

/// How one attempt to reach the customer ended.
#[derive(Debug)]
pub enum Attempt {
    /// An agent of the vendor's who knows the code.
    Authenticated(Box<CustomerLink>),
    /// Somebody who shows no valid card: never told anything that depends on the code.
    Stranger {
        /// The stable name of what is wrong with the card or the proof.
        reason: &'static str,
    },
    /// A guess at the code is used up and no link came of it: the code was wrong, or the agent broke off
    /// after our PAKE message had gone out.
    WrongGuess {
        /// Whose guess it was.
        agent: AgentIdentity,
    },
    /// Somebody who went away, stalled or sent rubbish before he had shown a card, or before it came to
    /// a guess. Nothing to tell the customer.
    Noise,
    /// The endpoint is closed; no more attempts will come.
    Closed,
}

/// A conversation of handshake messages on the connection's first stream.
pub(crate) struct Talk {
    connection: Connection,
    endpoint: Endpoint,
    out: Outlet,
    inlet: Inlet<LengthPrefixedDecoder>,
}

impl Talk {
    /// `out` comes along with whatever is to be sent first.
    fn new(connection: Connection, endpoint: Endpoint, out: Outlet, inlet: RecvStream) -> Self {
        Self {
            connection,
            endpoint,
            out,
            inlet: Inlet::new(inlet, LengthPrefixedDecoder::new(MAX_HANDSHAKE_MESSAGE)),
        }
    }

    async fn send(&mut self, messages: &[HandshakeMessage]) -> Result<(), LinkError> {
        self.out
            .send(|out| {
                messages.iter().for_each(|message| message.append_to(out));
                Ok(())
            })
            .await
    }

    async fn recv(&mut self) -> Result<HandshakeMessage, LinkError> {
        let body = self.inlet.recv().await?.ok_or(Violation::Truncated)?;
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

    fn into_link(self) -> RawLink {
        let Self {
            connection,
            endpoint,
            out,
            inlet,
        } = self;
        RawLink {
            connection,
            endpoint,
            out,
            inlet,
        }
    }
}

/// The sending half of the stream that the agent opens.
fn opening(stream: SendStream) -> Outlet {
    Outlet::new(stream, StreamKind::Control)
}

/// The sending half of the stream that the customer answers on.
fn answering(stream: SendStream) -> Outlet {
    Outlet::answering(stream, StreamKind::Control)
}

/// The value that only this TLS connection's two ends know.
pub(crate) fn exporter(connection: &Connection) -> Result<[u8; 32], LinkError> {
    let mut value = [0; 32];
    connection
        .export_keying_material(&mut value, EXPORTER_LABEL, b"")
        .map_err(|_| LinkError::Lost)?;
    Ok(value)
}

/// What takes longer than `limit` is the other end's fault.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Violation::TooSlow.into()))
}

/// The same with a deadline, for a phase that has several steps.
async fn by<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(Violation::TooSlow.into()))
}
