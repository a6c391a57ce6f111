//! The messages of the input stream and of the clipboard streams, and how the two are kept in order.
//!
//! They are separate streams, so that a long text doesn't hold up a take-back. A mark in the input
//! stream says where a text belongs: what follows the mark was given after the text was sent.

use crate::{error::Violation, frame::append_frame, stream::MAX_CLIPBOARD};

/// The most bytes of a frame of the input stream: a text's mark, or a piece of the RFB messages.
pub const MAX_INPUT_FRAME: usize = 16 << 10;
/// The most bytes of a frame of a clipboard stream.
pub const MAX_CLIPBOARD_FRAME: usize = NUMBER_LENGTH + MAX_CLIPBOARD;

const RFB: u8 = 1;
const CLIPBOARD_MARK: u8 = 2;
/// Bytes of a text's number.
const NUMBER_LENGTH: usize = 4;

/// A message of the input stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputMessage {
    /// Bytes of RFB client messages, split anywhere.
    Rfb(Vec<u8>),
    /// The place of the clipboard text with this number. Numbers begin with 1 and rise.
    ClipboardMark(u32),
}

impl InputMessage {
    /// Appends bytes of RFB messages as frames.
    pub fn append_rfb(out: &mut Vec<u8>, bytes: &[u8]) {
        for piece in bytes.chunks(MAX_INPUT_FRAME - 1) {
            append_frame(out, &[&[RFB], piece].concat());
        }
    }

    /// Appends a text's mark as a frame.
    pub fn append_clipboard_mark(out: &mut Vec<u8>, number: u32) {
        append_frame(
            out,
            &[&[CLIPBOARD_MARK][..], &number.to_be_bytes()].concat(),
        );
    }

    /// Parses a frame's body.
    ///
    /// # Errors
    /// [`Violation::UnknownMessage`].
    pub fn parse(mut body: Vec<u8>) -> Result<Self, Violation> {
        match body[..] {
            [RFB, _, ..] => {
                body.remove(0);
                Ok(Self::Rfb(body))
            }
            [CLIPBOARD_MARK, a, b, c, d] => {
                Ok(Self::ClipboardMark(u32::from_be_bytes([a, b, c, d])))
            }
            _ => Err(Violation::UnknownMessage),
        }
    }
}

/// A message of a clipboard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipboardText {
    /// The number that the text's mark has; 0 if it has none.
    pub number: u32,
    /// The text, at most [`MAX_CLIPBOARD`] bytes.
    pub text: String,
}

impl ClipboardText {
    /// Appends a text as a frame.
    pub fn append_to(out: &mut Vec<u8>, number: u32, text: &str) {
        append_frame(out, &[&number.to_be_bytes(), text.as_bytes()].concat());
    }

    /// Parses a frame's body.
    ///
    /// # Errors
    /// [`Violation::UnknownMessage`] without a number, [`Violation::NotText`].
    pub fn parse(mut body: Vec<u8>) -> Result<Self, Violation> {
        let number = *body.first_chunk().ok_or(Violation::UnknownMessage)?;
        body.drain(..NUMBER_LENGTH);
        Ok(Self {
            number: u32::from_be_bytes(number),
            text: String::from_utf8(body).map_err(|_| Violation::NotText)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{FrameDecoder, LengthPrefixedDecoder};

    fn frames(mut bytes: &[u8], limit: usize) -> Vec<Vec<u8>> {
        let mut frames = vec![];
        let mut decoder = LengthPrefixedDecoder::new(limit);
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(decoder.missing_bytes().unwrap());
            decoder.push(now);
            bytes = rest;
            if decoder.missing_bytes() == Ok(0) {
                frames.push(decoder.take_message().unwrap());
            }
        }
        frames
    }

    #[test]
    fn input_and_marks_keep_their_order() {
        let mut bytes = vec![];
        InputMessage::append_rfb(&mut bytes, b"abc");
        InputMessage::append_clipboard_mark(&mut bytes, 7);
        InputMessage::append_rfb(&mut bytes, &[9; MAX_INPUT_FRAME]);
        let parsed: Result<Vec<_>, _> = frames(&bytes, MAX_INPUT_FRAME)
            .into_iter()
            .map(InputMessage::parse)
            .collect();
        let expected = [
            InputMessage::Rfb(b"abc".to_vec()),
            InputMessage::ClipboardMark(7),
            InputMessage::Rfb(vec![9; MAX_INPUT_FRAME - 1]),
            InputMessage::Rfb(vec![9]),
        ];
        assert_eq!(parsed.unwrap(), expected);
    }

    #[test]
    fn a_text_keeps_its_number() {
        for (number, text) in [(0, ""), (7, "euroa: 1 €")] {
            let mut bytes = vec![];
            ClipboardText::append_to(&mut bytes, number, text);
            let body = frames(&bytes, MAX_CLIPBOARD_FRAME).remove(0);
            let text = text.to_owned();
            assert_eq!(
                ClipboardText::parse(body),
                Ok(ClipboardText { number, text })
            );
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let check = |body: &[u8]| {
            assert_eq!(
                InputMessage::parse(body.to_vec()),
                Err(Violation::UnknownMessage)
            );
        };
        check(b"");
        check(&[RFB]);
        check(&[CLIPBOARD_MARK, 0, 0, 0]);
        check(&[CLIPBOARD_MARK, 0, 0, 0, 1, 0]);
        check(&[3, 0, 0, 0, 1]);
        let short = ClipboardText::parse(vec![0, 0, 1]);
        assert_eq!(short, Err(Violation::UnknownMessage));
        let latin1 = ClipboardText::parse(vec![0, 0, 0, 1, 0xe4]);
        assert_eq!(latin1, Err(Violation::NotText));
    }

    proptest! {
        #[test]
        fn any_bytes_are_fine(body: Vec<u8>) {
            let _ = InputMessage::parse(body.clone());
            let _ = ClipboardText::parse(body);
        }
    }
}
