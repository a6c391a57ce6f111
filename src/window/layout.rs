//! The layout of a page: every size and place in its window, so that the whole window is on the
//! screen. Pure: the screen's size comes in, and text is measured by a function.
//!
//! A page that is too high for the screen is set tighter, step by step: without the line that
//! names support, since the page says the number again; compact, with smaller digits and the code's
//! two halves side by side; in smaller type; and with a scroll bar at last. The buttons are never
//! scrolled away.

use std::ops::Range;

use super::metrics::Metrics;
use super::page::{Page, PageItem, mnemonic};
use super::text_layout::Measure;
use super::theme::{self, Rect};

/// Widest window.
pub const MAX_WIDTH: i32 = 640;
/// Smallest size of ordinary text, in pixels of the screen: as large as most programs' text.
const MIN_TEXT_PIXELS: f32 = 13.0;
/// Steps in which type gets smaller, in percent.
const ZOOM_STEP: i32 = 5;
/// Width of the scroll bar, with its distance from the text.
pub const SCROLLBAR: i32 = 18;

/// The room that a window has, without its title bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Width in FLTK's units.
    pub width: i32,
    /// Height in FLTK's units.
    pub height: i32,
    /// Smallest zoom, in percent.
    pub min_zoom: i32,
}

impl Room {
    /// Returns the room on a screen of `width` times `height` units of `scale` pixels each.
    pub fn new(width: i32, height: i32, scale: f32) -> Self {
        let percent = 100.0 * MIN_TEXT_PIXELS / (theme::TEXT_SIZE as f32 * scale.max(0.1));
        Self {
            width,
            height,
            min_zoom: (percent.ceil() as i32).clamp(20, 100),
        }
    }
}

/// A page in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sizes.
    pub metrics: Metrics,
    /// The window's width.
    pub width: i32,
    /// The window's height.
    pub height: i32,
    /// The place of each item, as if nothing were scrolled; `None` for one that is left out.
    pub items: Vec<Option<Rect>>,
    /// The part of the window in which the items are seen.
    pub viewport: Rect,
    /// Whether the items need a scroll bar.
    pub scrolls: bool,
    /// The place of each button.
    pub buttons: Vec<Rect>,
    /// Whether every label fits on its button.
    labels_fit: bool,
}

/// Lays a page out below `top`, the height of what is above every page, in the given room.
pub fn fit(page: &Page, top: i32, room: Room, measure: Measure<'_>) -> Layout {
    let steps = steps(page, room.min_zoom);
    let set = |(metrics, support)| Setter {
        page,
        metrics,
        support,
        top,
        width: room.width.min(MAX_WIDTH),
        measure,
    };
    let fits = |layout: &Layout| layout.height <= room.height && layout.labels_fit;
    let mut layouts = steps.iter().map(|step| set(*step).layout());
    match layouts.find(fits) {
        Some(layout) => layout,
        None => set(*steps.last().expect("there is a first step")).scrolling(room.height),
    }
}

/// Returns the ways to set a page, the roomiest first: the sizes, and whether the line that names
/// support is there.
fn steps(page: &Page, min_zoom: i32) -> Vec<(Metrics, bool)> {
    // The sentence above a code says the number again, unless the code is paused.
    let says_number = page
        .items
        .iter()
        .any(|item| matches!(item, PageItem::Code(code) if !code.paused));
    let mut steps = vec![(Metrics::default(), true)];
    if says_number {
        steps.push((Metrics::default(), false));
    }
    let smaller = (1..)
        .map(|nth| 100 - nth * ZOOM_STEP)
        .take_while(|zoom| *zoom > min_zoom);
    let zooms = std::iter::once(100).chain(smaller).chain([min_zoom]);
    steps.extend(zooms.map(|zoom| (Metrics::new(zoom, true), !says_number)));
    steps.push((Metrics::new(min_zoom, true), false));
    steps
}

/// One way to set a page.
struct Setter<'a> {
    page: &'a Page,
    metrics: Metrics,
    support: bool,
    top: i32,
    width: i32,
    measure: Measure<'a>,
}

