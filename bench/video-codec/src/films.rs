//! The films: in kind what the benchmark from outside draws, one with fresh grain in every frame, a photograph that pans;
//! or a recording.

use std::f64::consts::TAU;
use std::io::{Error, ErrorKind};
use std::path::Path;

use etatuki_testkit::Scene;

/// After so many frames the benchmark's picture starts again.
const ROUND: usize = 60;
/// Levels of grain, each way.
const GRAIN: u8 = 2;

/// Frames in BGRX without gaps, which can be drawn again and again.
pub(crate) struct Film {
    pub(crate) name: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    motion: Motion,
    /// What is shown a part of, or all frames one after the other.
    stock: Vec<u8>,
    stock_width: usize,
    margin: (usize, usize),
}

#[derive(Clone, Copy)]
enum Motion {
    /// Pans in a circle, 25 columns a frame at most in full HD; squares that go their own ways before it; a quarter of the
    /// pixels change in the lowest bit.
    Benchmark,
    /// Pans slowly, under grain that is another in every frame.
    Grain,
    /// Pans by eight columns a frame in full HD, and nothing else changes.
    Pan,
    Recording,
}

impl Film {
    pub(crate) fn all(width: usize, height: usize) -> [Self; 3] {
        [
            Self::made("benchmark's", Motion::Benchmark, (width, height)),
            Self::made("with grain", Motion::Grain, (width, height)),
            Self::made("pans", Motion::Pan, (width, height)),
        ]
    }

    fn made(name: &str, motion: Motion, (width, height): (usize, usize)) -> Self {
        let margin = (width / 4, height * 8 / 27);
        let still = !matches!(motion, Motion::Grain);
        let grain = if still { f32::from(GRAIN) } else { 0.0 };
        let scene = Scene::video(width + margin.0, height + margin.1, 1.0, grain);
        Self {
            name: name.to_owned(),
            width,
            height,
            motion,
            stock_width: scene.width,
            stock: scene.pixels,
            margin,
        }
    }

    /// Reads raw frames in BGRX of this size.
    pub(crate) fn recorded(file: &Path, width: usize, height: usize) -> Result<Self, Error> {
        let stock = std::fs::read(file)?;
        if width % 2 + height % 2 > 0 || stock.len() < width * height * 4 {
            let why = "not one frame, or a size that is odd";
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        Ok(Self {
            name: file.display().to_string(),
            width,
            height,
            motion: Motion::Recording,
            stock,
            stock_width: width,
            margin: (0, 0),
        })
    }

    /// The frame of this number; there is always one.
    pub(crate) fn draw(&self, at: usize, frame: &mut Vec<u8>) {
        frame.resize(self.width * self.height * 4, 0);
        let (across, down) = self.margin;
        match self.motion {
            Motion::Benchmark => self.benchmark(at, frame),
            Motion::Grain => {
                let step = self.width / 960;
                self.show((to_and_fro(at * step, across), to_and_fro(at, down)), frame);
                add_grain(at, frame);
            }
            Motion::Pan => {
                let step = self.width / 240;
                self.show((to_and_fro(at * step, across), 0), frame);
            }
            Motion::Recording => {
                let size = frame.len();
                let start = at % (self.stock.len() / size) * size;
                frame.copy_from_slice(&self.stock[start..start + size]);
            }
        }
    }

    fn benchmark(&self, at: usize, frame: &mut [u8]) {
        let angle = at as f64 / ROUND as f64 * TAU;
        let place = |part: f64, margin: usize| ((0.5 + 0.495 * part) * margin as f64) as usize;
        let (across, down) = self.margin;
        self.show(
            (place(angle.cos(), across), place(angle.sin(), down)),
            frame,
        );
        for square in 0..8 {
            self.square(square, angle, frame);
        }
        let mut random = Random::new(at);
        for pixel in frame.as_chunks_mut::<4>().0 {
            if random.next().is_multiple_of(4) {
                pixel[..3].iter_mut().for_each(|part| *part ^= 1);
            }
        }
    }

    /// The stock from here.
    fn show(&self, from: (usize, usize), frame: &mut [u8]) {
        self.copy(from, (0, 0), (self.width, self.height), frame);
    }

    fn square(&self, number: usize, angle: f64, frame: &mut [u8]) {
        let side = (60 + 24 * number) * self.width / 1920;
        let turns = 1.0 + (number % 3) as f64;
        let place = |phase: f64, size: usize| {
            ((0.5 + 0.49 * (angle * turns + phase).sin()) * (size - side) as f64) as usize
        };
        let phase = number as f64;
        let to = (
            place(phase, self.width),
            place(phase * 2.1 + 1.0, self.height),
        );
        self.copy((number * 11, number * 5), to, (side, side), frame);
    }

    fn copy(
        &self,
        from: (usize, usize),
        to: (usize, usize),
        size: (usize, usize),
        frame: &mut [u8],
    ) {
        for row in 0..size.1 {
            let source = ((from.1 + row) * self.stock_width + from.0) * 4;
            let target = ((to.1 + row) * self.width + to.0) * 4;
            let length = size.0 * 4;
            frame[target..target + length].copy_from_slice(&self.stock[source..source + length]);
        }
    }
}

/// Goes up to `most` and back again.
fn to_and_fro(at: usize, most: usize) -> usize {
    most - most.abs_diff(at % (2 * most))
}

/// The same for all three colours, as film has it when its grain is of silver.
fn add_grain(at: usize, frame: &mut [u8]) {
    let mut random = Random::new(at);
    for pixel in frame.as_chunks_mut::<4>().0 {
        let grain = (random.next() % (2 * u64::from(GRAIN) + 1)) as u8;
        for part in &mut pixel[..3] {
            *part = part.saturating_add(grain).saturating_sub(GRAIN);
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 32
    }
}
