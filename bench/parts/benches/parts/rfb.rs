//! Both parsers.

use criterion::Criterion;
use etatuki_rfb::encode::{client, server};
use etatuki_rfb::{ClientMessage, ClientParser, Limits, PixelFormat, PointerFormat, ServerParser};
use std::hint::black_box;

use crate::{BOUNDS, HEIGHT, STRIDE, WIDTH, frame};
use etatuki_testkit::Scene;

/// Bytes that the session reads from a tool at a time.
const READ_CHUNK: usize = 256 << 10;

pub(crate) fn server_parser() -> ServerParser {
    ServerParser::new(Limits::default(), PixelFormat::BGRX, WIDTH, HEIGHT)
}

pub(crate) fn server(criterion: &mut Criterion, video: &Scene) {
    let mut update = Vec::new();
    server::update_start(&mut update, Some(1));
    server::raw_from(&mut update, BOUNDS, frame(video, 0), STRIDE);
    let mut parser = server_parser();
    criterion.bench_function("rfb: a whole frame parsed", |bencher| {
        bencher.iter(|| {
            for piece in update.chunks(READ_CHUNK) {
                parser.push(piece);
                while let Some(message) = parser.next().unwrap() {
                    black_box(message);
                }
            }
        });
    });
}

pub(crate) fn client(criterion: &mut Criterion) {
    let (buttons, x, y) = (0, 960, 540);
    let (down, keysym) = (true, 0x61);
    let mut input = Vec::new();
    for message in [
        ClientMessage::Pointer { buttons, x, y },
        ClientMessage::Key { down, keysym },
    ] {
        client::message(&mut input, &message, PointerFormat::Standard);
    }
    let mut parser = ClientParser::new(Limits::default());
    criterion.bench_function("rfb: pointer and key parsed", |bencher| {
        bencher.iter(|| {
            parser.push(black_box(&input));
            while let Some(message) = parser.next().unwrap() {
                black_box(message);
            }
        });
    });
}
