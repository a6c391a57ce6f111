//! Messages of both sides: encoded messages are parsed again, however the bytes are split, and a
//! breach of the protocol is named.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{
    ClientMessage, ClientParser, Culprit, CursorImage, ErrorKind, Limits, MAX_JPEG_WIDTH,
    MessageKind, PixelFormat, PointerFormat, ProtocolError, Rect, Rectangle, ScreenLayout,
    ServerMessage, ServerParser, encode, encoding,
};
use proptest::prelude::*;

const WIDTH: u16 = 300;
const HEIGHT: u16 = 200;

/// Returns a parser's messages and final error for these bytes, pushed in pieces of these lengths
/// (in turn).
fn parse<M>(
    bytes: &[u8],
    pieces: &[usize],
    mut push_then_next: impl FnMut(&[u8]) -> Vec<Result<M, ProtocolError>>,
) -> (Vec<M>, Option<ProtocolError>) {
    let mut messages = Vec::new();
    let mut rest = bytes;
    let mut lengths = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (piece, later) = rest.split_at(length);
        rest = later;
        for result in push_then_next(piece) {
            match result {
                Ok(message) => messages.push(message),
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fn client(bytes: &[u8], pieces: &[usize]) -> (Vec<ClientMessage>, Option<ProtocolError>) {
    let mut parser = ClientParser::new(Limits::default());
    parser.set_pointer_format(PointerFormat::Extended);
    parse(bytes, pieces, |piece| {
        parser.push(piece);
        std::iter::from_fn(|| parser.next().transpose())
            .take_while_inclusive()
            .collect()
    })
}

fn server(bytes: &[u8], pieces: &[usize]) -> (Vec<ServerMessage>, Option<ProtocolError>) {
    let parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, WIDTH, HEIGHT);
    let mut parser = parser.with_jpeg();
    parse(bytes, pieces, |piece| {
        parser.push(piece);
        std::iter::from_fn(|| parser.next().transpose())
            .take_while_inclusive()
            .collect()
    })
}

/// Ends an iterator after its first error, which a failed parser repeats for ever.
trait TakeWhileInclusive<M>: Iterator<Item = Result<M, ProtocolError>> + Sized {
    fn take_while_inclusive(self) -> impl Iterator<Item = Self::Item> {
        self.scan(false, |ended, result| {
            if *ended {
                return None;
            }
            *ended = result.is_err();
            Some(result)
        })
    }
}

impl<M, I: Iterator<Item = Result<M, ProtocolError>>> TakeWhileInclusive<M> for I {}

fn rects() -> impl Strategy<Value = Rect> {
    any::<[u16; 4]>().prop_map(|[x, y, w, h]| Rect { x, y, w, h })
}

fn screens() -> impl Strategy<Value = Vec<ScreenLayout>> {
    let screen = (any::<u32>(), rects(), any::<u32>());
    let screen = screen.prop_map(|(id, rect, flags)| ScreenLayout { id, rect, flags });
    prop::collection::vec(screen, 0..5)
}

fn bytes(max_length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=max_length)
}

fn client_messages() -> impl Strategy<Value = ClientMessage> {
    use ClientMessage as M;
    prop_oneof![
        Just(M::SetPixelFormat(PixelFormat::BGRX)),
        prop::collection::vec(any::<i32>(), 0..40).prop_map(M::SetEncodings),
        (any::<bool>(), rects())
            .prop_map(|(incremental, rect)| M::UpdateRequest { incremental, rect }),
        (any::<bool>(), any::<u32>()).prop_map(|(down, keysym)| M::Key { down, keysym }),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(down, keysym, keycode)| {
            M::QemuKey {
                down,
                keysym,
                keycode,
            }
        }),
        (0u16..512, any::<u16>(), any::<u16>()).prop_map(|(buttons, x, y)| M::Pointer {
            buttons,
            x,
            y
        }),
        bytes(300).prop_map(M::CutText),
        (any::<u32>(), bytes(64)).prop_map(|(flags, payload)| M::Fence { flags, payload }),
        (any::<bool>(), rects())
            .prop_map(|(enable, rect)| M::EnableContinuousUpdates { enable, rect }),
        (any::<u16>(), any::<u16>(), screens()).prop_map(|(width, height, screens)| {
            M::SetDesktopSize {
                width,
                height,
                screens,
            }
        }),
    ]
}

