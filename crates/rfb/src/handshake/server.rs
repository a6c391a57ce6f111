//! The server's side of the handshake: versions 3.3, 3.7 and 3.8, security None or VNC
//! authentication.
//!
//! ```text
//! Version ─3.7, 3.8─▶ SecurityChoice ─VncAuth─▶ ChallengeResponse ─▶ ClientInit ─▶ Done
//!    │                      └──────────None─────────────│──────────────▲
//!    ├─3.3───────────────────────────VncAuth────────────▲              │
//!    └─3.3─────────────────────────────None────────────────────────────┘
//! ```

use super::vnc_auth::challenge_response;
use super::{ClientInit, SECURITY_NONE, SECURITY_VNC_AUTH, ServerInit, VERSION_3_8, Version};
use crate::ProtocolError;
use crate::encode::server::server_init;
use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, ParseError};
use crate::receive_buffer::ReceiveBuffer;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A server's security type.
pub enum Security {
    /// No authentication (RFC 6143 section 7.2.1).
    None,
    /// VNC authentication (section 7.2.2) with a one-time password.
    VncAuth {
        /// Password, of which the first 8 bytes count.
        password: Zeroizing<String>,
        /// 16 fresh random bytes.
        challenge: [u8; 16],
    },
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::VncAuth { .. } => "VncAuth(<redacted>)",
        })
    }
}

/// Accepts one client.
#[derive(Debug)]
pub struct ServerHandshake {
    /// The message that ends the handshake; `None` when the caller sends it.
    init: Option<ServerInit>,
    security: Security,
    buffer: ReceiveBuffer,
    output: Vec<u8>,
    state: State,
}

/// Message that is awaited, or the end.
#[derive(Debug)]
enum State {
    /// ProtocolVersion.
    Version,
    /// The client's choice of a security type.
    SecurityChoice(Version),
    /// The client's response to the challenge.
    ChallengeResponse(Version),
    /// ClientInit.
    ClientInit,
    Done(ClientInit),
    Failed(ProtocolError),
}

/// The next state, or why there is none yet.
type Transition = Result<State, ParseError>;

impl ServerHandshake {
    /// Returns a server whose version is ready in [`take_output`](Self::take_output).
    #[must_use]
    pub fn new(init: ServerInit, security: Security) -> Self {
        Self {
            init: Some(init),
            ..Self::without_server_init(security)
        }
    }

    /// Returns a server that is done at ClientInit: the caller sends ServerInit
    /// ([`encode::server::server_init`](crate::encode::server::server_init)), for instance when the
    /// screen's size is known.
    #[must_use]
    pub fn without_server_init(security: Security) -> Self {
        Self {
            init: None,
            security,
            buffer: ReceiveBuffer::default(),
            output: VERSION_3_8.to_vec(),
            state: State::Version,
        }
    }

    /// Appends bytes from the client. Call [`step`](Self::step) before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failed(_)) {
            self.buffer.push(bytes);
        }
    }

    /// Advances as far as the bytes reach; returns ClientInit when the handshake is done. Send
    /// [`take_output`](Self::take_output) after every call, also after an error: it may hold the
    /// reason for the client.
    ///
    /// # Errors
    /// The client broke the protocol, or its password was wrong; every later call returns the same
    /// error.
    pub fn step(&mut self) -> Result<Option<ClientInit>, ProtocolError> {
        loop {
            match &self.state {
                State::Done(init) => return Ok(Some(*init)),
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

    /// Returns the bytes to send to the client now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Returns the bytes that came after the handshake: the first ones for
    /// [`ClientParser`](crate::ClientParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer.into_rest()
    }

    fn advance(&mut self) -> Transition {
        match self.state {
            State::Version => self.version(),
            State::SecurityChoice(version) => self.security_choice(version),
            State::ChallengeResponse(version) => self.challenge_response(version),
            State::ClientInit => self.client_init(),
            State::Done(_) | State::Failed(_) => Err(ParseError::Incomplete),
        }
    }

    /// Reads and consumes the client's next `N` bytes.
    fn read<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let bytes = FieldReader::new(self.buffer.bytes()).array()?;
        self.buffer.consume(N);
        Ok(bytes)
    }

    fn version(&mut self) -> Transition {
        let version = match Version::parse(&self.read()?) {
            Ok(version) => version,
            Err(kind) => return fail(MessageKind::Version, kind),
        };
        let security_type = self.security_type();
        if version == Version::V3_3 {
            self.output.extend(u32::from(security_type).to_be_bytes());
            return Ok(self.authenticate(version));
        }
        self.output.extend([1, security_type]);
        Ok(State::SecurityChoice(version))
    }

    fn security_type(&self) -> u8 {
        match self.security {
            Security::None => SECURITY_NONE,
            Security::VncAuth { .. } => SECURITY_VNC_AUTH,
        }
    }

    fn security_choice(&mut self, version: Version) -> Transition {
        let [chosen] = self.read()?;
        if chosen == self.security_type() {
            return Ok(self.authenticate(version));
        }
        self.refuse(version, "no such security type");
        fail(MessageKind::Security, ErrorKind::NoCommonSecurity)
    }

    /// Sends the challenge, or what comes next without one: SecurityResult in 3.8.
    fn authenticate(&mut self, version: Version) -> State {
        match &self.security {
            Security::None => {
                if version == Version::V3_8 {
                    self.output.extend(0u32.to_be_bytes());
                }
                State::ClientInit
            }
            Security::VncAuth { challenge, .. } => {
                self.output.extend(challenge);
                State::ChallengeResponse(version)
            }
        }
    }

    fn challenge_response(&mut self, version: Version) -> Transition {
        let response = Zeroizing::new(self.read::<16>()?);
        let correct = match &self.security {
            Security::None => true,
            Security::VncAuth {
                password,
                challenge,
            } => {
                let expected = challenge_response(password.as_bytes(), challenge);
                expected.ct_eq(&*response).into()
            }
        };
        if correct {
            self.output.extend(0u32.to_be_bytes());
            return Ok(State::ClientInit);
        }
        self.refuse(version, "wrong password");
        fail(MessageKind::Security, ErrorKind::WrongPassword)
    }

    /// Sends a negative SecurityResult (section 7.1.3), with the reason in 3.8.
    fn refuse(&mut self, version: Version, reason: &str) {
        self.output.extend(1u32.to_be_bytes());
        if version == Version::V3_8 {
            self.output.extend((reason.len() as u32).to_be_bytes());
            self.output.extend(reason.as_bytes());
        }
    }

    fn client_init(&mut self) -> Transition {
        let [shared] = self.read()?;
        if let Some(init) = &self.init {
            server_init(&mut self.output, init);
        }
        Ok(State::Done(ClientInit {
            shared: shared != 0,
        }))
    }
}

fn fail(message: MessageKind, kind: ErrorKind) -> Transition {
    Err(ParseError::client(message, kind))
}
