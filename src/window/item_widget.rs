//! The widgets of one item of a page, and how they are measured and drawn.

use std::cell::RefCell;
use std::rc::Rc;

use fltk::enums::{Color, FrameType};
use fltk::frame::Frame;
use fltk::prelude::*;

use super::button::{ActionHandler, PushButton};
use super::page::{CodeField, PageItem, Tone};
use super::text_layout::TextStyle;
use super::theme::{self, Rect};

const CALLOUT_PADDING: i32 = 14;
const CARD_PADDING: i32 = 16;
const COPY_BUTTON_WIDTH: i32 = 130;

/// The widgets of an item.
pub(super) enum ItemWidget {
    Painted {
        frame: Frame,
        item: Rc<RefCell<PageItem>>,
    },
    Code {
        frame: Frame,
        item: Rc<RefCell<PageItem>>,
        copy: PushButton,
    },
    Choice(PushButton),
}

impl ItemWidget {
    pub(super) fn new(item: &PageItem, on_action: &ActionHandler) -> Self {
        match item {
            PageItem::Choice(choice) => {
                let note = choice.note.as_deref().or(Some(""));
                let button =
                    PushButton::new(&choice.button, note, theme::BACKGROUND, on_action.clone());
                ItemWidget::Choice(button)
            }
            PageItem::Code(code) => {
                let (frame, shared) = painted_frame(item);
                let copy = PushButton::new(&code.copy, None, theme::SURFACE, on_action.clone());
                ItemWidget::Code {
                    frame,
                    item: shared,
                    copy,
                }
            }
            _ => {
                let (frame, shared) = painted_frame(item);
                ItemWidget::Painted {
                    frame,
                    item: shared,
                }
            }
        }
    }

    pub(super) fn set(&mut self, new: &PageItem) {
        match (self, new) {
            (ItemWidget::Choice(button), PageItem::Choice(choice)) => {
                let _ = button.set(&choice.button, choice.note.as_deref().or(Some("")));
            }
            (ItemWidget::Code { frame, item, copy }, PageItem::Code(code)) => {
                *item.borrow_mut() = new.clone();
                let _ = copy.set(&code.copy, None);
                frame.redraw();
            }
            (ItemWidget::Painted { frame, item }, _) => {
                *item.borrow_mut() = new.clone();
                frame.redraw();
            }
            _ => {}
        }
    }

    pub(super) fn set_rect(&mut self, rect: Rect) {
        let Rect { x, y, w, h } = rect;
        match self {
            ItemWidget::Painted { frame, .. } => frame.resize(x, y, w, h),
            ItemWidget::Choice(button) => button.set_rect(rect),
            ItemWidget::Code { frame, copy, .. } => {
                frame.resize(x, y, w, h);
                let x = x + w - COPY_BUTTON_WIDTH - 8;
                copy.set_rect(Rect {
                    x,
                    y: y + 8,
                    w: COPY_BUTTON_WIDTH,
                    h: theme::BUTTON_HEIGHT - 8,
                });
            }
        }
    }
}

fn painted_frame(item: &PageItem) -> (Frame, Rc<RefCell<PageItem>>) {
    let shared = Rc::new(RefCell::new(item.clone()));
    let mut frame = Frame::new(0, 0, 10, 10, None);
    frame.set_frame(FrameType::NoBox);
    let drawn = shared.clone();
    frame.draw(move |frame| {
        draw_item(
            &drawn.borrow(),
            Rect {
                x: frame.x(),
                y: frame.y(),
                w: frame.w(),
                h: frame.h(),
            },
        );
    });
    (frame, shared)
}

fn style(item: &PageItem) -> TextStyle {
    let (font, size, colour) = match item {
        PageItem::Heading(_) => (theme::BOLD, theme::HEADING_SIZE, theme::FOREGROUND),
        PageItem::Secondary(_) => (theme::REGULAR, theme::SMALL_SIZE, theme::SECONDARY),
        PageItem::Callout(Tone::Alert, _) => {
            (theme::BOLD, theme::TEXT_SIZE, Tone::Alert.colours().text)
        }
        PageItem::Callout(tone, _) => (theme::REGULAR, theme::TEXT_SIZE, tone.colours().text),
        _ => (theme::REGULAR, theme::TEXT_SIZE, theme::FOREGROUND),
    };
    TextStyle { font, size, colour }
}

