//! The handshake's messages: bytes in, bytes out.
//!
//! Each is a frame whose first byte says what it is:
//!
//! ```text
//! 1 hello    proof (64 bytes), agent card (its text, UTF-8)      agent
//! 2 pake     the PAKE's message                                  agent, then customer
//! 3 confirm  HMAC (32 bytes)                                     agent, then customer
//! ```

use crate::{frame::append_frame, violation::Violation};

/// The longest handshake message. A card's text is at most 4096 bytes.
pub const MAX_HANDSHAKE_MESSAGE: usize = 5 << 10;

/// Bytes of a confirmation: an HMAC-SHA-256.
pub const CONFIRMATION_LENGTH: usize = 32;

const HELLO: u8 = 1;
const PAKE: u8 = 2;
const CONFIRM: u8 = 3;

const PROOF: usize = 64;

/// Who the agent says to be. Nothing in it has been checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The signature by the card's key over this link.
    pub proof: [u8; PROOF],
    /// The card as text; perhaps not even a card.
    pub card: String,
}

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeMessage {
    /// The agent's card, and the proof that it is theirs.
    Hello(Hello),
    /// The PAKE's message, opaque here.
    Pake(Vec<u8>),
    /// The sender's key confirmation.
    Confirm([u8; CONFIRMATION_LENGTH]),
}

impl HandshakeMessage {
    /// Reads a frame's body.
    pub fn parse(body: &[u8]) -> Result<Self, Violation> {
        let (&kind, rest) = body.split_first().ok_or(Violation::OutOfTurn)?;
        match kind {
            HELLO => parse_hello(rest).map(Self::Hello),
            PAKE => Ok(Self::Pake(rest.to_vec())),
            CONFIRM => rest
                .try_into()
                .map(Self::Confirm)
                .map_err(|_| Violation::OutOfTurn),
            _ => Err(Violation::OutOfTurn),
        }
    }

    /// Appends this message as a frame.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let body = match self {
            Self::Hello(hello) => [&[HELLO], &hello.proof[..], hello.card.as_bytes()].concat(),
            Self::Pake(message) => [&[PAKE], &message[..]].concat(),
            Self::Confirm(mac) => [&[CONFIRM], &mac[..]].concat(),
        };
        append_frame(out, &body);
    }
}

fn parse_hello(bytes: &[u8]) -> Result<Hello, Violation> {
    let (proof, card) = bytes.split_first_chunk().ok_or(Violation::OutOfTurn)?;
    let card = std::str::from_utf8(card).map_err(|_| Violation::NotText)?;
    Ok(Hello {
        proof: *proof,
        card: card.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(body: &[u8], expected: Violation) {
        assert_eq!(HandshakeMessage::parse(body), Err(expected));
    }

    #[test]
    fn round_trip() {
        let hello = Hello {
            proof: [7; 64],
            card: "a card".into(),
        };
        for message in [
            HandshakeMessage::Hello(hello),
            HandshakeMessage::Pake(vec![1, 2]),
            HandshakeMessage::Pake(vec![]),
            HandshakeMessage::Confirm([3; 32]),
        ] {
            let mut frame = Vec::new();
            message.append_to(&mut frame);
            assert_eq!(HandshakeMessage::parse(&frame[4..]), Ok(message));
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        check(b"", Violation::OutOfTurn);
        check(&[0; 80], Violation::OutOfTurn);
        check(&[4; 80], Violation::OutOfTurn);
        check(&[HELLO; 64], Violation::OutOfTurn);
        check(
            &[[HELLO; 65].as_slice(), &[0xff]].concat(),
            Violation::NotText,
        );
        check(&[CONFIRM; 32], Violation::OutOfTurn);
        check(&[CONFIRM; 34], Violation::OutOfTurn);
    }

    proptest! {
        #[test]
        fn any_bytes_are_fine(body: Vec<u8>) {
            let _ = HandshakeMessage::parse(&body);
        }
    }
}
