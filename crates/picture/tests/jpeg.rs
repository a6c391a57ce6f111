//! JPEG files from a framebuffer, read by a decoder that isn't the encoder's own.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{FULL_COLOUR_FROM, JpegEncoder, JpegError};
use etatuki_rfb::Rect;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

const WIDTH: usize = 90;
const HEIGHT: usize = 70;
const STRIDE: usize = WIDTH * 4 + 12;

/// Draws smooth waves of colour, in rows with padding behind their end.
fn picture() -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y) = ((at % STRIDE) as f32 / 4.0, (at / STRIDE) as f32);
        let wave = (x.floor() / 17.0).sin() + (y / 13.0 + (at % 4) as f32).cos();
        (127.0 + 60.0 * wave) as u8
    };
    (0..STRIDE * HEIGHT).map(pixel).collect()
}

/// Returns the file's size, and the greatest difference of its pixels from the picture's.
fn read(file: &[u8], picture: &[u8], rect: Rect) -> ((u16, u16), u8) {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::BGRA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let pixels = decoder.decode().unwrap();
    let info = decoder.info().unwrap();
    let row = usize::from(rect.w) * 4;
    let farthest = pixels.iter().enumerate().filter(|(at, _)| at % 4 != 3);
    let farthest = farthest.map(|(at, value)| {
        let (x, y) = (
            usize::from(rect.x) * 4 + at % row,
            usize::from(rect.y) + at / row,
        );
        value.abs_diff(picture[y * STRIDE + x])
    });
    ((info.width, info.height), farthest.max().unwrap())
}

#[test]
fn a_part_of_the_picture_comes_back_nearly_as_it_was() {
    let picture = picture();
    let mut encoder = JpegEncoder::default();
    let mut check = |rect: Rect, quality, farthest| {
        let file = encoder.encode(&picture, STRIDE, rect, quality).unwrap();
        let (size, found) = read(file, &picture, rect);
        assert_eq!(size, (rect.w, rect.h));
        assert!(found <= farthest, "{found} in {rect:?} at {quality}");
    };
    check(Rect::new(0, 0, 90, 70), 100, 6);
    check(Rect::new(3, 5, 64, 64), FULL_COLOUR_FROM, 14);
    check(Rect::new(89, 69, 1, 1), 90, 4);
    check(Rect::new(26, 6, 64, 64), 60, 40);
}

#[test]
fn more_quality_takes_more_bytes_and_a_buffer_keeps_nothing_of_before() {
    let (picture, rect) = (picture(), Rect::new(0, 0, 90, 70));
    let mut encoder = JpegEncoder::default();
    let mut length = |quality| {
        encoder
            .encode(&picture, STRIDE, rect, quality)
            .unwrap()
            .len()
    };
    let (best, low, good) = (length(100), length(40), length(80));
    assert!(low < good && good < best);
    assert_eq!((length(40), length(0), length(255)), (low, length(1), best));
}

#[test]
fn a_rectangle_outside_is_refused() {
    let picture = picture();
    let mut encoder = JpegEncoder::default();
    let mut check = |rect| {
        let refused = encoder.encode(&picture, STRIDE, rect, 80);
        assert_eq!(refused, Err(JpegError::NotInside(rect)));
    };
    check(Rect::new(0, 0, 0, 5));
    check(Rect::new(0, 0, 5, 0));
    check(Rect::new(90, 0, 4, 1));
    check(Rect::new(0, 69, 5, 2));
    check(Rect::new(65_535, 65_535, 65_535, 65_535));
}
