//! The bar: small, over everything at the top of the screen for as long as somebody is connected. It
//! says who looks and who controls, takes control back, and ends it all. It can't be hidden.
//!
//! No window manager decides over it (an override-redirect window): it stays above full-screen programs
//! and never takes the keyboard away from the program that support works in. The keyboard reaches the
//! same buttons in the session window ([`super::connected`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use etatuki_session::{AgentIdentity, State, View};
use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Cursor, Event};
use fltk::frame::Frame;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::{Pressed, PushButton};
use super::connected::doing;
use super::lines::Style;
use super::look::{self, Place};
use super::page::{Action, Button};
use super::subject::named;
use crate::texts::{Texts, clock, fill};

const HEIGHT: i32 = 48;
const BANNER: i32 = 20;
const PAD: i32 = 16;
/// Characters of a name, at most.
const LONGEST_NAME: usize = 30;

/// What the bar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who does what.
    pub text: String,
    /// How much is allowed.
    pub tone: Tone,
}

/// How much is allowed, as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Connected, or interrupted: nothing can be seen.
    Quiet,
    /// Somebody looks.
    Viewing,
    /// Somebody controls.
    Controlling,
}

/// What the bar says for a view; `None` when nobody is connected.
pub fn line(texts: &Texts, view: &View) -> Option<Line> {
    let Some(agent) = &view.agent else {
        // By a tool's own transport: who it is, and what he may do, only the tool knows.
        let text = texts.own.connected.clone();
        let tone = Tone::Viewing;
        return (view.state == State::Connected).then_some(Line { text, tone });
    };
    let agent = &short(agent);
    match view.state {
        State::Connected => {
            let tone = match (view.permissions.view, view.permissions.control) {
                (_, true) => Tone::Controlling,
                (true, false) => Tone::Viewing,
                (false, false) => Tone::Quiet,
            };
            let text = match (&view.question, tone) {
                (Some(_), Tone::Quiet) => fill(&texts.bar.asking, &named(agent)),
                _ => doing(texts, agent, view),
            };
            Some(Line { text, tone })
        }
        State::Interrupted => {
            let time = clock(view.interrupted_seconds_left.unwrap_or(0));
            let text = fill(&texts.state.interrupted, &[("time", &time)]);
            Some(Line {
                text,
                tone: Tone::Quiet,
            })
        }
        _ => None,
    }
}

/// A name that leaves room for what is said of it, and for the buttons: on 1024 pixels all of it is to be seen.
fn short(agent: &AgentIdentity) -> AgentIdentity {
    let mut agent = agent.clone();
    if agent.name.chars().count() > LONGEST_NAME {
        agent.name = agent.name.chars().take(LONGEST_NAME - 1).collect();
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
    shown: Rc<RefCell<Line>>,
    /// Where the customer has put it; in the middle of the top edge until then.
    moved: Rc<Cell<bool>>,
}

impl Bar {
    /// A bar that isn't shown yet.
    pub fn new(texts: &Texts, banner: Option<&str>, pressed: &Pressed) -> Self {
        let nothing = Line {
            text: String::new(),
            tone: Tone::Quiet,
        };
        let shown = Rc::new(RefCell::new(nothing));
        let moved = Rc::new(Cell::new(false));
        let mut window = DoubleWindow::new(0, 0, 600, HEIGHT, None);
        window.set_label(&texts.window.title);
        window.set_override();
        let frame = ground(&shown, banner.map(str::to_owned));
        let push = |label: &str, action| {
            let button = Button::plain(label, action);
            PushButton::new(&button, None, colour(Tone::Controlling), pressed.clone())
        };
        let take_back = push(&texts.bar.take_back, Action::TakeBack);
        let close = push(&texts.bar.close, Action::Close);
        window.end();
        drag(&mut window, &moved);
        Self {
            window,
            frame,
            take_back,
            close,
            has_banner: banner.is_some(),
            shown,
            moved,
        }
    }

    /// Says something else, or goes away.
    pub fn set(&mut self, line: Option<Line>) {
        let Some(line) = line else {
            self.moved.set(false);
            return self.window.hide();
        };
        let changed = *self.shown.borrow() != line;
        if changed || !self.window.shown() {
            self.take_back.set_ground(colour(line.tone));
            self.close.set_ground(colour(line.tone));
            *self.shown.borrow_mut() = line;
            self.lay_out();
            self.window.show();
            self.window.redraw();
        }
    }

    /// Comes to the top again, should another window have covered it.
    pub fn raise(&mut self) {
        if self.window.shown() {
            self.window.show();
        }
    }

    fn lay_out(&mut self) {
        let line = self.shown.borrow().clone();
        let text = words().width(&line.text);
        let close = self.close.width();
        let controlling = line.tone == Tone::Controlling;
        let take_back = if controlling {
            self.take_back.width() + 6
        } else {
            0
        };
        let width = PAD + text + 2 * PAD + take_back + close + 5;
        let height = HEIGHT + if self.has_banner { BANNER } else { 0 };
        let y = 3;
        let h = HEIGHT - 6;
        self.close.place(Place {
            x: width - close - 5,
            y,
            w: close,
            h,
        });
        let x = width - close - 5 - take_back;
        self.take_back.place(Place {
            x,
            y,
            w: (take_back - 6).max(1),
            h,
        });
        self.take_back.show(controlling);
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

fn ground(shown: &Rc<RefCell<Line>>, banner: Option<String>) -> Frame {
    let mut frame = Frame::new(0, 0, 600, HEIGHT, None);
    let shown = shown.clone();
    frame.draw(move |frame| {
        let line = shown.borrow();
        let (w, h) = (frame.w(), frame.h());
        draw::draw_rect_fill(0, 0, w, h, colour(line.tone));
        let style = words();
        style.write(&line.text, PAD, (HEIGHT - style.line_height()) / 2, w);
        if let Some(banner) = &banner {
            draw::draw_rect_fill(0, HEIGHT, w, BANNER, Color::from_hex(0xfdf2c8));
            let small = Style {
                font: look::REGULAR,
                size: 13,
                colour: Color::from_hex(0x6b5200),
            };
            small.write_centred(banner, 0, HEIGHT, w, BANNER);
        }
    });
    frame
}

fn words() -> Style {
    Style {
        font: look::BOLD,
        size: look::TEXT,
        colour: Color::White,
    }
}

fn colour(tone: Tone) -> Color {
    Color::from_hex(match tone {
        Tone::Quiet => 0x4a4854,
        Tone::Viewing => 0x1c5fb4,
        Tone::Controlling => 0xa3300f,
    })
}

/// The bar may cover something that is needed: it can be dragged away.
fn drag(window: &mut DoubleWindow, moved: &Rc<Cell<bool>>) {
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
