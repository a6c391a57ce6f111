//! What goes first when there isn't room for everything that changed.

use crate::damage::TILE;
use etatuki_rfb::Rect;

/// Rectangles of one update at most.
const MAX_RECTANGLES: usize = 4000;
/// Changes nearer to each other than this belong together, in pixels: three tiles.
const GAP: u32 = 48;
/// With more rectangles than this nothing is sorted: it is one large change, or many.
const MAX_SORTED: usize = 1000;

/// Where the last update that couldn't hold everything ended.
#[derive(Debug, Default)]
pub(crate) struct Order {
    resume: u16,
}

impl Order {
    /// Of the changed rectangles, in bands from top to bottom, as many as have room in so many bytes of pixels;
    /// and whether something is left out. The last may be cut between tiles.
    ///
    /// Small changes by themselves go before a large one, or a letter that is typed would wait for the page that
    /// scrolls beside it; they get three quarters of the room, so that a clock doesn't keep the page away. Of the rest comes what
    /// is below the last update's end, and then again from the top.
    pub(crate) fn choose(&mut self, rects: Vec<Rect>, room: usize) -> (Vec<Rect>, bool) {
        let all: usize = rects.iter().map(bytes).sum();
        if all <= room && rects.len() <= MAX_RECTANGLES {
            self.resume = 0;
            return (rects, false);
        }
        let (mut chosen, mut rest) = small_first(rects, room / 4 * 3);
        let used: usize = chosen.iter().map(bytes).sum();
        let next = rest.partition_point(|rect| rect.bottom() <= u32::from(self.resume));
        rest.rotate_left(next);
        let fitting = fitting(rest, room - used, chosen.is_empty());
        self.resume = fitting.last().map_or(0, |rect| rect.bottom() as u16);
        chosen.extend(fitting);
        chosen.truncate(MAX_RECTANGLES);
        (chosen, true)
    }
}

/// The smallest of the changes, as far as they have room; and all other rectangles.
pub(crate) fn small_first(rects: Vec<Rect>, room: usize) -> (Vec<Rect>, Vec<Rect>) {
    if rects.len() > MAX_SORTED {
        return (Vec::new(), rects);
    }
    let changes = changes(&rects);
    let mut sizes: Vec<(usize, usize)> = (0..rects.len())
        .filter(|change| changes.contains(change))
        .map(|change| {
            let of_it = rects.iter().zip(&changes).filter(|(_, of)| **of == change);
            (of_it.map(|(rect, _)| bytes(rect)).sum(), change)
        })
        .collect();
    sizes.sort_unstable();
    let mut used = 0;
    let small: Vec<usize> = sizes
        .iter()
        .take_while(|(size, _)| {
            used += size;
            used <= room
        })
        .map(|(_, change)| *change)
        .collect();
    let (chosen, rest): (Vec<_>, Vec<_>) = rects
        .into_iter()
        .zip(changes)
        .partition(|(_, change)| small.contains(change));
    let only_rects = |pairs: Vec<(Rect, usize)>| pairs.into_iter().map(|(rect, _)| rect).collect();
    (only_rects(chosen), only_rects(rest))
}

/// For each rectangle the first one of its change, in which each is near to another one.
fn changes(rects: &[Rect]) -> Vec<usize> {
    let mut change: Vec<usize> = (0..rects.len()).collect();
    for (index, rect) in rects.iter().enumerate() {
        for before in 0..index {
            let (one, other) = (change[index], change[before]);
            if one != other && near(rect, &rects[before]) {
                let (first, later) = (one.min(other), one.max(other));
                change[..=index]
                    .iter_mut()
                    .filter(|of| **of == later)
                    .for_each(|of| *of = first);
            }
        }
    }
    change
}

fn near(one: &Rect, other: &Rect) -> bool {
    let apart = |start: u16, end: u32, other_start: u16, other_end: u32| {
        u32::from(start) > other_end + GAP || u32::from(other_start) > end + GAP
    };
    !apart(one.x, one.right(), other.x, other.right())
        && !apart(one.y, one.bottom(), other.y, other.bottom())
}

/// The first rectangles, as many as have room; at least a tile if something `must` go.
fn fitting(mut rects: Vec<Rect>, mut room: usize, must: bool) -> Vec<Rect> {
    for (index, rect) in rects.iter_mut().enumerate() {
        if bytes(rect) > room {
            *rect = cut(*rect, room);
            let fits = bytes(rect) <= room || (must && index == 0);
            let kept = index + usize::from(fits);
            rects.truncate(kept);
            break;
        }
        room -= bytes(rect);
    }
    rects
}

