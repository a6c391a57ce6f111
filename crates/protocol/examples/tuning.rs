//! What the picture's compression costs and saves, by its parameters, on a recorded session:
//! `tuning RECORD...`, where a record is what `chain --record` of tools/demo wrote (a length, u32
//! little-endian, then so many bytes; again and again). One line per set of parameters: MB behind
//! the first picture, and CPU seconds.

use std::io::Write;
use std::time::Instant;

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// As the link pads.
const UNIT: usize = 512;
const HEADER: usize = 9;
/// A first picture is larger than any update of an office session.
const FIRST: usize = 2 << 20;

fn main() {
    use CParameter::{
        EnableLongDistanceMatching, LdmBucketSizeLog, LdmHashRateLog, LdmMinMatch, WindowLog,
    };
    let mut sets = Vec::new();
    for level in [1, 3, 5] {
        for window in [23, 24, 25] {
            sets.push((
                level,
                vec![EnableLongDistanceMatching(true), WindowLog(window)],
            ));
        }
        for (length, rate) in [(64, 4), (64, 5), (96, 4), (96, 5), (96, 6), (128, 5)] {
            let long = [LdmMinMatch(length), LdmHashRateLog(rate)];
            let window = [EnableLongDistanceMatching(true), WindowLog(24)];
            sets.push((level, [&window[..], &long].concat()));
        }
        for tried in [1, 2, 3, 4] {
            let long = [LdmMinMatch(96), LdmHashRateLog(5), LdmBucketSizeLog(tried)];
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

fn blocks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (block, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(block);
        bytes = rest;
    }
    blocks
}

fn run(blocks: &[&[u8]], level: i32, parameters: &[CParameter]) -> (usize, f64) {
    let mut encoder = Encoder::new(level).expect("memory");
    for parameter in parameters {
        encoder.set_parameter(*parameter).expect("a parameter");
    }
    let began = Instant::now();
    let mut total = 0;
    let mut out = vec![0; 64 << 20];
    for block in blocks {
        let mut output = OutBuffer::around(&mut out[..]);
        let mut input = InBuffer::around(block);
        while input.pos() < block.len() {
            encoder.run(&mut input, &mut output).expect("compressed");
        }
        while encoder.flush(&mut output).expect("flushed") > 0 {}
        let payload = HEADER + output.pos();
        if block.len() < FIRST {
            total += payload.div_ceil(UNIT) * UNIT;
        }
    }
    (total, began.elapsed().as_secs_f64())
}
