//! Tells photographs and film from what a program has drawn.
//!
//! Only what this takes for a photograph may lose anything on its way to the agent, and text never may. So
//! the question is put the safe way round: a block is drawn unless everything speaks against it. What a
//! photograph wrongly called drawn costs is bytes.

use etatuki_rfb::Rect;

/// Rows that are looked at: every third one. The lowest letters are five pixels high.
const ROW_STEP: usize = 3;
/// Columns and rows of a cell, in which a crowd of strokes is a letter.
const CELL_SIZE: usize = 16;
/// How far a stroke stands out from both of its sides at least. Letters in pale grey on white do by 50.
const STROKE_CONTRAST: u8 = 16;
/// The same for those that are looked for in a crowd: standing ones, and lying ones, of which no letter has
/// so many.
const CLUSTER_CONTRAST: [u8; 2] = [16, 32];
/// How high a step between neighbours is at the edge of a letter, at least.
const EDGE_STEP: u8 = 32;
/// How far grain, leaves and hair do.
const TEXTURE_STEP: u8 = 2;
/// Pixels of a block for each that may stand out from whatever is around it: film has a glint here and there,
/// and a digit, alone in the largest block, has more that do.
const PIXELS_PER_STROKE_PIXEL: usize = 1024;
/// Restless pixels for each that may stand out from them: what is photographed is sharp by degrees, what is
/// drawn is sharp or smooth.
const TEXTURE_PER_STROKE_PIXEL: usize = 8;
/// Pixels of a cell that stand out at most, of those in a third of its rows.
const MAX_CLUSTER: usize = 8;
/// Shades that a photograph shows at least, of sixty-four and of those that were looked at.
const MIN_SHADES: usize = 12;
/// Pixels that a stroke's sides are away from its middle: two for those that are up to three wide, three for
/// those up to five, and for patterns in which every second pixel is the same.
const STROKE_REACHES: [usize; 2] = [2, 3];
/// The farthest of them.
const MAX_STROKE_REACH: usize = 3;
/// The same for strokes that lie; thin ones of small letters are known by those that stand.
const VERTICAL_REACH: usize = 4;

/// Whether a block of BGRX pixels (16x16 to 64x64, in a picture with `stride` bytes a row) holds nothing but
/// photograph or film: neighbours differ, what is as thin as a letter's stroke doesn't stand out, edges aren't
/// sharp where the rest is smooth, and the colours are many. A smooth gradient in two directions counts as one
/// too; with a letter on it, it doesn't. False for another size, or what reaches beyond the picture.
///
/// Ask for large blocks: below 32x32 the last column of a letter may be all that there is to see.
#[must_use]
pub fn looks_like_a_photo(pixels: &[u8], stride: usize, rect: Rect) -> bool {
    match PixelBlock::new(pixels, stride, rect) {
        // Most blocks are that wide, and code for rows of one length takes four fifths of the time.
        Some(block) if block.row_bytes == MAX_ROW_BYTES => PixelBlock {
            row_bytes: MAX_ROW_BYTES,
            ..block
        }
        .is_a_photo(),
        Some(block) => block.is_a_photo(),
        None => false,
    }
}

const MIN_SIDE: u16 = 16;
const MAX_SIDE: u16 = 64;
/// Bytes of the longest row.
const MAX_ROW_BYTES: usize = MAX_SIDE as usize * 4;
/// Cells of the widest row.
const MAX_CELLS: usize = MAX_SIDE as usize / CELL_SIZE;
/// Rows whose shades are looked at, a multiple of [`STEP`].
const SHADE_ROW_STEP: usize = 6;

/// The rows of a block.
struct PixelBlock<'a> {
    pixels: &'a [u8],
    stride: usize,
    row_bytes: usize,
    height: usize,
}

impl<'a> PixelBlock<'a> {
    fn new(pixels: &'a [u8], stride: usize, rect: Rect) -> Option<Self> {
        let (row_bytes, height) = (usize::from(rect.w) * 4, usize::from(rect.h));
        let start = usize::from(rect.y) * stride + usize::from(rect.x) * 4;
        let sides = MIN_SIDE..=MAX_SIDE;
        let fits = sides.contains(&rect.w) && sides.contains(&rect.h);
        let fits = fits && rect.right() as usize * 4 <= stride;
        let end = start + (height.checked_sub(1)?) * stride + row_bytes;
        let pixels = pixels.get(start..end).filter(|_| fits)?;
        Some(Self {
            pixels,
            stride,
            row_bytes,
            height,
        })
    }

    fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.stride..][..self.row_bytes]
    }

    #[inline(always)]
    fn is_a_photo(&self) -> bool {
        let mut statistics = Statistics::default();
        for y in (0..self.height - 1).step_by(ROW_STEP) {
            if y % CELL_SIZE < ROW_STEP {
                statistics.cells = Default::default();
            }
            statistics.add_horizontal(self.row(y), self.row(y + 1));
            if (VERTICAL_REACH..self.height - VERTICAL_REACH).contains(&y) {
                let (above, below) = (self.row(y - VERTICAL_REACH), self.row(y + VERTICAL_REACH));
                statistics.add_vertical(above, self.row(y), below);
            }
            if statistics.has_cluster() {
                return false;
            }
            if y.is_multiple_of(SHADE_ROW_STEP) {
                statistics.add_shades(self.row(y));
            }
        }
        statistics.has_texture_for_its_edges(self.row_bytes / 4 * self.height)
            && statistics.is_varied()
    }
}

