//! Codes as agents type them, with whatever they put between the digits.

use zeroize::Zeroizing;

use crate::code::{CodeError, CodeForm, Nameplate, Secret, SessionCode, parse_id};

/// The most characters that are read, more than anybody types; the rest is ignored.
const MAX_CHARS: usize = 256;

/// A code that an agent typed; its length tells which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypedCode {
    /// Twelve digits: the whole code.
    SingleCode {
        /// The service's half.
        nameplate: Nameplate,
        /// The customer's half.
        secret: Secret,
    },
    /// Nine digits: an ID. The password is asked for next.
    Id {
        /// The service's half.
        nameplate: Nameplate,
    },
}

/// Parses a session code or an ID; the number of digits tells which. White space, no-break spaces,
/// dashes and dots between the digits are ignored.
///
/// # Errors
/// The fault in the code. A wrong check digit is found here, before anything is sent.
pub fn parse_typed_code(input: &str) -> Result<TypedCode, CodeError> {
    let digits = extract_digits(input)?;
    match digits.len() {
        12 => {
            let code = SessionCode::from_plain_single_code(&digits)?;
            Ok(TypedCode::SingleCode {
                nameplate: code.nameplate,
                secret: code.secret,
            })
        }
        9 => Ok(TypedCode::Id {
            nameplate: parse_id(&digits)?,
        }),
        digits => Err(CodeError::Length { digits }),
    }
}

/// Parses a one-time password: six digits, without a check digit.
///
/// # Errors
/// The fault in the password.
pub fn parse_password(input: &str) -> Result<Secret, CodeError> {
    Secret::new(CodeForm::IdAndPassword, &extract_digits(input)?)
}

/// Returns the ASCII digits of `input`, if there is nothing else but separators.
fn extract_digits(input: &str) -> Result<Zeroizing<String>, CodeError> {
    let mut digits = Zeroizing::new(String::with_capacity(MAX_CHARS));
    for character in input.chars().take(MAX_CHARS) {
        match character {
            '0'..='9' => digits.push(character),
            _ if is_separator(character) => {}
            _ => return Err(CodeError::NotDigits),
        }
    }
    if digits.is_empty() {
        Err(CodeError::Empty)
    } else {
        Ok(digits)
    }
}

/// Returns whether `character` may stand between digits: white space (also no-break), the dashes
/// that keyboards and word processors make, zero-width characters that copying drags along, and
/// full stops.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '-' | '.' | '\u{00AD}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn single_code(number: u32, random: u64) -> SessionCode {
        let nameplate = Nameplate::from_number(CodeForm::SingleCode, number).unwrap();
        SessionCode::mint(nameplate, random.to_le_bytes())
    }

    #[track_caller]
    fn check_error(input: &str, expected: CodeError) {
        assert_eq!(parse_typed_code(input), Err(expected), "{input:?}");
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let code = single_code(123_456, 78_901);
        let Ok(TypedCode::SingleCode { nameplate, secret }) =
            parse_typed_code(&code.shown().fields[0].digits)
        else {
            panic!("the shown code was refused");
        };
        assert_eq!((nameplate, &secret), (code.nameplate, &code.secret));

        let pair = SessionCode::mint("12345678".parse().unwrap(), 42u64.to_le_bytes());
        let shown = pair.shown();
        let id = parse_typed_code(&shown.fields[0].digits);
        assert_eq!(
            id,
            Ok(TypedCode::Id {
                nameplate: pair.nameplate
            })
        );
        assert_eq!(
            parse_password(&shown.fields[1].digits).as_ref(),
            Ok(&pair.secret)
        );
    }

    #[test]
    fn separators_of_all_sorts_are_ignored() {
        let plain = single_code(123_456, 78_901).to_plain();
        let (head, tail) = plain.split_at(5);
        for separator in [
            " ", "-", "\u{a0}", "\u{202f}", "–", " - ", "\t", ".", "\u{200b}",
        ] {
            assert!(parse_typed_code(&format!("{separator}{head}{separator}{tail}\r\n")).is_ok());
        }
    }

    #[test]
    fn mistakes_are_named() {
        check_error("", CodeError::Empty);
        check_error(" - ", CodeError::Empty);
        check_error("12345", CodeError::Length { digits: 5 });
        check_error("1234567890", CodeError::Length { digits: 10 });
        check_error("12345678x", CodeError::NotDigits);
        check_error("１２３４５６７８９", CodeError::NotDigits);
        check_error("123456789", CodeError::CheckDigit);
        check_error(&"7".repeat(100_000), CodeError::Length { digits: 256 });
        assert_eq!(
            parse_password("12345"),
            Err(CodeError::Length { digits: 5 })
        );
        assert_eq!(parse_password("12345a"), Err(CodeError::NotDigits));
        assert_eq!(parse_password(""), Err(CodeError::Empty));
    }

    #[test]
    fn errors_have_stable_names() {
        let names = [
            CodeError::Empty,
            CodeError::NotDigits,
            CodeError::Length { digits: 3 },
            CodeError::CheckDigit,
        ]
        .map(CodeError::name);
        assert_eq!(
            names,
            [
                "code-empty",
                "code-not-digits",
                "code-length",
                "code-check-digit"
            ]
        );
    }

    #[test]
    fn debug_hides_the_secret() {
        let typed = parse_typed_code(&single_code(123_456, 78_901).to_plain()).unwrap();
        assert!(!format!("{typed:?}").contains("78901"));
    }

    proptest! {
        #[test]
        fn any_single_slip_is_caught(number in 0u32..1_000_000, random: u64, position in 0usize..12, by in 1u8..10) {
            let plain = single_code(number, random).to_plain();
            let mut typed = plain.as_bytes().to_vec();
            typed[position] = b'0' + (typed[position] - b'0' + by) % 10;
            let typed = String::from_utf8(typed).unwrap();
            prop_assert_eq!(parse_typed_code(&typed), Err(CodeError::CheckDigit));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse_typed_code(&text);
            let _ = parse_password(&text);
        }
    }
}
