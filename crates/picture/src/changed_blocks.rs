//! Which blocks of the screen look otherwise than they did: what was found out about the others is still true.

use crate::damage::TILE;
use crate::film::SIDE;
use etatuki_rfb::Rect;

/// Tiles along a block's side.
const TILES: usize = (SIDE / TILE) as usize;

#[derive(Debug)]
pub(crate) struct ChangedBlocks {
    columns: usize,
    changed: Vec<bool>,
}

impl ChangedBlocks {
    /// Of a screen that nothing is known of.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let columns = usize::from(width.div_ceil(SIDE));
        let changed = vec![true; columns * usize::from(height.div_ceil(SIDE))];
        Self { columns, changed }
    }

    /// Something changed in a row, in this column of tiles.
    pub(crate) fn mark(&mut self, y: usize, column: usize) {
        self.changed[y / usize::from(SIDE) * self.columns + column / TILES] = true;
    }

    /// A rectangle changed (inside the screen, not empty).
    pub(crate) fn add(&mut self, rect: Rect) {
        let last = |end: u32| (end as usize - 1) / usize::from(SIDE);
        for y in usize::from(rect.y / SIDE)..=last(rect.bottom()) {
            let row = y * self.columns;
            self.changed[row + usize::from(rect.x / SIDE)..=row + last(rect.right())].fill(true);
        }
    }

    /// The blocks that have changed since this was asked last: their places from left to right, row by row.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = usize> {
        let changed = self.changed.iter_mut().enumerate();
        changed.filter_map(|(at, changed)| std::mem::take(changed).then_some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framebuffer::Framebuffer;
    use etatuki_rfb::Rectangle;
    use proptest::prelude::*;

    const SIZE: (u16, u16) = (200, 150);

    #[derive(Clone, Debug)]
    enum Step {
        Fill(Rect, u8),
        Copy(Rect, (u16, u16)),
    }

    fn steps() -> impl Strategy<Value = Step> {
        let rect = (0..SIZE.0, 0..SIZE.1).prop_flat_map(|(x, y)| {
            (1..=SIZE.0 - x, 1..=SIZE.1 - y).prop_map(move |(w, h)| Rect { x, y, w, h })
        });
        (rect, 0..3u8, 0..SIZE.0, 0..SIZE.1, any::<bool>()).prop_map(
            |(rect, grey, x, y, copies)| {
                let from = (x.min(SIZE.0 - rect.w), y.min(SIZE.1 - rect.h));
                if copies {
                    Step::Copy(rect, from)
                } else {
                    Step::Fill(rect, grey)
                }
            },
        )
    }

    /// The pixels of a block.
    fn cut(framebuffer: &Framebuffer, at: usize) -> Vec<u8> {
        let columns = usize::from(SIZE.0.div_ceil(SIDE));
        let (x, y) = ((at % columns) as u16 * SIDE, (at / columns) as u16 * SIDE);
        let block = Rect::new(x, y, SIDE, SIDE).intersection(&framebuffer.bounds());
        let block = block.expect("on the screen");
        let stride = usize::from(SIZE.0) * 4;
        let rows = usize::from(block.y)..block.bottom() as usize;
        rows.flat_map(|y| {
            let start = y * stride + usize::from(block.x) * 4;
            framebuffer.pixels()[start..start + usize::from(block.w) * 4].to_vec()
        })
        .collect()
    }

    proptest! {
        /// Or something that is no longer true would be believed of a block.
        #[test]
        fn what_looks_otherwise_is_told(rounds in prop::collection::vec(prop::collection::vec(steps(), 1..4), 1..6)) {
            let mut framebuffer = Framebuffer::new(SIZE.0, SIZE.1);
            let all: Vec<usize> = framebuffer.take_changed_blocks().collect();
            prop_assert_eq!(&all, &(0..12).collect::<Vec<_>>(), "at first");
            for steps in rounds {
                let before: Vec<_> = all.iter().map(|at| cut(&framebuffer, *at)).collect();
                for step in steps {
                    let rectangle = match step {
                        Step::Fill(rect, grey) => Rectangle::Raw { rect, pixels: [grey, grey, grey, 0].repeat(rect.area()) },
                        Step::Copy(rect, from) => Rectangle::CopyRect { rect, from },
                    };
                    framebuffer.apply(&rectangle).expect("it fits");
                    // What was sent is as new as before.
                    let whole = framebuffer.bounds();
                    framebuffer.damage().remove(whole);
                }
                let news: Vec<usize> = framebuffer.take_changed_blocks().collect();
                for at in &all {
                    prop_assert!(news.contains(at) || cut(&framebuffer, *at) == before[*at], "{at}");
                }
            }
            prop_assert_eq!(framebuffer.take_changed_blocks().count(), 0);
        }
    }
}
