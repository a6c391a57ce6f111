//! A link that stands: its streams, ready to be handed out.
//!
//! | stream    | QUIC stream            | opened by | direction         |
//! |-----------|------------------------|-----------|-------------------|
//! | control   | the handshake's, bidi  | agent     | both              |
//! | input     | unidirectional         | agent     | agent to customer |
//! | picture   | unidirectional         | customer  | customer to agent |
//! | clipboard | two unidirectional     | each one  | each way          |
//!
//! Each end opens its streams, sends their first byte at once, and then takes the other end's, in
//! whatever order they come: neither waits for the other before it has sent what the other waits for.

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
    error::LinkError,
    input::{InputIn, InputOut},
    keys::ResumeKey,
    picture::{PictureIn, PictureOut},
    stream::{Inlet, Outlet, read_kind},
};

/// How many streams each end opens towards the other once both are authenticated; none before.
const UNI_STREAMS: VarInt = VarInt::from_u32(2);

/// The customer's end of a link with an agent who has proved who he is and that he knows the code.
pub struct CustomerLink {
    /// Who the agent is, as the vendor has signed it.
    pub agent: AgentIdentity,
    streams: CustomerStreams,
    resume: ResumeKey,
}

/// What the customer's end sends and receives by. Dropping a stream finishes it (or tells the other end
/// to stop sending); dropping all of them and every [`LinkConnection`] closes the link.
#[derive(Debug)]
pub struct CustomerStreams {
    /// Messages to the console.
    pub control_out: ControlOut<ToAgent>,
    /// Messages from the console.
    pub control_in: ControlIn<ToCustomer>,
    /// The screen.
    pub picture_out: PictureOut,
    /// The viewer's requests, keys and mouse.
    pub input_in: InputIn,
    /// Text copied here.
    pub clipboard_out: ClipboardOut,
    /// Text copied at the agent's.
    pub clipboard_in: ClipboardIn,
    /// The connection under all of them.
    pub connection: LinkConnection,
}

impl CustomerLink {
    /// The link's streams.
    #[must_use]
    pub fn split(self) -> CustomerStreams {
        self.streams
    }

    /// The connection under the streams.
    #[must_use]
    pub const fn connection(&self) -> &LinkConnection {
        &self.streams.connection
    }

    /// What an interrupted link will resume by; take it before [`split`](Self::split).
    #[must_use]
    pub const fn resume_key(&self) -> &ResumeKey {
        &self.resume
    }

    pub(crate) async fn open(
        raw: RawLink,
        agent: AgentIdentity,
        resume: ResumeKey,
    ) -> Result<Self, LinkError> {
        let connection = &raw.connection;
        connection.set_max_concurrent_uni_streams(UNI_STREAMS);
        let encoder = BlockEncoder::new()?;
        let picture = open(connection, StreamKind::Picture).await?;
        let clipboard = open(connection, StreamKind::Clipboard).await?;
        let (input, clipboard_in) = accept(connection, StreamKind::Input).await?;
        let streams = CustomerStreams {
            control_out: ControlOut::new(raw.out),
            control_in: ControlIn::after(raw.inlet),
            picture_out: PictureOut::new(picture, encoder),
            input_in: InputIn::new(input),
            clipboard_out: ClipboardOut::new(clipboard),
            clipboard_in: ClipboardIn::new(clipboard_in),
            connection: LinkConnection::new(raw.connection, raw.endpoint),
        };
        Ok(Self {
            agent,
            streams,
            resume,
        })
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
    resume: ResumeKey,
}

/// What the agent's end sends and receives by. Dropping works as with [`CustomerStreams`].
#[derive(Debug)]
pub struct AgentStreams {
    /// Messages to the customer's machine.
    pub control_out: ControlOut<ToCustomer>,
    /// Messages from the customer's machine.
    pub control_in: ControlIn<ToAgent>,
    /// The customer's screen.
    pub picture_in: PictureIn,
    /// The viewer's requests, keys and mouse.
    pub input_out: InputOut,
    /// Text copied here.
    pub clipboard_out: ClipboardOut,
    /// Text copied at the customer's.
    pub clipboard_in: ClipboardIn,
    /// The connection under all of them.
    pub connection: LinkConnection,
}

impl AgentLink {
    /// The link's streams.
    #[must_use]
    pub fn split(self) -> AgentStreams {
        self.streams
    }

    /// The connection under the streams.
    #[must_use]
    pub const fn connection(&self) -> &LinkConnection {
        &self.streams.connection
    }

    /// What an interrupted link will resume by; take it before [`split`](Self::split).
    #[must_use]
    pub const fn resume_key(&self) -> &ResumeKey {
        &self.resume
    }

    pub(crate) async fn open(raw: RawLink, resume: ResumeKey) -> Result<Self, LinkError> {
        let connection = &raw.connection;
        connection.set_max_concurrent_uni_streams(UNI_STREAMS);
        let decoder = BlockDecoder::new()?;
        let input = open(connection, StreamKind::Input).await?;
        let clipboard = open(connection, StreamKind::Clipboard).await?;
        let (picture, clipboard_in) = accept(connection, StreamKind::Picture).await?;
        let streams = AgentStreams {
            control_out: ControlOut::new(raw.out),
            control_in: ControlIn::after(raw.inlet),
            picture_in: PictureIn::new(Inlet::new(picture, decoder)),
            input_out: InputOut::new(input),
            clipboard_out: ClipboardOut::new(clipboard),
            clipboard_in: ClipboardIn::new(clipboard_in),
            connection: LinkConnection::new(raw.connection, raw.endpoint),
        };
        Ok(Self { streams, resume })
    }
}

impl fmt::Debug for AgentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentLink").finish_non_exhaustive()
    }
}

/// What the handshake leaves behind: an authenticated connection and its one stream.
pub(crate) struct RawLink {
    pub(crate) connection: Connection,
    pub(crate) endpoint: Endpoint,
    pub(crate) out: Outlet,
    pub(crate) inlet: Inlet<LengthPrefixedDecoder>,
}

async fn open(connection: &Connection, kind: StreamKind) -> Result<Outlet, LinkError> {
    let mut outlet = Outlet::new(connection.open_uni().await?, kind);
    outlet.flush().await?;
    Ok(outlet)
}

/// The other end's two streams: the one of kind `main`, and the clipboard.
async fn accept(
    connection: &Connection,
    main: StreamKind,
) -> Result<(RecvStream, RecvStream), LinkError> {
    let mut first = connection.accept_uni().await?;
    let first_kind = read_kind(&mut first).await?;
    let mut second = connection.accept_uni().await?;
    let second_kind = read_kind(&mut second).await?;
    match (first_kind, second_kind) {
        (kind, StreamKind::Clipboard) if kind == main => Ok((first, second)),
        (StreamKind::Clipboard, kind) if kind == main => Ok((second, first)),
        _ => Err(Violation::WrongStream.into()),
    }
}
