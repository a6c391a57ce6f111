//! JPEG rectangles on their way through the hub to a viewer that supports only Raw.

use etatuki_picture::JpegEncoder;
use etatuki_rfb::{
    ClientMessage, Limits, PixelFormat, Rect, Rectangle, ServerInit, ServerMessage, ServerParser,
    encode, encoding,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::super::{guard::AttachedViewer, *};

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

/// Decodes a file to BGRX.
fn decoded(file: &[u8]) -> Vec<u8> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::BGRA);
    let mut pixels = JpegDecoder::new_with_options(ZCursor::new(file), options)
        .decode()
        .unwrap();
    pixels
        .iter_mut()
        .skip(3)
        .step_by(4)
        .for_each(|unused| *unused = 0);
    pixels
}

fn draw(screen: &mut [u8], rect: Rect, pixels: &[u8]) {
    for (row, y) in pixels
        .chunks(usize::from(rect.w) * 4)
        .zip(usize::from(rect.y)..)
    {
        screen[y * STRIDE + usize::from(rect.x) * 4..][..row.len()].copy_from_slice(row);
    }
}

/// Attaches a viewer that has requested the picture.
async fn watched(hub: &ViewerHub) -> (PictureReader, AttachedViewer<'_>) {
    let (width, height) = SIZE;
    let (format, name) = (PixelFormat::BGRX, "desktop".into());
    let init = ServerInit {
        width,
        height,
        format,
        name,
    };
    let mut first = Vec::new();
    encode::server::server_init(&mut first, &init);
    let mut reader = PictureReader::default();
    reader.read_block(hub, &first).await.unwrap();
    let viewer = hub.attach_viewer().unwrap();
    let (incremental, rect) = (false, Rect::new(0, 0, width, height));
    for message in [
        ClientMessage::SetEncodings(vec![encoding::RAW]),
        ClientMessage::UpdateRequest { incremental, rect },
    ] {
        viewer.guard.on_message(message).await.unwrap();
    }
    (reader, viewer)
}

#[tokio::test]
async fn raw_and_jpeg_in_one_update_are_the_right_picture_for_a_viewer_that_knows_raw() {
    let (hub, _ends) = ViewerHub::new();
    let (mut reader, mut attached) = watched(&hub).await;
    let (whole, picture) = (Rect::new(0, 0, SIZE.0, SIZE.1), picture());
    let mut expected = vec![0; picture.len()];
    let mut sent = Vec::new();
    // The first is more than one band; the others overlap it and each other.
    let (photo, text, small) = (
        whole,
        Rect::new(20, 30, 100, 90),
        Rect::new(100, 100, 65, 33),
    );
    let (large, little) = (file(photo, 80), file(small, 90));
    encode::server::update_start(&mut sent, Some(4));
    for (rect, file) in [(photo, &large), (small, &little)] {
        assert!(encode::server::jpeg(&mut sent, rect, file));
        draw(&mut expected, rect, &decoded(file));
        encode::server::raw_from(&mut sent, text, &picture, STRIDE);
        let rows = usize::from(text.y)..text.bottom() as usize;
        for at in rows.map(|y| y * STRIDE + usize::from(text.x) * 4) {
            let row = at..at + usize::from(text.w) * 4;
            expected[row.clone()].copy_from_slice(&picture[row]);
        }
    }
    for piece in sent.chunks(1000) {
        reader.read_block(&hub, piece).await.unwrap();
    }
    let mut viewer = ServerParser::new(Limits::default(), PixelFormat::BGRX, SIZE.0, SIZE.1);
    let (mut seen, mut ended) = (vec![0; picture.len()], false);
    let mut buffer = Vec::new();
    while !ended {
        attached.output.next(&mut buffer).await;
        viewer.push(&buffer);
        while let Some(message) = viewer.next().unwrap() {
            ended |= message == ServerMessage::UpdateEnd;
            if let ServerMessage::Rectangle(Rectangle::Raw { rect, pixels }) = message {
                draw(&mut seen, rect, &pixels);
            }
        }
    }
    assert!(seen == expected);
    let farthest = seen.iter().zip(&picture).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(farthest < Some(40), "{farthest:?}");
}

/// Returns a block of this many whole pictures, a few kilobytes each.
fn many_jpegs(count: u16) -> Vec<u8> {
    let whole = Rect::new(0, 0, SIZE.0, SIZE.1);
    let file = file(whole, 1);
    let mut block = Vec::new();
    encode::server::update_start(&mut block, Some(count));
    for _ in 0..count {
        assert!(encode::server::jpeg(&mut block, whole, &file));
    }
    block
}

#[tokio::test]
async fn a_block_of_many_jpegs_lets_others_have_their_turn() {
    let (hub, _ends) = ViewerHub::new();
    let (mut reader, mut attached) = watched(&hub).await;
    let block = many_jpegs(40);
    let reading = async { reader.read_block(&hub, &block).await.unwrap() };
    // A viewer that takes nothing holds the reader up.
    let mut taken = Vec::new();
    let viewing = async {
        loop {
            attached.output.next(&mut taken).await;
        }
    };
    let mut turns = 0;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = reading => {}
        () = viewing => {}
        () = others => {}
    }
    assert!(turns > 5, "{turns}");
}

#[tokio::test]
async fn what_nobody_looks_at_is_not_decoded() {
    let (hub, _ends) = ViewerHub::new();
    let (mut reader, attached) = watched(&hub).await;
    assert!(hub.is_listened_to());
    drop(attached);
    assert!(!hub.is_listened_to());
    // A file of our own shape whose data no decoder would take.
    let mut block = many_jpegs(1);
    let scan = block
        .windows(2)
        .position(|two| two == [0xff, 0xda])
        .unwrap();
    let end = block.len() - 2;
    block[scan + 14..end].fill(0);
    assert!(reader.read_block(&hub, &block).await.is_ok());
}
