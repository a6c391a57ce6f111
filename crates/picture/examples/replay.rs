//! Cost of a recorded session: `replay FILE…`. For benchmarks.
//!
//! A recording is a file that the benchmark's `record --dump` writes: the updates of a real tool as
//! plain rectangles. Each goes through framebuffer and updater, as in a session whose link always
//! has credit, and then through a compressor with the link's settings. The first update, the whole
//! screen, is left out of the sums. Printed are bytes as the link would send them, and seconds of
//! this thread.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the developer's own terminal"
)]

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::time::{Duration, Instant};

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Rect, Rectangle, encoding};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

fn main() {
    println!("recording: moves | updates, plain MB, link MB | apply s, update s, compress s");
    for file in std::env::args().skip(1) {
        for copies in [false, true] {
            let cost = replay(&file, copies);
            println!(
                "{file}: {} | {}, {:.1}, {:.3} | {:.2}, {:.2}, {:.2}",
                if copies { "with" } else { "without" },
                cost.updates,
                cost.plain as f64 / 1e6,
                cost.link as f64 / 1e6,
                cost.apply.as_secs_f64(),
                cost.update.as_secs_f64(),
                cost.compress.as_secs_f64(),
            );
        }
    }
}

#[derive(Default)]
struct Cost {
    updates: usize,
    plain: usize,
    link: usize,
    apply: Duration,
    update: Duration,
    compress: Duration,
}

fn replay(file: &str, copies: bool) -> Cost {
    let mut recording = Recording::open(file);
    let (width, height) = recording.size;
    let mut framebuffer = Framebuffer::new(width, height);
    let mut updater = Updater::new(width, height);
    let mut link = LinkCompression::new();
    updater.set_encodings(if copies { &[encoding::COPY_RECT] } else { &[] });
    let mut cost = Cost::default();
    while let Some(rectangles) = recording.update() {
        let start = Instant::now();
        for rectangle in &rectangles {
            framebuffer.apply(rectangle).unwrap();
        }
        let applied = Instant::now();
        updater.request(true, framebuffer.bounds());
        let chunk = updater
            .next_chunk(&mut framebuffer, Duration::ZERO)
            .unwrap_or_default();
        let made = Instant::now();
        let sent = link.send(&chunk);
        cost.updates += 1;
        cost.plain += chunk.len();
        cost.link += sent;
        cost.apply += applied - start;
        cost.update += made - applied;
        cost.compress += made.elapsed();
        if cost.updates == 1 {
            cost = Cost {
                updates: 2,
                ..Cost::default()
            };
        }
    }
    cost
}

/// The updates of a file, one after the other.
struct Recording {
    file: BufReader<File>,
    size: (u16, u16),
}

impl Recording {
    fn open(path: &str) -> Self {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).unwrap());
        assert_eq!(&bytes::<4>(&mut file).unwrap(), b"RFBD", "not a recording");
        let size = [(); 2].map(|()| u16::from_le_bytes(bytes(&mut file).unwrap()));
        Self {
            file,
            size: size.into(),
        }
    }

    fn update(&mut self) -> Option<Vec<Rectangle>> {
        let _time: [u8; 8] = bytes(&mut self.file)?;
        let count = u32::from_le_bytes(bytes(&mut self.file)?);
        (0..count).map(|_| self.rectangle()).collect()
    }

    fn rectangle(&mut self) -> Option<Rectangle> {
        let [x, y, w, h] = [(); 4].map(|()| bytes(&mut self.file).map(u16::from_le_bytes));
        let rect = Rect::new(x?, y?, w?, h?);
        let mut pixels = vec![0; rect.area() * 4];
        self.file.read_exact(&mut pixels).ok()?;
        Some(Rectangle::Raw { rect, pixels })
    }
}

/// Returns `None` at the end of the file; a recording that was cut off ends there too.
fn bytes<const N: usize>(file: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        Err(error) => panic!("{error}"),
    }
}

/// The link's compression (`crates/protocol/src/block.rs`), without the link.
struct LinkCompression(Encoder<'static>);

impl LinkCompression {
    fn new() -> Self {
        let mut zstd = Encoder::new(3).unwrap();
        for parameter in [
            CParameter::EnableLongDistanceMatching(true),
            CParameter::WindowLog(24),
        ] {
            zstd.set_parameter(parameter).unwrap();
        }
        Self(zstd)
    }

    /// Returns the bytes that a block takes on the link.
    fn send(&mut self, plain: &[u8]) -> usize {
        const HEADER: usize = 9;
        const UNIT: usize = 512;
        if plain.is_empty() {
            return 0;
        }
        if plain.len() + HEADER <= UNIT {
            return UNIT;
        }
        let mut out = Vec::with_capacity(plain.len() / 4 + 1024);
        let mut input = InBuffer::around(plain);
        let mut unflushed = 1;
        while input.pos() < plain.len() || unflushed > 0 {
            out.reserve(64 << 10);
            let written = out.len();
            let mut output = OutBuffer::around_pos(&mut out, written);
            unflushed = if input.pos() < plain.len() {
                self.0.run(&mut input, &mut output).map(|_| 1).unwrap()
            } else {
                self.0.flush(&mut output).unwrap()
            };
        }
        (out.len() + HEADER).next_multiple_of(UNIT)
    }
}
