//! Text wrapped at spaces to a width, with generous line spacing. FLTK's own labels interpret `@`
//! and `&`, which an agent's name must not be able to use.

use fltk::draw;
use fltk::enums::{Color, Font};

use super::theme::Rect;

/// The font, size and colour of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct TextStyle {
    pub font: Font,
    pub size: i32,
    pub colour: Color,
}

/// Measures the width of a text on one line. Layouts are computed with it and drawn without, so
/// that a test can lay out every page without a display.
pub type Measure<'a> = &'a dyn Fn(TextStyle, &str) -> f64;

/// Measures with the fonts of the open display.
pub fn measure(style: TextStyle, text: &str) -> f64 {
    draw::set_font(style.font, style.size);
    draw::width(text)
}

impl TextStyle {
    /// Returns the distance between two baselines.
    pub fn line_height(self) -> i32 {
        self.size * 14 / 10
    }

    /// Returns the height of `text` in a column `width` wide.
    pub fn height(self, text: &str, width: i32, measure: Measure<'_>) -> i32 {
        let lines = self.wrapped(text, width, measure).len();
        i32::try_from(lines).unwrap_or(1) * self.line_height()
    }

    /// Returns the width of `text` on one line.
    pub fn width(self, text: &str, measure: Measure<'_>) -> i32 {
        measure(self, text).ceil() as i32
    }

    /// Returns `text`, or as much of its beginning as `width` takes, with an ellipsis.
    pub fn shortened(self, text: &str, width: i32, measure: Measure<'_>) -> String {
        shorten(text, &|shorter| self.width(shorter, measure) <= width)
    }

    /// Draws `text` from the top left corner (`x`, `y`) in a column `width` wide.
    pub fn draw(self, text: &str, x: i32, y: i32, width: i32) {
        for (index, line) in (0..).zip(self.wrapped(text, width, &measure)) {
            self.draw_line(&line, x, y + index * self.line_height());
        }
    }

    /// Draws `text` on one line in the middle of a rectangle.
    pub fn draw_centred(self, text: &str, rect: Rect) {
        let x = rect.x + (rect.w - self.width(text, &measure)) / 2;
        self.draw_line(text, x, rect.y + (rect.h - self.line_height()) / 2);
    }

    fn draw_line(self, line: &str, x: i32, y: i32) {
        draw::set_font(self.font, self.size);
        draw::set_draw_color(self.colour);
        // Capitals are 73 % of the font's size high; the baseline centres them in the line.
        let cap_height = self.size * 73 / 100;
        draw::draw_text_n(line, x, y + (self.line_height() + cap_height) / 2);
    }

    fn wrapped(self, text: &str, width: i32, measure: Measure<'_>) -> Vec<String> {
        wrap(text, f64::from(width), |line| measure(self, line))
    }
}

/// Returns the longest beginning of `text` that `fits`, with an ellipsis unless it is whole; a lone
/// ellipsis if nothing fits.
pub fn shorten(text: &str, fits: &dyn Fn(&str) -> bool) -> String {
    if text.is_empty() || fits(text) {
        return text.to_owned();
    }
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let cut = |end: usize| format!("{}…", text[..end].trim_end());
    // Widths only grow with the text, so that the last beginning that fits can be searched for.
    let fitting = ends.partition_point(|end| fits(&cut(*end)));
    cut(ends[fitting.saturating_sub(1)])
}

/// Wraps `text` into lines that `measure` no more than `width`; a wider word is broken between
/// letters.
fn wrap(text: &str, width: f64, measure: impl Fn(&str) -> f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line from the start");
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if measure(&longer) <= width {
            *line = longer;
        } else if measure(word) <= width {
            lines.push(word.to_owned());
        } else {
            wrap_word(word, width, &measure, &mut lines);
        }
    }
    lines
}

fn wrap_word(word: &str, width: f64, measure: &impl Fn(&str) -> f64, lines: &mut Vec<String>) {
    if lines.last().is_some_and(|line| !line.is_empty()) {
        lines.push(String::new());
    }
    for letter in word.chars() {
        let line = lines.last_mut().expect("there is a line from the start");
        let longer = format!("{line}{letter}");
        if line.is_empty() || measure(&longer) <= width {
            *line = longer;
        } else {
            lines.push(letter.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, width: u32, expected: &[&str]) {
        let measure = |text: &str| text.chars().count() as f64;
        assert_eq!(wrap(text, f64::from(width), measure), expected);
    }

    #[test]
    fn lines_break_at_spaces() {
        check("", 10, &[""]);
        check("yksi", 10, &["yksi"]);
        check("yksi kaksi kolme", 10, &["yksi kaksi", "kolme"]);
        check("näyttöäsi ääni", 9, &["näyttöäsi", "ääni"]);
    }

    #[test]
    fn a_word_that_is_too_wide_is_broken() {
        check(
            "a Hyväntekeväisyysjärjestö b",
            10,
            &["a", "Hyväntekev", "äisyysjärj", "estö b"],
        );
        check("abc", 0, &["a", "b", "c"]);
    }

    #[test]
    fn a_text_that_is_too_long_ends_in_an_ellipsis() {
        let check = |text: &str, letters: usize, expected: &str| {
            let fits = |shorter: &str| shorter.chars().count() <= letters;
            assert_eq!(shorten(text, &fits), expected);
        };
        check("Maija Virtanen", 14, "Maija Virtanen");
        check("Maija Virtanen", 9, "Maija Vi…");
        check("Maija Virtanen", 7, "Maija…");
        check("ÄÄÄÄ", 3, "ÄÄ…");
        check("Maija", 0, "…");
        let nothing_fits = |_: &str| false;
        assert_eq!(shorten("", &nothing_fits), "");
    }
}
