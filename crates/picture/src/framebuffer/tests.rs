use super::*;
use crate::grid::BLOCK_SIZE;
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
    (rect, 0..3u8, 0..SIZE.0, 0..SIZE.1, any::<bool>()).prop_map(|(rect, grey, x, y, copies)| {
        let from = (x.min(SIZE.0 - rect.w), y.min(SIZE.1 - rect.h));
        if copies {
            Step::Copy(rect, from)
        } else {
            Step::Fill(rect, grey)
        }
    })
}

/// Returns the pixels of a block.
fn cut(framebuffer: &Framebuffer, at: usize) -> Vec<u8> {
    let columns = usize::from(SIZE.0.div_ceil(BLOCK_SIZE));
    let (x, y) = (
        (at % columns) as u16 * BLOCK_SIZE,
        (at / columns) as u16 * BLOCK_SIZE,
    );
    let block = Rect::new(x, y, BLOCK_SIZE, BLOCK_SIZE).intersection(&framebuffer.bounds());
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
    /// A block that changes unnoticed would keep a classification that is no longer true.
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
                // Sending is no change, and undoes none.
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
