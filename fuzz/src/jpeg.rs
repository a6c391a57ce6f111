//! JPEG rectangles from a hostile customer's side, as the console reads them.

use etatuki_rfb::{Limits, PixelFormat, Rect, Rectangle, ServerMessage, ServerParser, encode};

#[path = "../../crates/console/src/viewer/jpeg.rs"]
#[allow(unreachable_pub, reason = "it is the console's")]
mod jpeg;

use jpeg::PictureParser;

const SIDE: u16 = 300;

/// Two bytes with the rectangle's size (the first size in the file when they are 0), then the file.
pub(crate) fn console_jpeg(input: &[u8]) {
    let Some(([w, h], file)) = input.split_first_chunk::<2>() else {
        return;
    };
    let (w, h) = match (*w, *h) {
        (0, 0) => said(file).unwrap_or((1, 1)),
        (w, h) => (u16::from(w), u16::from(h)),
    };
    let rect = Rect::new(0, 0, w.min(SIDE), h.min(SIDE));
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    if !encode::server::jpeg(&mut bytes, rect, file) {
        return;
    }
    encode::server::bell(&mut bytes);
    let parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, SIDE, SIDE);
    let mut parser = PictureParser::new(parser);
    parser.push(&bytes);
    let mut rows = 0;
    while let Ok(Some(message)) = parser.next() {
        match message {
            ServerMessage::Rectangle(Rectangle::Raw { rect: band, pixels }) => {
                assert_eq!((band.x, band.y, band.w), (0, rows, rect.w));
                assert_eq!(pixels.len(), band.area() * 4);
                assert!(pixels.iter().skip(3).step_by(4).all(|unused| *unused == 0));
                rows += band.h;
            }
            ServerMessage::Rectangle(other) => panic!("{other:?}"),
            ServerMessage::Bell => assert_eq!(rows, rect.h),
            _ => {}
        }
    }
}

/// The size in the first frame's head.
fn said(file: &[u8]) -> Option<(u16, u16)> {
    let at = file.windows(2).position(|two| two == [0xff, 0xc0])?;
    let head = file.get(at + 5..at + 9)?;
    let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    Some((two(2), two(0)))
}
