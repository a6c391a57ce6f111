//! Codes as agents type them, with whatever they put between the digits.

use zeroize::Zeroizing;

use crate::code::{CodeError, CodeForm, Nameplate, Secret, SessionCode, parse_id};

/// The most characters that are read, more than anybody types; the rest is ignored.
const MAX_CHARS: usize = 256;
/// Digits of a session code.
const SINGLE_CODE_DIGITS: usize = 12;
/// Digits of an ID.
const ID_DIGITS: usize = 9;
/// Digits of an ID and its password.
const ID_AND_PASSWORD_DIGITS: usize = 15;

/// A code that an agent typed or pasted; its length tells which.
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
    /// Fifteen digits: an ID and its password.
    IdAndPassword {
        /// The service's half.
        nameplate: Nameplate,
        /// The customer's half.
        secret: Secret,
    },
}

/// Parses a session code, an ID, or an ID and its password; the number of digits tells which.
///
/// Labels, dashes, slashes and line breaks between the digits are ignored. Digits of another script
/// count as digits. If a label has digits of its own ("2008"), a run of digits that is a whole code,
/// or an ID and a password that follow each other, are taken.
///
/// # Errors
/// The fault in the code. A wrong check digit is found here, before anything is sent.
pub fn parse_typed_code(input: &str) -> Result<TypedCode, CodeError> {
    let typed = TypedDigits::read(input);
    from_digits(&typed.all).or_else(|error| {
        let pairs = typed.runs.windows(2).map(|pair| join(&pair[0], &pair[1]));
        let mut candidates = typed.runs.iter().cloned().chain(pairs);
        candidates
            .find_map(|digits| whole_code(&digits))
            .ok_or_else(|| typed.fault(error))
    })
}

/// Parses a one-time password: six digits, without a check digit.
///
/// # Errors
/// The fault in the password.
pub fn parse_password(input: &str) -> Result<Secret, CodeError> {
    let typed = TypedDigits::read(input);
    Secret::new(CodeForm::IdAndPassword, &typed.all).map_err(|error| typed.fault(error))
}

fn from_digits(digits: &str) -> Result<TypedCode, CodeError> {
    match digits.len() {
        SINGLE_CODE_DIGITS => {
            let code = SessionCode::from_plain_single_code(digits)?;
            Ok(TypedCode::SingleCode {
                nameplate: code.nameplate,
                secret: code.secret,
            })
        }
        ID_DIGITS => Ok(TypedCode::Id {
            nameplate: parse_id(digits)?,
        }),
        ID_AND_PASSWORD_DIGITS => {
            let (id, password) = digits.split_at(ID_DIGITS);
            Ok(TypedCode::IdAndPassword {
                nameplate: parse_id(id)?,
                secret: Secret::new(CodeForm::IdAndPassword, password)?,
            })
        }
        digits => Err(CodeError::Length { digits }),
    }
}

fn whole_code(digits: &str) -> Option<TypedCode> {
    let code = from_digits(digits).ok();
    code.filter(|code| !matches!(code, TypedCode::Id { .. }))
}

fn join(first: &str, second: &str) -> Zeroizing<String> {
    Zeroizing::new([first, second].concat())
}

/// The digits of a typed text.
struct TypedDigits {
    /// All of them.
    all: Zeroizing<String>,
    /// Those between words and other marks; white space and dashes don't part them.
    runs: Vec<Zeroizing<String>>,
    /// Whether a letter touches a digit, as the O in `12O`.
    letter_among_digits: bool,
    /// Whether there is anything but separators.
    anything: bool,
}

impl TypedDigits {
    fn read(input: &str) -> Self {
        let mut typed = Self {
            all: Zeroizing::new(String::with_capacity(MAX_CHARS)),
            runs: Vec::new(),
            letter_among_digits: false,
            anything: false,
        };
        let mut run = Zeroizing::new(String::with_capacity(MAX_CHARS));
        let mut before = ' ';
        for character in input.chars().take(MAX_CHARS) {
            typed.anything |= !is_separator(character);
            if let Some(digit) = digit(character) {
                typed.letter_among_digits |= before.is_alphabetic();
                typed.all.push(digit);
                run.push(digit);
            } else if !is_separator(character) {
                typed.letter_among_digits |= character.is_alphabetic() && digit(before).is_some();
                typed.end_run(&mut run);
            }
            before = character;
        }
        typed.end_run(&mut run);
        typed
    }

    fn end_run(&mut self, run: &mut Zeroizing<String>) {
        if !run.is_empty() {
            self.runs.push(run.clone());
            run.clear();
        }
    }

    /// Returns the fault of a text whose digits have that fault.
    fn fault(&self, error: CodeError) -> CodeError {
        let wrong_length = matches!(error, CodeError::Length { .. } | CodeError::Empty);
        match self.all.is_empty() {
            true if !self.anything => CodeError::Empty,
            true => CodeError::NotDigits,
            false if wrong_length && self.letter_among_digits => CodeError::NotDigits,
            false => error,
        }
    }
}

/// Returns the ASCII digit of a decimal digit: ASCII, full-width, or Arabic-Indic.
fn digit(character: char) -> Option<char> {
    let zeros = ['0', '\u{FF10}', '\u{660}', '\u{6F0}'];
    zeros.into_iter().find_map(|zero| {
        let value = u32::from(character).checked_sub(u32::from(zero))?;
        char::from_digit(value, 10)
    })
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
    fn a_pasted_code_is_found_among_its_labels() {
        let code = single_code(123_456, 78_901);
        let digits = &*code.shown().fields[0].digits.clone();
        let wide: String = code
            .to_plain()
            .chars()
            .map(|c| char::from_u32(u32::from(c) - u32::from('0') + 0xFF10).unwrap())
            .collect();
        for text in [
            format!("Istuntokoodi: {digits}."),
            format!("Remoteus etätuki (2008)\nIstuntokoodi\n{digits}"),
            format!("koodi={}", &*code.to_plain()),
            digits.replace(' ', "/"),
            wide,
        ] {
            let expected = TypedCode::SingleCode {
                nameplate: code.nameplate,
                secret: code.secret.clone(),
            };
            assert_eq!(parse_typed_code(&text), Ok(expected), "{text}");
        }

        let pair = SessionCode::mint("12345678".parse().unwrap(), 42u64.to_le_bytes());
        let shown = pair.shown();
        let (id, password) = (&*shown.fields[0].digits, &*shown.fields[1].digits);
        for text in [
            format!("ID: {id} Salasana: {password}"),
            format!("Tunnus (ID)\r\n{id}\r\nKertasalasana\r\n{password}\r\n"),
            format!("{id} / {password}"),
            format!("{id}, {password}"),
            format!("Ecom 2.0: ID {id}, password {password}!"),
        ] {
            let expected = TypedCode::IdAndPassword {
                nameplate: pair.nameplate,
                secret: pair.secret.clone(),
            };
            assert_eq!(parse_typed_code(&text), Ok(expected), "{text}");
        }
        let labelled = parse_password(&format!("Kertasalasana: {password}"));
        assert_eq!(labelled.as_ref(), Ok(&pair.secret));
    }

    #[test]
    fn mistakes_are_named() {
        check_error("", CodeError::Empty);
        check_error(" - ", CodeError::Empty);
        check_error("12345", CodeError::Length { digits: 5 });
        check_error("1234567890", CodeError::Length { digits: 10 });
        check_error("12345678x", CodeError::NotDigits);
        check_error("12O456", CodeError::NotDigits);
        check_error("Salasana", CodeError::NotDigits);
        check_error("ID: 123 45", CodeError::Length { digits: 5 });
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