/// Generates a rectangle inside the screen, not empty.
fn inner_rects() -> impl Strategy<Value = Rect> {
    (0..WIDTH, 0..HEIGHT).prop_flat_map(|(x, y)| {
        (1..=(WIDTH - x).min(40), 1..=(HEIGHT - y).min(40)).prop_map(move |(w, h)| Rect {
            x,
            y,
            w,
            h,
        })
    })
}

/// Generates lengths around those at which the length field grows. The file's content doesn't
/// matter here.
fn jpeg_lengths() -> impl Strategy<Value = usize> {
    prop_oneof![1..300usize, Just(0x3fff), Just(0x4000), 0x3ff0..0x5000usize]
}

fn rectangles() -> impl Strategy<Value = Rectangle> {
    prop_oneof![
        (inner_rects(), any::<u8>()).prop_map(|(rect, fill)| Rectangle::Raw {
            rect,
            pixels: (0..rect.area() * 4)
                .map(|i| fill.wrapping_add(i as u8))
                .collect(),
        }),
        (inner_rects(), jpeg_lengths(), any::<u8>()).prop_map(|(rect, length, fill)| {
            let data = (0..length).map(|i| fill.wrapping_add(i as u8)).collect();
            Rectangle::Jpeg { rect, data }
        }),
        inner_rects().prop_map(|rect| Rectangle::CopyRect {
            rect,
            from: (rect.x / 2, rect.y / 2),
        }),
        (any::<[u16; 2]>(), 0..20u16, 0..20u16).prop_map(|([x, y], width, height)| {
            let mask = CursorImage::mask_stride(width) * usize::from(height);
            Rectangle::Cursor(CursorImage {
                hotspot: (x, y),
                width,
                height,
                pixels: vec![7; usize::from(width) * usize::from(height) * 4],
                mask: vec![0xaa; mask],
            })
        }),
        any::<[u16; 2]>().prop_map(|[x, y]| Rectangle::PointerPos { x, y }),
        Just(Rectangle::DesktopSize {
            width: WIDTH,
            height: HEIGHT
        }),
        (0..3u16, screens()).prop_map(|(reason, screens)| Rectangle::ExtendedDesktopSize {
            reason,
            status: 0,
            width: WIDTH,
            height: HEIGHT,
            screens,
        }),
        Just(Rectangle::Supports {
            encoding: encoding::QEMU_EXTENDED_KEY
        }),
        Just(Rectangle::Supports {
            encoding: encoding::EXTENDED_MOUSE_BUTTONS
        }),
        Just(Rectangle::Supports {
            encoding: encoding::UTF8_CUT_TEXT
        }),
    ]
}

/// Generates a whole update, or a single other message.
fn server_messages() -> impl Strategy<Value = Vec<ServerMessage>> {
    use ServerMessage as M;
    let update = prop::collection::vec(rectangles(), 0..5).prop_map(|rectangles| {
        let mut messages = vec![M::UpdateStart];
        messages.extend(rectangles.into_iter().map(M::Rectangle));
        messages.push(M::UpdateEnd);
        messages
    });
    let other = prop_oneof![
        bytes(300).prop_map(M::CutText),
        Just(M::Bell),
        (any::<u32>(), bytes(64)).prop_map(|(flags, payload)| M::Fence { flags, payload }),
        Just(M::EndOfContinuousUpdates),
    ];
    prop_oneof![3 => update, 1 => other.prop_map(|message| vec![message])]
}

fn encode_server(out: &mut Vec<u8>, messages: &[ServerMessage], last_rect: bool) {
    for message in messages {
        match message {
            ServerMessage::UpdateStart => {
                let count = messages.len() as u16 - 2;
                encode::server::update_start(out, (!last_rect).then_some(count));
            }
            ServerMessage::Rectangle(rectangle) => encode_rectangle(out, rectangle),
            ServerMessage::UpdateEnd if last_rect => encode::server::last_rect(out),
            ServerMessage::UpdateEnd => {}
            ServerMessage::CutText(text) => encode::server::cut_text(out, text),
            ServerMessage::CutTextSkipped { .. } => unreachable!("never made here"),
            ServerMessage::Bell => encode::server::bell(out),
            ServerMessage::Fence { flags, payload } => encode::server::fence(out, *flags, payload),
            ServerMessage::EndOfContinuousUpdates => {
                encode::server::end_of_continuous_updates(out);
            }
        }
    }
}

