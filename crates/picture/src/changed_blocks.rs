//! Per-block change bits since they were last taken. They invalidate the cached classification of a
//! block.

use crate::damage::TILE;
use crate::grid::BLOCK_SIZE;
use etatuki_rfb::Rect;

/// Tiles along a block's side.
const TILES: usize = (BLOCK_SIZE / TILE) as usize;

/// A bitmap with an entry for each block, row by row.
#[derive(Debug)]
pub(crate) struct ChangedBlocks {
    columns: usize,
    changed: Vec<bool>,
}

impl ChangedBlocks {
    /// Creates a bitmap in which every block counts as changed.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let columns = usize::from(width.div_ceil(BLOCK_SIZE));
        let changed = vec![true; columns * usize::from(height.div_ceil(BLOCK_SIZE))];
        Self { columns, changed }
    }

    /// Marks the block at row `y` and this column of tiles.
    pub(crate) fn mark(&mut self, y: usize, column: usize) {
        self.changed[y / usize::from(BLOCK_SIZE) * self.columns + column / TILES] = true;
    }

    /// Marks the blocks that a rectangle touches; it is inside the picture and not empty.
    pub(crate) fn add(&mut self, rect: Rect) {
        let last = |end: u32| (end as usize - 1) / usize::from(BLOCK_SIZE);
        for y in usize::from(rect.y / BLOCK_SIZE)..=last(rect.bottom()) {
            let row = y * self.columns;
            self.changed[row + usize::from(rect.x / BLOCK_SIZE)..=row + last(rect.right())]
                .fill(true);
        }
    }

    /// Returns the indices of the blocks that have changed since the last call, in ascending order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = usize> {
        let changed = self.changed.iter_mut().enumerate();
        changed.filter_map(|(at, changed)| std::mem::take(changed).then_some(at))
    }
}
