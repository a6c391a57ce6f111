//! Redaction of session codes in the log.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// Spellings that are remembered: up to five of one code, for eight codes.
const MAX_SPELLINGS: usize = 5 * 8;
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
            if text.len() >= MIN_SECRET_BYTES && !self.0.contains(&text) {
                self.0.push_back(text);
            }
        }
        while self.0.len() > MAX_SPELLINGS {
            self.0.pop_front();
        }
    }

    /// Replaces every code in the text by `<code>`.
    pub(crate) fn redact(&self, text: &str) -> String {
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
}