/// The upper part of a rectangle that has room: whole rows of tiles, or some tiles of the first row.
fn cut(rect: Rect, room: usize) -> Rect {
    let rows = (room / (usize::from(rect.w) * 4)).min(usize::from(rect.h)) as u16;
    let beyond_tile = (rect.y + rows) % TILE;
    if rows > beyond_tile {
        return Rect {
            h: rows - beyond_tile,
            ..rect
        };
    }
    let h = rect.h.min(TILE - rect.y % TILE);
    let columns = (room / 4 / usize::from(h)).min(usize::from(rect.w)) as u16;
    let to_tile = TILE - rect.x % TILE;
    let more = columns.saturating_sub(to_tile) / TILE * TILE;
    let w = (to_tile + more).min(rect.w);
    Rect { w, h, ..rect }
}

fn bytes(rect: &Rect) -> usize {
    rect.area() * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: Rect = Rect::new(0, 160, 1600, 800);
    const LETTER: Rect = Rect::new(320, 32, 16, 32);

    #[test]
    fn with_room_everything_goes_as_it_is() {
        let rects = vec![LETTER, PAGE];
        let room = bytes(&LETTER) + bytes(&PAGE);
        assert_eq!(Order::default().choose(rects.clone(), room), (rects, false));
    }

    #[test]
    fn a_letter_goes_before_the_page_and_the_page_goes_on() {
        let mut order = Order::default();
        let below = Rect::new(320, 1040, 16, 16);
        let row = Rect { h: 16, ..PAGE };
        let (first, cut) = order.choose(vec![PAGE, below], 110_000);
        assert_eq!((first, cut), (vec![below, row], true));
        let rest = Rect::new(0, 176, 1600, 784);
        let (second, cut) = order.choose(vec![LETTER, rest], 110_000);
        let row = Rect { y: 176, ..row };
        assert_eq!((second, cut), (vec![LETTER, row], true));
        // What is above the last end waits until the bottom was there.
        let again = Rect { h: 16, ..PAGE };
        let rest = Rect::new(0, 192, 1600, 768);
        let (third, _) = order.choose(vec![again, rest], 110_000);
        assert_eq!(third, vec![Rect { y: 192, ..row }]);
    }

    #[test]
    fn something_busy_leaves_room() {
        let mut order = Order::default();
        let film = Rect::new(0, 0, 160, 160);
        let (chosen, _) = order.choose(vec![film, PAGE], 4 * film.area());
        assert_eq!(chosen[0].y, 0);
        let (chosen, _) = order.choose(vec![film, PAGE], 4 * film.area());
        assert_eq!(chosen.iter().filter(|rect| rect.y >= 160).count(), 1);
    }

    #[test]
    fn where_a_row_of_tiles_is_too_much_some_tiles_go() {
        assert_eq!(cut(PAGE, 40_000), Rect::new(0, 160, 624, 16));
        assert_eq!(cut(PAGE, 10), Rect::new(0, 160, 16, 16));
        assert_eq!(cut(Rect::new(5, 7, 100, 3), 10), Rect::new(5, 7, 11, 3));
    }

    proptest! {
        /// Whatever changed: something goes, it is of what changed, nothing goes twice, and it has room.
        #[test]
        fn it_always_goes_on(
            places in prop::collection::btree_set((0..40u16, 0..40u16), 1..60),
            room in 1024..60_000usize,
            resume in 0..800u16,
        ) {
            let rects: Vec<Rect> = places
                .iter()
                .map(|(y, x)| Rect::new(x * 16, y * 16, 16, 16))
                .collect();
            let mut order = Order { resume };
            let (chosen, cut) = order.choose(rects.clone(), room);
            prop_assert!(!chosen.is_empty());
            prop_assert!(chosen.iter().map(bytes).sum::<usize>() <= room);
            let mut sorted: Vec<_> = chosen.iter().map(|rect| (rect.y, rect.x)).collect();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), chosen.len());
            prop_assert!(chosen.iter().all(|rect| rects.iter().any(|all| all.contains(rect))));
            prop_assert_eq!(cut, chosen.len() < rects.len());
        }
    }
}
