//! The widgets of one item of a page, and how they are drawn. Their sizes are [`super::layout`]'s.

use std::cell::RefCell;
use std::rc::Rc;

use fltk::app;
use fltk::enums::{Event, FrameType};
use fltk::frame::Frame;
use fltk::prelude::*;

use super::button::{ActionHandler, PushButton};
use super::layout::{callout_inset, code_label_height};
use super::metrics::Metrics;
use super::page::{CodeField, PageItem, Tone};
use super::theme::{self, Rect, ToneColours};

/// Seconds between two pictures of the mark that moves while something is being done.
const BUSY_SECONDS: f64 = 0.06;
/// Pictures in which that mark crosses its track and comes back.
const BUSY_PICTURES: i32 = 48;

/// The widgets of an item.
pub(super) enum ItemWidget {
    /// Text and callouts. A code, and what is being done, take the keyboard focus, so that Enter
    /// presses no button.
    Painted {
        frame: Frame,
        content: Rc<RefCell<Content>>,
    },
    /// An entry of the menu.
    Choice(PushButton),
}

/// The item that a frame draws, and its sizes.
pub(super) struct Content {
    item: PageItem,
    metrics: Metrics,
    /// The picture that is shown of the mark that moves.
    picture: i32,
}

impl ItemWidget {
    pub(super) fn new(item: &PageItem, on_action: &ActionHandler) -> Self {
        match item {
            PageItem::Choice(choice) => {
                let note = choice.note.as_deref().or(Some(""));
                let background = theme::palette().background;
                let button = PushButton::new(&choice.button, note, background, on_action.clone());
                ItemWidget::Choice(button)
            }
            _ => {
                let content = Rc::new(RefCell::new(Content {
                    item: item.clone(),
                    metrics: Metrics::default(),
                    picture: 0,
                }));
                let frame = painted_frame(&content);
                ItemWidget::Painted { frame, content }
            }
        }
    }

    pub(super) fn set(&mut self, new: &PageItem) {
        match (self, new) {
            (ItemWidget::Choice(button), PageItem::Choice(choice)) => {
                let _ = button.set(&choice.button, choice.note.as_deref().or(Some("")));
            }
            (ItemWidget::Painted { frame, content }, _) => {
                content.borrow_mut().item = new.clone();
                frame.redraw();
            }
            _ => {}
        }
    }

    /// Moves it to its place; `None` leaves it out.
    pub(super) fn place(&mut self, place: Option<Rect>, metrics: Metrics) {
        match self {
            ItemWidget::Painted { frame, content } => {
                content.borrow_mut().metrics = metrics;
                match place {
                    Some(Rect { x, y, w, h }) => {
                        frame.resize(x, y, w, h);
                        frame.show();
                    }
                    None => frame.hide(),
                }
            }
            ItemWidget::Choice(button) => {
                button.set_metrics(metrics);
                button.set_rect(place.unwrap_or_default());
            }
        }
    }

    /// Gives it the keyboard focus, if it takes any.
    pub(super) fn focus(&mut self) {
        match self {
            ItemWidget::Painted { frame, .. } => {
                let _ = frame.take_focus();
            }
            ItemWidget::Choice(button) => button.focus(),
        }
    }
}

fn painted_frame(content: &Rc<RefCell<Content>>) -> Frame {
    let mut frame = Frame::new(0, 0, 10, 10, None);
    frame.set_frame(FrameType::NoBox);
    let drawn = content.clone();
    frame.draw(move |frame| {
        let rect = Rect {
            x: frame.x(),
            y: frame.y(),
            w: frame.w(),
            h: frame.h(),
        };
        drawn.borrow().draw(rect, frame.has_focus());
    });
    if matches!(content.borrow().item, PageItem::Code(_) | PageItem::Busy(_)) {
        frame.handle(|frame, event| {
            let is_focus = matches!(event, Event::Focus | Event::Unfocus);
            if is_focus {
                frame.redraw();
            }
            is_focus
        });
    }
    if matches!(content.borrow().item, PageItem::Busy(_)) {
        keep_moving(&frame, content);
    }
    frame
}

/// Draws the next picture of the mark that moves, again and again, until the frame is deleted.
fn keep_moving(frame: &Frame, content: &Rc<RefCell<Content>>) {
    let (mut frame, content) = (frame.clone(), Rc::downgrade(content));
    app::add_timeout3(BUSY_SECONDS, move |handle| {
        let Some(content) = content.upgrade().filter(|_| !frame.was_deleted()) else {
            return;
        };
        let mut content = content.borrow_mut();
        content.picture = (content.picture + 1) % BUSY_PICTURES;
        frame.redraw();
        app::repeat_timeout3(BUSY_SECONDS, handle);
    });
}

impl Content {
    fn draw(&self, rect: Rect, has_focus: bool) {
        let Rect { x, y, w, .. } = rect;
        let style = self.metrics.style(&self.item);
        match &self.item {
            PageItem::Heading(text)
            | PageItem::Text(text)
            | PageItem::Secondary(text)
            | PageItem::Support(text) => style.draw(text, x, y, w),
            PageItem::Busy(text) => {
                // Drawn again and again: text over text would get bolder.
                let background = theme::palette().background;
                fltk::draw::draw_rect_fill(x, y, w, rect.h, background);
                style.draw(text, x, y, w);
                self.draw_track(rect);
            }
            PageItem::Callout(tone, text) => {
                let colours = tone.colours();
                let background = theme::palette().background;
                theme::rounded_box(rect, colours.fill, colours.border, 1, background);
                let (inset, padding) = (callout_inset(self.metrics), self.metrics.padding());
                style.draw(text, x + inset, y + padding, w - inset - padding);
            }
            PageItem::Code(code) => self.draw_code(code, rect, has_focus),
            PageItem::Choice(_) => {}
        }
    }

    fn draw_code(&self, code: &CodeField, rect: Rect, has_focus: bool) {
        let colours = theme::palette();
        let (border, line) = match has_focus {
            true => (colours.accent, 2),
            false => (colours.border, 1),
        };
        theme::rounded_box(rect, colours.surface, border, line, colours.background);
        let Rect { x, y, w, .. } = rect;
        let mut label = self.metrics.label_style(false);
        label.colour = colours.secondary;
        let padding = self.metrics.padding();
        label.draw(&code.label, x + padding, y + padding * 2 / 3, w - padding);
        let digits = self.metrics.digits_style(code);
        let below = Rect {
            x,
            y: y + code_label_height(self.metrics),
            w,
            h: digits.line_height(),
        };
        digits.draw_centred(&code.digits, below);
    }

    /// Draws a track at the foot of the frame, and a mark that goes to and fro on it.
    fn draw_track(&self, rect: Rect) {
        let colours = theme::palette();
        let h = self.metrics.track();
        let y = rect.y + rect.h - h;
        let mark = rect.w / 5;
        let half = BUSY_PICTURES / 2;
        let step = (self.picture - half).abs();
        let x = rect.x + (rect.w - mark) * (half - step) / half;
        fltk::draw::draw_rect_fill(rect.x, y, rect.w, h, colours.border);
        fltk::draw::draw_rect_fill(x, y, mark, h, colours.accent);
    }
}

impl Tone {
    pub(super) fn colours(self) -> ToneColours {
        let colours = theme::palette();
        match self {
            Tone::Info => colours.info,
            Tone::Alert => colours.alert,
            Tone::Success => colours.success,
            Tone::Development => colours.development,
        }
    }
}