fn digits_style() -> TextStyle {
    TextStyle {
        font: theme::BOLD,
        size: theme::DIGITS_SIZE,
        colour: theme::FOREGROUND,
    }
}

/// Returns the height of an item in the column of a page.
pub(super) fn height(item: &PageItem) -> i32 {
    match item {
        PageItem::Heading(text) | PageItem::Text(text) | PageItem::Secondary(text) => {
            style(item).height(text, theme::CONTENT_WIDTH)
        }
        PageItem::Callout(_, text) => {
            style(item).height(text, theme::CONTENT_WIDTH - 3 * CALLOUT_PADDING)
                + 2 * CALLOUT_PADDING
        }
        PageItem::Code(_) => theme::BUTTON_HEIGHT + digits_style().line_height() + CARD_PADDING - 8,
        PageItem::Choice(choice) => {
            if choice.note.is_some() {
                76
            } else {
                60
            }
        }
    }
}

/// Returns the space between two items: smaller if they belong together.
pub(super) fn gap(above: &PageItem, below: &PageItem) -> i32 {
    match (above, below) {
        (PageItem::Heading(_), PageItem::Secondary(_)) => 4,
        (PageItem::Heading(_), PageItem::Text(_)) => theme::GAP,
        (PageItem::Code(_), PageItem::Code(_)) | (PageItem::Choice(_), PageItem::Choice(_)) => {
            theme::GAP - 2
        }
        (PageItem::Text(_), PageItem::Secondary(_)) => 6,
        (PageItem::Code(_), _) | (_, PageItem::Code(_)) => 18,
        _ => theme::GAP + 6,
    }
}

fn draw_item(item: &PageItem, rect: Rect) {
    let Rect { x, y, w, .. } = rect;
    match item {
        PageItem::Heading(text) | PageItem::Text(text) | PageItem::Secondary(text) => {
            style(item).draw(text, x, y, w);
        }
        PageItem::Callout(tone, text) => {
            let colours = tone.colours();
            theme::rounded_box(rect, colours.fill, colours.border, 1, theme::BACKGROUND);
            style(item).draw(
                text,
                x + CALLOUT_PADDING + 4,
                y + CALLOUT_PADDING,
                w - 3 * CALLOUT_PADDING,
            );
        }
        PageItem::Code(code) => draw_code(code, rect),
        PageItem::Choice(_) => {}
    }
}

fn draw_code(code: &CodeField, rect: Rect) {
    theme::rounded_box(rect, theme::SURFACE, theme::BORDER, 1, theme::BACKGROUND);
    let Rect { x, y, w, .. } = rect;
    let label = TextStyle {
        font: theme::REGULAR,
        size: theme::TEXT_SIZE,
        colour: theme::SECONDARY,
    };
    label.draw(&code.label, x + CARD_PADDING, y + 16, w - COPY_BUTTON_WIDTH);
    let digits = digits_style();
    digits.draw_centred(
        &code.digits,
        x,
        y + theme::BUTTON_HEIGHT,
        w,
        digits.line_height(),
    );
}

/// The colours of a callout.
pub(super) struct ToneColours {
    pub(super) fill: Color,
    pub(super) border: Color,
    pub(super) text: Color,
}

impl Tone {
    pub(super) fn colours(self) -> ToneColours {
        let (fill, border, text) = match self {
            Tone::Info => (0xe9f1fc, 0xb4d0f4, 0x1a4a86),
            Tone::Alert => (0xfbe3e4, 0xe59a9e, 0x9c1420),
            Tone::Success => (0xe4f5e9, 0xa5d9b6, 0x1b6636),
            Tone::Development => (0xfdf2c8, 0xe8d27a, 0x6b5200),
        };
        let [fill, border, text] = [fill, border, text].map(Color::from_hex);
        ToneColours { fill, border, text }
    }
}
