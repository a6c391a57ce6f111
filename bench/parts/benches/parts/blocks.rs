//! Benchmarks of the picture's compression: the block coder of `etatuki-protocol`.

use criterion::{BatchSize, Criterion};
use etatuki_protocol::{BlockDecoder, BlockEncoder};
use etatuki_rfb::encode::server;
use std::hint::black_box;
use std::time::Instant;

use crate::{STRIDE, frame};
use etatuki_testkit::Scene;

/// Measures updates of 128×128 pixels. Together they exceed the coder's history, so that none is in
/// it any more when its turn comes again.
pub(crate) fn small_updates(criterion: &mut Criterion, text: &Scene) {
    let updates: Vec<Vec<u8>> = text
        .blocks(128)
        .map(|rect| {
            let mut update = Vec::new();
            server::raw_from(&mut update, rect, &text.pixels, STRIDE);
            update
        })
        .collect();
    let mut encoder = BlockEncoder::new().unwrap();
    let mut next = updates.iter().cycle();
    criterion.bench_function("link: 64 KiB of text compressed", |bencher| {
        bencher.iter(|| encoded(&mut encoder, next.next().unwrap()));
    });

    let mut encoder = BlockEncoder::new().unwrap();
    let blocks: Vec<Vec<u8>> = updates
        .iter()
        .map(|update| encoded(&mut encoder, update))
        .collect();
    let mut decoder = BlockDecoder::new().unwrap();
    let mut step = 0;
    let mut decode = || {
        let at = step % blocks.len();
        step += 1;
        if at == 0 {
            decoder = BlockDecoder::new().unwrap();
        }
        let start = Instant::now();
        black_box(decoded(&mut decoder, &blocks[at]));
        start.elapsed()
    };
    criterion.bench_function("link: 64 KiB of text decompressed", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| decode()).sum());
    });
}

/// Measures a whole frame with new coders, which touch their memory for the first time.
pub(crate) fn first_picture(criterion: &mut Criterion, text: &Scene) {
    let encoder = || BlockEncoder::new().unwrap();
    let decoder = || BlockDecoder::new().unwrap();
    let picture = frame(text, 0);
    let block = encoded(&mut encoder(), picture);
    let once = BatchSize::PerIteration;
    criterion.bench_function("link: a first picture compressed", |bencher| {
        bencher.iter_batched_ref(encoder, |encoder| encoded(encoder, picture), once);
    });
    criterion.bench_function("link: a first picture decompressed", |bencher| {
        bencher.iter_batched_ref(decoder, |decoder| decoded(decoder, &block), once);
    });
}

fn encoded(encoder: &mut BlockEncoder, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(plain, &mut out).unwrap();
    out
}

fn decoded(decoder: &mut BlockDecoder, block: &[u8]) -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    decoder.decode(block, &mut plain).unwrap();
    plain
}
