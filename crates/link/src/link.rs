//! An established link: its streams, ready to be handed out.
//!
//! | stream    | QUIC stream                    | opened by | direction         |
//! |-----------|--------------------------------|-----------|-------------------|
//! | control   | the handshake's, bidirectional | agent     | both              |
//! | input     | unidirectional                 | agent     | agent to customer |
//! | picture   | unidirectional                 | customer  | customer to agent |
//! | clipboard | two unidirectional             | each end  | each way          |
//!
//! Each end opens its streams, sends their first byte at once, and then accepts the other end's in
//! any order. So neither end waits for the other before it has sent what the other waits for.

use std::fmt;

use etatuki_protocol::{
    AgentIdentity, BlockDecoder, BlockEncoder, LengthPrefixedDecoder, StreamKind, ToAgent,
    ToCustomer, Violation,
};
use iroh::{
    Endpoint,
    endpoint::{Connection, RecvStream, VarInt},
};

use crate::{
    clipboard::{ClipboardIn, ClipboardOut},
    connection::LinkConnection,
    control::{ControlIn, ControlOut},
    direct_retry,
    error::LinkError,
    input::{InputIn, InputOut},
    picture::{PictureIn, PictureOut},
    resume::AgentResumption,
    stream::{FrameReader, FrameWriter, read_kind},
};

/// The number of unidirectional streams that each end may open once both are authenticated; before,
/// it is none.
const MAX_UNI_STREAMS: VarInt = VarInt::from_u32(2);

/// The customer's end of a link with an agent who has proved their identity and that they know the
/// code.
pub struct CustomerLink {
    /// The agent's identity, as signed by the vendor.
    pub agent: AgentIdentity,
    streams: CustomerStreams,
}

/// The streams of the customer's end. Dropping a stream finishes it, or tells the other end to stop
/// sending. Dropping all of them and every [`LinkConnection`] closes the link.
#[derive(Debug)]
pub struct CustomerStreams {
    /// Messages to the console.
    pub control_out: ControlOut<ToAgent>,
    /// Messages from the console.
    pub control_in: ControlIn<ToCustomer>,
    /// The customer's screen.
    pub picture_out: PictureOut,
    /// Requests, keys and pointer of the agent's viewer.
    pub input_in: InputIn,
    /// Text copied by the customer.
    pub clipboard_out: ClipboardOut,
    /// Text copied by the agent.
    pub clipboard_in: ClipboardIn,
    /// The connection under all streams.
    pub connection: LinkConnection,
}

impl CustomerLink {
    /// Takes the link apart into its streams.
    #[must_use]
    pub fn split(self) -> CustomerStreams {
        self.streams
    }

    /// Returns the connection under the streams.
    #[must_use]
    pub const fn connection(&self) -> &LinkConnection {
        &self.streams.connection
    }

    pub(crate) async fn open(
        handshake: AuthenticatedConnection,
        agent: AgentIdentity,
    ) -> Result<Self, LinkError> {
        let encoder = BlockEncoder::new()?;
        let streams = handshake
            .exchange_streams(StreamKind::Picture, StreamKind::Input)
            .await?;
        let streams = CustomerStreams {
            control_out: ControlOut::new(handshake.writer),
            control_in: ControlIn::after(handshake.reader),
            picture_out: PictureOut::new(streams.own, encoder),
            input_in: InputIn::new(streams.peers),
            clipboard_out: streams.clipboard_out,
            clipboard_in: streams.clipboard_in,
            connection: LinkConnection::new(handshake.connection, handshake.endpoint),
        };
        Ok(Self { agent, streams })
    }
}

impl fmt::Debug for CustomerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerLink")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// The agent's end of a link with a customer whose machine has proved that it knows the code.
pub struct AgentLink {
    streams: AgentStreams,
    resumption: AgentResumption,
}

/// The streams of the agent's end. Dropping works as with [`CustomerStreams`].
#[derive(Debug)]
pub struct AgentStreams {
    /// Messages to the customer's machine.
    pub control_out: ControlOut<ToCustomer>,
    /// Messages from the customer's machine.
    pub control_in: ControlIn<ToAgent>,
    /// The customer's screen.
    pub picture_in: PictureIn,
    /// Requests, keys and pointer of the agent's viewer.
    pub input_out: InputOut,
    /// Text copied by the agent.
    pub clipboard_out: ClipboardOut,
    /// Text copied by the customer.
    pub clipboard_in: ClipboardIn,
    /// The connection under all streams.
    pub connection: LinkConnection,
}