fn encode_rectangle(out: &mut Vec<u8>, rectangle: &Rectangle) {
    match rectangle {
        Rectangle::Raw { rect, pixels } => {
            encode::server::raw_header(out, *rect);
            out.extend(pixels);
        }
        Rectangle::Jpeg { rect, data } => assert!(encode::server::jpeg(out, *rect, data)),
        Rectangle::CopyRect { rect, from } => encode::server::copy_rect(out, *rect, *from),
        Rectangle::Cursor(image) => encode::server::cursor(out, image),
        Rectangle::PointerPos { x, y } => encode::server::pointer_pos(out, (*x, *y)),
        Rectangle::DesktopSize { width, height } => {
            encode::server::desktop_size(out, *width, *height);
        }
        Rectangle::ExtendedDesktopSize {
            reason,
            status,
            width,
            height,
            screens,
        } => {
            encode::server::extended_desktop_size(out, *reason, *status, (*width, *height), screens)
        }
        Rectangle::Supports { encoding } => encode::server::supports(out, *encoding),
    }
}

proptest! {
    #[test]
    fn client_messages_survive_any_split(
        messages in prop::collection::vec(client_messages(), 0..12),
        pieces in prop::collection::vec(1usize..50, 0..20),
    ) {
        let mut bytes = Vec::new();
        for message in &messages {
            encode::client::message(&mut bytes, message, PointerFormat::Extended);
        }
        prop_assert_eq!(client(&bytes, &pieces), (messages, None));
    }

    #[test]
    fn server_messages_survive_any_split(
        messages in prop::collection::vec(server_messages(), 0..6),
        pieces in prop::collection::vec(1usize..3000, 0..20),
        last_rect in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for together in &messages {
            encode_server(&mut bytes, together, last_rect);
        }
        prop_assert_eq!(server(&bytes, &pieces), (messages.concat(), None));
    }

    #[test]
    fn noise_ends_the_same_way_however_it_is_split(
        noise in bytes(600),
        pieces in prop::collection::vec(1usize..20, 1..20),
    ) {
        prop_assert_eq!(client(&noise, &pieces), client(&noise, &[]));
        prop_assert_eq!(server(&noise, &pieces), server(&noise, &[]));
    }
}

#[test]
fn a_large_raw_rectangle_comes_in_bands() {
    let (width, height) = (2000, 300);
    let mut parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, width, height);
    let rect = Rect::new(0, 0, width, height);
    let pixels: Vec<u8> = (0..rect.area() * 4).map(|i| (i % 251) as u8).collect();
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    encode::server::raw_header(&mut bytes, rect);
    bytes.extend(&pixels);
    let (mut next_row, mut received, mut bands) = (0, Vec::new(), 0);
    for piece in bytes.chunks(65_536) {
        parser.push(piece);
        while let Some(message) = parser.next().unwrap() {
            if let ServerMessage::Rectangle(Rectangle::Raw { rect, pixels }) = message {
                assert_eq!((rect.x, rect.y, rect.w), (0, next_row, width));
                assert_eq!(pixels.len(), rect.area() * 4);
                next_row += rect.h;
                bands += 1;
                received.extend(pixels);
            }
        }
    }
    assert_eq!((next_row, bands > 5), (height, true));
    assert!(received == pixels);
}

#[test]
fn a_tools_long_clipboard_is_passed_over() {
    let mut bytes = Vec::new();
    let long = vec![b'x'; (1 << 20) + 1];
    encode::server::cut_text(&mut bytes, &long);
    encode::server::bell(&mut bytes);
    let length = long.len() as u32;
    let expected = vec![
        ServerMessage::CutTextSkipped { length },
        ServerMessage::Bell,
    ];
    assert_eq!(server(&bytes, &[70_000]), (expected, None));
}

fn check_client_error(bytes: &[u8], message: MessageKind, kind: ErrorKind) {
    let culprit = Culprit::Client;
    let error = ProtocolError {
        culprit,
        message,
        kind,
    };
    assert_eq!(client(bytes, &[1]), (vec![], Some(error)));
}

fn check_server_error(bytes: &[u8], message: MessageKind, kind: ErrorKind) {
    let (_, error) = server(bytes, &[1]);
    let culprit = Culprit::Server;
    let expected = ProtocolError {
        culprit,
        message,
        kind,
    };
    assert_eq!(error, Some(expected));
}

fn too_large(what: &'static str, value: u64, limit: u64) -> ErrorKind {
    ErrorKind::TooLarge { what, value, limit }
}

