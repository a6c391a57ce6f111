//! The bar: a small window above all others, at the top of the screen while an agent is connected.
//! It says who looks and who controls, and has the buttons that take control back and close the
//! session. It can't be hidden.
//!
//! It is an override-redirect window, which no window manager moves: it stays above full-screen
//! programs and never takes the keyboard focus from the program that support works in. The keyboard
//! reaches the same buttons in the session window ([`super::connected`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use etatuki_session_core::{AgentIdentity, State, View};
use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Cursor, Event};
use fltk::frame::Frame;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::{ActionHandler, PushButton};
use super::connected::activity;
use super::page::{Button, ButtonAction};
use super::session_context::agent_values;
use super::text_layout::TextStyle;
use super::theme::{self, Rect};
use crate::texts::{Texts, clock, fill};

const BAR_HEIGHT: i32 = 48;
const BANNER_HEIGHT: i32 = 20;
const PADDING: i32 = 16;
/// Longest agent's name, in characters.
const MAX_NAME_CHARS: usize = 30;

/// The bar's text and colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarStatus {
    /// The agent's name and activity.
    pub text: String,
    /// The access that is granted.
    pub access: Access,
}

/// The access that is granted, which decides the bar's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Connected or interrupted: nothing can be seen.
    None,
    /// The agent sees the screen.
    View,
    /// The agent controls the machine.
    Control,
}

/// Returns the bar's status for a view; `None` if nobody is connected.
pub fn status(texts: &Texts, view: &View) -> Option<BarStatus> {
    let Some(agent) = &view.agent else {
        // Connected by a tool's own transport: only the tool knows the agent and their permissions.
        let text = texts.external.connected.clone();
        let access = Access::View;
        return (view.state == State::Connected).then_some(BarStatus { text, access });
    };
    let agent = &with_short_name(agent);
    match view.state {
        State::Connected => {
            let access = match (view.permissions.view, view.permissions.control) {
                (_, true) => Access::Control,
                (true, false) => Access::View,
                (false, false) => Access::None,
            };
            let text = match (&view.question, access) {
                (Some(_), Access::None) => fill(&texts.bar.asking, &agent_values(agent)),
                _ => activity(texts, agent, view),
            };
            Some(BarStatus { text, access })
        }
        State::Interrupted => {
            let time = clock(view.interrupted_seconds_left.unwrap_or(0));
            let text = fill(&texts.state.interrupted, &[("time", &time)]);
            Some(BarStatus {
                text,
                access: Access::None,
            })
        }
        _ => None,
    }
}

/// Shortens the agent's name, so that the whole bar with its buttons fits on 1024 pixels.
fn with_short_name(agent: &AgentIdentity) -> AgentIdentity {
    let mut agent = agent.clone();
    if agent.name.chars().count() > MAX_NAME_CHARS {
        agent.name = agent.name.chars().take(MAX_NAME_CHARS - 1).collect();
        agent.name.push('…');
    }
    agent
}

/// The bar's window.
pub struct Bar {
    window: DoubleWindow,
    frame: Frame,
    take_back: PushButton,
    close: PushButton,
    has_banner: bool,
    status: Rc<RefCell<BarStatus>>,
    /// Whether the customer has dragged it; it is in the middle of the top edge until then.
    moved: Rc<Cell<bool>>,
}

impl Bar {
    /// Creates a hidden bar.
    pub fn new(texts: &Texts, banner: Option<&str>, on_action: &ActionHandler) -> Self {
        let status = Rc::new(RefCell::new(BarStatus {
            text: String::new(),
            access: Access::None,
        }));
        let moved = Rc::new(Cell::new(false));
        let mut window = DoubleWindow::new(0, 0, 600, BAR_HEIGHT, None);
        window.set_label(&texts.window.title);
        window.set_override();
        let frame = background(&status, banner.map(str::to_owned));
        let push = |label: &str, action| {
            let button = Button::plain(label, action);
            PushButton::new(&button, None, colour(Access::Control), on_action.clone())
        };
        let take_back = push(&texts.bar.take_back, ButtonAction::TakeBack);
        let close = push(&texts.bar.close, ButtonAction::Close);
        window.end();
        make_draggable(&mut window, &moved);
        Self {
            window,
            frame,
            take_back,
            close,
            has_banner: banner.is_some(),
            status,
            moved,
        }
    }