impl AgentLink {
    /// Takes the link apart into its streams. It can't be resumed then.
    #[must_use]
    pub fn split(self) -> AgentStreams {
        self.streams
    }

    /// Takes the link apart into its streams and what
    /// [`AgentEndpoint::resume`](crate::AgentEndpoint::resume) wants.
    #[must_use]
    pub fn into_parts(self) -> (AgentStreams, AgentResumption) {
        (self.streams, self.resumption)
    }

    /// Returns the connection under the streams.
    #[must_use]
    pub const fn connection(&self) -> &LinkConnection {
        &self.streams.connection
    }

    pub(crate) const fn new(streams: AgentStreams, resumption: AgentResumption) -> Self {
        Self {
            streams,
            resumption,
        }
    }
}

impl AgentStreams {
    pub(crate) async fn open(handshake: AuthenticatedConnection) -> Result<Self, LinkError> {
        let decoder = BlockDecoder::new()?;
        let streams = handshake
            .exchange_streams(StreamKind::Input, StreamKind::Picture)
            .await?;
        direct_retry::spawn(handshake.endpoint.clone(), &handshake.connection);
        Ok(Self {
            control_out: ControlOut::new(handshake.writer),
            control_in: ControlIn::after(handshake.reader),
            picture_in: PictureIn::new(FrameReader::new(streams.peers, decoder)),
            input_out: InputOut::new(streams.own),
            clipboard_out: streams.clipboard_out,
            clipboard_in: streams.clipboard_in,
            connection: LinkConnection::new(handshake.connection, handshake.endpoint),
        })
    }
}

impl fmt::Debug for AgentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentLink").finish_non_exhaustive()
    }
}

/// The result of a handshake: an authenticated connection with the control stream as its only
/// stream.
pub(crate) struct AuthenticatedConnection {
    pub(crate) connection: Connection,
    pub(crate) endpoint: Endpoint,
    pub(crate) writer: FrameWriter,
    pub(crate) reader: FrameReader<LengthPrefixedDecoder>,
}

/// The unidirectional streams of one end.
struct UniStreams {
    /// The stream that only this end opens: the picture or the input.
    own: FrameWriter,
    /// The stream that only the peer opens: the input or the picture.
    peers: RecvStream,
    clipboard_out: ClipboardOut,
    clipboard_in: ClipboardIn,
}

impl AuthenticatedConnection {
    /// Opens a stream of kind `own` and a clipboard, then accepts a stream of kind `peers` and a
    /// clipboard.
    async fn exchange_streams(
        &self,
        own: StreamKind,
        peers: StreamKind,
    ) -> Result<UniStreams, LinkError> {
        self.connection
            .set_max_concurrent_uni_streams(MAX_UNI_STREAMS);
        let own = self.open_stream(own).await?;
        let clipboard_out = self.open_stream(StreamKind::Clipboard).await?;
        let (peers, clipboard_in) = self.accept_streams(peers).await?;
        Ok(UniStreams {
            own,
            peers,
            clipboard_out: ClipboardOut::new(clipboard_out),
            clipboard_in: ClipboardIn::new(clipboard_in),
        })
    }

    async fn open_stream(&self, kind: StreamKind) -> Result<FrameWriter, LinkError> {
        let mut writer = FrameWriter::opened(self.connection.open_uni().await?, kind);
        writer.flush().await?;
        Ok(writer)
    }

    /// Accepts the peer's two streams, in any order. Returns the one of `kind`, then the clipboard.
    async fn accept_streams(
        &self,
        kind: StreamKind,
    ) -> Result<(RecvStream, RecvStream), LinkError> {
        let mut first = self.connection.accept_uni().await?;
        let first_kind = read_kind(&mut first).await?;
        let mut second = self.connection.accept_uni().await?;
        let second_kind = read_kind(&mut second).await?;
        match (first_kind, second_kind) {
            (other, StreamKind::Clipboard) if other == kind => Ok((first, second)),
            (StreamKind::Clipboard, other) if other == kind => Ok((second, first)),
            _ => Err(Violation::WrongStream.into()),
        }
    }
}
