//! The windows' theme: colours, fonts, and the rounded box, which FLTK draws with jagged
//! corners. Measures are in FLTK's units, which it scales to the screen.

use std::sync::OnceLock;

use fltk::app;
use fltk::draw;
use fltk::enums::{Color, Font};

use super::page::Mark;

/// The colours of all windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Background of a window.
    pub background: Color,
    /// Ordinary text.
    pub foreground: Color,
    /// Secondary text.
    pub secondary: Color,
    /// Edges of cards and buttons.
    pub border: Color,
    /// Surface of cards and plain buttons.
    pub surface: Color,
    /// The primary button, the focus ring, and selected text.
    pub accent: Color,
    /// The label of the primary button.
    pub on_accent: Color,
    /// Text in the accent's hue, on `surface`.
    pub accent_text: Color,
    /// Digits that can't be used at the moment, on `surface`.
    pub paused: Color,
    /// Callouts: something to know.
    pub info: ToneColours,
    /// Callouts: something to do at once.
    pub alert: ToneColours,
    /// Callouts: all is well.
    pub success: ToneColours,
    /// The banner for developers.
    pub development: ToneColours,
    /// The bar while nothing can be seen.
    pub bar_none: Color,
    /// The bar while the agent sees the screen.
    pub bar_view: Color,
    /// The bar while the agent controls the machine.
    pub bar_control: Color,
    /// The bar's text.
    pub on_bar: Color,
}

/// The colours of a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub struct ToneColours {
    pub fill: Color,
    pub border: Color,
    pub text: Color,
}

impl ToneColours {
    const fn new(fill: u32, border: u32, text: u32) -> Self {
        Self {
            fill: Color::from_hex(fill),
            border: Color::from_hex(border),
            text: Color::from_hex(text),
        }
    }
}

impl Palette {
    /// The ordinary colours. Contrast of text is at least 4.5:1 and of edges 3:1, as WCAG 2.2 wants
    /// in 1.4.3 and 1.4.11; a test measures them.
    pub const ORDINARY: Self = Self {
        background: Color::from_hex(0xf6f5f4),
        foreground: Color::from_hex(0x2e3436),
        secondary: Color::from_hex(0x5e5c64),
        border: Color::from_hex(0x8d8880),
        surface: Color::from_hex(0xffffff),
        accent: Color::from_hex(0x1a5fb4),
        on_accent: Color::from_hex(0xffffff),
        accent_text: Color::from_hex(0x1a5fb4),
        paused: Color::from_hex(0x757575),
        info: ToneColours::new(0xe9f1fc, 0x5c8fd0, 0x1a4a86),
        alert: ToneColours::new(0xfbe3e4, 0xcc5c64, 0x9c1420),
        success: ToneColours::new(0xe4f5e9, 0x4c9a68, 0x1b6636),
        development: ToneColours::new(0xfdf2c8, 0xa08318, 0x6b5200),
        bar_none: Color::from_hex(0x4a4854),
        bar_view: Color::from_hex(0x1c5fb4),
        bar_control: Color::from_hex(0xa3300f),
        on_bar: Color::from_hex(0xffffff),
    };
    /// Black on white, for a desktop whose theme is `HighContrast`.
    pub const HIGH_CONTRAST: Self = Self::of_two(0x010101, 0xffffff);
    /// White on black, for a desktop whose theme is `HighContrastInverse`.
    pub const HIGH_CONTRAST_INVERSE: Self = Self::of_two(0xffffff, 0x010101);

    // FLTK takes 0 for the foreground colour, so that the darkest black is 0x010101.
    const fn of_two(ink: u32, paper: u32) -> Self {
        let callout = ToneColours::new(paper, ink, ink);
        let (ink, paper) = (Color::from_hex(ink), Color::from_hex(paper));
        Self {
            background: paper,
            foreground: ink,
            secondary: ink,
            border: ink,
            surface: paper,
            accent: ink,
            on_accent: paper,
            accent_text: ink,
            paused: Color::from_hex(0x767676),
            info: callout,
            alert: callout,
            success: callout,
            development: callout,
            bar_none: Color::from_hex(0x010101),
            bar_view: Color::from_hex(0x00007f),
            bar_control: Color::from_hex(0x7f0000),
            on_bar: Color::from_hex(0xffffff),
        }
    }
}

