//! A profile's patterns: regular expressions that are searched in the lines of a tool's output.

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// Maximum length of a pattern in bytes.
const MAX_PATTERN_BYTES: usize = 500;
/// Maximum size of a compiled pattern in bytes: counted repetitions make a small pattern large.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// A compiled pattern. A search takes time linear in the line's length, whatever the pattern.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

/// Why a text is no valid pattern.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Longer than 500 bytes.
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// No regular expression, or one that compiles to too much.
    #[error("not a pattern: {0}")]
    Syntax(#[from] regex_lite::Error),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The text is too long, too large when compiled, or no regular expression.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        Ok(Self(
            RegexBuilder::new(text)
                .size_limit(MAX_COMPILED_BYTES)
                .build()?,
        ))
    }

    /// Returns whether the pattern matches somewhere in the line.
    pub fn is_match(&self, line: &str) -> bool {
        self.0.is_match(line)
    }

    /// Returns the match of the first group, or the whole match of a pattern without groups.
    pub fn capture<'a>(&self, line: &'a str) -> Option<&'a str> {
        let captures = self.0.captures(line)?;
        let group = if self.0.captures_len() > 1 { 1 } else { 0 };
        captures.get(group).map(|capture| capture.as_str())
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, line: &str, expected: Option<&str>) {
        assert_eq!(
            Pattern::new(pattern).unwrap().capture(line),
            expected,
            "{pattern} in {line}"
        );
    }

    #[test]
    fn the_first_group_is_what_counts() {
        check("PORT=(\\d+)", "PORT=5900", Some("5900"));
        check("PORT=\\d+", "the PORT=5900!", Some("PORT=5900"));
        check("^ID: ([0-9 ]+)$", "ID: 123 456 789", Some("123 456 789"));
        check("(a)|b", "b", None);
        check("PORT", "port", None);
    }

    #[test]
    fn what_would_take_too_much_is_refused() {
        assert!(matches!(
            Pattern::new(&"a".repeat(501)),
            Err(PatternError::TooLong)
        ));
        for bad in ["(", "a{1000}{1000}{1000}", "[z-a]", "*"] {
            assert!(
                matches!(Pattern::new(bad), Err(PatternError::Syntax(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_and_line_take_no_time() {
        // With backtracking this would take for ever.
        check("(a*)*(a*)*(a*)*b", &"a".repeat(500), None);
    }
}
