//! A window that shows pages: makes widgets of a [`Page`], puts them below one another, and changes
//! words in place, so that the keyboard stays where it was.

use std::cell::RefCell;
use std::rc::Rc;

use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Event, FrameType, Key, Shortcut};
use fltk::frame::Frame;
use fltk::group::Group;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::{Pressed, PushButton};
use super::icon;
use super::lines::Style;
use super::look::{self, Place};
use super::page::{self, Block, Code, Page, Tone};

/// The width of our windows.
pub const WIDTH: i32 = 640;
const INNER: i32 = WIDTH - 2 * look::MARGIN;
const BANNER: i32 = 30;
const STRIP_PAD: i32 = 14;
const CARD_PAD: i32 = 16;
const COPY_WIDTH: i32 = 130;

/// A window of ours.
pub struct Sheet {
    window: DoubleWindow,
    body: Group,
    parts: Vec<Part>,
    buttons: Vec<PushButton>,
    page: Page,
    /// Where the first block begins.
    top: i32,
    pressed: Pressed,
}

/// A block's widgets.
enum Part {
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

impl Sheet {
    /// An empty window, not shown yet. `above` builds what stands over every page, such as a menu bar,
    /// and says how high that is; `banner` is the strip that says that this isn't for customers.
    pub fn new(
        title: &str,
        banner: Option<&str>,
        pressed: Pressed,
        above: impl FnOnce(&mut DoubleWindow) -> i32,
    ) -> Self {
        let mut window = DoubleWindow::new(0, 0, WIDTH, 300, None);
        window.set_label(title);
        window.set_xclass("etatuki");
        window.set_color(look::GROUND);
        window.set_icon(icon::icon());
        let mut top = above(&mut window);
        if let Some(text) = banner {
            add_banner(top, text);
            top += BANNER;
        }
        let mut body = Group::new(0, top, WIDTH, 300 - top, None);
        // What goes round must not go on from there by FLTK as well.
        body.super_handle_first(false);
        body.handle(go_round);
        body.end();
        window.end();
        // Else FLTK would stretch what stands on a window whose height changes.
        window.make_resizable(false);
        let parts = Vec::new();
        Self {
            window,
            body,
            parts,
            buttons: Vec::new(),
            page: Page::default(),
            top,
            pressed,
        }
    }

    /// The window itself, to be shown, hidden or raised.
    pub fn window(&mut self) -> &mut DoubleWindow {
        &mut self.window
    }

    /// What is shown.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Shows a page. `at_front` gives the keyboard to the button that asks for it, and with it to the
    /// window: FLTK brings a window to the front that takes the keyboard.
    pub fn set(&mut self, page: Page, at_front: bool) {
        if page == self.page && !self.parts.is_empty() {
            return;
        }
        if page.has_shape_of(&self.page) && !self.parts.is_empty() {
            self.update(&page, at_front);
        } else {
            self.rebuild(&page);
            if at_front {
                self.focus(&page);
            }
        }
        self.page = page;
        self.lay_out();
        self.window.redraw();
    }

    /// Puts the window in the middle of the screen that the pointer is on.
    pub fn centre(&mut self) {
        let (x, y) = app::get_mouse();
        let (left, top, width, height) = app::screen_work_area(app::screen_num(x, y));
        let (w, h) = (self.window.w(), self.window.h());
        self.window.resize(
            left + (width - w) / 2,
            top + (height - h).max(0) * 2 / 5,
            w,
            h,
        );
        // One that was hidden is a new one to the window manager, which would put it anywhere.
        self.window.force_position(true);
    }

    fn update(&mut self, page: &Page, at_front: bool) {
        for (part, new) in self.parts.iter_mut().zip(&page.blocks) {
            part.set(new);
        }
        for (button, new) in self.buttons.iter_mut().zip(&page.buttons) {
            let became_pressable = button.set(new, None);
            if became_pressable && new.focus && at_front {
                button.focus();
            }
        }
    }

