//! Selects what goes first if the budget isn't enough for everything that changed.

use crate::damage::TILE;
use crate::grid::raw_bytes;
use etatuki_rfb::Rect;

/// Maximum number of rectangles in one update.
const MAX_RECTS: usize = 4000;
/// Pixels between two rectangles up to which they belong to one group: three tiles.
const MAX_GROUP_GAP: u32 = 48;
/// Rectangles above which they aren't grouped: it is one large change, or many.
const MAX_GROUPED_RECTS: usize = 1000;

/// The outcome of [`Scheduler::select`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) rects: Vec<Rect>,
    /// Nothing is left out.
    pub(crate) is_complete: bool,
}

impl Selection {
    /// Selects none of `rects`.
    pub(crate) fn none_of(rects: &[Rect]) -> Self {
        Self {
            rects: Vec::new(),
            is_complete: rects.is_empty(),
        }
    }
}

/// The least that a selection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Minimum {
    Nothing,
    /// One tile, even if it exceeds the budget.
    OneTile,
}

/// Round-robin over the rows of the picture, with small changes ahead of it.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    /// Row at which the last incomplete selection ended.
    resume_y: u16,
}

impl Scheduler {
    /// Selects as many rectangles as fit `budget`, in bytes of pixels. `rects` run in bands from
    /// top to bottom; the last selected one may be cut between tiles.
    ///
    /// Small groups of changes go before a large one, or a typed letter would wait for the page
    /// that scrolls beside it. They get three quarters of the budget, so that a clock doesn't keep
    /// the page away. Of the rest comes what is below the last selection's end, and then again from
    /// the top.
    pub(crate) fn select(&mut self, rects: Vec<Rect>, budget: usize) -> Selection {
        let all: usize = rects.iter().map(raw_bytes).sum();
        if all <= budget && rects.len() <= MAX_RECTS {
            self.resume_y = 0;
            return Selection {
                rects,
                is_complete: true,
            };
        }
        let (mut selected, mut rest) = smallest_groups(rects, budget / 4 * 3);
        let used: usize = selected.iter().map(raw_bytes).sum();
        let next = rest.partition_point(|rect| rect.bottom() <= u32::from(self.resume_y));
        rest.rotate_left(next);
        let minimum = if selected.is_empty() {
            Minimum::OneTile
        } else {
            Minimum::Nothing
        };
        let fitting = fitting_prefix(rest, budget - used, minimum);
        self.resume_y = fitting.last().map_or(0, |rect| rect.bottom() as u16);
        selected.extend(fitting);
        selected.truncate(MAX_RECTS);
        Selection {
            rects: selected,
            is_complete: false,
        }
    }
}

/// Returns the rectangles of the smallest groups that fit `budget`, and all the others.
pub(crate) fn smallest_groups(rects: Vec<Rect>, budget: usize) -> (Vec<Rect>, Vec<Rect>) {
    if rects.len() > MAX_GROUPED_RECTS {
        return (Vec::new(), rects);
    }
    let groups = group_nearby(&rects);
    let mut sizes: Vec<(usize, usize)> = (0..rects.len())
        .filter(|group| groups.contains(group))
        .map(|group| {
            let members = rects.iter().zip(&groups).filter(|(_, of)| **of == group);
            (members.map(|(rect, _)| raw_bytes(rect)).sum(), group)
        })
        .collect();
    sizes.sort_unstable();
    let mut used = 0;
    let small: Vec<usize> = sizes
        .iter()
        .take_while(|(size, _)| {
            used += size;
            used <= budget
        })
        .map(|(_, group)| *group)
        .collect();
    let (selected, rest): (Vec<_>, Vec<_>) = rects
        .into_iter()
        .zip(groups)
        .partition(|(_, group)| small.contains(group));
    let only_rects = |pairs: Vec<(Rect, usize)>| pairs.into_iter().map(|(rect, _)| rect).collect();
    (only_rects(selected), only_rects(rest))
}

/// Returns for each rectangle the index of the first one in its group. A group is connected by the
/// nearness of its members.
fn group_nearby(rects: &[Rect]) -> Vec<usize> {
    let mut groups: Vec<usize> = (0..rects.len()).collect();
    for (index, rect) in rects.iter().enumerate() {
        for before in 0..index {
            let (one, other) = (groups[index], groups[before]);
            if one != other && are_near(rect, &rects[before]) {
                let (first, later) = (one.min(other), one.max(other));
                groups[..=index]
                    .iter_mut()
                    .filter(|group| **group == later)
                    .for_each(|group| *group = first);
            }
        }
    }
    groups
}

fn are_near(one: &Rect, other: &Rect) -> bool {
    let apart = |start: u16, end: u32, other_start: u16, other_end: u32| {
        u32::from(start) > other_end + MAX_GROUP_GAP || u32::from(other_start) > end + MAX_GROUP_GAP
    };
    !apart(one.x, one.right(), other.x, other.right())
        && !apart(one.y, one.bottom(), other.y, other.bottom())
}

