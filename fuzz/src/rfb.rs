//! RFB parsers and handshakes: the outcome doesn't depend on how the bytes are split, and parsed
//! messages can be encoded again.

use crate::pieces;
use etatuki_rfb::{
    ClientHandshake, ClientInit, ClientMessage, ClientParser, ClipboardMessage, Limits,
    PixelFormat, PointerFormat, ProtocolError, Rect, Rectangle, Security, ServerHandshake,
    ServerInit, ServerMessage, ServerParser, convert_pixels, encode, wire_text_len,
};

/// Returns limits of small screens, so that a finding is a fault and not just a large picture.
fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 16,
        max_cut_text: 2000,
        max_jpeg_bytes: 300,
        max_jpeg_pixels: 1000,
        ..Limits::default()
    }
}

/// Fuzzes the client parser. Input: one byte with the pointer format in bit 0 and Extended Clipboard
/// in bit 1, three bytes for the split, then messages.
pub(crate) fn client_messages(input: &[u8]) {
    let Some(([flags, lengths @ ..], bytes)) = input.split_first_chunk::<4>() else {
        return;
    };
    let pointer_format = PointerFormat::negotiated(flags & 1 != 0);
    let extended_clipboard = flags & 2 != 0;
    let client = |split: &[&[u8]]| client(split, pointer_format, extended_clipboard);
    let mut whole = client(&[bytes]);
    let split: Vec<&[u8]> = pieces(lengths, bytes).collect();
    assert_eq!(client(&split), whole);
    whole.0.retain(|message| can_be_sent(message));
    let mut encoded = Vec::new();
    for message in &whole.0 {
        encode::client::message(&mut encoded, message, pointer_format);
        if let ClientMessage::SetPixelFormat(format) = message {
            check_conversion(format);
        }
    }
    assert_eq!(client(&[&encoded]), (whole.0, None));
}

/// Returns whether a message has an encoding, and one that isn't too long. Checks a clipboard text.
fn can_be_sent(message: &ClientMessage) -> bool {
    match message {
        ClientMessage::CutTextSkipped { .. } => false,
        ClientMessage::Clipboard(ClipboardMessage::Provide(Some(text))) => {
            assert!(text.len() <= limits().max_wire_text() && !text.contains(['\0', '\r']));
            wire_text_len(text) <= limits().max_wire_text()
        }
        _ => true,
    }
}

fn client(
    split: &[&[u8]],
    pointer_format: PointerFormat,
    extended_clipboard: bool,
) -> (Vec<ClientMessage>, Option<ProtocolError>) {
    let mut parser = ClientParser::new(limits());
    if extended_clipboard {
        parser = parser.with_extended_clipboard();
    }
    parser.set_pointer_format(pointer_format);
    let mut messages = Vec::new();
    for piece in split {
        parser.push(piece);
        loop {
            match parser.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.next(), Err(error.clone()));
                    return (messages, Some(error));
                }
            }
        }
    }
    (messages, None)
}

fn check_conversion(format: &PixelFormat) {
    let mut out = Vec::new();
    convert_pixels(&[1, 2, 3, 0, 255, 255, 255, 0], format, &mut out);
    assert_eq!(out.len(), 2 * format.bytes_per_pixel());
}

/// Fuzzes the server parser. Input: one byte with the pixel format, and JPEG in its highest bit,
/// three bytes for the split, then messages.
pub(crate) fn server_messages(input: &[u8]) {
    let Some(([first, lengths @ ..], bytes)) = input.split_first_chunk::<4>() else {
        return;
    };
    let bits_per_pixel = [32, 16, 8][usize::from(*first & 0x7f) % 3];
    let format = PixelFormat {
        bits_per_pixel,
        ..PixelFormat::BGRX
    };
    let jpeg = first & 0x80 != 0;
    let whole = server(&[bytes], format, jpeg);
    let split: Vec<&[u8]> = pieces(lengths, bytes).collect();
    assert_eq!(server(&split, format, jpeg), whole);
    for message in &whole.0 {
        if let ServerMessage::Rectangle(Rectangle::Jpeg { rect, data }) = message {
            assert!(jpeg && rect.area() <= limits().max_jpeg_pixels);
            check_jpeg(*rect, data);
        }
    }
}

/// Checks that a parsed JPEG rectangle can be encoded and parsed again.
fn check_jpeg(rect: Rect, data: &[u8]) {
    let mut encoded = Vec::new();
    encode::server::update_start(&mut encoded, Some(1));
    assert!(encode::server::jpeg(&mut encoded, rect, data));
    let (width, height) = (rect.right() as u16, rect.bottom() as u16);
    let mut parser = ServerParser::new(limits(), PixelFormat::BGRX, width, height).with_jpeg();
    parser.push(&encoded);
    let messages: Vec<_> = std::iter::from_fn(|| parser.next().ok().flatten()).collect();
    let data = data.to_vec();
    let jpeg = ServerMessage::Rectangle(Rectangle::Jpeg { rect, data });
    assert_eq!(
        messages,
        [ServerMessage::UpdateStart, jpeg, ServerMessage::UpdateEnd]
    );
}

fn server(
    split: &[&[u8]],
    format: PixelFormat,
    jpeg: bool,
) -> (Vec<ServerMessage>, Option<ProtocolError>) {
    let mut parser = ServerParser::new(limits(), format, 40, 36);
    if jpeg {
        parser = parser.with_jpeg();
    }
    let mut messages = Vec::new();
    for piece in split {
        parser.push(piece);
        loop {
            match parser.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.next(), Err(error.clone()));
                    return (messages, Some(error));
                }
            }
        }
        let (width, height) = parser.size();
        assert!(limits().allows_size(width, height));
    }
    (messages, None)
}

/// Fuzzes both handshakes. Input: one byte with the server's security in bit 0, three bytes for the
/// split, then bytes for either side.
pub(crate) fn handshake(input: &[u8]) {
    let Some(([security, lengths @ ..], bytes)) = input.split_first_chunk::<4>() else {
        return;
    };
    let split: Vec<&[u8]> = pieces(lengths, bytes).collect();
    let password = security & 1 != 0;
    assert_eq!(serve(&split, password), serve(&[bytes], password));
    assert_eq!(connect(&split), connect(&[bytes]));
}

type Outcome<T> = (Vec<u8>, Result<Option<T>, ProtocolError>, Option<Vec<u8>>);

fn serve(split: &[&[u8]], password: bool) -> Outcome<ClientInit> {
    let init = ServerInit {
        width: 40,
        height: 36,
        format: PixelFormat::BGRX,
        name: String::new(),
    };
    let security = if password {
        Security::VncAuth {
            password: "12345678".to_owned().into(),
            challenge: [7; 16],
        }
    } else {
        Security::None
    };
    let mut server = ServerHandshake::new(init, security);
    let (mut sent, mut outcome) = (server.take_output(), Ok(None));
    for piece in split {
        server.push(piece);
        outcome = server.step();
        sent.extend(server.take_output());
    }
    let rest = outcome.is_ok().then(|| server.into_rest());
    (sent, outcome, rest)
}

fn connect(split: &[&[u8]]) -> Outcome<ServerInit> {
    let mut client = ClientHandshake::new(limits());
    let (mut sent, mut outcome) = (Vec::new(), Ok(None));
    for piece in split {
        client.push(piece);
        outcome = client.step();
        sent.extend(client.take_output());
    }
    let rest = outcome.is_ok().then(|| client.into_rest());
    (sent, outcome, rest)
}
