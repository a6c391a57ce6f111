//! The client's side of the handshake: versions 3.3, 3.7 and 3.8, security None.
//!
//! ```text
//! Version ─3.7, 3.8─▶ SecurityTypes ─3.8─▶ SecurityResult ─▶ ServerInit ─▶ Done
//!    │                   │     └───────3.7──────│──────────────▲
//!    └────3.3─▶ SecurityType ───────────────────│──────────────┘
//!
//! A refusal leads from SecurityTypes, SecurityType or SecurityResult to FailureReason, then to
//! Failed.
//! ```

use super::{SECURITY_NONE, ServerInit, Version, sanitize};
use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, ParseError};
use crate::receive_buffer::ReceiveBuffer;
use crate::{Limits, ProtocolError};

/// Opens a connection to a server.
#[derive(Debug)]
pub struct ClientHandshake {
    limits: Limits,
    buffer: ReceiveBuffer,
    output: Vec<u8>,
    state: State,
}

/// Message that is awaited, or the end.
#[derive(Debug)]
enum State {
    /// ProtocolVersion.
    Version,
    /// The security type that a server of 3.3 decided on.
    SecurityType,
    /// The list of security types to choose from.
    SecurityTypes(Version),
    /// SecurityResult (3.8).
    SecurityResult,
    /// The reason why the server refuses us.
    FailureReason,
    /// ServerInit.
    ServerInit,
    Done(ServerInit),
    Failed(ProtocolError),
}

/// The next state, or why there is none yet.
type Transition = Result<State, ParseError>;

impl ClientHandshake {
    /// Returns a client that waits for the server's version. It will ask for a shared session.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: ReceiveBuffer::default(),
            output: Vec::new(),
            state: State::Version,
        }
    }

    /// Appends bytes from the server. Call [`step`](Self::step) before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failed(_)) {
            self.buffer.push(bytes);
        }
    }

    /// Advances as far as the bytes reach; returns ServerInit when the handshake is done. Send
    /// [`take_output`](Self::take_output) after every call.
    ///
    /// # Errors
    /// The server broke the protocol or refused us; every later call returns the same error.
    pub fn step(&mut self) -> Result<Option<ServerInit>, ProtocolError> {
        loop {
            match &self.state {
                State::Done(init) => return Ok(Some(init.clone())),
                State::Failed(error) => return Err(error.clone()),
                _ => {}
            }
            match self.advance() {
                Ok(state) => self.state = state,
                Err(ParseError::Incomplete) => return Ok(None),
                Err(ParseError::Protocol(error)) => self.state = State::Failed(error),
            }
        }
    }

    /// Returns the bytes to send to the server now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Returns the bytes that came after the handshake: the first ones for
    /// [`ServerParser`](crate::ServerParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer.into_rest()
    }

    fn advance(&mut self) -> Transition {
        let mut fields = FieldReader::new(self.buffer.bytes());
        let output = &mut self.output;
        let state = match self.state {
            State::Version => version(&mut fields, output),
            State::SecurityType => security_type(&mut fields, output),
            State::SecurityTypes(version) => security_types(&mut fields, version, output),
            State::SecurityResult => security_result(&mut fields, output),
            State::FailureReason => failure_reason(&mut fields, &self.limits),
            State::ServerInit => server_init(&mut fields, &self.limits),
            State::Done(_) | State::Failed(_) => Err(ParseError::Incomplete),
        }?;
        let length = fields.position();
        self.buffer.consume(length);
        Ok(state)
    }
}

fn fail(message: MessageKind, kind: ErrorKind) -> Transition {
    Err(ParseError::server(message, kind))
}

fn version(fields: &mut FieldReader<'_>, output: &mut Vec<u8>) -> Transition {
    match Version::parse(&fields.array()?) {
        Ok(version) => {
            output.extend(version.line());
            Ok(if version == Version::V3_3 {
                State::SecurityType
            } else {
                State::SecurityTypes(version)
            })
        }
        Err(kind) => fail(MessageKind::Version, kind),
    }
}

fn security_type(fields: &mut FieldReader<'_>, output: &mut Vec<u8>) -> Transition {
    match fields.u32()? {
        0 => Ok(State::FailureReason),
        1 => Ok(send_client_init(output)),
        _ => fail(MessageKind::Security, ErrorKind::NoCommonSecurity),
    }
}

fn security_types(
    fields: &mut FieldReader<'_>,
    version: Version,
    output: &mut Vec<u8>,
) -> Transition {
    let count = fields.u8()?;
    if count == 0 {
        return Ok(State::FailureReason);
    }
    if !fields.bytes(count.into())?.contains(&SECURITY_NONE) {
        return fail(MessageKind::Security, ErrorKind::NoCommonSecurity);
    }
    output.push(SECURITY_NONE);
    if version == Version::V3_7 {
        return Ok(send_client_init(output));
    }
    Ok(State::SecurityResult)
}

fn security_result(fields: &mut FieldReader<'_>, output: &mut Vec<u8>) -> Transition {
    match fields.u32()? {
        0 => Ok(send_client_init(output)),
        _ => Ok(State::FailureReason),
    }
}

fn failure_reason(fields: &mut FieldReader<'_>, limits: &Limits) -> Transition {
    let length = fields.u32()? as usize;
    if let Err(kind) = ErrorKind::check("reason", length, limits.max_name) {
        return fail(MessageKind::Security, kind);
    }
    let reason = sanitize(fields.bytes(length)?);
    fail(MessageKind::Security, ErrorKind::Refused(reason))
}

/// Sends ClientInit with the shared flag: other clients may stay connected.
fn send_client_init(output: &mut Vec<u8>) -> State {
    output.push(1);
    State::ServerInit
}

fn server_init(fields: &mut FieldReader<'_>, limits: &Limits) -> Transition {
    match ServerInit::read(fields, limits)? {
        Ok((init, _true_colour)) => Ok(State::Done(init)),
        Err(kind) => fail(MessageKind::Init, kind),
    }
}
