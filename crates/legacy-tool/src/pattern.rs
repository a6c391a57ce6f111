//! A pattern of a profile: a regular expression that is looked for in lines of a tool's output.

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// The longest pattern, in bytes.
const LONGEST: usize = 500;
/// What a pattern may take when it is compiled, in bytes: counted repetitions make large ones of small ones.
const LARGEST: usize = 256 * 1024;

/// A compiled pattern. Looking for it takes time in proportion to the line, whatever the two say.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error)]
pub enum BadPattern {
    /// Longer than [`LONGEST`].
    #[error("a pattern has at most {LONGEST} bytes")]
    TooLong,
    /// Not a regular expression, or one that grows too large.
    #[error("not a pattern: {0}")]
    Syntax(#[from] regex_lite::Error),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is too long, too large, or no regular expression.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        if text.len() > LONGEST {
            return Err(BadPattern::TooLong);
        }
        Ok(Self(RegexBuilder::new(text).size_limit(LARGEST).build()?))
    }

    /// Whether the line has it.
    pub fn is_in(&self, line: &str) -> bool {
        self.0.is_match(line)
    }

    /// What the line has in the pattern's first group; where it has no group, all that it matches.
    pub fn find<'a>(&self, line: &'a str) -> Option<&'a str> {
        let found = self.0.captures(line)?;
        let part = if self.0.captures_len() > 1 { 1 } else { 0 };
        found.get(part).map(|found| found.as_str())
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
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
            Pattern::new(pattern).unwrap().find(line),
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
            Err(BadPattern::TooLong)
        ));
        for bad in ["(", "a{1000}{1000}{1000}", "[z-a]", "*"] {
            assert!(
                matches!(Pattern::new(bad), Err(BadPattern::Syntax(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_and_line_take_no_time() {
        // with backtracking this would outlive everybody
        check("(a*)*(a*)*(a*)*b", &"a".repeat(500), None);
    }
}
