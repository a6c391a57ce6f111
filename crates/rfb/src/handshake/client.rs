//! The client's side of the handshake: versions 3.3, 3.7 and 3.8, security None.
//!
//! ```text
//! Version ─3.7, 3.8─▶ Choice ─3.8─▶ Result ─▶ Init ─▶ Done
//!    │                  │ └───3.7─────│─────────▲
//!    └────3.3─▶ Decided ─│────────────│─────────┘      (any may end in Reason ─▶ refused)
//! ```

use super::{SECURITY_NONE, ServerInit, Version, clean};
use crate::error::{Fault, MessageKind};
use crate::input::{Fields, Input};
use crate::{Limits, ProtocolError};
use std::ops::ControlFlow;

/// Opens a connection to a server.
#[derive(Debug)]
pub struct ClientHandshake {
    limits: Limits,
    input: Input,
    output: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The server's greeting is awaited.
    Version,
    /// 3.3: the server's decision.
    Decided,
    /// The list to choose from.
    Choice(Version),
    /// 3.8: whether the choice was fine.
    Result,
    /// Why we are refused.
    Reason,
    /// ServerInit.
    Init,
    Done(ServerInit),
    Broken(ProtocolError),
}

/// Why there is no next state: bytes are missing (`None`), or the server broke the protocol.
type Step = ControlFlow<Option<ProtocolError>, State>;

impl ClientHandshake {
    /// A client that waits for the server's greeting; it will ask for a shared session.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Input::default(),
            output: Vec::new(),
            state: State::Version,
        }
    }

    /// More bytes from the server. Call [`step`](Self::step) before you push again.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Broken(_)) {
            self.input.push(bytes);
        }
    }

    /// Goes on as far as the bytes reach; `Some` when it is done. Take [`output`](Self::output) after
    /// every call.
    ///
    /// # Errors
    /// The server broke the protocol or refused; the same error comes back from then on.
    pub fn step(&mut self) -> Result<Option<ServerInit>, ProtocolError> {
        loop {
            match &self.state {
                State::Done(init) => return Ok(Some(init.clone())),
                State::Broken(error) => return Err(error.clone()),
                _ => {}
            }
            match self.advance() {
                ControlFlow::Continue(state) => self.state = state,
                ControlFlow::Break(None) => return Ok(None),
                ControlFlow::Break(Some(error)) => self.state = State::Broken(error),
            }
        }
    }

    /// Bytes to send to the server now.
    #[must_use]
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes that came after the handshake: the first ones for [`ServerParser`](crate::ServerParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.input.into_rest()
    }

    fn advance(&mut self) -> Step {
        let mut fields = Fields::new(self.input.bytes());
        let output = &mut self.output;
        let state = match self.state {
            State::Version => version(&mut fields, output),
            State::Decided => decided(&mut fields, output),
            State::Choice(version) => choice(&mut fields, version, output),
            State::Result => result(&mut fields, output),
            State::Reason => reason(&mut fields, &self.limits),
            State::Init => init(&mut fields, &self.limits),
            State::Done(_) | State::Broken(_) => ControlFlow::Break(None),
        }?;
        let used = fields.read();
        self.input.consume(used);
        ControlFlow::Continue(state)
    }
}

fn wait<T>(read: Option<T>) -> ControlFlow<Option<ProtocolError>, T> {
    read.map_or(ControlFlow::Break(None), ControlFlow::Continue)
}

fn broken(message: MessageKind, fault: Fault) -> Step {
    ControlFlow::Break(Some(ProtocolError::server(message, fault)))
}

fn version(fields: &mut Fields<'_>, output: &mut Vec<u8>) -> Step {
    match Version::read(&wait(fields.array())?) {
        Ok(version) => {
            output.extend(version.line());
            ControlFlow::Continue(if version == Version::V3 {
                State::Decided
            } else {
                State::Choice(version)
            })
        }
        Err(fault) => broken(MessageKind::Version, fault),
    }
}

fn decided(fields: &mut Fields<'_>, output: &mut Vec<u8>) -> Step {
    match wait(fields.u32())? {
        0 => ControlFlow::Continue(State::Reason),
        1 => client_init(output),
        _ => broken(MessageKind::Security, Fault::NoCommonSecurity),
    }
}

fn choice(fields: &mut Fields<'_>, version: Version, output: &mut Vec<u8>) -> Step {
    let count = wait(fields.u8())?;
    if count == 0 {
        return ControlFlow::Continue(State::Reason);
    }
    if !wait(fields.take(count.into()))?.contains(&SECURITY_NONE) {
        return broken(MessageKind::Security, Fault::NoCommonSecurity);
    }
    output.push(SECURITY_NONE);
    if version == Version::V7 {
        return client_init(output);
    }
    ControlFlow::Continue(State::Result)
}

fn result(fields: &mut Fields<'_>, output: &mut Vec<u8>) -> Step {
    match wait(fields.u32())? {
        0 => client_init(output),
        _ => ControlFlow::Continue(State::Reason),
    }
}

fn reason(fields: &mut Fields<'_>, limits: &Limits) -> Step {
    let length = wait(fields.u32())? as usize;
    if let Err(fault) = Fault::check("reason", length, limits.max_name) {
        return broken(MessageKind::Security, fault);
    }
    let reason = clean(wait(fields.take(length))?);
    broken(MessageKind::Security, Fault::Refused(reason))
}

/// ClientInit: others may stay connected.
fn client_init(output: &mut Vec<u8>) -> Step {
    output.push(1);
    ControlFlow::Continue(State::Init)
}

fn init(fields: &mut Fields<'_>, limits: &Limits) -> Step {
    match wait(ServerInit::read(fields, limits))? {
        Ok((init, _true_colour)) => ControlFlow::Continue(State::Done(init)),
        Err(fault) => broken(MessageKind::Init, fault),
    }
}
