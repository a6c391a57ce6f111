//! Text wrapped at spaces to a width, with generous line spacing. FLTK's own labels interpret `@`
//! and `&`, which an agent's name must not be able to use.

use fltk::draw;
use fltk::enums::{Color, Font};

/// The font, size and colour of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct TextStyle {
    pub font: Font,
    pub size: i32,
    pub colour: Color,
}

impl TextStyle {
    /// Returns the distance between two baselines.
    pub fn line_height(self) -> i32 {
        self.size * 14 / 10
    }

    /// Returns the height of `text` in a column `width` wide.
    pub fn height(self, text: &str, width: i32) -> i32 {
        let lines = i32::try_from(self.wrapped(text, width).len()).unwrap_or(1);
        lines * self.line_height()
    }

    /// Returns the width of `text` on one line.
    pub fn width(self, text: &str) -> i32 {
        draw::set_font(self.font, self.size);
        draw::width(text).ceil() as i32
    }

    /// Draws `text` from the top left corner (`x`, `y`) in a column `width` wide.
    pub fn draw(self, text: &str, x: i32, y: i32, width: i32) {
        for (index, line) in (0..).zip(self.wrapped(text, width)) {
            self.draw_line(&line, x, y + index * self.line_height());
        }
    }

    /// Draws `text` on one line in the middle of a rectangle.
    pub fn draw_centred(self, text: &str, x: i32, y: i32, w: i32, h: i32) {
        let text_width = self.width(text);
        self.draw_line(
            text,
            x + (w - text_width) / 2,
            y + (h - self.line_height()) / 2,
        );
    }

    fn draw_line(self, line: &str, x: i32, y: i32) {
        draw::set_font(self.font, self.size);
        draw::set_draw_color(self.colour);
        // Capitals are 73 % of the font's size high; the baseline centres them in the line.
        let cap_height = self.size * 73 / 100;
        draw::draw_text_n(line, x, y + (self.line_height() + cap_height) / 2);
    }

    fn wrapped(self, text: &str, width: i32) -> Vec<String> {
        draw::set_font(self.font, self.size);
        wrap(text, f64::from(width), draw::width)
    }
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
}
