//! Benchmarks of the framebuffer, the classifier, JPEG, and updates.

use criterion::Criterion;
use etatuki_picture::{Framebuffer, JpegEncoder, looks_like_a_photo};
use etatuki_rfb::encode::server;
use etatuki_rfb::{Rect, Rectangle};
use etatuki_viewer::PictureParser;
use std::hint::black_box;

use crate::viewer::Viewer;
use crate::{BOUNDS, HEIGHT, STRIDE, WIDTH, frame, rfb};
use etatuki_testkit::Scene;

/// Whole blocks of 64×64 in a frame.
const BLOCKS: usize = 30 * 16;
/// The largest JPEG of a video.
const JPEG_RECT: Rect = Rect::new(0, 0, WIDTH, 128);
/// JPEG quality on a fast link.
const QUALITY: u8 = 75;

pub(crate) fn framebuffer(criterion: &mut Criterion, video: &Scene) {
    let frames = [0, 5].map(|top| Rectangle::Raw {
        rect: BOUNDS,
        pixels: frame(video, top).to_vec(),
    });
    let mut framebuffer = Framebuffer::new(WIDTH, HEIGHT);
    let mut next = frames.iter().cycle();
    criterion.bench_function("screen: a frame that differs", |bencher| {
        bencher.iter(|| assert!(framebuffer.apply(next.next().unwrap()).unwrap()));
    });
    framebuffer.apply(&frames[0]).unwrap();
    criterion.bench_function("screen: a frame that doesn't differ", |bencher| {
        bencher.iter(|| assert!(!framebuffer.apply(&frames[0]).unwrap()));
    });
}

pub(crate) fn photo(criterion: &mut Criterion, kind: &str, scene: &Scene) {
    let is_photo = |block: &Rect| looks_like_a_photo(&scene.pixels, STRIDE, *block);
    let name = format!("photo or not: all blocks of {kind}");
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| scene.blocks(64).take(BLOCKS).filter(is_photo).count());
    });
}

/// Measures one of the JPEGs of a video frame: encoded, and decoded by the console.
pub(crate) fn jpeg(criterion: &mut Criterion, video: &Scene) {
    let mut encoder = JpegEncoder::default();
    criterion.bench_function("jpeg: 1920x128 written", |bencher| {
        bencher.iter(|| {
            let file = encoder.encode(&video.pixels, STRIDE, JPEG_RECT, QUALITY);
            black_box(file.unwrap());
        });
    });
    let file = encoder.encode(&video.pixels, STRIDE, JPEG_RECT, QUALITY);
    let mut update = Vec::new();
    server::update_start(&mut update, Some(1));
    assert!(server::jpeg(&mut update, JPEG_RECT, file.unwrap()));
    let mut parser = PictureParser::new(rfb::server_parser());
    criterion.bench_function("jpeg: 1920x128 read", |bencher| {
        bencher.iter(|| {
            parser.push(&update);
            while let Some(message) = parser.next().unwrap() {
                black_box(message);
            }
        });
    });
}

/// Measures a letter that appears.
pub(crate) fn key(criterion: &mut Criterion, text: &Scene) {
    let mut viewer = Viewer::new(frame(text, 0));
    let mut step = 0;
    let mut key = || {
        step += 1;
        // The same place changes rarely, or it would be video.
        let (x, y) = (step % 29 * 64, 512);
        let letters = &frame(text, step / 29 % 2 * 99)[y * STRIDE + x * 4..];
        let rect = Rect::new(x as u16, y as u16, 64, 64);
        viewer.framebuffer.draw(rect, letters, STRIDE).unwrap();
        viewer.drain_updates()
    };
    criterion.bench_function("updater: a key's change", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| key()).sum());
    });
}

/// Measures text that moves up, and down again.
pub(crate) fn scroll(criterion: &mut Criterion, text: &Scene) {
    let mut viewer = Viewer::new(frame(text, 0));
    let mut step = 0;
    let mut scroll = || {
        step += 1;
        viewer.draw(frame(text, step % 2 * 48));
        let took = viewer.drain_updates();
        assert!(viewer.copies > 0, "it isn't found");
        took
    };
    criterion.bench_function("updater: a scroll", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| scroll()).sum());
    });
}

pub(crate) fn video(criterion: &mut Criterion, video: &Scene) {
    let mut viewer = Viewer::new(frame(video, 0));
    let mut step = 0;
    let mut play = || {
        step += 1;
        viewer.draw(frame(video, step % 8 * 5));
        let took = viewer.drain_updates();
        (took, viewer.jpeg_pixels)
    };
    // Until it is known as video, and the link's bandwidth is known.
    for _ in 0..10 {
        play();
    }
    let jpeg_pixels = play().1;
    assert!(
        jpeg_pixels > BOUNDS.area() * 9 / 10,
        "JPEG of {jpeg_pixels} pixels"
    );
    criterion.bench_function("updater: a frame of film", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| play().0).sum());
    });
}
