//! Tells photographs and film from what a program has drawn.
//!
//! Only what this takes for a photograph may lose anything on its way to the agent, and text never may. So
//! the question is put the safe way round: a block is drawn unless everything speaks against it. What a
//! photograph wrongly called drawn costs is bytes.

use etatuki_rfb::Rect;

/// Rows that are looked at: every third one. The lowest letters are five pixels high.
const STEP: usize = 3;
/// Columns and rows of a cell, in which a crowd of strokes is a letter.
const CELL: usize = 16;
/// How far a stroke stands out from both of its sides at least. Letters in pale grey on white do by 50.
const STANDS_OUT: u8 = 16;
/// The same for those that are looked for in a crowd: standing ones, and lying ones, of which no letter has
/// so many.
const IN_A_CROWD: [u8; 2] = [16, 32];
/// How high a step between neighbours is at the edge of a letter, at least.
const SHARP: u8 = 32;
/// How far grain, leaves and hair do.
const RESTLESS: u8 = 2;
/// Pixels of a block for each that may stand out from whatever is around it: film has a glint here and there,
/// and a digit, alone in the largest block, has more that do.
const PIXELS_FOR_ONE: usize = 1024;
/// Restless pixels for each that may stand out from them: what is photographed is sharp by degrees, what is
/// drawn is sharp or smooth.
const RESTLESS_FOR_ONE: usize = 8;
/// Pixels of a cell that stand out at most, of those in a third of its rows.
const CROWD: usize = 8;
/// Shades that a photograph shows at least, of sixty-four and of those that were looked at.
const FEWEST_SHADES: usize = 12;
/// Pixels that a stroke's sides are away from its middle: two for those that are up to three wide, three for
/// those up to five, and for patterns in which every second pixel is the same.
const SIDES: [usize; 2] = [2, 3];
/// The farthest of them.
const MARGIN: usize = 3;
/// The same for strokes that lie; thin ones of small letters are known by those that stand.
const MARGIN_BELOW: usize = 4;

/// Whether a block of BGRX pixels (16x16 to 64x64, in a picture with `stride` bytes a row) holds nothing but
/// photograph or film: neighbours differ, what is as thin as a letter's stroke doesn't stand out, edges aren't
/// sharp where the rest is smooth, and the colours are many. A smooth gradient in two directions counts as one
/// too; with a letter on it, it doesn't. False for another size, or what reaches beyond the picture.
///
/// Ask for large blocks: below 32x32 the last column of a letter may be all that there is to see.
#[must_use]
pub fn looks_like_a_photo(pixels: &[u8], stride: usize, rect: Rect) -> bool {
    match Block::new(pixels, stride, rect) {
        // Most blocks are that wide, and code for rows of one length takes four fifths of the time.
        Some(block) if block.length == WIDEST => Block {
            length: WIDEST,
            ..block
        }
        .is_a_photo(),
        Some(block) => block.is_a_photo(),
        None => false,
    }
}

const SMALLEST: u16 = 16;
const LARGEST: u16 = 64;
/// Bytes of the longest row.
const WIDEST: usize = LARGEST as usize * 4;
/// Cells of the widest row.
const MAX_CELLS: usize = LARGEST as usize / CELL;
/// Rows whose shades are looked at, a multiple of [`STEP`].
const SHADE_STEP: usize = 6;

/// The rows of a block.
struct Block<'a> {
    pixels: &'a [u8],
    stride: usize,
    length: usize,
    height: usize,
}

impl<'a> Block<'a> {
    fn new(pixels: &'a [u8], stride: usize, rect: Rect) -> Option<Self> {
        let (length, height) = (usize::from(rect.w) * 4, usize::from(rect.h));
        let start = usize::from(rect.y) * stride + usize::from(rect.x) * 4;
        let sides = SMALLEST..=LARGEST;
        let fits = sides.contains(&rect.w) && sides.contains(&rect.h);
        let fits = fits && rect.right() as usize * 4 <= stride;
        let end = start + (height.checked_sub(1)?) * stride + length;
        let pixels = pixels.get(start..end).filter(|_| fits)?;
        Some(Self {
            pixels,
            stride,
            length,
            height,
        })
    }

    fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.stride..][..self.length]
    }

    #[inline(always)]
    fn is_a_photo(&self) -> bool {
        let mut found = Found::default();
        for y in (0..self.height - 1).step_by(STEP) {
            if y % CELL < STEP {
                found.cells = Default::default();
            }
            found.compare(self.row(y), self.row(y + 1));
            if (MARGIN_BELOW..self.height - MARGIN_BELOW).contains(&y) {
                let (above, below) = (self.row(y - MARGIN_BELOW), self.row(y + MARGIN_BELOW));
                found.compare_across(above, self.row(y), below);
            }
            if found.is_crowded() {
                return false;
            }
            if y.is_multiple_of(SHADE_STEP) {
                found.see_shades(self.row(y));
            }
        }
        found.is_smooth_or_restless(self.length / 4 * self.height) && found.is_lively()
    }
}

