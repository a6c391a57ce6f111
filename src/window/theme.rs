//! The windows' theme: colours, sizes, fonts, and the rounded box, which FLTK draws with jagged
//! corners. Measures are in FLTK's units, which it scales to the screen.

use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Font};

/// Background of a window.
pub const BACKGROUND: Color = Color::from_hex(0xf6f5f4);
/// Ordinary text.
pub const FOREGROUND: Color = Color::from_hex(0x2e3436);
/// Secondary text; contrast 5.9:1 on `BACKGROUND`.
pub const SECONDARY: Color = Color::from_hex(0x5e5c64);
/// Thin lines, and the borders of cards and buttons.
pub const BORDER: Color = Color::from_hex(0xcdc7c2);
/// Surface of cards and plain buttons.
pub const SURFACE: Color = Color::White;
/// The primary button, and the focus ring.
pub const ACCENT: Color = Color::from_hex(0x3584e4);
/// Text in the accent's hue; contrast 6.2:1 on `SURFACE`.
pub const ACCENT_TEXT: Color = Color::from_hex(0x1a5fb4);
/// Selected text, in the accent's colour.
pub const SELECTION: (u8, u8, u8) = (0x35, 0x84, 0xe4);

/// Width of the windows.
pub const WINDOW_WIDTH: i32 = 640;
/// Width of a window's content.
pub const CONTENT_WIDTH: i32 = WINDOW_WIDTH - 2 * MARGIN;
/// Space between a window's edge and its content, and above the buttons.
pub const MARGIN: i32 = 28;
/// Space between things that belong together.
pub const GAP: i32 = 12;
/// Height of a button.
pub const BUTTON_HEIGHT: i32 = 46;
/// Radius of rounded corners.
pub const CORNER_RADIUS: i32 = 7;

/// Size of ordinary text.
pub const TEXT_SIZE: i32 = 18;
/// Size of small text.
pub const SMALL_SIZE: i32 = 15;
/// Size of headings and questions.
pub const HEADING_SIZE: i32 = 24;
/// Size of the code's digits, legible from a metre away: a font of 57 px has digits 41 px high.
pub const DIGITS_SIZE: i32 = 57;

/// The font of all text: the system's sans serif.
pub const REGULAR: Font = Font::Helvetica;
/// The bold cut of that font.
pub const BOLD: Font = Font::HelveticaBold;

/// Opens the display and sets the colours of what FLTK draws itself.
pub fn init() -> app::App {
    let fltk = app::App::default().with_scheme(app::Scheme::Gtk);
    let (r, g, b) = BACKGROUND.to_rgb();
    app::background(r, g, b);
    let (r, g, b) = SELECTION;
    app::set_selection_color(r, g, b);
    let (r, g, b) = FOREGROUND.to_rgb();
    app::foreground(r, g, b);
    app::set_font_size(TEXT_SIZE);
    app::set_menu_linespacing(14);
    fltk
}

/// Draws a box with rounded corners: `fill` inside a `border` of `line` units, on `background`.
/// Antialiased by coverage, for X11's own arcs are jagged.
pub fn rounded_box(rect: Rect, fill: Color, border: Color, line: i32, background: Color) {
    let Rect { x, y, w, h } = rect;
    draw::draw_rect_fill(x, y, w, h, border);
    draw::draw_rect_fill(x + line, y + line, w - 2 * line, h - 2 * line, fill);
    for dy in 0..CORNER_RADIUS {
        for dx in 0..CORNER_RADIUS {
            let outer = coverage(dx, dy, CORNER_RADIUS as f32);
            let inner = coverage(dx, dy, (CORNER_RADIUS - line) as f32);
            let colour = blend(background, blend(border, fill, inner), outer);
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
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
}

/// Returns the coverage, 0 to 1, of the unit at (`dx`, `dy`) from a corner by the circle of
/// `radius` whose centre is [`CORNER_RADIUS`] units inside that corner.
fn coverage(dx: i32, dy: i32, radius: f32) -> f32 {
    let from_centre = |d: i32| CORNER_RADIUS as f32 - (d as f32 + 0.5);
    let distance = from_centre(dx).hypot(from_centre(dy));
    (radius - distance + 0.5).clamp(0.0, 1.0)
}

/// Blends `over` onto `under` with the opacity `alpha`, 0 to 1.
pub fn blend(under: Color, over: Color, alpha: f32) -> Color {
    let (ur, ug, ub) = under.to_rgb();
    let (or, og, ob) = over.to_rgb();
    let channel =
        |u: u8, o: u8| (f32::from(u) * (1.0 - alpha) + f32::from(o) * alpha).round() as u8;
    Color::from_rgb(channel(ur, or), channel(ug, og), channel(ub, ob))
}
