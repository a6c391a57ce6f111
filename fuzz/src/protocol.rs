//! Everything that the other end of a link may send: handshake and control messages, frames,
//! blocks.

use etatuki_protocol::{
    BlockDecoder, FrameDecoder, HandshakeMessage, LengthPrefixedDecoder, MAX_ADDRESS,
    MAX_HANDSHAKE_MESSAGE, MAX_PICTURE, ToAgent, ToCustomer, encode_control, parse_control,
};

/// Decodes the bytes as each kind of stream. The first four decide where a stream is split.
pub(crate) fn link_protocol(input: &[u8]) {
    let Some((lengths, bytes)) = input.split_at_checked(4) else {
        return;
    };
    let frames = LengthPrefixedDecoder::new(MAX_HANDSHAKE_MESSAGE);
    decode(frames, lengths, bytes, |body| {
        assert!(body.len() <= MAX_HANDSHAKE_MESSAGE);
        handshake(&body);
        control(&body);
    });
    let blocks = BlockDecoder::new().expect("memory for zstd");
    decode(blocks, lengths, bytes, |plain| {
        assert!((1..=MAX_PICTURE).contains(&plain.len()));
    });
    handshake(bytes);
    control(bytes);
}

/// Reads the bytes as one handshake message: a hello, a PAKE message, a confirmation or a resume.
pub(crate) fn link_handshake(body: &[u8]) {
    handshake(body);
}

/// Reads the bytes as one control message of either end.
pub(crate) fn link_control(body: &[u8]) {
    control(body);
}

/// Feeds a decoder as the link does: never more than the missing bytes.
fn decode<D: FrameDecoder>(
    mut decoder: D,
    lengths: &[u8],
    bytes: &[u8],
    mut on_message: impl FnMut(D::Message),
) {
    for mut piece in crate::pieces(lengths, bytes) {
        loop {
            match decoder.missing_bytes() {
                Err(_) => return,
                Ok(0) => match decoder.take_message() {
                    Err(_) => return,
                    Ok(message) => on_message(message),
                },
                Ok(_) if piece.is_empty() => break,
                Ok(missing) => {
                    let (now, later) = piece.split_at(missing.min(piece.len()));
                    decoder.push(now);
                    piece = later;
                }
            }
        }
    }
}

fn handshake(body: &[u8]) {
    if let Ok(message) = HandshakeMessage::parse(body) {
        let mut frame = Vec::new();
        message.append_to(&mut frame);
        assert_eq!(&frame[4..], body);
    }
}

fn control(body: &[u8]) {
    if let Ok(message) = parse_control::<ToAgent>(body) {
        if let ToAgent::Address(address) = &message {
            assert!(address.as_json().is_object());
            assert!(address.as_json().to_string().len() <= MAX_ADDRESS);
        }
        let again = encode_control(&message).ok();
        assert_eq!(again.map(|json| parse_control(&json)), Some(Ok(message)));
    }
    if let Ok(message) = parse_control::<ToCustomer>(body) {
        let again = encode_control(&message).ok();
        assert_eq!(again.map(|json| parse_control(&json)), Some(Ok(message)));
    }
}
