//! Names on a card: texts that a customer's question quotes.

/// The most characters of a name or an organisation.
pub const MAX_NAME_CHARS: usize = 80;

/// The reason why a text can't be a name on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// More than 80 characters.
    #[error("it has more than {MAX_NAME_CHARS} characters")]
    TooLong,
    /// White space at the start or the end.
    #[error("it begins or ends with white space")]
    Untrimmed,
    /// A line break, a control character, or a character that changes how the text around it is
    /// shown.
    #[error("it has a line break or an invisible character in it")]
    Invisible,
}

/// Checks that `text` may be a name or an organisation on a card: 1 to 80 characters, no white
/// space at the ends, and nothing invisible, which could change the meaning of the customer's
/// question.
///
/// # Errors
/// The rule that it breaks.
pub fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty)
    } else if text.chars().nth(MAX_NAME_CHARS).is_some() {
        Err(NameError::TooLong)
    } else if text.trim() != text {
        Err(NameError::Untrimmed)
    } else if text.chars().any(is_invisible) {
        Err(NameError::Invisible)
    } else {
        Ok(())
    }
}

/// Returns whether `character` is a control or one of Unicode's format characters: soft hyphen,
/// joiners, directional marks and overrides, line and paragraph separators, fillers, interlinear
/// notes, variation selectors, tags.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
                | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
        )
}