#[test]
fn a_client_that_breaks_the_protocol_is_named() {
    use MessageKind as K;
    check_client_error(&[7], K::Unknown(7), ErrorKind::UnknownType);
    check_client_error(&[255, 1], K::Qemu, ErrorKind::UnknownType);
    let text = too_large("clipboard text", (1 << 20) + 1, 1 << 20);
    check_client_error(&[6, 0, 0, 0, 0, 0x10, 0, 1], K::CutText, text);
    check_client_error(
        &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc],
        K::CutText,
        ErrorKind::NotNegotiated("the extended clipboard"),
    );
    let encodings = too_large("number of encodings", 1025, 1024);
    check_client_error(&[2, 0, 4, 1], K::SetEncodings, encodings);
    let fence = too_large("payload", 65, 64);
    check_client_error(&[248, 0, 0, 0, 0, 0, 0, 0, 65], K::Fence, fence);
    let buttons = ErrorKind::BadValue("buttons");
    check_client_error(&[5, 0x80, 0, 0, 0, 0, 4], K::Pointer, buttons);
    let mut format = vec![0, 0, 0, 0, 24, 24, 0, 1];
    format.extend([0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
    check_client_error(
        &format,
        K::SetPixelFormat,
        ErrorKind::BadValue("pixel format"),
    );
    format[4] = 8;
    format[7] = 0;
    check_client_error(
        &format,
        K::SetPixelFormat,
        ErrorKind::NotNegotiated("a colour map"),
    );
}

fn update_with(encoding: i32, rect: Rect, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1];
    for number in [rect.x, rect.y, rect.w, rect.h] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(encoding.to_be_bytes());
    bytes.extend(content);
    bytes
}

#[test]
fn a_server_that_breaks_the_protocol_is_named() {
    use MessageKind as K;
    check_server_error(&[7], K::Unknown(7), ErrorKind::UnknownType);
    let colours = ErrorKind::NotNegotiated("a colour map");
    check_server_error(&[1], K::SetColourMap, colours);
    let clipboard = ErrorKind::NotNegotiated("the extended clipboard");
    check_server_error(&[3, 0, 0, 0, 0x80, 0, 0, 0], K::CutText, clipboard);
    let unknown = update_with(16, Rect::new(0, 0, 1, 1), &[]);
    check_server_error(&unknown, K::Update, ErrorKind::Encoding(16));
    let outside = |x, y, w, h| ErrorKind::OutsideScreen {
        x,
        y,
        w,
        h,
        width: WIDTH,
        height: HEIGHT,
    };
    let raw = update_with(encoding::RAW, Rect::new(299, 0, 2, 1), &[]);
    check_server_error(&raw, K::Update, outside(299, 0, 2, 1));
    let copy = update_with(encoding::COPY_RECT, Rect::new(0, 0, 9, 9), &[0, 0, 0, 195]);
    check_server_error(&copy, K::Update, outside(0, 195, 9, 9));
    let size = update_with(encoding::DESKTOP_SIZE, Rect::new(0, 0, 16_385, 1), &[]);
    let width = too_large("screen width", 16_385, 16_384);
    check_server_error(&size, K::Update, width);
    let size = update_with(encoding::DESKTOP_SIZE, Rect::new(0, 0, 16_384, 16_384), &[]);
    let limit = Limits::default().max_pixels as u64;
    let pixels = too_large("number of screen pixels", 1 << 28, limit);
    check_server_error(&size, K::Update, pixels);
    let cursor = update_with(encoding::CURSOR, Rect::new(0, 0, 1, 513), &[]);
    check_server_error(&cursor, K::Update, too_large("pointer image", 513, 512));
}

#[test]
fn a_jpeg_that_tight_cannot_hold_is_not_written() {
    let row = Rect::new(0, 0, MAX_JPEG_WIDTH, 1);
    let check = |rect, length, expected| {
        let mut out = Vec::new();
        let written = encode::server::jpeg(&mut out, rect, &vec![7; length]);
        assert_eq!((written, !out.is_empty()), (expected, expected));
    };
    check(row, 1, true);
    check(row, (1 << 22) - 1, true);
    check(row, 1 << 22, false);
    check(row, 0, false);
    check(
        Rect {
            w: MAX_JPEG_WIDTH + 1,
            ..row
        },
        1,
        false,
    );
    check(Rect { h: 0, ..row }, 1, false);
}

#[test]
fn the_longest_jpeg_comes_whole_and_split_at_every_byte_of_its_head() {
    let rect = Rect::new(1, 2, 3, 4);
    let data = vec![5; (1 << 22) - 1];
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    assert!(encode::server::jpeg(&mut bytes, rect, &data));
    // update, rectangle, control byte and length: Tight's own bytes, spelled out
    assert_eq!(bytes[16..20], [0x90, 0xff, 0xff, 0xff]);
    let jpeg = ServerMessage::Rectangle(Rectangle::Jpeg { rect, data });
    let expected = (
        vec![ServerMessage::UpdateStart, jpeg, ServerMessage::UpdateEnd],
        None,
    );
    for split in 1..=24 {
        assert!(server(&bytes, &[split, bytes.len()]) == expected);
    }
}

