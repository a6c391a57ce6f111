//! The windows' buttons: large, calm, and pressed by Space, Enter and Alt with their letter alike;
//! those that allow something by Alt with their letter alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fltk::app;
use fltk::button::Button as FltkButton;
use fltk::draw;
use fltk::enums::{Color, Event, Key, Shortcut};
use fltk::prelude::*;

use super::hands::Reply;
use super::metrics::Metrics;
use super::page::{self, ButtonAction, Mark};
use super::text_layout::{TextStyle, measure};
use super::theme::{self, Rect};

/// The handler that a window's buttons call with their action.
pub type ActionHandler = Rc<dyn Fn(ButtonAction)>;

/// Space around a button's body for the focus ring.
const FOCUS_RING: i32 = 3;

/// One button on a window.
pub struct PushButton {
    widget: FltkButton,
    face: Rc<RefCell<Face>>,
    /// Whether the keyboard focus ever reaches it.
    takes_focus: bool,
}

/// The appearance of a button.
struct Face {
    label: String,
    /// Byte offset of the label's letter that is underlined.
    mnemonic: Option<usize>,
    note: Option<String>,
    primary: bool,
    mark: Option<Mark>,
    metrics: Metrics,
    background: Color,
}

impl PushButton {
    /// Adds a button on `background` to the window that is being built. `note` makes it one of a
    /// list's large buttons, with that line (which may be empty) below its label.
    pub fn new(
        button: &page::Button,
        note: Option<&str>,
        background: Color,
        on_action: ActionHandler,
    ) -> Self {
        let face = Rc::new(RefCell::new(Face::new(button, note, background)));
        let mut widget = FltkButton::new(0, 0, 10, 10, None);
        widget.super_draw(false);
        let hover = Rc::new(Cell::new(false));
        widget.draw({
            let (face, hover) = (face.clone(), hover.clone());
            move |widget| face.borrow().draw(widget, hover.get())
        });
        widget.handle(move |widget, event| handle(widget, event, &hover));
        let action = button.action.clone();
        // Alt and its letter press a button that allows something, and nothing that somebody types
        // by habit: Tab doesn't reach it, so neither do Enter and Space.
        let takes_focus = action.reply() != Some(Reply::Allow);
        widget.visible_focus(takes_focus);
        widget.set_callback(move |_| on_action(action.clone()));
        let mut made = Self {
            widget,
            face,
            takes_focus,
        };
        let _ = made.set(button, note);
        made
    }

    /// Shows another label, note and state; returns whether it could not be pressed before and can
    /// now.
    pub fn set(&mut self, button: &page::Button, note: Option<&str>) -> bool {
        let (background, metrics) = {
            let face = self.face.borrow();
            (face.background, face.metrics)
        };
        *self.face.borrow_mut() = Face {
            metrics,
            ..Face::new(button, note, background)
        };
        self.widget.set_shortcut(shortcut(&button.label));
        let was_enabled = self.widget.active();
        if button.enabled {
            self.widget.activate();
        } else {
            self.widget.deactivate();
        }
        self.widget.redraw();
        button.enabled && !was_enabled
    }

    /// Sets the colour of what is behind it.
    pub fn set_background(&mut self, background: Color) {
        self.face.borrow_mut().background = background;
        self.widget.redraw();
    }

    /// Shows or hides it.
    pub fn set_visible(&mut self, visible: bool) {
        if visible {
            self.widget.show()
        } else {
            self.widget.hide()
        }
    }

    /// Sets whether it can have the keyboard focus now; one that never takes it can't.
    pub(crate) fn set_focusable(&mut self, focusable: bool) {
        self.widget.visible_focus(focusable && self.takes_focus);
    }

    /// Gives it the keyboard focus.
    pub fn focus(&mut self) {
        // Refused only by a window that isn't shown yet; it gives the focus itself then.
        let _ = self.widget.take_focus();
    }

    /// Sets the sizes of its type.
    pub fn set_metrics(&mut self, metrics: Metrics) {
        self.face.borrow_mut().metrics = metrics;
    }

    /// Moves it and sets its size.
    pub fn set_rect(&mut self, rect: Rect) {
        self.widget.resize(rect.x, rect.y, rect.w, rect.h);
    }
}

impl Face {
    fn new(button: &page::Button, note: Option<&str>, background: Color) -> Self {
        let (label, mnemonic) = page::mnemonic(&button.label);
        let note = note.map(str::to_owned);
        Self {
            label,
            mnemonic,
            note,
            primary: button.primary,
            mark: button.mark,
            metrics: Metrics::default(),
            background,
        }
    }

    fn label_style(&self) -> TextStyle {
        let mut style = self
            .metrics
            .label_style(self.primary || self.note.is_some());
        if self.primary {
            style.colour = theme::palette().on_accent;
        }
        style
    }

