//! How our windows look: colours, sizes, fonts, and the few shapes that FLTK doesn't draw softly enough.
//! Measures are FLTK's units, which it scales to the screen.

use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Font};

/// A window's ground.
pub const GROUND: Color = Color::from_hex(0xf6f5f4);
/// What is written.
pub const INK: Color = Color::from_hex(0x2e3436);
/// What is written beside it; 5.9 to 1 on the ground.
pub const QUIET: Color = Color::from_hex(0x5e5c64);
/// Thin lines and the edges of cards and buttons.
pub const EDGE: Color = Color::from_hex(0xcdc7c2);
/// Cards and plain buttons.
pub const PAPER: Color = Color::White;
/// The button that goes on, and the focus.
pub const ACCENT: Color = Color::from_hex(0x3584e4);
/// Written in that colour, dark enough to be read: 6.2 to 1 on paper.
pub const ACCENT_INK: Color = Color::from_hex(0x1a5fb4);
/// Selections, in the same colour.
pub const SELECTION: (u8, u8, u8) = (0x35, 0x84, 0xe4);

/// Space between a window's edge and what is in it, and between blocks.
pub const MARGIN: i32 = 28;
/// Space between things that belong together.
pub const GAP: i32 = 12;
/// Height of a button.
pub const BUTTON: i32 = 46;
/// Radius of corners.
pub const RADIUS: i32 = 7;

/// Ordinary text.
pub const TEXT: i32 = 18;
/// Small text.
pub const SMALL: i32 = 15;
/// Headings and questions.
pub const HEADING: i32 = 24;
/// The digits that are read from a metre away: 57 px are 41 px of ink.
pub const DIGITS: i32 = 57;

/// The font of all text, and its bold cut: the system's sans serif.
pub const REGULAR: Font = Font::Helvetica;
/// The bold cut.
pub const BOLD: Font = Font::HelveticaBold;

/// Opens the display and sets the colours of what FLTK draws itself.
pub fn set_up() -> app::App {
    let fltk = app::App::default().with_scheme(app::Scheme::Gtk);
    let (r, g, b) = GROUND.to_rgb();
    app::background(r, g, b);
    let (r, g, b) = SELECTION;
    app::set_selection_color(r, g, b);
    let (r, g, b) = INK.to_rgb();
    app::foreground(r, g, b);
    app::set_font_size(TEXT);
    app::set_menu_linespacing(14);
    fltk
}

/// A rectangle with soft corners: `fill` inside an `edge` of `line` units, on `ground`. X11's own arcs
/// have steps, so each corner's units are mixed by how much of them the circle covers.
pub fn soft_box(place: Place, fill: Color, edge: Color, line: i32, ground: Color) {
    let Place { x, y, w, h } = place;
    draw::draw_rect_fill(x, y, w, h, edge);
    draw::draw_rect_fill(x + line, y + line, w - 2 * line, h - 2 * line, fill);
    for dy in 0..RADIUS {
        for dx in 0..RADIUS {
            let outer = coverage(dx, dy, RADIUS as f32);
            let inner = coverage(dx, dy, (RADIUS - line) as f32);
            let colour = mix(ground, mix(edge, fill, inner), outer);
            for px in [x + dx, x + w - 1 - dx] {
                for py in [y + dy, y + h - 1 - dy] {
                    draw::draw_rect_fill(px, py, 1, 1, colour);
                }
            }
        }
    }
}

/// A rectangle on a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub struct Place {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
}

/// How much of the unit at (`dx`, `dy`) from a corner lies in the circle of `radius` whose middle is
/// [`RADIUS`] units inside that corner: 0 to 1.
fn coverage(dx: i32, dy: i32, radius: f32) -> f32 {
    let from_middle = |d: i32| RADIUS as f32 - (d as f32 + 0.5);
    let distance = from_middle(dx).hypot(from_middle(dy));
    (radius - distance + 0.5).clamp(0.0, 1.0)
}

/// `share` of `over` on `under`.
pub fn mix(under: Color, over: Color, share: f32) -> Color {
    let (ur, ug, ub) = under.to_rgb();
    let (or, og, ob) = over.to_rgb();
    let channel =
        |u: u8, o: u8| (f32::from(u) * (1.0 - share) + f32::from(o) * share).round() as u8;
    Color::from_rgb(channel(ur, or), channel(ug, og), channel(ub, ob))
}