/// What was counted.
#[derive(Debug, Default)]
struct Statistics {
    compared: usize,
    /// Pixels that are equal to their right neighbour, and to the one below.
    equal_right: usize,
    equal_below: usize,
    /// Steps between neighbours that are as high as a letter's edge.
    edges: usize,
    /// Pixels that stand out from left and right, and from above and below.
    stroke_pixels: [usize; 2],
    /// The same in each cell of the row of cells that is being looked at.
    cells: [[usize; MAX_CELLS]; 2],
    textured: usize,
    /// A bit for each shade.
    shades: u64,
    sampled: usize,
}

impl Statistics {
    #[inline(always)]
    fn add_horizontal(&mut self, row: &[u8], below: &[u8]) {
        let (right, down) = (&row[4..], below);
        for (neighbour, equal) in [
            (right, &mut self.equal_right),
            (down, &mut self.equal_below),
        ] {
            let mut differences = RowMap::new(neighbour.len());
            differences.set_differences(row, neighbour);
            *equal += neighbour.len() / 4 - count_reaching(differences.bytes(), 1);
            self.edges += count_reaching(differences.bytes(), EDGE_STEP);
        }
        self.compared += right.len() / 4;

        let row_bytes = row.len() - 8 * MAX_STROKE_REACH;
        let mut contrasts = RowMap::new(row_bytes);
        for reach in STROKE_REACHES {
            let part = |pixel: usize| &row[pixel * 4..][..row_bytes];
            contrasts.raise_to_contrast(
                part(MAX_STROKE_REACH),
                part(MAX_STROKE_REACH - reach),
                part(MAX_STROKE_REACH + reach),
            );
        }
        self.textured += count_reaching(contrasts.bytes(), TEXTURE_STEP);
        self.count_stroke_pixels(0, &contrasts);
    }

    #[inline(always)]
    fn add_vertical(&mut self, above: &[u8], row: &[u8], below: &[u8]) {
        let mut contrasts = RowMap::new(row.len());
        contrasts.raise_to_contrast(row, above, below);
        self.count_stroke_pixels(1, &contrasts);
    }

    fn count_stroke_pixels(&mut self, direction: usize, contrasts: &RowMap) {
        self.stroke_pixels[direction] += count_reaching(contrasts.bytes(), STROKE_CONTRAST);
        let cells = &mut self.cells[direction];
        for (part, cell) in contrasts.bytes().chunks(CELL_SIZE * 4).zip(cells) {
            *cell += count_reaching(part, CLUSTER_CONTRAST[direction]);
        }
    }

    fn has_cluster(&self) -> bool {
        self.cells
            .as_flattened()
            .iter()
            .any(|stroke_pixels| *stroke_pixels > MAX_CLUSTER)
    }

    fn add_shades(&mut self, row: &[u8]) {
        for pixel in row.as_chunks::<4>().0.iter().step_by(3) {
            let mixed = (u32::from_le_bytes(*pixel) & COLOUR).wrapping_mul(0x9e37_79b1);
            self.shades |= 1 << (mixed >> (32 - u64::BITS.ilog2()));
            self.sampled += 1;
        }
    }

    fn has_texture_for_its_edges(&self, area: usize) -> bool {
        let most = (self.textured / TEXTURE_PER_STROKE_PIXEL).max(area / PIXELS_PER_STROKE_PIXEL);
        self.stroke_pixels
            .iter()
            .chain([&self.edges])
            .all(|count| *count <= most)
    }

    fn is_varied(&self) -> bool {
        // film that is dark, soft and compressed is equal to its neighbour more often than not
        let most = self.compared * 3 / 4;
        let fewest = MIN_SHADES.min(self.sampled / 2);
        self.equal_right <= most
            && self.equal_below <= most
            && self.shades.count_ones() as usize >= fewest
    }
}

/// A number for each byte of a row.
struct RowMap {
    bytes: [u8; MAX_ROW_BYTES],
    length: usize,
}

impl RowMap {
    fn new(length: usize) -> Self {
        let bytes = [0; MAX_ROW_BYTES];
        Self { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// How far two rows are apart.
    fn set_differences(&mut self, a: &[u8], b: &[u8]) {
        for ((difference, a), b) in self.bytes[..self.length].iter_mut().zip(a).zip(b) {
            *difference = a.abs_diff(*b);
        }
    }

    /// How far each byte is above or below both others, where that is more than is known.
    fn raise_to_contrast(&mut self, here: &[u8], left: &[u8], right: &[u8]) {
        let bytes = self.bytes[..self.length].iter_mut();
        for (((contrast, here), left), right) in bytes.zip(here).zip(left).zip(right) {
            let peak = here.saturating_sub(*left.max(right));
            let valley = left.min(right).saturating_sub(*here);
            *contrast = (*contrast).max(peak).max(valley);
        }
    }
}

/// How many pixels reach this power of two, in any of the three colours.
fn count_reaching(bytes: &[u8], power_of_two: u8) -> usize {
    let high = u32::from_le_bytes([power_of_two.wrapping_neg(); 4]) & COLOUR;
    let reached = |pixel: &[u8; 4]| u32::from(u32::from_le_bytes(*pixel) & high != 0);
    bytes.as_chunks::<4>().0.iter().map(reached).sum::<u32>() as usize
}

/// The bytes that count of a pixel.
const COLOUR: u32 = u32::from_le_bytes([0xff, 0xff, 0xff, 0]);
