//! Pictures to draw: frames of video, and screens of programs with text in a font of ten digits.

use etatuki_rfb::Rect;

/// A picture: BGRX, 4 bytes a pixel, rows from the top without gaps.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Width, in pixels.
    pub width: usize,
    /// Height, in pixels.
    pub height: usize,
    /// The pixels; the fourth byte is 0.
    pub pixels: Vec<u8>,
}

/// A pixel's three channels in the order of its bytes: 0 to 255 each, clamped.
pub type Colour = [f32; 3];

/// Returns noise from two coordinates and a seed: 0 to 1, the same in every run.
fn noise(x: usize, y: usize, seed: u32) -> f32 {
    let mut value = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca6b);
    value = (value ^ seed.wrapping_mul(0xc2b2_ae35)).wrapping_mul(0x27d4_eb2f);
    value ^= value >> 15;
    value = value.wrapping_mul(0x165_667b1);
    (value >> 8) as f32 / (1 << 24) as f32
}

/// Returns value noise, 0 to 1: smooth between grid points that are `apart` pixels from each other.
fn waves(x: usize, y: usize, apart: usize, seed: u32) -> f32 {
    let (left, top) = (x / apart, y / apart);
    let part = |at: usize| {
        let part = (at % apart) as f32 / apart as f32;
        part * part * (3.0 - 2.0 * part)
    };
    let (across, down) = (part(x), part(y));
    let row = |y: usize| {
        let (a, b) = (noise(left, y, seed), noise(left + 1, y, seed));
        a + (b - a) * across
    };
    row(top) + (row(top + 1) - row(top)) * down
}

impl Scene {
    /// Draws a scene; `colour` gives the pixel at a column and a row.
    pub fn new(width: usize, height: usize, colour: impl Fn(usize, usize) -> Colour) -> Self {
        let mut scene = Self {
            width,
            height,
            pixels: vec![0; width * height * 4],
        };
        for (at, pixel) in scene.pixels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let colour = colour(at % width, at / width).map(|part| part.clamp(0.0, 255.0) as u8);
            pixel[..3].copy_from_slice(&colour);
        }
        scene
    }

    /// Draws a frame of a video: large and small forms, balls in front of them, and grain of
    /// `grain` levels.
    pub fn video(width: usize, height: usize, brightness: f32, grain: f32) -> Self {
        Self::new(width, height, |x, y| {
            let grain = (noise(x, y, 99) - 0.5) * 2.0 * grain;
            let colour = |part: u32| {
                let forms = [(230, 90.0), (90, 60.0), (33, 40.0), (11, 16.0)];
                let sum: f32 = forms
                    .iter()
                    .map(|(apart, high)| high * waves(x, y, *apart, part))
                    .sum();
                let (light, cover) = ball(x, y, part);
                (light * cover + (sum + 25.0) * (1.0 - cover)) * brightness + grain
            };
            [colour(1), colour(2), colour(3)]
        })
    }

    /// Returns the bytes of a row.
    pub fn stride(&self) -> usize {
        self.width * 4
    }

    /// Writes lines of digits with soft edges: strokes of `size` pixels, a digit at every
    /// `spaced`th place.
    pub fn write(&mut self, size: f32, colour: Colour, spaced: usize) {
        let (across, down) = (size * 6.0, size * 9.0);
        for line in 0..(self.height as f32 / down) as usize {
            for place in (0..(self.width as f32 / across) as usize).step_by(spaced) {
                let digit = (noise(place, line, 5) * 10.0) as usize;
                self.digit(
                    digit,
                    place as f32 * across,
                    line as f32 * down + 0.4,
                    size,
                    colour,
                );
            }
        }
    }

    fn digit(&mut self, digit: usize, left: f32, top: f32, size: f32, colour: Colour) {
        let (columns, rows) = ((size * 5.0) as usize + 2, (size * 7.0) as usize + 2);
        for y in top as usize..(top as usize + rows).min(self.height) {
            for x in left as usize..(left as usize + columns).min(self.width) {
                let ink = ink(
                    digit,
                    (x as f32 - left) / size,
                    (y as f32 - top) / size,
                    1.0 / size,
                );
                let at = (y * self.width + x) * 4;
                for (byte, colour) in self.pixels[at..].iter_mut().zip(colour) {
                    *byte = (f32::from(*byte) * (1.0 - ink) + colour * ink) as u8;
                }
            }
        }
    }

    /// Returns the whole square blocks of `side` pixels.
    pub fn blocks(&self, side: usize) -> impl Iterator<Item = Rect> {
        let (columns, rows) = (self.width / side, self.height / side);
        (0..columns * rows).map(move |at| {
            let (x, y) = (at % columns * side, at / columns * side);
            Rect::new(x as u16, y as u16, side as u16, side as u16)
        })
    }

    /// Counts the pixels of `block` that differ from those of `other` by 48 or more in a channel.
    pub fn different(&self, other: &Self, block: Rect) -> usize {
        let rows = usize::from(block.y)..block.bottom() as usize;
        let starts = rows.map(|y| y * self.stride() + usize::from(block.x) * 4);
        starts
            .map(|at| {
                let row = at..at + usize::from(block.w) * 4;
                let (mine, theirs) = (&self.pixels[row.clone()], &other.pixels[row]);
                let pairs = mine
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .zip(theirs.as_chunks::<4>().0);
                pairs
                    .filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) >= 48))
                    .count()
            })
            .sum()
    }
}

/// Returns a shaded ball's colour, and its cover from 0 to 1: edges are soft, as through a lens.
fn ball(x: usize, y: usize, part: u32) -> (f32, f32) {
    let (column, row) = (x / 200, y / 200);
    let middle = |at: usize, seed: u32| at as f32 * 200.0 + 70.0 + 60.0 * noise(column, row, seed);
    let (dx, dy) = (x as f32 - middle(column, 41), y as f32 - middle(row, 42));
    let radius = 20.0 + 40.0 * noise(column, row, 43);
    let far = dx.hypot(dy) / radius;
    let light = (60.0 + 190.0 * noise(column, row, 50 + part)) * (1.0 - 0.6 * far * far);
    (light, ((1.0 - far) * radius / 4.0).clamp(0.0, 1.0))
}

/// Returns the share of a small square around a point that lies in the strokes of a digit, 0 to 1.
fn ink(digit: usize, x: f32, y: f32, side: f32) -> f32 {
    const STEPS: usize = 4;
    let inside = (0..STEPS * STEPS).filter(|at| {
        let step = |at: usize| (at as f32 + 0.5) / STEPS as f32 * side;
        let (x, y) = (x + step(at % STEPS), y + step(at / STEPS));
        x < 5.0 && y < 7.0 && DIGITS[digit][y as usize] >> (4 - x as usize) & 1 == 1
    });
    inside.count() as f32 / (STEPS * STEPS) as f32
}

/// The font: seven rows of five columns, the leftmost column in the highest of five bits.
const DIGITS: [[u8; 7]; 10] = [
    [14, 17, 17, 17, 17, 17, 14],
    [4, 12, 4, 4, 4, 4, 14],
    [14, 17, 1, 2, 4, 8, 31],
    [14, 17, 1, 6, 1, 17, 14],
    [2, 6, 10, 18, 31, 2, 2],
    [31, 16, 30, 1, 1, 17, 14],
    [14, 16, 30, 17, 17, 17, 14],
    [31, 1, 2, 2, 4, 4, 4],
    [14, 17, 17, 14, 17, 17, 14],
    [14, 17, 17, 15, 1, 1, 14],
];
