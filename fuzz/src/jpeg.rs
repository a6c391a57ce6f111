//! JPEG rectangles from a hostile customer's side, as the console parses them.

use etatuki_rfb::{Limits, PixelFormat, Rect, Rectangle, ServerMessage, ServerParser, encode};
use etatuki_viewer::PictureParser;

/// Columns, and rows, of the screen.
const SCREEN_SIDE: u16 = 300;

/// Reads two bytes with the rectangle's size, or 0 for the size in the file's first frame header,
/// and then the file.
pub(crate) fn console_jpeg(input: &[u8]) {
    let Some(([w, h], file)) = input.split_first_chunk::<2>() else {
        return;
    };
    let (w, h) = match (*w, *h) {
        (0, 0) => frame_size(file).unwrap_or((1, 1)),
        (w, h) => (u16::from(w), u16::from(h)),
    };
    let rect = Rect::new(0, 0, w.min(SCREEN_SIDE), h.min(SCREEN_SIDE));
    let mut bytes = Vec::new();
    encode::server::update_start(&mut bytes, Some(1));
    if !encode::server::jpeg(&mut bytes, rect, file) {
        return;
    }
    encode::server::bell(&mut bytes);
    let parser = ServerParser::new(
        Limits::default(),
        PixelFormat::BGRX,
        SCREEN_SIDE,
        SCREEN_SIDE,
    );
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

/// Returns columns and rows from the first frame header.
fn frame_size(file: &[u8]) -> Option<(u16, u16)> {
    let at = file.windows(2).position(|two| two == [0xff, 0xc0])?;
    let head = file.get(at + 5..at + 9)?;
    let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    Some((two(2), two(0)))
}
