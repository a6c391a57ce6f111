//! The messages of the handshake.
//!
//! Each is the body of a frame; its first byte is the message's kind:
//!
//! ```text
//! 1 hello    proof (64 bytes), agent card (its text, UTF-8)      agent
//! 2 pake     the PAKE's message                                  agent, then customer
//! 3 confirm  HMAC (32 bytes)                                     agent, then customer
//! 4 resume   number (u32), proof (64 bytes), HMAC (32 bytes), agent card (UTF-8)    agent
//! ```

use crate::{error::Violation, frame::append_frame};

/// The most bytes of a handshake message: 5 KiB. A card's text has at most 4096 bytes.
pub const MAX_HANDSHAKE_MESSAGE: usize = 5 << 10;

/// Bytes of a key confirmation: an HMAC-SHA-256.
pub const CONFIRMATION_LENGTH: usize = 32;

const HELLO: u8 = 1;
const PAKE: u8 = 2;
const CONFIRM: u8 = 3;
const RESUME: u8 = 4;

/// Bytes of a proof: an Ed25519 signature.
const PROOF_LENGTH: usize = 64;

/// The agent's claim of who they are, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The signature by the card's key over this very link.
    pub proof: [u8; PROOF_LENGTH],
    /// The text of the agent's card; may be anything.
    pub card: String,
}

/// The agent's request to go on with an interrupted link, in place of hello and PAKE; unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The number of this try. Each try of a link has a higher one than those before it.
    pub number: u32,
    /// The agent's card and proof, as at the start.
    pub hello: Hello,
    /// The agent's key confirmation under the interrupted link's resume key.
    pub confirmation: [u8; CONFIRMATION_LENGTH],
}

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeMessage {
    /// The agent's card, and the proof that it is theirs.
    Hello(Hello),
    /// The sender's PAKE message; opaque here.
    Pake(Vec<u8>),
    /// The sender's key confirmation.
    Confirm([u8; CONFIRMATION_LENGTH]),
    /// The agent's card, proof and key confirmation, for a resume.
    Resume(Resume),
}

impl HandshakeMessage {
    /// Parses the body of a frame.
    ///
    /// # Errors
    /// [`Violation::OutOfTurn`] if it has no message's shape, [`Violation::NotText`] if the card
    /// isn't UTF-8.
    pub fn parse(body: &[u8]) -> Result<Self, Violation> {
        let (&kind, rest) = body.split_first().ok_or(Violation::OutOfTurn)?;
        match kind {
            HELLO => parse_hello(rest).map(Self::Hello),
            PAKE => Ok(Self::Pake(rest.to_vec())),
            CONFIRM => rest
                .try_into()
                .map(Self::Confirm)
                .map_err(|_| Violation::OutOfTurn),
            RESUME => parse_resume(rest).map(Self::Resume),
            _ => Err(Violation::OutOfTurn),
        }
    }

    /// Appends this message to `out` as a frame.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let body = match self {
            Self::Hello(hello) => [&[HELLO], &hello.proof[..], hello.card.as_bytes()].concat(),
            Self::Pake(message) => [&[PAKE], &message[..]].concat(),
            Self::Confirm(mac) => [&[CONFIRM], &mac[..]].concat(),
            Self::Resume(Resume {
                number,
                hello,
                confirmation,
            }) => [
                &[RESUME],
                &number.to_be_bytes()[..],
                &hello.proof,
                confirmation,
                hello.card.as_bytes(),
            ]
            .concat(),
        };
        append_frame(out, &body);
    }
}

fn parse_hello(bytes: &[u8]) -> Result<Hello, Violation> {
    let (proof, card) = bytes.split_first_chunk().ok_or(Violation::OutOfTurn)?;
    Ok(Hello {
        proof: *proof,
        card: parse_card(card)?,
    })
}

fn parse_resume(bytes: &[u8]) -> Result<Resume, Violation> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Violation::OutOfTurn)?;
    let (proof, rest) = rest.split_first_chunk().ok_or(Violation::OutOfTurn)?;
    let (confirmation, card) = rest.split_first_chunk().ok_or(Violation::OutOfTurn)?;
    Ok(Resume {
        number: u32::from_be_bytes(*number),
        hello: Hello {
            proof: *proof,
            card: parse_card(card)?,
        },
        confirmation: *confirmation,
    })
}

fn parse_card(bytes: &[u8]) -> Result<String, Violation> {
    let card = std::str::from_utf8(bytes).map_err(|_| Violation::NotText)?;
    Ok(card.to_owned())
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
            HandshakeMessage::Hello(hello.clone()),
            HandshakeMessage::Resume(Resume {
                number: 3,
                hello,
                confirmation: [9; 32],
            }),
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
        check(&[5; 80], Violation::OutOfTurn);
        check(&[RESUME; 100], Violation::OutOfTurn);
        check(
            &[[RESUME; 101].as_slice(), &[0xff]].concat(),
            Violation::NotText,
        );
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
