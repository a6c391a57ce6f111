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

use super::bar_layout::{self, BarLayout, Sentence};
use super::bar_place::BarPlace;
use super::button::{ActionHandler, PushButton};
use super::connected::activity;
use super::hands::Hands;
use super::layout::Room;
use super::page::{Button, ButtonAction};
use super::sees::support_sees;
use super::session_context::agent_values;
use super::text_layout::{TextStyle, measure};
use super::theme;
use crate::texts::{Texts, clock, fill};

/// Longest agent's name, in characters.
const MAX_NAME_CHARS: usize = 30;

/// The bar's text and colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarStatus {
    /// The agent's name and activity.
    pub sentence: Sentence,
    /// The access that is granted.
    pub access: Access,
    /// Whether the session comes back after a restart, which can be withdrawn.
    pub comes_back: bool,
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
        let sentence = Sentence::new(&texts.external.connected, "");
        let status = BarStatus {
            sentence,
            access: Access::View,
            comes_back: false,
        };
        return (view.state == State::Connected).then_some(status);
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
            // Who controls comes first: the end of a long sentence is what gives way.
            let after_restart = view
                .restart_allowed
                .then_some(texts.bar.after_restart.as_str());
            let text = match support_sees(texts, view).or(after_restart) {
                Some(more) => format!("{text}. {more}"),
                None => text,
            };
            let sentence = Sentence::new(&text, &agent.name);
            Some(BarStatus {
                sentence,
                access,
                comes_back: view.restart_allowed,
            })
        }
        State::Interrupted => {
            let time = clock(view.interrupted_seconds_left.unwrap_or(0));
            let text = match view.coming_back {
                true => &texts.state.coming_back,
                false => &texts.state.interrupted,
            };
            let text = fill(text, &[("time", &time)]);
            Some(BarStatus {
                sentence: Sentence::new(&text, ""),
                access: Access::None,
                comes_back: false,
            })
        }
        _ => None,
    }
}

/// Shortens the agent's name, so that the bar doesn't cover all of a wide screen's edge.
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
    withdraw_restart: (Button, PushButton),
    take_back: (Button, PushButton),
    close: (Button, PushButton),
    has_banner: bool,
    shown: Rc<RefCell<Shown>>,
    place: BarPlace,
}

/// The bar's status, and its layout.
struct Shown {
    status: BarStatus,
    layout: BarLayout,
}

impl Bar {
    /// Creates a hidden bar.
    pub(crate) fn new(
        texts: &Texts,
        banner: Option<&str>,
        on_action: &ActionHandler,
        hands: Hands,
    ) -> Self {
        let status = BarStatus {
            sentence: Sentence::default(),
            access: Access::None,
            comes_back: false,
        };
        let nowhere = Room::new(0, 0, 1.0);
        let layout = bar_layout::fit(&status.sentence, &[], false, nowhere, &|_, _| 0.0);
        let shown = Rc::new(RefCell::new(Shown { status, layout }));
        let place = BarPlace::new(hands);
        let mut window = DoubleWindow::new(0, 0, 600, 48, None);
        window.set_label(&texts.window.title);
        window.set_override();
        let frame = background(&shown, banner.map(str::to_owned));
        let push = |label: &str, action| {
            // The bar never has the keyboard: no letter presses its buttons, so none is underlined.
            let button = Button::plain(&label.replace('&', ""), action);
            let widget = PushButton::new(&button, None, colour(Access::Control), on_action.clone());
            (button, widget)
        };
        let withdraw = ButtonAction::WithdrawRestart;
        let withdraw_restart = push(&texts.bar.withdraw_restart, withdraw);
        let take_back = push(&texts.bar.take_back, ButtonAction::TakeBack);
        let close = push(&texts.bar.close, ButtonAction::Close);
        window.end();
        make_draggable(&mut window, &place);
        Self {
            window,
            frame,
            withdraw_restart,
            take_back,
            close,
            has_banner: banner.is_some(),
            shown,
            place,
        }
    }