    fn draw(&self, widget: &FltkButton, hover: bool) {
        let rect = Rect {
            x: widget.x(),
            y: widget.y(),
            w: widget.w(),
            h: widget.h(),
        };
        draw::draw_rect_fill(rect.x, rect.y, rect.w, rect.h, self.background);
        if widget.has_focus() {
            theme::rounded_box(rect, self.background, self.ring(), 2, self.background);
        }
        let body = Rect {
            x: rect.x + FOCUS_RING,
            y: rect.y + FOCUS_RING,
            w: rect.w - 2 * FOCUS_RING,
            h: rect.h - 2 * FOCUS_RING,
        };
        let (fill, border) = self.colours(widget.active(), hover, widget.value());
        theme::rounded_box(body, fill, border, 1, self.background);
        self.draw_label(body, widget.active(), fill);
    }

    /// Returns the colour of the focus ring: one that is seen on what is behind the button.
    fn ring(&self) -> Color {
        let colours = theme::palette();
        if [colours.background, colours.surface].contains(&self.background) {
            colours.accent
        } else {
            colours.on_bar
        }
    }

    fn colours(&self, active: bool, hover: bool, pressed: bool) -> (Color, Color) {
        let colours = theme::palette();
        let (fill, border) = match (self.primary, active) {
            (true, true) => (colours.accent, colours.accent),
            (true, false) => (
                theme::blend(self.background, colours.accent, 0.45),
                self.background,
            ),
            (false, true) => (colours.surface, colours.border),
            (false, false) => (
                theme::blend(self.background, colours.surface, 0.4),
                colours.border,
            ),
        };
        let shade = match (active, pressed, hover) {
            (true, true, _) => 0.16,
            (true, false, true) => 0.06,
            _ => 0.0,
        };
        (
            theme::blend(fill, Color::Black, shade),
            theme::blend(border, Color::Black, shade),
        )
    }

    fn draw_label(&self, body: Rect, active: bool, fill: Color) {
        let colours = theme::palette();
        let mut style = self.label_style();
        if !active {
            style.colour = if self.primary {
                colours.on_accent
            } else {
                theme::blend(self.background, colours.secondary, 0.7)
            };
        }
        match &self.note {
            Some(note) => self.draw_with_note(style, note, body, active),
            None => self.draw_on_one_line(style, body, fill),
        }
    }

    /// Draws mark and label in the middle of the button.
    fn draw_on_one_line(&self, style: TextStyle, body: Rect, fill: Color) {
        let mark = self.mark.map_or(0, |_| self.metrics.mark());
        let space = if mark > 0 { self.metrics.px(8) } else { 0 };
        let room = body.w - 2 * FOCUS_RING - mark - space;
        let label = style.shortened(&self.label, room, &measure);
        let width = style.width(&label, &measure);
        let left = body.x + (body.w - width - mark - space) / 2;
        if let Some(shape) = self.mark {
            let square = Rect {
                x: left,
                y: body.y + (body.h - mark) / 2,
                w: mark,
                h: mark,
            };
            theme::draw_mark(shape, square, style.colour, fill);
        }
        let text = Rect {
            x: left + mark + space,
            w: width,
            ..body
        };
        style.draw_centred(&label, text);
        self.underline_mnemonic(style, text);
    }

    /// Draws the label of a list's large button, and its note below.
    fn draw_with_note(&self, style: TextStyle, note: &str, body: Rect, active: bool) {
        let mut small = self.metrics.note_style();
        if active {
            small.colour = theme::palette().accent_text;
        }
        let inset = self.metrics.px(18);
        let (left, width) = (body.x + inset, body.w - 2 * inset);
        let label_height = style.height(&self.label, width, &measure);
        let note_height = match note {
            "" => 0,
            note => small.height(note, width, &measure),
        };
        let top = body.y + (body.h - label_height - note_height) / 2;
        style.draw(&self.label, left, top, width);
        small.draw(note, left, top + label_height, width);
    }

    fn underline_mnemonic(&self, style: TextStyle, text: Rect) {
        let Some(start) = self.mnemonic else { return };
        let length = self.label[start..].chars().next().map_or(0, char::len_utf8);
        let until = |end: usize| text.x + style.width(&self.label[..end], &measure);
        let (from, to) = (until(start), until(start + length));
        let y = text.y + (text.h + style.size) / 2 + 1;
        draw::draw_rect_fill(from, y, to - from, 1, style.colour);
    }
}

fn handle(widget: &mut FltkButton, event: Event, hover: &Cell<bool>) -> bool {
    match event {
        Event::Enter | Event::Leave => {
            hover.set(event == Event::Enter);
            widget.redraw();
            true
        }
        Event::KeyDown if matches!(app::event_key(), Key::Enter | Key::KPEnter) => {
            widget.do_callback();
            true
        }
        _ => false,
    }
}

/// Returns Alt with the label's letter. FLTK's own `&` would react to the letter without Alt too,
/// and a letter typed for another window must never answer a question.
fn shortcut(label: &str) -> Shortcut {
    let (text, mnemonic) = page::mnemonic(label);
    let letter = mnemonic.and_then(|start| text[start..].chars().next());
    letter.map_or(Shortcut::None, |letter| {
        Shortcut::Alt | letter.to_lowercase().next().unwrap_or(letter)
    })
}