impl Setter<'_> {
    fn layout(mut self) -> Layout {
        let content = self.width - 2 * self.metrics.margin();
        self.set_digits(content);
        let (items, content_height) = self.items(content);
        let viewport = Rect {
            x: 0,
            y: self.top,
            w: self.width,
            h: self.metrics.margin() + content_height,
        };
        self.with_buttons(items, viewport, false)
    }

    /// Lays out in exactly `height`, with a scroll bar beside the items.
    fn scrolling(mut self, height: i32) -> Layout {
        let content = self.width - 2 * self.metrics.margin() - SCROLLBAR;
        self.set_digits(content);
        let (items, _) = self.items(content);
        let foot = self.with_buttons(Vec::new(), Rect::default(), false).height;
        let viewport = Rect {
            x: 0,
            y: self.top,
            w: self.width,
            h: (height - self.top - foot).max(1),
        };
        self.with_buttons(items, viewport, true)
    }

    /// Makes the digits small enough for their cards.
    fn set_digits(&mut self, content: i32) {
        let shares = self.code_shares(content);
        let codes = self.page.items.iter().filter_map(|item| match item {
            PageItem::Code(code) => Some(code),
            _ => None,
        });
        let fits = |metrics: Metrics| {
            let room = |share: i32| share - 2 * metrics.padding();
            codes.clone().zip(&shares).all(|(code, share)| {
                let width = metrics.digits_style(code).width(&code.digits, self.measure);
                width <= room(*share)
            })
        };
        let mut metrics = self.metrics;
        while metrics.digits > metrics.text() && !fits(metrics) {
            metrics.digits -= 1;
        }
        self.metrics = metrics;
    }

    /// Returns the width of each of the code's cards: side by side where it is compact, in
    /// proportion to their digits.
    fn code_shares(&self, content: i32) -> Vec<i32> {
        let codes = self.page.items.iter().filter_map(|item| match item {
            PageItem::Code(code) => Some(to_units(code.digits.chars().count())),
            _ => None,
        });
        let lengths: Vec<i32> = codes.collect();
        if !self.metrics.compact {
            return vec![content; lengths.len()];
        }
        let gaps = to_units(lengths.len()) - 1;
        let total = lengths.iter().sum::<i32>().max(1);
        let cards = content - gaps * self.metrics.gap();
        lengths
            .iter()
            .map(|length| cards * length / total)
            .collect()
    }

    fn items(&self, content: i32) -> (Vec<Option<Rect>>, i32) {
        let metrics = self.metrics;
        let first = self.top + metrics.margin();
        let mut y = first;
        let mut shares = self.code_shares(content).into_iter();
        let mut above: Option<(&PageItem, Rect)> = None;
        let mut places = Vec::with_capacity(self.page.items.len());
        for item in &self.page.items {
            if matches!(item, PageItem::Support(_)) && !self.support {
                places.push(None);
                continue;
            }
            let w = match item {
                PageItem::Code(_) => shares.next().unwrap_or(content),
                _ => content,
            };
            let h = height(item, metrics, w, self.measure);
            let rect = match above {
                Some((PageItem::Code(_), left)) if metrics.compact && is_code(item) => Rect {
                    x: left.x + left.w + metrics.gap(),
                    y: left.y,
                    w,
                    h,
                },
                _ => {
                    y += above.map_or(0, |(above, _)| gap(above, item, metrics));
                    let x = metrics.margin();
                    Rect { x, y, w, h }
                }
            };
            y = rect.y + rect.h;
            places.push(Some(rect));
            above = Some((item, rect));
        }
        (places, y - first)
    }

    /// Adds the buttons below the viewport.
    fn with_buttons(&self, items: Vec<Option<Rect>>, viewport: Rect, scrolls: bool) -> Layout {
        let metrics = self.metrics;
        let mut y = viewport.y + viewport.h + metrics.margin();
        let (mut buttons, mut labels_fit) = (Vec::new(), true);
        if !self.page.buttons.is_empty() {
            (buttons, labels_fit) = self.buttons(y);
            y = buttons
                .iter()
                .map(|rect| rect.y + rect.h)
                .max()
                .unwrap_or(y)
                + metrics.margin()
                - 4;
        }
        Layout {
            metrics,
            width: self.width,
            height: y,
            items,
            viewport,
            scrolls,
            buttons,
            labels_fit,
        }
    }

    /// Places the buttons in one row, or in more rows where their labels need that. Returns whether
    /// every label fits.
    fn buttons(&self, y: i32) -> (Vec<Rect>, bool) {
        let metrics = self.metrics;
        let count = self.page.buttons.len();
        let columns = |first: usize| -> Vec<_> { (first..count).map(|at| at..at + 1).collect() };
        let mut ways = vec![vec![0..count], columns(0)];
        if count > 2 {
            ways.insert(1, vec![0..1, 1..count]);
        }
        let fits = |rows: &Vec<Range<usize>>| rows.iter().all(|row| self.row(row).is_some());
        let way = ways.iter().find(|way| fits(way));
        let rows = way.cloned().unwrap_or_else(|| columns(0));
        let h = metrics.button_height(self.page.wide_buttons);
        let mut places = Vec::with_capacity(count);
        for (nth, row) in (0..).zip(&rows) {
            let content = self.width - 2 * metrics.margin();
            let whole_row = || row.clone().map(|_| content).collect();
            let widths: Vec<i32> = self.row(row).unwrap_or_else(whole_row);
            let gaps = metrics.gap() * (to_units(widths.len()) - 1);
            let mut x = self.width - metrics.margin() - widths.iter().sum::<i32>() - gaps;
            for w in widths {
                let y = y + nth * (h + metrics.gap());
                places.push(Rect { x, y, w, h });
                x += w + metrics.gap();
            }
        }
        (places, way.is_some())
    }

    /// Returns the widths of the buttons of one row, or `None` if a label doesn't fit.
    fn row(&self, row: &Range<usize>) -> Option<Vec<i32>> {
        let metrics = self.metrics;
        let buttons = &self.page.buttons[row.clone()];
        let gaps = metrics.gap() * (to_units(buttons.len()) - 1);
        let room = self.width - 2 * metrics.margin() - gaps;
        // The focus ring, and some space, are always around a label.
        let around = (2 * metrics.px(12)).max(16);
        let needed = |button| metrics.label_width(button, self.measure) + around;
        let is_whole_page = row.len() == self.page.buttons.len();
        let widths: Vec<i32> = match self.page.wide_buttons || !is_whole_page {
            true => buttons
                .iter()
                .map(|_| room / to_units(buttons.len()))
                .collect(),
            false => {
                let width = |button| metrics.button_width(button, self.measure);
                buttons.iter().map(width).collect()
            }
        };
        let fits = widths.iter().sum::<i32>() <= room
            && buttons
                .iter()
                .zip(&widths)
                .all(|(button, width)| needed(button) <= *width);
        fits.then_some(widths)
    }
}

