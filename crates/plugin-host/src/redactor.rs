//! Redaction of session codes in the log.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// Spellings that are remembered: up to five of one code, for eight codes.
const MAX_SPELLINGS: usize = 5 * 8;
/// Longest spelling of a code that is remembered, in bytes; ours have a third of that.
pub(crate) const MAX_SECRET_BYTES: usize = 64;
/// Shortest text that counts as a secret, in bytes; a shorter one stands in many words by chance.
const MIN_SECRET_BYTES: usize = 5;

/// The session codes of one host, in the spellings in which a program may print them.
#[derive(Default)]
pub(crate) struct Redactor(VecDeque<Zeroizing<String>>);

impl Redactor {
    /// Adds the spellings of a code: whole, each of its words, and its digits in threes.
    pub(crate) fn add_code(&mut self, code: &str) {
        let words = code
            .split(' ')
            .filter(|word| word.len() >= MIN_SECRET_BYTES)
            .map(str::to_owned);
        let in_threes = [" ", "-"].map(|separator| digits_in_threes(code, separator));
        for text in words.chain(in_threes).chain([code.to_owned()]) {
            let text = Zeroizing::new(text);
            let length = MIN_SECRET_BYTES..=MAX_SECRET_BYTES;
            if length.contains(&text.len()) && !self.0.contains(&text) {
                self.0.push_back(text);
            }
        }
        while self.0.len() > MAX_SPELLINGS {
            self.0.pop_front();
        }
    }

    /// Replaces every code in a line by `<code>`, and cuts it at `max` bytes. The line is given with
    /// what stands behind the cut: no beginning of a code across the cut stays.
    pub(crate) fn redact_line(&self, text: &str, max: usize) -> String {
        let cut = text.floor_char_boundary(max);
        let ends = self.0.iter().flat_map(|secret| {
            let found = text.match_indices(secret.as_str());
            found
                .filter(|(start, _)| *start < cut)
                .map(|(start, secret)| start + secret.len())
        });
        let end = ends.max().unwrap_or(0).max(cut);
        let redacted = self.redact(&text[..end]);
        redacted[..redacted.floor_char_boundary(max)].to_owned()
    }

    /// Replaces every code in the text by `<code>`.
    fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "<code>")
        })
    }
}

/// Returns a code's digits in groups of three, as the window shows them.
fn digits_in_threes(code: &str, separator: &str) -> String {
    let digits: Vec<char> = code.chars().filter(char::is_ascii_digit).collect();
    digits
        .chunks(3)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, line: &str, expected: &str) {
        let mut redactor = Redactor::default();
        redactor.add_code(code);
        assert_eq!(redactor.redact(line), expected);
    }

    #[test]
    fn the_code_is_blacked_out_however_it_is_written() {
        check("123456789012", "open 123456789012!", "open <code>!");
        check("123456789012", "open 123 456 789 012!", "open <code>!");
        check("123456789012", "open 123-456-789-012!", "open <code>!");
        check("123456789 654321", "password=654321", "password=<code>");
        check("12", "12 of 12", "12 of 12");
    }

    #[test]
    fn a_code_across_the_cut_leaves_nothing() {
        let mut redactor = Redactor::default();
        redactor.add_code("123456789012");
        for before in 0..30 {
            let line = format!("{} 123 456 789 012 and more", "x".repeat(before));
            let shown = redactor.redact_line(&line, 20);
            assert!(!shown.contains("123") && shown.len() <= 20, "{shown}");
        }
        // Codes that shrink make room for what stood behind the cut.
        let line = "123456789012 123456789012 123456789012";
        assert_eq!(redactor.redact_line(line, 30), "<code> <code> <code>");
    }
}