    fn rebuild(&mut self, page: &Page) {
        self.parts.clear();
        self.buttons.clear();
        self.body.clear();
        self.body.make_resizable(false);
        self.body.begin();
        self.parts = page
            .blocks
            .iter()
            .map(|block| Part::new(block, &self.pressed))
            .collect();
        let push = |button| PushButton::new(button, None, look::GROUND, self.pressed.clone());
        self.buttons = page.buttons.iter().map(push).collect();
        self.body.end();
        // Else FLTK would put the next window that is made inside this one.
        Group::set_current(None::<&Group>);
    }

    fn focus(&mut self, page: &Page) {
        let wanted = |button: &page::Button| button.focus && button.enabled;
        if let Some(at) = page.buttons.iter().position(wanted) {
            return self.buttons[at].focus();
        }
        let has_focus = |block: &Block| match block {
            Block::Code(code) => wanted(&code.copy),
            Block::Choice(choice) => wanted(&choice.button),
            _ => false,
        };
        if let Some(at) = page.blocks.iter().position(has_focus) {
            match &mut self.parts[at] {
                Part::Code { copy: button, .. } | Part::Choice(button) => button.focus(),
                Part::Painted { .. } => {}
            }
        }
    }

    /// The window takes its height first, and then everything its place.
    fn lay_out(&mut self) {
        let mut y = self.top + look::MARGIN;
        let mut tops = Vec::with_capacity(self.parts.len());
        let mut above: Option<&Block> = None;
        for block in &self.page.blocks {
            y += above.map_or(0, |above| space(above, block));
            tops.push((y, block_height(block)));
            y += block_height(block);
            above = Some(block);
        }
        let buttons = y + look::MARGIN;
        if !self.buttons.is_empty() {
            y = buttons + self.button_height();
        }
        self.fit(y + look::MARGIN - 4);
        for (part, (y, h)) in self.parts.iter_mut().zip(tops) {
            part.place(Place {
                x: look::MARGIN,
                y,
                w: INNER,
                h,
            });
        }
        self.lay_out_buttons(buttons);
    }

    fn button_height(&self) -> i32 {
        if self.page.wide_buttons {
            look::BUTTON + 14
        } else {
            look::BUTTON
        }
    }

    fn lay_out_buttons(&mut self, y: i32) {
        let h = self.button_height();
        let count = i32::try_from(self.buttons.len()).unwrap_or(1).max(1);
        let share = (INNER - (count - 1) * look::GAP) / count;
        let wide = self.page.wide_buttons;
        let width = |button: &PushButton| if wide { share } else { button.width() };
        let total: i32 = self.buttons.iter().map(width).sum::<i32>() + (count - 1) * look::GAP;
        let mut x = WIDTH - look::MARGIN - total;
        for button in &mut self.buttons {
            let w = width(button);
            button.place(Place { x, y, w, h });
            x += w + look::GAP;
        }
    }

    fn fit(&mut self, height: i32) {
        self.body.resize(0, self.top, WIDTH, height - self.top);
        if self.window.h() != height {
            self.window.size_range(WIDTH, height, WIDTH, height);
            let (x, y) = (self.window.x(), self.window.y());
            let (_, top, _, screen) = app::screen_work_area(app::screen_num(x, y));
            // A window that grows must not grow out of the screen, nor its title.
            let title = self.window.decorated_h() - self.window.h();
            let lowest = (top + screen - height).max(top + title);
            self.window.resize(x, y.min(lowest), WIDTH, height);
        }
    }
}

impl Part {
    fn new(block: &Block, pressed: &Pressed) -> Self {
        match block {
            Block::Choice(choice) => {
                let note = choice.note.as_deref().or(Some(""));
                let button = PushButton::new(&choice.button, note, look::GROUND, pressed.clone());
                Part::Choice(button)
            }
            Block::Code(code) => {
                let (frame, shared) = painted(block);
                let copy = PushButton::new(&code.copy, None, look::PAPER, pressed.clone());
                Part::Code {
                    frame,
                    block: shared,
                    copy,
                }
            }
            _ => {
                let (frame, shared) = painted(block);
                Part::Painted {
                    frame,
                    block: shared,
                }
            }
        }
    }