    /// Shows a status, or hides the bar.
    pub fn set(&mut self, status: Option<BarStatus>) {
        let Some(status) = status else {
            self.moved.set(false);
            return self.window.hide();
        };
        let changed = *self.status.borrow() != status;
        if changed || !self.window.shown() {
            self.take_back.set_background(colour(status.access));
            self.close.set_background(colour(status.access));
            *self.status.borrow_mut() = status;
            self.lay_out();
            self.window.show();
            self.window.redraw();
        }
    }

    /// Raises the bar, in case another window has covered it.
    pub fn raise(&mut self) {
        if self.window.shown() {
            self.window.show();
        }
    }

    fn lay_out(&mut self) {
        let status = self.status.borrow().clone();
        let text = text_style().width(&status.text);
        let close = self.close.width();
        let controlling = status.access == Access::Control;
        let take_back = if controlling {
            self.take_back.width() + 6
        } else {
            0
        };
        let width = PADDING + text + 2 * PADDING + take_back + close + 5;
        let height = BAR_HEIGHT + if self.has_banner { BANNER_HEIGHT } else { 0 };
        let y = 3;
        let h = BAR_HEIGHT - 6;
        self.close.set_rect(Rect {
            x: width - close - 5,
            y,
            w: close,
            h,
        });
        let x = width - close - 5 - take_back;
        self.take_back.set_rect(Rect {
            x,
            y,
            w: (take_back - 6).max(1),
            h,
        });
        self.take_back.set_visible(controlling);
        self.frame.resize(0, 0, width, height);
        let (x, y) = self.position(width);
        self.window.resize(x, y, width, height);
    }

    fn position(&self, width: i32) -> (i32, i32) {
        let screen = app::screen_num(self.window.x(), self.window.y());
        let (left, top, screen_width, _) = app::screen_xywh(screen);
        if self.moved.get() {
            let furthest = (left + screen_width - width).max(left);
            (self.window.x().clamp(left, furthest), self.window.y())
        } else {
            (left + (screen_width - width) / 2, top)
        }
    }
}

fn background(status: &Rc<RefCell<BarStatus>>, banner: Option<String>) -> Frame {
    let mut frame = Frame::new(0, 0, 600, BAR_HEIGHT, None);
    let status = status.clone();
    frame.draw(move |frame| {
        let status = status.borrow();
        let (w, h) = (frame.w(), frame.h());
        draw::draw_rect_fill(0, 0, w, h, colour(status.access));
        let style = text_style();
        style.draw(
            &status.text,
            PADDING,
            (BAR_HEIGHT - style.line_height()) / 2,
            w,
        );
        if let Some(banner) = &banner {
            draw::draw_rect_fill(0, BAR_HEIGHT, w, BANNER_HEIGHT, Color::from_hex(0xfdf2c8));
            let small = TextStyle {
                font: theme::REGULAR,
                size: 13,
                colour: Color::from_hex(0x6b5200),
            };
            small.draw_centred(banner, 0, BAR_HEIGHT, w, BANNER_HEIGHT);
        }
    });
    frame
}

fn text_style() -> TextStyle {
    TextStyle {
        font: theme::BOLD,
        size: theme::TEXT_SIZE,
        colour: Color::White,
    }
}

fn colour(access: Access) -> Color {
    Color::from_hex(match access {
        Access::None => 0x4a4854,
        Access::View => 0x1c5fb4,
        Access::Control => 0xa3300f,
    })
}

/// Lets the customer drag the bar away from whatever it covers.
fn make_draggable(window: &mut DoubleWindow, moved: &Rc<Cell<bool>>) {
    let grip = Cell::new((0, 0));
    let moved = moved.clone();
    window.handle(move |window, event| match event {
        Event::Push => {
            grip.set((app::event_x(), app::event_y()));
            true
        }
        Event::Drag => {
            let (x, y) = grip.get();
            let (x, y) = (app::event_x_root() - x, app::event_y_root() - y);
            let near = (x - window.x()).abs() < 6 && (y - window.y()).abs() < 6;
            if moved.get() || !near {
                moved.set(true);
                window.set_pos(x, y.max(0));
            }
            true
        }
        Event::Enter => {
            window.set_cursor(Cursor::Move);
            true
        }
        Event::Leave => {
            window.set_cursor(Cursor::Default);
            true
        }
        _ => false,
    });
}
