//! Test clips: one like the external benchmark's, one with fresh grain in every frame, a photograph
//! that pans; or a recording.

use std::f64::consts::TAU;
use std::io::{Error, ErrorKind};
use std::path::Path;

use etatuki_testkit::Scene;

/// Frames after which the benchmark's clip repeats.
const LOOP_FRAMES: usize = 60;
/// Levels of grain, each way.
const GRAIN: u8 = 2;

/// Frames in BGRX without gaps, which can be drawn repeatedly.
pub(crate) struct Clip {
    pub(crate) name: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    motion: Motion,
    /// A picture of which a part is shown, or all frames one after the other.
    pixels: Vec<u8>,
    pixels_width: usize,
    margin: (usize, usize),
}

#[derive(Clone, Copy)]
enum Motion {
    /// Pans in a circle, at most 25 columns per frame in full HD; squares that move in front of it;
    /// a quarter of the pixels change in the lowest bit.
    Benchmark,
    /// Pans slowly, under grain that is new in every frame.
    Grain,
    /// Pans by eight columns per frame in full HD, and nothing else changes.
    Pan,
    Recording,
}

impl Clip {
    pub(crate) fn all(width: usize, height: usize) -> [Self; 3] {
        [
            Self::synthetic("benchmark's", Motion::Benchmark, (width, height)),
            Self::synthetic("with grain", Motion::Grain, (width, height)),
            Self::synthetic("pans", Motion::Pan, (width, height)),
        ]
    }

    fn synthetic(name: &str, motion: Motion, (width, height): (usize, usize)) -> Self {
        let margin = (width / 4, height * 8 / 27);
        let still = !matches!(motion, Motion::Grain);
        let grain = if still { f32::from(GRAIN) } else { 0.0 };
        let scene = Scene::video(width + margin.0, height + margin.1, 1.0, grain);
        Self {
            name: name.to_owned(),
            width,
            height,
            motion,
            pixels_width: scene.width,
            pixels: scene.pixels,
            margin,
        }
    }

    /// Reads raw frames in BGRX of this size.
    pub(crate) fn recorded(file: &Path, width: usize, height: usize) -> Result<Self, Error> {
        let pixels = std::fs::read(file)?;
        if width % 2 + height % 2 > 0 || pixels.len() < width * height * 4 {
            let why = "not one frame, or a size that is odd";
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        Ok(Self {
            name: file.display().to_string(),
            width,
            height,
            motion: Motion::Recording,
            pixels,
            pixels_width: width,
            margin: (0, 0),
        })
    }

    /// Draws a frame; any number is valid.
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
                let start = at % (self.pixels.len() / size) * size;
                frame.copy_from_slice(&self.pixels[start..start + size]);
            }
        }
    }

    fn benchmark(&self, at: usize, frame: &mut [u8]) {
        let angle = at as f64 / LOOP_FRAMES as f64 * TAU;
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

    /// Draws the picture from this place on.
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
            let source = ((from.1 + row) * self.pixels_width + from.0) * 4;
            let target = ((to.1 + row) * self.width + to.0) * 4;
            let length = size.0 * 4;
            frame[target..target + length].copy_from_slice(&self.pixels[source..source + length]);
        }
    }
}

/// Counts up to `max` and back again.
fn to_and_fro(at: usize, max: usize) -> usize {
    max - max.abs_diff(at % (2 * max))
}

/// Adds equal grain to all three colours, as the silver grain of film is.
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