    fn set(&mut self, new: &Block) {
        match (self, new) {
            (Part::Choice(button), Block::Choice(choice)) => {
                let _ = button.set(&choice.button, choice.note.as_deref().or(Some("")));
            }
            (Part::Code { frame, block, copy }, Block::Code(code)) => {
                *block.borrow_mut() = new.clone();
                let _ = copy.set(&code.copy, None);
                frame.redraw();
            }
            (Part::Painted { frame, block }, _) => {
                *block.borrow_mut() = new.clone();
                frame.redraw();
            }
            _ => {}
        }
    }

    fn place(&mut self, place: Place) {
        let Place { x, y, w, h } = place;
        match self {
            Part::Painted { frame, .. } => frame.resize(x, y, w, h),
            Part::Choice(button) => button.place(place),
            Part::Code { frame, copy, .. } => {
                frame.resize(x, y, w, h);
                let x = x + w - COPY_WIDTH - 8;
                copy.place(Place {
                    x,
                    y: y + 8,
                    w: COPY_WIDTH,
                    h: look::BUTTON - 8,
                });
            }
        }
    }
}

fn painted(block: &Block) -> (Frame, Rc<RefCell<Block>>) {
    let shared = Rc::new(RefCell::new(block.clone()));
    let mut frame = Frame::new(0, 0, 10, 10, None);
    frame.set_frame(FrameType::NoBox);
    let drawn = shared.clone();
    frame.draw(move |frame| {
        draw_block(
            &drawn.borrow(),
            Place {
                x: frame.x(),
                y: frame.y(),
                w: frame.w(),
                h: frame.h(),
            },
        );
    });
    (frame, shared)
}

fn style(block: &Block) -> Style {
    let (font, size, colour) = match block {
        Block::Heading(_) => (look::BOLD, look::HEADING, look::INK),
        Block::Quiet(_) => (look::REGULAR, look::SMALL, look::QUIET),
        Block::Strip(Tone::Alarm, _) => (look::BOLD, look::TEXT, Tone::Alarm.colours().ink),
        Block::Strip(tone, _) => (look::REGULAR, look::TEXT, tone.colours().ink),
        _ => (look::REGULAR, look::TEXT, look::INK),
    };
    Style { font, size, colour }
}

fn digits_style() -> Style {
    Style {
        font: look::BOLD,
        size: look::DIGITS,
        colour: look::INK,
    }
}

fn block_height(block: &Block) -> i32 {
    match block {
        Block::Heading(text) | Block::Text(text) | Block::Quiet(text) => {
            style(block).height(text, INNER)
        }
        Block::Strip(_, text) => style(block).height(text, INNER - 3 * STRIP_PAD) + 2 * STRIP_PAD,
        Block::Code(_) => look::BUTTON + digits_style().line_height() + CARD_PAD - 8,
        Block::Choice(choice) => {
            if choice.note.is_some() {
                76
            } else {
                60
            }
        }
    }
}

/// The space between two blocks: those that belong together stand closer.
fn space(above: &Block, below: &Block) -> i32 {
    match (above, below) {
        (Block::Heading(_), Block::Quiet(_)) => 4,
        (Block::Heading(_), Block::Text(_)) => look::GAP,
        (Block::Code(_), Block::Code(_)) | (Block::Choice(_), Block::Choice(_)) => look::GAP - 2,
        (Block::Text(_), Block::Quiet(_)) => 6,
        (Block::Code(_), _) | (_, Block::Code(_)) => 18,
        _ => look::GAP + 6,
    }
}

fn draw_block(block: &Block, place: Place) {
    let Place { x, y, w, .. } = place;
    match block {
        Block::Heading(text) | Block::Text(text) | Block::Quiet(text) => {
            style(block).write(text, x, y, w);
        }
        Block::Strip(tone, text) => {
            let colours = tone.colours();
            look::soft_box(place, colours.fill, colours.edge, 1, look::GROUND);
            style(block).write(text, x + STRIP_PAD + 4, y + STRIP_PAD, w - 3 * STRIP_PAD);
        }
        Block::Code(code) => draw_code(code, place),
        Block::Choice(_) => {}
    }
}

fn draw_code(code: &Code, place: Place) {
    look::soft_box(place, look::PAPER, look::EDGE, 1, look::GROUND);
    let Place { x, y, w, .. } = place;
    let label = Style {
        font: look::REGULAR,
        size: look::TEXT,
        colour: look::QUIET,
    };
    label.write(&code.label, x + CARD_PAD, y + 16, w - COPY_WIDTH);
    let digits = digits_style();
    digits.write_centred(&code.digits, x, y + look::BUTTON, w, digits.line_height());
}

/// Tab and Shift+Tab go round all buttons; FLTK's own Tab stops at the end of a group.
fn go_round(body: &mut Group, event: Event) -> bool {
    if event != Event::KeyDown || app::event_key() != Key::Tab {
        return false;
    }
    let held = app::event_state();
    if held.intersects(Shortcut::Ctrl | Shortcut::Alt | Shortcut::Meta) {
        return false;
    }
    let count = body.children();
    let step = if held.contains(Shortcut::Shift) {
        -1
    } else {
        1
    };
    let has_focus = |at: &i32| body.child(*at).is_some_and(|child| child.has_focus());
    let from = (0..count).find(has_focus).unwrap_or(0);
    (1..=count).any(|nth| {
        let child = body.child((from + nth * step).rem_euclid(count));
        child.is_some_and(|mut child| child.take_focus().is_ok())
    })
}

/// A strip's colours.
struct ToneColours {
    fill: Color,
    edge: Color,
    ink: Color,
}

impl Tone {
    fn colours(self) -> ToneColours {
        let (fill, edge, ink) = match self {
            Tone::Note => (0xe9f1fc, 0xb4d0f4, 0x1a4a86),
            Tone::Alarm => (0xfbe3e4, 0xe59a9e, 0x9c1420),
            Tone::Good => (0xe4f5e9, 0xa5d9b6, 0x1b6636),
            Tone::Development => (0xfdf2c8, 0xe8d27a, 0x6b5200),
        };
        let [fill, edge, ink] = [fill, edge, ink].map(Color::from_hex);
        ToneColours { fill, edge, ink }
    }
}

fn add_banner(y: i32, text: &str) {
    let mut frame = Frame::new(0, y, WIDTH, BANNER, None);
    let text = text.to_owned();
    frame.draw(move |frame| {
        let colours = Tone::Development.colours();
        let (x, y, w, h) = (frame.x(), frame.y(), frame.w(), frame.h());
        draw::draw_rect_fill(x, y, w, h, colours.fill);
        draw::draw_rect_fill(x, y + h - 1, w, 1, colours.edge);
        let style = Style {
            font: look::REGULAR,
            size: look::SMALL,
            colour: colours.ink,
        };
        style.write_centred(&text, x, y, w, h);
    });
}

/// What closing a window means: the window manager's button and Alt+F4 call `close`, Esc calls `escape`.
pub fn on_close(
    window: &mut DoubleWindow,
    close: impl Fn() + 'static,
    escape: impl Fn() + 'static,
) {
    window.set_callback(move |_| {
        let by_key = matches!(app::event(), Event::Shortcut | Event::KeyDown);
        if by_key && app::event_key() == Key::Escape {
            escape()
        } else {
            close()
        }
    });
}