fn to_units(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn is_code(item: &PageItem) -> bool {
    matches!(item, PageItem::Code(_))
}

/// Returns the height of an item in a column `width` wide.
fn height(item: &PageItem, metrics: Metrics, width: i32, measure: Measure<'_>) -> i32 {
    let style = metrics.style(item);
    match item {
        PageItem::Heading(text)
        | PageItem::Text(text)
        | PageItem::Secondary(text)
        | PageItem::Support(text) => style.height(text, width, measure),
        PageItem::Busy(text) => style.height(text, width, measure) + 2 * metrics.track() + 4,
        PageItem::Callout(_, text) => {
            let inner = width - callout_inset(metrics) - metrics.padding();
            style.height(text, inner, measure) + 2 * metrics.padding()
        }
        PageItem::Code(code) => {
            code_label_height(metrics) + metrics.digits_style(code).line_height() + metrics.px(6)
        }
        PageItem::Choice(choice) => {
            let inner = width - 2 * metrics.px(18);
            let label = mnemonic(&choice.button.label).0;
            let label = metrics.label_style(true).height(&label, inner, measure);
            let note = choice
                .note
                .as_deref()
                .map_or(0, |note| metrics.note_style().height(note, inner, measure));
            (label + note + 2 * metrics.pick(14, 8)).max(metrics.pick(60, 44))
        }
    }
}

/// Returns the distance of a callout's text from its left edge.
pub fn callout_inset(metrics: Metrics) -> i32 {
    metrics.padding() + 4
}

/// Returns the height of the part of a code's card that holds its label.
pub fn code_label_height(metrics: Metrics) -> i32 {
    metrics.label_style(false).line_height() + metrics.padding()
}

/// Returns the space between two items: smaller if they belong together.
fn gap(above: &PageItem, below: &PageItem, metrics: Metrics) -> i32 {
    match (above, below) {
        (PageItem::Heading(_), PageItem::Secondary(_) | PageItem::Support(_)) => metrics.px(4),
        (PageItem::Heading(_), PageItem::Text(_)) => metrics.gap(),
        (PageItem::Code(_), PageItem::Code(_)) | (PageItem::Choice(_), PageItem::Choice(_)) => {
            metrics.pick(10, 6)
        }
        (PageItem::Text(_), PageItem::Secondary(_)) => metrics.px(6),
        _ => metrics.pick(18, 9),
    }
}

#[cfg(test)]
mod tests;
