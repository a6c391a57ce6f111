//! An edge and texture classifier: tells photographs and video from what a program has drawn.
//!
//! Only what it takes for a photograph may lose anything on its way to the agent, and text never
//! may. So the question is put the safe way round: a block is drawn unless everything speaks
//! against it. A photograph that is wrongly called drawn costs bytes.

use etatuki_rfb::Rect;

/// Every third row is sampled: the lowest letters are five pixels high.
const ROW_STEP: usize = 3;
/// Side of a cell in pixels; a cluster of strokes inside of it is a letter.
const CELL_SIZE: usize = 16;
/// Smallest contrast of a stroke with both of its sides (0–255). Letters in pale grey on white have
/// 50.
const STROKE_CONTRAST: u8 = 16;
/// Smallest contrast of strokes that are searched for clusters: upright ones, and horizontal ones,
/// of which no letter has as many.
const CLUSTER_CONTRAST: [u8; 2] = [16, 32];
/// Smallest step between neighbours (0–255) that counts as the edge of a letter.
const EDGE_STEP: u8 = 32;
/// Smallest contrast (0–255) that counts as texture: film grain, foliage, hair.
const TEXTURE_STEP: u8 = 2;
/// A block may have one stroke pixel per 1024 pixels, whatever is around it: video has a glint here
/// and there, and a digit, alone in the largest block, has more.
const PIXELS_PER_STROKE_PIXEL: usize = 1024;
/// A block may have one stroke pixel per 8 pixels of texture: a photograph is sharp by degrees, a
/// drawing is sharp or smooth.
const TEXTURE_PER_STROKE_PIXEL: usize = 8;
/// Maximum number of stroke pixels in a cell, in a third of its rows.
const MAX_CLUSTER: usize = 8;
/// Smallest number of shades in a photograph, of sixty-four and among the sampled pixels.
const MIN_SHADES: usize = 12;
/// Distances in pixels from a stroke's middle to its sides: 2 for strokes up to three pixels wide;
/// 3 for those up to five, and for patterns that repeat every second pixel.
const STROKE_REACHES: [usize; 2] = [2, 3];
/// The largest of [`STROKE_REACHES`].
const MAX_STROKE_REACH: usize = 3;
/// Distance in rows from the middle of a horizontal stroke to its sides. The thin ones of small
/// letters are found by the letters' upright strokes.
const VERTICAL_REACH: usize = 4;

/// Returns whether a block of BGRX pixels holds nothing but photograph or video: neighbours differ,
/// nothing as thin as a letter's stroke stands out, edges aren't sharp where the rest is smooth,
/// and the colours are many. A smooth gradient in two directions counts as one too; with a letter
/// on it, it doesn't.
///
/// The block has 16×16 to 64×64 pixels, in a picture with `stride` bytes per row. False for another
/// size, or if it reaches beyond the picture. Callers should prefer large blocks: below 32×32, the
/// last column of a letter may be all that is visible.
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

/// Smallest side of a block in pixels.
const MIN_SIDE: u16 = 16;
/// Largest side of a block in pixels.
const MAX_SIDE: u16 = 64;
/// Bytes of the widest row.
const MAX_ROW_BYTES: usize = MAX_SIDE as usize * 4;
/// Cells in the widest row.
const MAX_CELLS: usize = MAX_SIDE as usize / CELL_SIZE;
/// Every sixth row's shades are sampled; a multiple of [`ROW_STEP`].
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

/// Counts over the sampled rows of a block.
#[derive(Debug, Default)]
struct Statistics {
    compared: usize,
    /// Pixels that are equal to their right neighbour.
    equal_right: usize,
    /// Pixels that are equal to the one below.
    equal_below: usize,
    /// Steps between neighbours that are as high as a letter's edge.
    edges: usize,
    /// Pixels that stand out from left and right, and from above and below.
    stroke_pixels: [usize; 2],
    /// Stroke pixels in each cell of the current row of cells, by direction.
    cells: [[usize; MAX_CELLS]; 2],
    textured: usize,
    /// One bit per shade.
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
        // Video that is dark, soft and compressed is equal to its neighbour more often than not.
        let most = self.compared * 3 / 4;
        let fewest = MIN_SHADES.min(self.sampled / 2);
        self.equal_right <= most
            && self.equal_below <= most
            && self.shades.count_ones() as usize >= fewest
    }
}

/// One number for each byte of a row.
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

    /// Sets the absolute differences of two rows.
    fn set_differences(&mut self, a: &[u8], b: &[u8]) {
        for ((difference, a), b) in self.bytes[..self.length].iter_mut().zip(a).zip(b) {
            *difference = a.abs_diff(*b);
        }
    }

    /// Raises each number to the contrast of `here` with both other rows: how far it is above or
    /// below both.
    fn raise_to_contrast(&mut self, here: &[u8], left: &[u8], right: &[u8]) {
        let bytes = self.bytes[..self.length].iter_mut();
        for (((contrast, here), left), right) in bytes.zip(here).zip(left).zip(right) {
            let peak = here.saturating_sub(*left.max(right));
            let valley = left.min(right).saturating_sub(*here);
            *contrast = (*contrast).max(peak).max(valley);
        }
    }
}

/// Returns the number of pixels that reach this power of two in any of the three colours.
fn count_reaching(bytes: &[u8], power_of_two: u8) -> usize {
    let high = u32::from_le_bytes([power_of_two.wrapping_neg(); 4]) & COLOUR;
    let reached = |pixel: &[u8; 4]| u32::from(u32::from_le_bytes(*pixel) & high != 0);
    bytes.as_chunks::<4>().0.iter().map(reached).sum::<u32>() as usize
}

/// Mask of a pixel's colours; the fourth byte means nothing.
const COLOUR: u32 = u32::from_le_bytes([0xff, 0xff, 0xff, 0]);
