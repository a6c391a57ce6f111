//! JPEG rectangles as the console reads them, and files that our encoder never writes.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::JpegEncoder;
use etatuki_rfb::{
    ErrorKind, Limits, PixelFormat, ProtocolError, Rect, Rectangle, ServerMessage, ServerParser,
    encode,
};
use etatuki_viewer::PictureParser;

const SIZE: (u16, u16) = (300, 260);
const STRIDE: usize = SIZE.0 as usize * 4;

/// Returns a picture without sharp edges, which JPEG changes little.
fn picture() -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y) = ((at % STRIDE / 4) as f32, (at / STRIDE) as f32);
        let grain = (at * 7919 % 5) as f32;
        let value = 120.0 + 70.0 * (x / 31.0 + (at % 4) as f32).sin() + 40.0 * (y / 23.0).cos();
        if at % 4 == 3 {
            0
        } else {
            (value + grain) as u8
        }
    };
    (0..STRIDE * usize::from(SIZE.1)).map(pixel).collect()
}

fn file(rect: Rect, quality: u8) -> Vec<u8> {
    let mut encoder = JpegEncoder::default();
    encoder
        .encode(&picture(), STRIDE, rect, quality)
        .unwrap()
        .to_vec()
}

/// Returns an update of one JPEG rectangle, as it is on the link.
fn update(rect: Rect, file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    assert!(encode::server::jpeg(&mut bytes, rect, file));
    bytes
}

fn parser() -> PictureParser {
    PictureParser::new(ServerParser::new(
        Limits::default(),
        PixelFormat::BGRX,
        SIZE.0,
        SIZE.1,
    ))
}

/// Parses all messages of these bytes.
fn parse(bytes: &[u8]) -> Result<Vec<ServerMessage>, ProtocolError> {
    let mut parser = parser();
    parser.push(bytes);
    std::iter::from_fn(|| parser.next().transpose()).collect()
}

#[test]
fn a_jpeg_that_nobody_looks_at_is_checked_and_not_decoded() {
    let rect = Rect::new(0, 0, 40, 24);
    let good = file(rect, 75);
    let parse_unseen = |file: &[u8]| {
        let mut parser = parser();
        parser.set_decoding(false);
        parser.push(&update(rect, file));
        std::iter::from_fn(|| parser.next().transpose()).collect::<Result<Vec<_>, _>>()
    };
    let messages = parse_unseen(&good).unwrap();
    assert_eq!(
        messages,
        [ServerMessage::UpdateStart, ServerMessage::UpdateEnd]
    );
    let refused = parse_unseen(b"GIF89a").unwrap_err();
    assert_eq!(refused.kind, ErrorKind::BadValue("kind of JPEG"));
}

#[test]
fn both_samplings_of_our_encoder_are_taken() {
    let rect = Rect::new(0, 0, 40, 24);
    for quality in [1, 50, 75, 90, 100] {
        assert!(
            parse(&update(rect, &file(rect, quality))).is_ok(),
            "{quality}"
        );
    }
}

#[test]
fn a_large_jpeg_comes_in_bands_and_the_next_message_after_it() {
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    let mut bytes = update(rect, &file(rect, 75));
    encode::server::bell(&mut bytes);
    let messages = parse(&bytes).unwrap();
    let bands: Vec<_> = messages[1..messages.len() - 2].to_vec();
    let mut next = 0;
    for band in &bands {
        let ServerMessage::Rectangle(Rectangle::Raw { rect, pixels }) = band else {
            panic!("{band:?}");
        };
        assert_eq!((rect.x, rect.y, rect.w), (0, next, SIZE.0));
        assert_eq!(pixels.len(), rect.area() * 4);
        next += rect.h;
    }
    assert_eq!((bands.len(), next), (2, SIZE.1));
    assert_eq!(
        messages[messages.len() - 2..],
        [ServerMessage::UpdateEnd, ServerMessage::Bell]
    );
}

