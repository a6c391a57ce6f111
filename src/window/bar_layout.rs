//! The layout of the bar: as wide as it needs to be, and never wider than the screen. What gives
//! way is the agent's name, then the end of the sentence, then the row; never a button. Pure.

use super::layout::Room;
use super::metrics::Metrics;
use super::page::Button;
use super::text_layout::{Measure, TextStyle, shorten};
use super::theme::{self, Rect};

const BAR_HEIGHT: i32 = 48;
const BANNER_HEIGHT: i32 = 20;
const PADDING: i32 = 16;
/// Space around the buttons.
const BUTTON_GAP: i32 = 6;
/// The bar covers at most one part in so many of the screen's height.
const MAX_SHARE: i32 = 5;
/// Letters of a name that are left before the sentence gets a row of its own.
const MIN_NAME_CHARS: usize = 8;

/// The bar's sentence, with the agent's name apart, so that the name can be shortened alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// The words before the name.
    pub before: String,
    /// The agent's name; empty if the sentence names nobody.
    pub name: String,
    /// The words behind the name.
    pub after: String,
}

impl Sentence {
    /// Returns `text`, taken apart at `name`.
    pub fn new(text: &str, name: &str) -> Self {
        match text.split_once(name) {
            Some((before, after)) if !name.is_empty() => Self {
                before: before.to_owned(),
                name: name.to_owned(),
                after: after.to_owned(),
            },
            _ => Self {
                after: text.to_owned(),
                ..Self::default()
            },
        }
    }

    /// Returns the whole sentence.
    pub fn whole(&self) -> String {
        self.with_name(&self.name)
    }

    fn with_name(&self, name: &str) -> String {
        format!("{}{name}{}", self.before, self.after)
    }
}

/// The bar in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarLayout {
    /// The sizes.
    pub metrics: Metrics,
    /// Width of the window.
    pub width: i32,
    /// Height of the window.
    pub height: i32,
    /// The sentence, as far as there is room for it.
    pub text: String,
    /// The place of the sentence.
    pub text_rect: Rect,
    /// The place of each button.
    pub buttons: Vec<Rect>,
    /// The banner's place, if there is one.
    pub banner: Option<Rect>,
}

/// Returns the style of the sentence.
pub fn text_style(metrics: Metrics) -> TextStyle {
    TextStyle {
        font: theme::BOLD,
        size: metrics.text(),
        colour: theme::palette().on_bar,
    }
}

/// Lays the bar out, with its buttons from left to right, in the given room.
pub fn fit(
    sentence: &Sentence,
    buttons: &[Button],
    has_banner: bool,
    room: Room,
    measure: Measure<'_>,
) -> BarLayout {
    let set = |zoom| Setter {
        sentence,
        buttons,
        has_banner,
        metrics: Metrics::new(zoom, false),
        screen: room.width,
        measure,
    };
    let setters = || {
        let zooms = (0..).map(|nth| 100 - 5 * nth);
        let zooms = zooms.take_while(|zoom| *zoom > room.min_zoom);
        zooms.chain([room.min_zoom]).map(set)
    };
    let fits = |setter: &Setter<'_>| {
        let layout = setter.layout();
        layout.buttons.iter().all(|button| button.x >= 0)
            && layout.height <= room.height / MAX_SHARE
    };
    // Smaller letters rather than a sentence without its end.
    setters()
        .find(|setter| fits(setter) && setter.has_room_for_words())
        .or_else(|| setters().find(fits))
        .unwrap_or_else(|| set(room.min_zoom))
        .layout()
}

struct Setter<'a> {
    sentence: &'a Sentence,
    buttons: &'a [Button],
    has_banner: bool,
    metrics: Metrics,
    screen: i32,
    measure: Measure<'a>,
}

impl Setter<'_> {
    fn layout(&self) -> BarLayout {
        let metrics = self.metrics;
        let (padding, row) = (metrics.px(PADDING), metrics.px(BAR_HEIGHT));
        let buttons = self.buttons_width();
        let in_one_row = self.fits_in_one_row();
        let text = self.text(self.text_room());
        let text_width = self.width(&text);
        let width = match in_one_row {
            true => text_width + 3 * padding + buttons,
            false => (text_width + 2 * padding).max(buttons + padding),
        };
        let width = width.min(self.screen);
        let rows = if in_one_row { 1 } else { 2 };
        let text_rect = Rect {
            x: padding,
            y: 0,
            w: text_width,
            h: row,
        };
        let banner = self.has_banner.then_some(Rect {
            x: 0,
            y: rows * row,
            w: width,
            h: metrics.px(BANNER_HEIGHT),
        });
        BarLayout {
            metrics,
            width,
            height: rows * row + banner.map_or(0, |banner| banner.h),
            text,
            text_rect,
            buttons: self.places(width, (rows - 1) * row),
            banner,
        }
    }

    /// Returns whether the sentence fits beside the buttons, with a short name at least.
    fn fits_in_one_row(&self) -> bool {
        self.shortest() <= self.room_beside_buttons()
    }

    /// Returns whether no word of the sentence has to give way, except for the name's end.
    fn has_room_for_words(&self) -> bool {
        self.shortest() <= self.text_room()
    }

    fn text_room(&self) -> i32 {
        match self.fits_in_one_row() {
            true => self.room_beside_buttons(),
            false => self.screen - 2 * self.metrics.px(PADDING),
        }
    }

    fn room_beside_buttons(&self) -> i32 {
        self.screen - 3 * self.metrics.px(PADDING) - self.buttons_width()
    }

    /// Returns the width of the sentence with the beginning of the name.
    fn shortest(&self) -> i32 {
        let few: String = self.sentence.name.chars().take(MIN_NAME_CHARS).collect();
        let is_whole = few == self.sentence.name;
        let name = if is_whole { few } else { format!("{few}…") };
        self.width(&self.sentence.with_name(&name))
    }

    /// Returns the sentence with a shorter name, or its beginning if that isn't enough.
    fn text(&self, room: i32) -> String {
        let fits = |text: &str| self.width(text) <= room;
        let name = shorten(&self.sentence.name, &|name| {
            fits(&self.sentence.with_name(name))
        });
        shorten(&self.sentence.with_name(&name), &fits)
    }

    fn width(&self, text: &str) -> i32 {
        text_style(self.metrics).width(text, self.measure)
    }

    /// Returns the width of each button, which never gives way.
    fn widths(&self) -> Vec<i32> {
        let widths = self.buttons.iter().map(|button| {
            self.metrics.button_width(button, self.measure) + self.metrics.px(BUTTON_GAP)
        });
        widths.collect()
    }

    fn buttons_width(&self) -> i32 {
        self.widths().iter().sum()
    }

    /// Places the buttons at the right end of the row that begins at `y`.
    fn places(&self, width: i32, y: i32) -> Vec<Rect> {
        let gap = self.metrics.px(BUTTON_GAP);
        let mut x = width - self.buttons_width();
        let place = |w: i32| {
            let rect = Rect {
                x,
                y: y + gap / 2,
                w: w - gap,
                h: self.metrics.px(BAR_HEIGHT) - gap,
            };
            x += w;
            rect
        };
        self.widths().into_iter().map(place).collect()
    }
}
