//! Extended Clipboard on the wire: what other implementations send, what they read, and hostile
//! bytes.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::io::Write as _;

use etatuki_rfb::{
    ClientMessage, ClientParser, ClipboardCaps, ClipboardMessage, ErrorKind, Limits, PointerFormat,
    encode, wire_text_len,
};
use flate2::{Compression, write::ZlibEncoder};
use proptest::prelude::*;

const MAX_TEXT: usize = 1 << 10;
const PROVIDE_TEXT: [u8; 4] = [0x10, 0, 0, 1];

/// Returns a provide message with these bytes in its zlib stream, which is ended or only flushed.
fn provide(plain: &[u8], ended: bool) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(PROVIDE_TEXT.to_vec(), Compression::best());
    encoder.write_all(plain).unwrap();
    if ended {
        return encoder.finish().unwrap();
    }
    encoder.flush().unwrap();
    std::mem::take(encoder.get_mut())
}

/// Returns a size and so many bytes of text.
fn sized(size: usize, text: &[u8]) -> Vec<u8> {
    [&(size as u32).to_be_bytes(), text].concat()
}

fn parse(content: &[u8]) -> Result<ClipboardMessage, ErrorKind> {
    ClipboardMessage::parse(content, MAX_TEXT)
}

#[track_caller]
fn check_text(content: &[u8], expected: Option<&str>) {
    let expected = expected.map(str::to_owned);
    assert_eq!(parse(content), Ok(ClipboardMessage::Provide(expected)));
}

#[track_caller]
fn check_malformed(content: &[u8]) {
    let malformed = ErrorKind::BadValue("extended clipboard message");
    assert_eq!(parse(content), Err(malformed));
}

#[test]
fn capabilities_have_a_size_for_each_format() {
    // What TigerVNC 1.12 says: text alone, all actions, nothing without a request.
    let tigervnc = [0x1f, 0, 0, 1, 0, 0, 0, 0];
    let caps = ClipboardCaps {
        max_unasked_text: 0,
        request: true,
        peek: true,
        notify: true,
        provide: true,
    };
    let message = ClipboardMessage::Caps(caps);
    assert_eq!(parse(&tigervnc), Ok(message.clone()));
    assert_eq!(message.content(), tigervnc);
    // Text and three formats that we don't take.
    let [a, b] = [[0x1b, 0, 0, 0x0f, 0, 0xa0, 0, 0], [0, 0, 1, 0, 0, 0, 1, 0]];
    let many = ClipboardCaps {
        max_unasked_text: 10 << 20,
        peek: false,
        ..caps
    };
    let content = [&a[..], &b[..], &[0; 4]].concat();
    assert_eq!(parse(&content), Ok(ClipboardMessage::Caps(many)));
    check_malformed(&content[..content.len() - 1]);
}

#[test]
fn whoever_takes_no_text_takes_nothing() {
    let none = ClipboardCaps {
        max_unasked_text: 0,
        request: false,
        peek: false,
        notify: false,
        provide: false,
    };
    let html_alone = [0x1f, 0, 0, 4, 0, 1, 0, 0];
    assert_eq!(parse(&html_alone), Ok(ClipboardMessage::Caps(none)));
}

#[test]
fn actions_come_one_at_a_time() {
    let check = |flags: u32, expected| assert_eq!(parse(&flags.to_be_bytes()), Ok(expected));
    check(0x0200_0001, ClipboardMessage::Request { text: true });
    check(0x0200_0004, ClipboardMessage::Request { text: false });
    check(0x0400_0000, ClipboardMessage::Peek);
    check(0x0800_0007, ClipboardMessage::Notify { text: true });
    check(0x0800_0000, ClipboardMessage::Notify { text: false });
    check(0x1000_0004, ClipboardMessage::Provide(None));
    for flags in [0x0600_0001_u32, 0x1800_0001, 0x2000_0001, 0x0000_0001] {
        check_malformed(&flags.to_be_bytes());
    }
    check_malformed(&[0x02, 0, 0]);
    check_malformed(&[]);
}

#[test]
fn a_text_has_line_feeds_here_and_crlf_and_a_nul_on_the_wire() {
    for ended in [true, false] {
        let euro = "5 €\r\n漢字\0".as_bytes();
        check_text(&provide(&sized(13, euro), ended), Some("5 €\n漢字"));
        // Without the NUL, with more behind it, and with other ends of lines.
        check_text(&provide(&sized(3, b"a\rb"), ended), Some("a\nb"));
        check_text(&provide(&sized(5, b"a\nb\0c"), ended), Some("a\nb"));
        // Another format follows.
        let html = [sized(2, b"a\0"), sized(3, b"<p>")].concat();
        check_text(&provide(&html, ended), Some("a"));
    }
    assert_eq!(wire_text_len("5 €\n"), 5 + 2 + 1);
    let written = ClipboardMessage::Provide(Some("5 €\n".into())).content();
    check_text(&written, Some("5 €\n"));
}

