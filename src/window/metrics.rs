//! The sizes of everything on a page: type, space and buttons, at a zoom and roomy or compact.
//! [`super::layout`] chooses them, and the widgets draw by them.

use super::page::{Button, CodeField, PageItem, Tone, mnemonic};
use super::text_layout::{Measure, TextStyle};
use super::theme;

/// Side of the mark on an answer, in percent of the label's size.
const MARK_PERCENT: i32 = 80;

/// The sizes of everything on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Size of type, in percent.
    pub zoom: i32,
    /// Whether little room is left between things.
    pub compact: bool,
    /// Size of the code's digits.
    pub digits: i32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(100, false)
    }
}

#[allow(missing_docs, reason = "they are what they say")]
impl Metrics {
    pub fn new(zoom: i32, compact: bool) -> Self {
        let mut metrics = Self {
            zoom,
            compact,
            digits: 0,
        };
        // Legible from a metre away: a font of 57 px has digits 41 px high.
        metrics.digits = metrics.pick(57, 40);
        metrics
    }

    /// Returns `units` at this zoom.
    pub fn px(self, units: i32) -> i32 {
        ((units * self.zoom + 50) / 100).max(1)
    }

    pub(super) fn pick(self, roomy: i32, compact: i32) -> i32 {
        self.px(if self.compact { compact } else { roomy })
    }

    pub fn text(self) -> i32 {
        self.px(theme::TEXT_SIZE)
    }
    pub fn small(self) -> i32 {
        self.px(15)
    }
    pub fn heading(self) -> i32 {
        self.pick(24, 22)
    }
    /// Space between a window's edge and its content, and above the buttons.
    pub fn margin(self) -> i32 {
        self.pick(28, 14)
    }
    /// Space between things that belong together.
    pub fn gap(self) -> i32 {
        self.pick(12, 8)
    }
    /// Space inside callouts and cards.
    pub fn padding(self) -> i32 {
        self.pick(14, 9)
    }
    pub fn button_height(self, wide: bool) -> i32 {
        match wide {
            true => self.pick(60, 48),
            false => self.pick(46, 40),
        }
    }
    /// Height of the track that moves while something is being done.
    pub fn track(self) -> i32 {
        self.px(6)
    }

    /// Returns the style of an item's text.
    pub fn style(self, item: &PageItem) -> TextStyle {
        let colours = theme::palette();
        let (font, size, colour) = match item {
            PageItem::Heading(_) => (theme::BOLD, self.heading(), colours.foreground),
            PageItem::Secondary(_) | PageItem::Support(_) => {
                (theme::REGULAR, self.small(), colours.secondary)
            }
            PageItem::Callout(tone @ Tone::Alert, _) => {
                (theme::BOLD, self.text(), tone.colours().text)
            }
            PageItem::Callout(tone, _) => (theme::REGULAR, self.text(), tone.colours().text),
            _ => (theme::REGULAR, self.text(), colours.foreground),
        };
        TextStyle { font, size, colour }
    }

    /// Returns the style of the code's digits.
    pub fn digits_style(self, code: &CodeField) -> TextStyle {
        let colours = theme::palette();
        TextStyle {
            font: theme::BOLD,
            size: self.digits,
            colour: if code.paused {
                colours.paused
            } else {
                colours.foreground
            },
        }
    }

    /// Returns the style of a button's label, without regard to its state.
    pub fn label_style(self, bold: bool) -> TextStyle {
        TextStyle {
            font: if bold { theme::BOLD } else { theme::REGULAR },
            size: self.text(),
            colour: theme::palette().foreground,
        }
    }

    /// Returns the style of the line below an entry's label.
    pub fn note_style(self) -> TextStyle {
        TextStyle {
            font: theme::REGULAR,
            size: self.small(),
            colour: theme::palette().secondary,
        }
    }

    /// Returns the side of the mark on an answer.
    pub fn mark(self) -> i32 {
        self.text() * MARK_PERCENT / 100
    }

    /// Returns the width that a button's label and mark take, without the space around them.
    pub fn label_width(self, button: &Button, measure: Measure<'_>) -> i32 {
        let label = mnemonic(&button.label).0;
        let mark = match button.mark {
            Some(_) => self.mark() + self.px(8),
            None => 0,
        };
        self.label_style(button.primary).width(&label, measure) + mark
    }

    /// Returns the width that a button wants.
    pub fn button_width(self, button: &Button, measure: Measure<'_>) -> i32 {
        (self.label_width(button, measure) + 2 * self.pick(24, 16)).max(self.px(120))
    }
}
