//! Our buttons: large, calm, and pressed by Space, Enter and Alt with their letter alike.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fltk::app;
use fltk::button::Button as Raw;
use fltk::draw;
use fltk::enums::{Color, Event, Key, Shortcut};
use fltk::prelude::*;

use super::lines::Style;
use super::look::{self, Place};
use super::page::{self, Action};

/// Where a window's buttons send what was pressed.
pub type Pressed = Rc<dyn Fn(Action)>;

/// Room around a button's body for the ring that shows the keyboard.
const RING: i32 = 3;

/// One button on a window.
pub struct PushButton {
    raw: Raw,
    face: Rc<RefCell<Face>>,
}

/// What a button shows.
struct Face {
    label: String,
    letter: Option<usize>,
    note: Option<String>,
    primary: bool,
    ground: Color,
}

impl PushButton {
    /// A button in the window that is being built, on a ground of that colour. `note` makes it one of a
    /// list's large buttons, with that line (which may be empty) below its label.
    pub fn new(button: &page::Button, note: Option<&str>, ground: Color, pressed: Pressed) -> Self {
        let face = Rc::new(RefCell::new(Face::of(button, note, ground)));
        let mut raw = Raw::new(0, 0, 10, 10, None);
        raw.super_draw(false);
        let hover = Rc::new(Cell::new(false));
        raw.draw({
            let (face, hover) = (face.clone(), hover.clone());
            move |raw| face.borrow().draw(raw, hover.get())
        });
        raw.handle(move |raw, event| handle(raw, event, &hover));
        let action = button.action.clone();
        raw.set_callback(move |_| pressed(action.clone()));
        let mut made = Self { raw, face };
        let _ = made.set(button, note);
        made
    }

    /// Shows other words, and whether it can be pressed; tells whether it only now can.
    pub fn set(&mut self, button: &page::Button, note: Option<&str>) -> bool {
        let ground = self.face.borrow().ground;
        *self.face.borrow_mut() = Face::of(button, note, ground);
        self.raw.set_shortcut(shortcut(&button.label));
        let was_enabled = self.raw.active();
        if button.enabled {
            self.raw.activate();
        } else {
            self.raw.deactivate();
        }
        self.raw.redraw();
        button.enabled && !was_enabled
    }

    /// Stands on a ground of another colour from now on.
    pub fn set_ground(&mut self, ground: Color) {
        self.face.borrow_mut().ground = ground;
        self.raw.redraw();
    }

    /// Whether it is there at all.
    pub fn show(&mut self, visible: bool) {
        if visible {
            self.raw.show()
        } else {
            self.raw.hide()
        }
    }

    /// Gives it the keyboard.
    pub fn focus(&mut self) {
        // Refused only by a window that isn't shown yet; it gives the focus itself then.
        let _ = self.raw.take_focus();
    }

    /// The width that its words need.
    pub fn width(&self) -> i32 {
        (self.face.borrow().words().width(&self.face.borrow().label) + 2 * 24).max(120)
    }

    /// Puts it there.
    pub fn place(&mut self, place: Place) {
        self.raw.resize(place.x, place.y, place.w, place.h);
    }
}

impl Face {
    fn of(button: &page::Button, note: Option<&str>, ground: Color) -> Self {
        let (label, letter) = page::mnemonic(&button.label);
        let note = note.map(str::to_owned);
        Self {
            label,
            letter,
            note,
            primary: button.primary,
            ground,
        }
    }

    fn words(&self) -> Style {
        let colour = if self.primary {
            Color::White
        } else {
            look::INK
        };
        let font = if self.primary || self.note.is_some() {
            look::BOLD
        } else {
            look::REGULAR
        };
        Style {
            font,
            size: look::TEXT,
            colour,
        }
    }

    fn draw(&self, raw: &Raw, hover: bool) {
        let place = Place {
            x: raw.x(),
            y: raw.y(),
            w: raw.w(),
            h: raw.h(),
        };
        draw::draw_rect_fill(place.x, place.y, place.w, place.h, self.ground);
        if raw.has_focus() {
            look::soft_box(place, self.ground, look::ACCENT, 2, self.ground);
        }
        let body = Place {
            x: place.x + RING,
            y: place.y + RING,
            w: place.w - 2 * RING,
            h: place.h - 2 * RING,
        };
        let (fill, edge) = self.colours(raw.active(), hover, raw.value());
        look::soft_box(body, fill, edge, 1, self.ground);
        self.draw_words(body, raw.active());
    }

    fn colours(&self, active: bool, hover: bool, down: bool) -> (Color, Color) {
        let (fill, edge) = match (self.primary, active) {
            (true, true) => (look::ACCENT, look::ACCENT),
            (true, false) => (look::mix(self.ground, look::ACCENT, 0.45), self.ground),
            (false, true) => (look::PAPER, look::EDGE),
            (false, false) => (look::mix(self.ground, look::PAPER, 0.4), look::EDGE),
        };
        let shade = match (active, down, hover) {
            (true, true, _) => 0.16,
            (true, false, true) => 0.06,
            _ => 0.0,
        };
        (
            look::mix(fill, Color::Black, shade),
            look::mix(edge, Color::Black, shade),
        )
    }

    fn draw_words(&self, body: Place, active: bool) {
        let mut style = self.words();
        if !active {
            style.colour = if self.primary {
                Color::White
            } else {
                look::mix(self.ground, look::QUIET, 0.7)
            };
        }
        let Some(note) = &self.note else {
            style.write_centred(&self.label, body.x, body.y, body.w, body.h);
            self.underline(style, body);
            return;
        };
        let colour = if active {
            look::ACCENT_INK
        } else {
            look::QUIET
        };
        let small = Style {
            font: look::REGULAR,
            size: look::SMALL,
            colour,
        };
        let left = body.x + 18;
        let width = body.w - 36;
        let note_height = if note.is_empty() {
            0
        } else {
            small.height(note, width)
        };
        let top = body.y + (body.h - style.line_height() - note_height) / 2;
        style.write(&self.label, left, top, width);
        small.write(note, left, top + style.line_height(), width);
    }

    fn underline(&self, style: Style, body: Place) {
        let Some(letter) = self.letter else { return };
        let after = self.label[letter..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        let left = body.x + (body.w - style.width(&self.label)) / 2;
        let from = left + style.width(&self.label[..letter]);
        let to = left + style.width(&self.label[..letter + after]);
        draw::draw_rect_fill(
            from,
            body.y + (body.h + style.size) / 2 + 1,
            to - from,
            1,
            style.colour,
        );
    }
}

fn handle(raw: &mut Raw, event: Event, hover: &Cell<bool>) -> bool {
    match event {
        Event::Enter | Event::Leave => {
            hover.set(event == Event::Enter);
            raw.redraw();
            true
        }
        Event::KeyDown if matches!(app::event_key(), Key::Enter | Key::KPEnter) => {
            raw.do_callback();
            true
        }
        _ => false,
    }
}

/// Alt with the label's letter. FLTK's own `&` would take the letter alone as well, and a letter typed
/// for another window must never answer a question.
fn shortcut(label: &str) -> Shortcut {
    let (text, letter) = page::mnemonic(label);
    let letter = letter.and_then(|at| text[at..].chars().next());
    letter.map_or(Shortcut::None, |letter| {
        Shortcut::Alt | letter.to_lowercase().next().unwrap_or(letter)
    })
}
