//! Measures the picture's compression by zstd's parameters, on recorded sessions: `tuning
//! RECORD...`. A record is written by `chain --record` of tools/demo: a length (u32, little
//! endian), then that many bytes, again and again. Prints one line per set of parameters: MB after
//! the first picture, and seconds of CPU.

use std::io::Write;
use std::time::Instant;

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// Padding and header of a block, as in `block.rs`.
const PADDING_UNIT: usize = 512;
const HEADER_LENGTH: usize = 9;
/// Bytes from which a block is the first picture: more than any update of an office session.
const FIRST_PICTURE: usize = 2 << 20;

fn main() {
    use CParameter::{
        EnableLongDistanceMatching, LdmBucketSizeLog, LdmHashRateLog, LdmMinMatch, WindowLog,
    };
    let mut sets = Vec::new();
    for level in [1, 3, 5] {
        for window_log in [23, 24, 25] {
            sets.push((
                level,
                vec![EnableLongDistanceMatching(true), WindowLog(window_log)],
            ));
        }
        for (min_match, hash_rate_log) in [(64, 4), (64, 5), (96, 4), (96, 5), (96, 6), (128, 5)] {
            let long = [LdmMinMatch(min_match), LdmHashRateLog(hash_rate_log)];
            let window = [EnableLongDistanceMatching(true), WindowLog(24)];
            sets.push((level, [&window[..], &long].concat()));
        }
        for bucket_size_log in [1, 2, 3, 4] {
            let long = [
                LdmMinMatch(96),
                LdmHashRateLog(5),
                LdmBucketSizeLog(bucket_size_log),
            ];
            let window = [EnableLongDistanceMatching(true), WindowLog(24)];
            sets.push((level, [&window[..], &long].concat()));
        }
    }
    let mut out = std::io::stdout();
    for record in std::env::args().skip(1) {
        let bytes = std::fs::read(&record).expect("a record");
        let blocks = blocks(&bytes);
        let _ = writeln!(
            out,
            "{record}: {} blocks, {:.1} MB",
            blocks.len(),
            bytes.len() as f64 / 1e6
        );
        for (level, parameters) in &sets {
            let (size, seconds) = run(&blocks, *level, parameters);
            let size = size as f64 / 1e6;
            let _ = writeln!(
                out,
                "{size:8.3} MB {seconds:6.2} s  level {level} {parameters:?}"
            );
        }
    }
}

/// Splits a record into its blocks.
fn blocks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (block, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(block);
        bytes = rest;
    }
    blocks
}

/// Compresses the blocks as the link does. Returns the padded bytes after the first picture, and
/// seconds.
fn run(blocks: &[&[u8]], level: i32, parameters: &[CParameter]) -> (usize, f64) {
    let mut encoder = Encoder::new(level).expect("memory");
    for parameter in parameters {
        encoder.set_parameter(*parameter).expect("a parameter");
    }
    let start = Instant::now();
    let mut total = 0;
    let mut out = vec![0; 64 << 20];
    for block in blocks {
        let mut output = OutBuffer::around(&mut out[..]);
        let mut input = InBuffer::around(block);
        while input.pos() < block.len() {
            encoder.run(&mut input, &mut output).expect("compressed");
        }
        while encoder.flush(&mut output).expect("flushed") > 0 {}
        let payload = HEADER_LENGTH + output.pos();
        if block.len() < FIRST_PICTURE {
            total += payload.div_ceil(PADDING_UNIT) * PADDING_UNIT;
        }
    }
    (total, start.elapsed().as_secs_f64())
}