fn check(rect: Rect, file: &[u8], expected: &'static str) {
    let error = parse(&update(rect, file)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadValue(expected));
    let told = format!("the server broke the protocol in FramebufferUpdate: bad {expected}");
    assert_eq!(error.to_string(), told);
}

#[test]
fn a_file_of_another_size_is_refused() {
    let rect = Rect::new(0, 0, 40, 24);
    let good = file(rect, 75);
    check(
        Rect {
            w: 24,
            h: 40,
            ..rect
        },
        &good,
        "JPEG size",
    );
    check(Rect { w: 41, ..rect }, &good, "JPEG size");
    let mut huge = good;
    let at = frame_offset(&huge);
    huge[at + 5..at + 9].fill(0xff);
    check(rect, &huge, "JPEG size");
}

/// Returns the offset of the frame header.
fn frame_offset(file: &[u8]) -> usize {
    file.windows(2).position(|two| two == [0xff, 0xc0]).unwrap()
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let rect = Rect::new(0, 0, 40, 24);
    let good = file(rect, 75);
    let at = frame_offset(&good);
    let changed = |place: usize, byte: u8| {
        let mut file = good.clone();
        file[place] = byte;
        check(rect, &file, "kind of JPEG");
    };
    changed(1, 0xd9);
    // extended, progressive, lossless, arithmetic
    [0xc1, 0xc2, 0xc3, 0xc9]
        .iter()
        .for_each(|kind| changed(at + 1, *kind));
    // samples of 12 bits; one component
    changed(at + 4, 12);
    changed(at + 9, 1);
    // Another sampling, another quantisation table, a table of 16 bits, another Huffman table, a
    // scan of other components, a progressive scan's coefficients.
    changed(at + 11, 0x41);
    changed(at + 14, 0x21);
    changed(at + 12, 1);
    changed(at + 15, 2);
    let offset = |code: u8| {
        let mut pairs = good.windows(2);
        pairs.position(|two| two == [0xff, code]).unwrap()
    };
    changed(offset(0xdb) + 4, 0x10);
    changed(offset(0xc4) + 4, 0x02);
    changed(offset(0xda) + 6, 0x22);
    changed(offset(0xda) + 5, 3);
    changed(offset(0xda) + 12, 5);
    let with = |place: usize, more: &[u8]| {
        let file = [&good[..place], more, &good[place..]].concat();
        check(rect, &file, "kind of JPEG");
    };
    // EXIF, a profile, restarts, a second frame, a second scan, bytes behind the end
    with(2, &[0xff, 0xe1, 0, 2]);
    with(2, &[0xff, 0xe2, 0, 2]);
    with(at, &[0xff, 0xdd, 0, 4, 0, 1]);
    with(at, &good[at..at + 19]);
    with(good.len() - 2, &[0xff, 0xda, 0, 2]);
    with(good.len(), &[0]);
    with(2, &[0xff, 0xe0, 0, 0]);
    with(2, &[0xff, 0xe0, 0xff, 0xff]);
    check(rect, b"GIF89a", "kind of JPEG");
}

#[test]
fn a_file_that_ends_early_or_is_damaged_is_refused_or_at_least_does_no_harm() {
    let rect = Rect::new(0, 0, 40, 24);
    let good = file(rect, 75);
    for length in 1..good.len() {
        check(rect, &good[..length], "kind of JPEG");
    }
    let fine = parse(&update(rect, &good)).unwrap();
    let harmless = |file: &[u8]| {
        if let Ok(messages) = parse(&update(rect, file)) {
            assert_eq!(messages.len(), fine.len());
        }
    };
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut file = good.clone();
            file[place] ^= 1 << bit;
            harmless(&file);
        }
    }
    // A truncated scan with the end marker behind it: every decoder makes the rest grey.
    for length in good.len() / 2..good.len() {
        harmless(&[&good[..length], &[0, 0xff, 0xd9]].concat());
    }
}