/// Returns the first rectangles, as many as fit; the last one may be cut.
fn fitting_prefix(mut rects: Vec<Rect>, mut budget: usize, minimum: Minimum) -> Vec<Rect> {
    for (index, rect) in rects.iter_mut().enumerate() {
        if raw_bytes(rect) > budget {
            *rect = cut_to_fit(*rect, budget);
            let fits = raw_bytes(rect) <= budget || (minimum == Minimum::OneTile && index == 0);
            let kept = index + usize::from(fits);
            rects.truncate(kept);
            break;
        }
        budget -= raw_bytes(rect);
    }
    rects
}

/// Returns the upper part of a rectangle that fits: whole rows of tiles, or some tiles of the first
/// row, at least one.
fn cut_to_fit(rect: Rect, budget: usize) -> Rect {
    let rows = (budget / (usize::from(rect.w) * 4)).min(usize::from(rect.h)) as u16;
    let beyond_tile = (rect.y + rows) % TILE;
    if rows > beyond_tile {
        return Rect {
            h: rows - beyond_tile,
            ..rect
        };
    }
    let h = rect.h.min(TILE - rect.y % TILE);
    let columns = (budget / 4 / usize::from(h)).min(usize::from(rect.w)) as u16;
    let to_tile = TILE - rect.x % TILE;
    let more = columns.saturating_sub(to_tile) / TILE * TILE;
    let w = (to_tile + more).min(rect.w);
    Rect { w, h, ..rect }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: Rect = Rect::new(0, 160, 1600, 800);
    const LETTER: Rect = Rect::new(320, 32, 16, 32);

    fn all(rects: Vec<Rect>) -> Selection {
        let is_complete = true;
        Selection { rects, is_complete }
    }

    fn part(rects: Vec<Rect>) -> Selection {
        let is_complete = false;
        Selection { rects, is_complete }
    }

    #[test]
    fn with_room_everything_goes_as_it_is() {
        let rects = vec![LETTER, PAGE];
        let budget = raw_bytes(&LETTER) + raw_bytes(&PAGE);
        assert_eq!(
            Scheduler::default().select(rects.clone(), budget),
            all(rects)
        );
    }

    #[test]
    fn a_letter_goes_before_the_page_and_the_page_goes_on() {
        let mut scheduler = Scheduler::default();
        let below = Rect::new(320, 1040, 16, 16);
        let row = Rect { h: 16, ..PAGE };
        let first = scheduler.select(vec![PAGE, below], 110_000);
        assert_eq!(first, part(vec![below, row]));
        let rest = Rect::new(0, 176, 1600, 784);
        let second = scheduler.select(vec![LETTER, rest], 110_000);
        let row = Rect { y: 176, ..row };
        assert_eq!(second, part(vec![LETTER, row]));
        // What is above the last end waits until the bottom has been sent.
        let again = Rect { h: 16, ..PAGE };
        let rest = Rect::new(0, 192, 1600, 768);
        let third = scheduler.select(vec![again, rest], 110_000);
        assert_eq!(third, part(vec![Rect { y: 192, ..row }]));
    }

    #[test]
    fn something_busy_leaves_room() {
        let mut scheduler = Scheduler::default();
        let video = Rect::new(0, 0, 160, 160);
        let selected = scheduler.select(vec![video, PAGE], 4 * video.area()).rects;
        assert_eq!(selected[0].y, 0);
        let selected = scheduler.select(vec![video, PAGE], 4 * video.area()).rects;
        assert_eq!(selected.iter().filter(|rect| rect.y >= 160).count(), 1);
    }

    #[test]
    fn where_a_row_of_tiles_is_too_much_some_tiles_go() {
        assert_eq!(cut_to_fit(PAGE, 40_000), Rect::new(0, 160, 624, 16));
        assert_eq!(cut_to_fit(PAGE, 10), Rect::new(0, 160, 16, 16));
        assert_eq!(
            cut_to_fit(Rect::new(5, 7, 100, 3), 10),
            Rect::new(5, 7, 11, 3)
        );
    }

    proptest! {
        /// Checks any changes: something is selected, all of it has changed, nothing is selected
        /// twice, and it fits.
        #[test]
        fn it_always_goes_on(
            places in prop::collection::btree_set((0..40u16, 0..40u16), 1..60),
            budget in 1024..60_000usize,
            resume_y in 0..800u16,
        ) {
            let rects: Vec<Rect> = places
                .iter()
                .map(|(y, x)| Rect::new(x * 16, y * 16, 16, 16))
                .collect();
            let mut scheduler = Scheduler { resume_y };
            let Selection { rects: selected, is_complete } = scheduler.select(rects.clone(), budget);
            prop_assert!(!selected.is_empty());
            prop_assert!(selected.iter().map(raw_bytes).sum::<usize>() <= budget);
            let mut sorted: Vec<_> = selected.iter().map(|rect| (rect.y, rect.x)).collect();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), selected.len());
            prop_assert!(selected.iter().all(|rect| rects.iter().any(|all| all.contains(rect))));
            prop_assert_eq!(!is_complete, selected.len() < rects.len());
        }
    }
}