    /// Shows a status, or hides the bar.
    pub fn set(&mut self, status: Option<BarStatus>) {
        let Some(status) = status else {
            self.place.forget_drag();
            return self.window.hide();
        };
        let before = self.shown.borrow().status.access;
        if before == Access::Control && status.access != Access::Control {
            self.place.forget_drag();
        }
        let changed = self.shown.borrow().status != status;
        if changed || !self.window.shown() {
            for (_, button) in [
                &mut self.withdraw_restart,
                &mut self.take_back,
                &mut self.close,
            ] {
                button.set_background(colour(status.access));
            }
            self.shown.borrow_mut().status = status;
            self.lay_out();
            self.window.show();
            self.window.redraw();
        }
    }

    /// Returns the height at the top of the screen that the bar takes.
    pub fn height(&self) -> i32 {
        match self.window.shown() && !self.place.is_dragged() {
            true => self.window.h(),
            false => 0,
        }
    }

    /// Raises the bar, in case another window has covered it, and holds it in its place. To be
    /// called a few times a second.
    pub fn raise(&mut self) {
        if self.window.shown() {
            self.place.hold(&mut self.window);
            self.window.show();
        }
    }

    /// Puts the bar back to the middle of the upper edge, where windows leave room for it.
    pub(crate) fn go_home(&mut self) {
        self.place.forget_drag();
        self.raise();
    }

    fn lay_out(&mut self) {
        let screen = app::screen_num(self.window.x(), self.window.y());
        let (_, _, width, height) = app::screen_xywh(screen);
        let room = Room::new(width, height, app::screen_scale(screen));
        let status = self.shown.borrow().status.clone();
        let shown = [
            (status.comes_back, &self.withdraw_restart.0),
            (status.access == Access::Control, &self.take_back.0),
            (true, &self.close.0),
        ];
        let buttons = shown.iter().filter(|(is_shown, _)| *is_shown);
        let buttons: Vec<_> = buttons.map(|(_, button)| (*button).clone()).collect();
        let banner = self.has_banner;
        let layout = bar_layout::fit(&status.sentence, &buttons, banner, room, &measure);
        let mut places = layout.buttons.iter();
        for (is_shown, (_, button)) in [
            (status.comes_back, &mut self.withdraw_restart),
            (status.access == Access::Control, &mut self.take_back),
            (true, &mut self.close),
        ] {
            let place = if is_shown { places.next() } else { None };
            button.set_metrics(layout.metrics);
            button.set_rect(place.copied().unwrap_or_default());
            button.set_visible(place.is_some());
        }
        let (width, height) = (layout.width, layout.height);
        self.frame.resize(0, 0, width, height);
        self.place.resize(&mut self.window, width, height);
        self.shown.borrow_mut().layout = layout;
    }
}

fn background(shown: &Rc<RefCell<Shown>>, banner: Option<String>) -> Frame {
    let mut frame = Frame::new(0, 0, 600, 48, None);
    let shown = shown.clone();
    frame.draw(move |frame| {
        let Shown { status, layout } = &*shown.borrow();
        draw::draw_rect_fill(0, 0, frame.w(), frame.h(), colour(status.access));
        let style = bar_layout::text_style(layout.metrics);
        style.draw_centred(&layout.text, layout.text_rect);
        if let (Some(banner), Some(rect)) = (&banner, layout.banner) {
            let colours = theme::palette().development;
            draw::draw_rect_fill(rect.x, rect.y, rect.w, rect.h, colours.fill);
            let small = TextStyle {
                font: theme::REGULAR,
                size: layout.metrics.px(13),
                colour: colours.text,
            };
            small.draw_centred(&small.shortened(banner, rect.w, &measure), rect);
        }
    });
    frame
}

fn colour(access: Access) -> Color {
    let colours = theme::palette();
    match access {
        Access::None => colours.bar_none,
        Access::View => colours.bar_view,
        Access::Control => colours.bar_control,
    }
}

/// Lets the customer drag the bar away from whatever it covers.
fn make_draggable(window: &mut DoubleWindow, place: &BarPlace) {
    let grip = Cell::new(None);
    let place = place.clone();
    window.handle(move |window, event| match event {
        Event::Push => {
            let at = (app::event_x(), app::event_y());
            grip.set(place.may_drag().then_some(at));
            true
        }
        Event::Drag => {
            if let Some((x, y)) = grip.get() {
                let (x, y) = (app::event_x_root() - x, app::event_y_root() - y);
                // A click that trembles doesn't move it.
                if (x - window.x()).abs() > 5 || (y - window.y()).abs() > 5 {
                    place.drag(window, x, y);
                }
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