/// What was counted.
#[derive(Debug, Default)]
struct Found {
    compared: usize,
    /// Pixels that are equal to their right neighbour, and to the one below.
    equal_right: usize,
    equal_below: usize,
    /// Steps between neighbours that are as high as a letter's edge.
    sharp: usize,
    /// Pixels that stand out from left and right, and from above and below.
    standing_out: [usize; 2],
    /// The same in each cell of the row of cells that is being looked at.
    cells: [[usize; MAX_CELLS]; 2],
    restless: usize,
    /// A bit for each shade.
    shades: u64,
    looked_at: usize,
}

impl Found {
    #[inline(always)]
    fn compare(&mut self, row: &[u8], below: &[u8]) {
        let (right, down) = (&row[4..], below);
        for (neighbour, equal) in [
            (right, &mut self.equal_right),
            (down, &mut self.equal_below),
        ] {
            let mut steps = Row::new(neighbour.len());
            steps.differ(row, neighbour);
            *equal += neighbour.len() / 4 - count(steps.bytes(), 1);
            self.sharp += count(steps.bytes(), SHARP);
        }
        self.compared += right.len() / 4;

        let length = row.len() - 8 * MARGIN;
        let mut heights = Row::new(length);
        for side in SIDES {
            let part = |pixel: usize| &row[pixel * 4..][..length];
            heights.stand_out(part(MARGIN), part(MARGIN - side), part(MARGIN + side));
        }
        self.restless += count(heights.bytes(), RESTLESS);
        self.count_standing_out(0, &heights);
    }

    #[inline(always)]
    fn compare_across(&mut self, above: &[u8], row: &[u8], below: &[u8]) {
        let mut heights = Row::new(row.len());
        heights.stand_out(row, above, below);
        self.count_standing_out(1, &heights);
    }

    fn count_standing_out(&mut self, direction: usize, heights: &Row) {
        self.standing_out[direction] += count(heights.bytes(), STANDS_OUT);
        let cells = &mut self.cells[direction];
        for (part, cell) in heights.bytes().chunks(CELL * 4).zip(cells) {
            *cell += count(part, IN_A_CROWD[direction]);
        }
    }

    fn is_crowded(&self) -> bool {
        self.cells
            .as_flattened()
            .iter()
            .any(|standing_out| *standing_out > CROWD)
    }

    fn see_shades(&mut self, row: &[u8]) {
        for pixel in row.as_chunks::<4>().0.iter().step_by(3) {
            let mixed = (u32::from_le_bytes(*pixel) & COLOUR).wrapping_mul(0x9e37_79b1);
            self.shades |= 1 << (mixed >> (32 - u64::BITS.ilog2()));
            self.looked_at += 1;
        }
    }

    fn is_smooth_or_restless(&self, area: usize) -> bool {
        let most = (self.restless / RESTLESS_FOR_ONE).max(area / PIXELS_FOR_ONE);
        self.standing_out
            .iter()
            .chain([&self.sharp])
            .all(|found| *found <= most)
    }

    fn is_lively(&self) -> bool {
        // film that is dark, soft and compressed is equal to its neighbour more often than not
        let most = self.compared * 3 / 4;
        let fewest = FEWEST_SHADES.min(self.looked_at / 2);
        self.equal_right <= most
            && self.equal_below <= most
            && self.shades.count_ones() as usize >= fewest
    }
}

/// A number for each byte of a row.
struct Row {
    bytes: [u8; LARGEST as usize * 4],
    length: usize,
}

impl Row {
    fn new(length: usize) -> Self {
        let bytes = [0; LARGEST as usize * 4];
        Self { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// How far two rows are apart.
    fn differ(&mut self, a: &[u8], b: &[u8]) {
        for ((step, a), b) in self.bytes[..self.length].iter_mut().zip(a).zip(b) {
            *step = a.abs_diff(*b);
        }
    }

    /// How far each byte is above or below both others, where that is more than is known.
    fn stand_out(&mut self, here: &[u8], left: &[u8], right: &[u8]) {
        let bytes = self.bytes[..self.length].iter_mut();
        for (((height, here), left), right) in bytes.zip(here).zip(left).zip(right) {
            let above = here.saturating_sub(*left.max(right));
            let below = left.min(right).saturating_sub(*here);
            *height = (*height).max(above).max(below);
        }
    }
}

/// How many pixels reach this power of two, in any of the three colours.
fn count(bytes: &[u8], least: u8) -> usize {
    let high = u32::from_le_bytes([least.wrapping_neg(); 4]) & COLOUR;
    let reached = |pixel: &[u8; 4]| u32::from(u32::from_le_bytes(*pixel) & high != 0);
    bytes.as_chunks::<4>().0.iter().map(reached).sum::<u32>() as usize
}

/// The bytes that count of a pixel.
const COLOUR: u32 = u32::from_le_bytes([0xff, 0xff, 0xff, 0]);