static PALETTE: OnceLock<Palette> = OnceLock::new();

/// Returns the colours of this run.
pub fn palette() -> &'static Palette {
    PALETTE.get().unwrap_or(&Palette::ORDINARY)
}

/// Radius of rounded corners.
pub const CORNER_RADIUS: i32 = 7;
/// Size of ordinary text where it isn't fitted to the screen.
pub const TEXT_SIZE: i32 = 18;

/// The font of all text: the system's sans serif.
pub const REGULAR: Font = Font::Helvetica;
/// The bold cut of that font.
pub const BOLD: Font = Font::HelveticaBold;

/// Returns the colours for a desktop theme of this name: GNOME's, MATE's and Xfce's high contrast are
/// known by theirs.
fn of_theme(name: &str) -> &'static Palette {
    let name = name.to_lowercase();
    let is_high = name.contains("highcontrast") || name.contains("contrasthigh");
    if !is_high && !name.contains("-hc") && !name.contains(":hc") {
        return &Palette::ORDINARY;
    }
    match name.contains("inverse") || name.contains("dark") {
        true => &Palette::HIGH_CONTRAST_INVERSE,
        false => &Palette::HIGH_CONTRAST,
    }
}

/// Returns the name of the user's theme: `GTK_THEME`, or the one that the desktop publishes.
fn theme_name() -> Option<String> {
    let set = std::env::var("GTK_THEME").ok();
    if let Some(name) = set.filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let cancel = etatuki_screen::CancelToken::new().ok()?;
    etatuki_screen::desktop_theme(None, &cancel).ok()?
}

/// Opens the display and sets the colours of what FLTK draws itself.
pub fn init() -> app::App {
    let _ = PALETTE.set(*of_theme(&theme_name().unwrap_or_default()));
    let fltk = app::App::default().with_scheme(app::Scheme::Gtk);
    let colours = palette();
    let (r, g, b) = colours.background.to_rgb();
    app::background(r, g, b);
    let (r, g, b) = colours.surface.to_rgb();
    app::background2(r, g, b);
    let (r, g, b) = colours.accent.to_rgb();
    app::set_selection_color(r, g, b);
    let (r, g, b) = colours.foreground.to_rgb();
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
}

/// Draws a mark, two units thick, into a square.
pub fn draw_mark(mark: Mark, square: Rect, colour: Color, background: Color) {
    let side = square.w as f32;
    let line = |points: [(f32, f32); 2]| points.map(|(x, y)| (x * side, y * side));
    let lines = match mark {
        Mark::Allow => [[(0.05, 0.55), (0.38, 0.88)], [(0.38, 0.88), (0.95, 0.15)]],
        Mark::Deny => [[(0.12, 0.12), (0.88, 0.88)], [(0.88, 0.12), (0.12, 0.88)]],
    };
    let lines = lines.map(line);
    let half = (side / 11.0).max(0.8);
    for dy in 0..square.h {
        for dx in 0..square.w {
            let point = (dx as f32 + 0.5, dy as f32 + 0.5);
            let nearest = lines.map(|line| distance(point, line));
            let alpha = (half - nearest[0].min(nearest[1]) + 0.5).clamp(0.0, 1.0);
            if alpha > 0.0 {
                draw::draw_rect_fill(
                    square.x + dx,
                    square.y + dy,
                    1,
                    1,
                    blend(background, colour, alpha),
                );
            }
        }
    }
}

/// Returns the distance of a point from a line between two points.
fn distance((x, y): (f32, f32), [(ax, ay), (bx, by)]: [(f32, f32); 2]) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy);
    let along = along.clamp(0.0, 1.0);
    (x - ax - along * dx).hypot(y - ay - along * dy)
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

#[cfg(test)]
mod tests;