#[test]
fn a_wrong_jpeg_is_named() {
    let small = Rect::new(0, 0, 2, 2);
    let check = |rect, content: &[u8], kind| {
        check_server_error(
            &update_with(encoding::TIGHT, rect, content),
            MessageKind::Update,
            kind,
        );
    };
    // fill, PNG, a palette, plain pixels, and JPEG with a stream reset
    for subtype in [0x80, 0xa0, 0x50, 0x00, 0x91] {
        check(small, &[subtype], ErrorKind::BadValue("Tight subtype"));
    }
    check(small, &[0x90, 0], ErrorKind::BadValue("JPEG length"));
    check(
        Rect { h: 0, ..small },
        &[0x90],
        ErrorKind::BadValue("JPEG rectangle"),
    );
    let (x, y, w, h, width, height) = (299, 0, 2, 2, WIDTH, HEIGHT);
    let outside = ErrorKind::OutsideScreen {
        x,
        y,
        w,
        h,
        width,
        height,
    };
    check(Rect { x, ..small }, &[0x90], outside);

    let wide = |limits, rect| {
        let mut parser = ServerParser::new(limits, PixelFormat::BGRX, 4000, 4000).with_jpeg();
        let content = [0x90, 0xff, 0xff, 0xff];
        parser.push(&update_with(encoding::TIGHT, rect, &content));
        assert_eq!(parser.next(), Ok(Some(ServerMessage::UpdateStart)));
        parser.next().map_err(|error| error.kind)
    };
    let rect = Rect::new(0, 0, MAX_JPEG_WIDTH + 1, 1);
    let width = too_large("JPEG width", 2049, 2048);
    assert_eq!(wide(Limits::default(), rect), Err(width));
    let pixels = too_large("number of JPEG pixels", 2048 * 2049, 2048 * 2048);
    let rect = Rect::new(0, 0, MAX_JPEG_WIDTH, 2049);
    assert_eq!(wide(Limits::default(), rect), Err(pixels));
    let limits = Limits {
        max_jpeg_bytes: 1000,
        ..Limits::default()
    };
    let length = too_large("JPEG length", (1 << 22) - 1, 1000);
    assert_eq!(wide(limits, small), Err(length));
    assert_eq!(wide(Limits::default(), small), Ok(None));
}

#[test]
fn without_being_told_a_parser_takes_no_jpeg() {
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    assert!(encode::server::jpeg(
        &mut bytes,
        Rect::new(0, 0, 2, 2),
        &[1]
    ));
    let mut parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, WIDTH, HEIGHT);
    parser.push(&bytes);
    assert_eq!(parser.next(), Ok(Some(ServerMessage::UpdateStart)));
    let kind = parser.next().map_err(|error| error.kind);
    assert_eq!(kind, Err(ErrorKind::Encoding(encoding::TIGHT)));
}

#[test]
fn an_error_reads_as_a_sentence() {
    let (_, error) = client(&[6, 0, 0, 0, 0, 0x10, 0, 1], &[]);
    assert_eq!(
        error.unwrap().to_string(),
        "the client broke the protocol in CutText: clipboard text of 1048577 is above the limit of 1048576"
    );
}

#[test]
fn a_refused_resize_changes_nothing() {
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    encode::server::extended_desktop_size(&mut bytes, 1, 3, (0, 0), &[]);
    let mut parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, WIDTH, HEIGHT);
    parser.push(&bytes);
    while parser.next().unwrap().is_some() {}
    assert_eq!(parser.size(), (WIDTH, HEIGHT));
}

#[test]
fn plain_pointer_events_keep_eight_buttons() {
    let mut bytes = Vec::new();
    let pressed = ClientMessage::Pointer {
        buttons: 0x1ff,
        x: 3,
        y: 4,
    };
    encode::client::message(&mut bytes, &pressed, PointerFormat::Standard);
    let mut parser = ClientParser::new(Limits::default());
    parser.push(&bytes);
    let expected = ClientMessage::Pointer {
        buttons: 0xff,
        x: 3,
        y: 4,
    };
    assert_eq!(parser.next(), Ok(Some(expected)));
}
