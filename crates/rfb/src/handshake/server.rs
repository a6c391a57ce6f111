//! The server's side of the handshake: versions 3.3, 3.7 and 3.8, security None or VNC authentication.
//!
//! ```text
//! Version ─3.7, 3.8─▶ Choice ─VncAuth─▶ Answer ─▶ Init ─▶ Done
//!    │                  └─────None────────│────────▲
//!    └─3.3────────────────VncAuth─────────▲        │
//!    └─3.3────────────────None─────────────────────┘
//! ```

use super::vnc_auth::response;
use super::{GREETING, SECURITY_NONE, SECURITY_VNC_AUTH, ServerInit, Version};
use crate::ProtocolError;
use crate::encode::server::server_init;
use crate::error::{Fault, MessageKind};
use crate::input::{Fields, Input};
use std::fmt;
use std::ops::ControlFlow;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How a server lets clients in.
pub enum Security {
    /// Nobody is asked.
    None,
    /// VNC authentication (RFC 6143 section 7.2.2) with a one-time password.
    VncAuth {
        /// The first 8 bytes count.
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

/// Lets one client in.
#[derive(Debug)]
pub struct ServerHandshake {
    /// The message that ends the handshake; `None` when the caller sends it.
    init: Option<ServerInit>,
    security: Security,
    input: Input,
    output: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The client's version is awaited.
    Version,
    /// Its choice of a security type.
    Choice(Version),
    /// Its answer to the challenge.
    Answer(Version),
    /// ClientInit.
    Init,
    Done {
        shared: bool,
    },
    Broken(ProtocolError),
}

/// Why there is no next state: bytes are missing (`None`), or the client broke the protocol.
type Step = ControlFlow<Option<ProtocolError>, State>;

impl ServerHandshake {
    /// A server whose greeting is ready in [`output`](Self::output).
    #[must_use]
    pub fn new(init: ServerInit, security: Security) -> Self {
        Self::start(Some(init), security)
    }

    /// A handshake that is done with the client's ClientInit: the caller sends the ServerInit
    /// ([`encode::server::server_init`](crate::encode::server::server_init)) once the screen is known.
    #[must_use]
    pub fn without_server_init(security: Security) -> Self {
        Self::start(None, security)
    }

    fn start(init: Option<ServerInit>, security: Security) -> Self {
        Self {
            init,
            security,
            input: Input::default(),
            output: GREETING.to_vec(),
            state: State::Version,
        }
    }

    /// More bytes from the client. Call [`step`](Self::step) before you push again.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Broken(_)) {
            self.input.push(bytes);
        }
    }

    /// Goes on as far as the bytes reach; `Some(shared)` when it is done. Take [`output`](Self::output)
    /// after every call, also after an error (it may hold the reason for the client).
    ///
    /// # Errors
    /// The client broke the protocol, or its password was wrong; the same error comes back from then on.
    pub fn step(&mut self) -> Result<Option<bool>, ProtocolError> {
        loop {
            match &self.state {
                State::Done { shared } => return Ok(Some(*shared)),
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

    /// Bytes to send to the client now.
    #[must_use]
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes that came after the handshake: the first ones for [`ClientParser`](crate::ClientParser).
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.input.into_rest()
    }

    fn advance(&mut self) -> Step {
        match self.state {
            State::Version => self.version(),
            State::Choice(version) => self.choice(version),
            State::Answer(version) => self.answer(version),
            State::Init => self.client_init(),
            State::Done { .. } | State::Broken(_) => ControlFlow::Break(None),
        }
    }

    /// The next field of the client, once it is there.
    fn take<const N: usize>(&mut self) -> ControlFlow<Option<ProtocolError>, [u8; N]> {
        let Some(bytes) = Fields::new(self.input.bytes()).array() else {
            return ControlFlow::Break(None);
        };
        self.input.consume(N);
        ControlFlow::Continue(bytes)
    }

    fn version(&mut self) -> Step {
        let version = match Version::read(&self.take()?) {
            Ok(version) => version,
            Err(fault) => return broken(MessageKind::Version, fault),
        };
        let security = self.security_type();
        if version == Version::V3 {
            self.output.extend(u32::from(security).to_be_bytes());
            return self.chosen(version);
        }
        self.output.extend([1, security]);
        ControlFlow::Continue(State::Choice(version))
    }

    fn security_type(&self) -> u8 {
        match self.security {
            Security::None => SECURITY_NONE,
            Security::VncAuth { .. } => SECURITY_VNC_AUTH,
        }
    }

    fn choice(&mut self, version: Version) -> Step {
        let [chosen] = self.take()?;
        if chosen == self.security_type() {
            return self.chosen(version);
        }
        self.refuse(version, "no such security type");
        broken(MessageKind::Security, Fault::NoCommonSecurity)
    }

    fn chosen(&mut self, version: Version) -> Step {
        match &self.security {
            Security::None => {
                if version == Version::V8 {
                    self.output.extend(0u32.to_be_bytes());
                }
                ControlFlow::Continue(State::Init)
            }
            Security::VncAuth { challenge, .. } => {
                self.output.extend(challenge);
                ControlFlow::Continue(State::Answer(version))
            }
        }
    }

    fn answer(&mut self, version: Version) -> Step {
        let answer = Zeroizing::new(self.take::<16>()?);
        let right = match &self.security {
            Security::None => true,
            Security::VncAuth {
                password,
                challenge,
            } => {
                let expected = response(password.as_bytes(), challenge);
                expected.ct_eq(&*answer).into()
            }
        };
        if right {
            self.output.extend(0u32.to_be_bytes());
            return ControlFlow::Continue(State::Init);
        }
        self.refuse(version, "wrong password");
        broken(MessageKind::Security, Fault::WrongPassword)
    }

    /// SecurityResult, with the reason where the version has one.
    fn refuse(&mut self, version: Version, reason: &str) {
        self.output.extend(1u32.to_be_bytes());
        if version == Version::V8 {
            self.output.extend((reason.len() as u32).to_be_bytes());
            self.output.extend(reason.as_bytes());
        }
    }

    fn client_init(&mut self) -> Step {
        let [shared] = self.take()?;
        if let Some(init) = &self.init {
            server_init(&mut self.output, init);
        }
        ControlFlow::Continue(State::Done {
            shared: shared != 0,
        })
    }
}

fn broken(message: MessageKind, fault: Fault) -> Step {
    ControlFlow::Break(Some(ProtocolError::client(message, fault)))
}
