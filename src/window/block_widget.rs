//! The widgets of one block of a page, and how they are measured and drawn.

use std::cell::RefCell;
use std::rc::Rc;

use fltk::enums::{Color, FrameType};
use fltk::frame::Frame;
use fltk::prelude::*;

use super::button::{ActionHandler, PushButton};
use super::page::{Block, CodeField, Tone};
use super::text_layout::TextStyle;
use super::theme::{self, Rect};

const CALLOUT_PADDING: i32 = 14;
const CARD_PADDING: i32 = 16;
const COPY_BUTTON_WIDTH: i32 = 130;

/// The widgets of a block.
pub(super) enum BlockWidget {
    Painted {
        frame: Frame,
        block: Rc<RefCell<Block>>,
    },
    Code {
        frame: Frame,
        block: Rc<RefCell<Block>>,
        copy: PushButton,
    },
    Choice(PushButton),
}

impl BlockWidget {
    pub(super) fn new(block: &Block, on_action: &ActionHandler) -> Self {
        match block {
            Block::Choice(choice) => {
                let note = choice.note.as_deref().or(Some(""));
                let button =
                    PushButton::new(&choice.button, note, theme::BACKGROUND, on_action.clone());
                BlockWidget::Choice(button)
            }
            Block::Code(code) => {
                let (frame, shared) = painted_frame(block);
                let copy = PushButton::new(&code.copy, None, theme::SURFACE, on_action.clone());
                BlockWidget::Code {
                    frame,
                    block: shared,
                    copy,
                }
            }
            _ => {
                let (frame, shared) = painted_frame(block);
                BlockWidget::Painted {
                    frame,
                    block: shared,
                }
            }
        }
    }

    pub(super) fn set(&mut self, new: &Block) {
        match (self, new) {
            (BlockWidget::Choice(button), Block::Choice(choice)) => {
                let _ = button.set(&choice.button, choice.note.as_deref().or(Some("")));
            }
            (BlockWidget::Code { frame, block, copy }, Block::Code(code)) => {
                *block.borrow_mut() = new.clone();
                let _ = copy.set(&code.copy, None);
                frame.redraw();
            }
            (BlockWidget::Painted { frame, block }, _) => {
                *block.borrow_mut() = new.clone();
                frame.redraw();
            }
            _ => {}
        }
    }

    pub(super) fn set_rect(&mut self, rect: Rect) {
        let Rect { x, y, w, h } = rect;
        match self {
            BlockWidget::Painted { frame, .. } => frame.resize(x, y, w, h),
            BlockWidget::Choice(button) => button.set_rect(rect),
            BlockWidget::Code { frame, copy, .. } => {
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

fn painted_frame(block: &Block) -> (Frame, Rc<RefCell<Block>>) {
    let shared = Rc::new(RefCell::new(block.clone()));
    let mut frame = Frame::new(0, 0, 10, 10, None);
    frame.set_frame(FrameType::NoBox);
    let drawn = shared.clone();
    frame.draw(move |frame| {
        draw_block(
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

fn style(block: &Block) -> TextStyle {
    let (font, size, colour) = match block {
        Block::Heading(_) => (theme::BOLD, theme::HEADING_SIZE, theme::FOREGROUND),
        Block::Secondary(_) => (theme::REGULAR, theme::SMALL_SIZE, theme::SECONDARY),
        Block::Callout(Tone::Alert, _) => {
            (theme::BOLD, theme::TEXT_SIZE, Tone::Alert.colours().text)
        }
        Block::Callout(tone, _) => (theme::REGULAR, theme::TEXT_SIZE, tone.colours().text),
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

/// Returns the height of a block in the column of a page.
pub(super) fn height(block: &Block) -> i32 {
    match block {
        Block::Heading(text) | Block::Text(text) | Block::Secondary(text) => {
            style(block).height(text, theme::CONTENT_WIDTH)
        }
        Block::Callout(_, text) => {
            style(block).height(text, theme::CONTENT_WIDTH - 3 * CALLOUT_PADDING)
                + 2 * CALLOUT_PADDING
        }
        Block::Code(_) => theme::BUTTON_HEIGHT + digits_style().line_height() + CARD_PADDING - 8,
        Block::Choice(choice) => {
            if choice.note.is_some() {
                76
            } else {
                60
            }
        }
    }
}

/// Returns the space between two blocks: smaller if they belong together.
pub(super) fn gap(above: &Block, below: &Block) -> i32 {
    match (above, below) {
        (Block::Heading(_), Block::Secondary(_)) => 4,
        (Block::Heading(_), Block::Text(_)) => theme::GAP,
        (Block::Code(_), Block::Code(_)) | (Block::Choice(_), Block::Choice(_)) => theme::GAP - 2,
        (Block::Text(_), Block::Secondary(_)) => 6,
        (Block::Code(_), _) | (_, Block::Code(_)) => 18,
        _ => theme::GAP + 6,
    }
}

fn draw_block(block: &Block, rect: Rect) {
    let Rect { x, y, w, .. } = rect;
    match block {
        Block::Heading(text) | Block::Text(text) | Block::Secondary(text) => {
            style(block).draw(text, x, y, w);
        }
        Block::Callout(tone, text) => {
            let colours = tone.colours();
            theme::rounded_box(rect, colours.fill, colours.border, 1, theme::BACKGROUND);
            style(block).draw(
                text,
                x + CALLOUT_PADDING + 4,
                y + CALLOUT_PADDING,
                w - 3 * CALLOUT_PADDING,
            );
        }
        Block::Code(code) => draw_code(code, rect),
        Block::Choice(_) => {}
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