#[test]
fn a_text_that_cant_be_taken_ends_nothing() {
    check_text(&provide(&sized(2, b"\xff\0"), true), None);
    check_text(&provide(&sized(MAX_TEXT + 1, b""), true), None);
    check_text(&provide(&sized(u32::MAX as usize, b"x"), false), None);
}

#[test]
fn no_more_is_inflated_than_the_size_says() {
    // 64 MiB of zeros behind the text take 64 KiB, of which hardly anything is read.
    let zeros = vec![0; 1 << 20];
    let mut encoder = ZlibEncoder::new(PROVIDE_TEXT.to_vec(), Compression::best());
    encoder.write_all(&sized(2, b"ab")).unwrap();
    for _ in 0..1 << 6 {
        encoder.write_all(&zeros).unwrap();
    }
    check_text(&encoder.finish().unwrap(), Some("ab"));
}

#[test]
fn streams_that_are_broken_are_errors() {
    let whole = provide(&sized(6, b"abcdef"), true);
    // Ten bytes of plain text are in front of the checksum.
    for length in PROVIDE_TEXT.len()..whole.len() - 8 {
        check_malformed(&whole[..length]);
    }
    check_malformed(&provide(&sized(7, b"abcdef"), true));
    check_malformed(&provide(&[0, 0], false));
    check_malformed(&[&PROVIDE_TEXT[..], b"no zlib stream at all"].concat());
}

fn caps() -> impl Strategy<Value = ClipboardCaps> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (any::<u32>(), flags).prop_map(|(max_unasked_text, (request, peek, notify, provide))| {
        ClipboardCaps {
            max_unasked_text,
            request,
            peek,
            notify,
            provide,
        }
    })
}

fn messages() -> impl Strategy<Value = ClipboardMessage> {
    use ClipboardMessage as M;
    prop_oneof![
        caps().prop_map(M::Caps),
        any::<bool>().prop_map(|text| M::Request { text }),
        Just(M::Peek),
        any::<bool>().prop_map(|text| M::Notify { text }),
        Just(M::Provide(None)),
        "[a-zåäö€漢\u{1f600}\n]{0,200}".prop_map(|text| M::Provide(Some(text))),
    ]
}

proptest! {
    #[test]
    fn what_was_written_is_read(messages in prop::collection::vec(messages(), 0..5), piece in 1..40_usize) {
        let mut bytes = Vec::new();
        for message in &messages {
            let message = ClientMessage::Clipboard(message.clone());
            encode::client::message(&mut bytes, &message, PointerFormat::Standard);
        }
        let mut parser = ClientParser::new(Limits::default()).with_extended_clipboard();
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            parser.push(piece);
            while let Some(message) = parser.next().unwrap() {
                read.push(message);
            }
        }
        let sent: Vec<_> = messages.into_iter().map(ClientMessage::Clipboard).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn rubbish_gives_a_bounded_text_or_an_error(mut rubbish in prop::collection::vec(any::<u8>(), 0..300), provides: bool) {
        if provides {
            rubbish.splice(..rubbish.len().min(6), [0x10, 0, 0, 1, 0x78, 0x9c]);
        }
        if let Ok(ClipboardMessage::Provide(Some(text))) = parse(&rubbish) {
            prop_assert!(text.len() <= MAX_TEXT);
        }
    }
}

/// Parses the bytes in pieces. Returns the messages.
fn parse_stream(bytes: &[u8], piece: usize) -> Vec<ClientMessage> {
    let mut parser = ClientParser::new(Limits::default()).with_extended_clipboard();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        parser.push(piece);
        while let Some(message) = parser.next().unwrap() {
            messages.push(message);
        }
    }
    messages
}

#[test]
fn a_viewers_long_text_is_skipped() {
    let key = ClientMessage::Key {
        down: true,
        keysym: 0x61,
    };
    let max = Limits::default().max_cut_text;
    for (sign, length) in [(1, max as i32 + 1), (-1, 3 << 20)] {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend((sign * length).to_be_bytes());
        bytes.resize(bytes.len() + length as usize, b'x');
        encode::client::message(&mut bytes, &key, PointerFormat::Standard);
        let length = length as u32;
        let expected = [ClientMessage::CutTextSkipped { length }, key.clone()];
        for piece in [1000, usize::MAX] {
            assert_eq!(parse_stream(&bytes, piece), expected);
        }
    }
}

#[test]
fn texts_in_latin1_are_still_read() {
    let mut bytes = Vec::new();
    let text = ClientMessage::CutText(b"\xe4".to_vec());
    encode::client::message(&mut bytes, &text, PointerFormat::Standard);
    assert_eq!(parse_stream(&bytes, 1), [text]);
}
