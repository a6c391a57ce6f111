//! The session code, which the customer reads aloud.
//!
//! A code is a *nameplate*, which the service gives out and routes by, and a *secret*, which is
//! made on the customer's machine and goes to the agent by voice only.
//!
//! | form            | nameplate | secret   | shown as                                            |
//! |-----------------|-----------|----------|-----------------------------------------------------|
//! | single code     | 6 digits  | 5 digits | 12 digits: nameplate, secret, their check digit     |
//! | ID and password | 8 digits  | 6 digits | ID of 9: nameplate, its check digit; password of 6 |

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{damm, shown::ShownCode};

/// The shape of a session code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CodeForm {
    /// One session code of twelve digits.
    #[serde(rename = "remoteus")]
    SingleCode,
    /// An ID of nine digits and a password of six.
    #[serde(rename = "ecom")]
    IdAndPassword,
}

impl CodeForm {
    /// All forms.
    pub const ALL: [Self; 2] = [Self::SingleCode, Self::IdAndPassword];

    /// Returns the number of digits of the nameplate, without a check digit.
    #[must_use]
    pub const fn nameplate_digits(self) -> usize {
        match self {
            Self::SingleCode => 6,
            Self::IdAndPassword => 8,
        }
    }

    /// Returns the number of digits of the secret.
    #[must_use]
    pub const fn secret_digits(self) -> usize {
        match self {
            Self::SingleCode => 5,
            Self::IdAndPassword => 6,
        }
    }

    /// Returns the number of different nameplates.
    #[must_use]
    pub const fn nameplate_count(self) -> u32 {
        10u32.pow(self.nameplate_digits() as u32)
    }

    /// Returns the name in JSON and in `backends.toml`: `remoteus` or `ecom`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleCode => "remoteus",
            Self::IdAndPassword => "ecom",
        }
    }
}

impl fmt::Display for CodeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CodeForm {
    type Err = UnknownForm;

    fn from_str(name: &str) -> Result<Self, UnknownForm> {
        Self::ALL
            .into_iter()
            .find(|form| form.name() == name)
            .ok_or(UnknownForm)
    }
}

/// An unknown name of a code form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code's form is remoteus or ecom")]
pub struct UnknownForm;

/// The fault in a code that somebody typed or a plugin reported. Never carries the digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The code is empty.
    #[error("the code is empty")]
    Empty,
    /// A character that is neither a digit nor a separator.
    #[error("the code holds something other than digits")]
    NotDigits,
    /// No code has this many digits.
    #[error("no code has {digits} digits")]
    Length {
        /// The number of digits.
        digits: usize,
    },
    /// A wrong check digit: a digit was misheard or mistyped, or two were swapped.
    #[error("the code's check digit doesn't fit: a digit is wrong or two are swapped")]
    CheckDigit,
}

impl CodeError {
    /// Returns the stable name of this error, for JSON and for message files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "code-empty",
            Self::NotDigits => "code-not-digits",
            Self::Length { .. } => "code-length",
            Self::CheckDigit => "code-check-digit",
        }
    }
}

/// The service's half of a code: 6 or 8 ASCII digits, no check digit. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nameplate {
    form: CodeForm,
    /// The ASCII digits, then zero bytes.
    digits: [u8; 8],
}

impl Nameplate {
    /// Parses a nameplate of exactly [`nameplate_digits`](CodeForm::nameplate_digits) ASCII digits,
    /// without separators.
    ///
    /// # Errors
    /// The fault in the text; never [`CodeError::CheckDigit`].
    pub fn new(form: CodeForm, text: &str) -> Result<Self, CodeError> {
        check_digits(text, form.nameplate_digits())?;
        let mut digits = [0; 8];
        digits[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { form, digits })
    }

    /// Returns the nameplate with this number, counted from zero; `None` if the form has fewer.
    #[must_use]
    pub fn from_number(form: CodeForm, number: u32) -> Option<Self> {
        let text = format!("{number:0width$}", width = form.nameplate_digits());
        Self::new(form, &text).ok()
    }

    /// Returns the form: a single code for six digits, ID and password for eight.
    #[must_use]
    pub const fn form(&self) -> CodeForm {
        self.form
    }

    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let digits = &self.digits[..self.form.nameplate_digits()];
        std::str::from_utf8(digits).expect("a nameplate is made of ASCII digits only")
    }
}

impl fmt::Display for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nameplate({})", self.as_str())
    }
}

impl FromStr for Nameplate {
    type Err = CodeError;

    /// Parses a nameplate; its length tells the form.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let form = CodeForm::ALL
            .into_iter()
            .find(|form| form.nameplate_digits() == text.len());
        match form {
            Some(form) => Self::new(form, text),
            None => Err(check_digits(text, usize::MAX).expect_err("no text is that long")),
        }
    }
}

impl Serialize for Nameplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Nameplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The customer's half of a code: 5 or 6 ASCII digits. It is made on the customer's machine, typed
/// by the agent, and sent by neither.
///
/// Comparing two secrets is for tests and for noticing a change; only the PAKE may judge a guess.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Returns a secret from eight bytes of cryptographic randomness. Some secrets are likelier
    /// than others, by less than one part in 10^13.
    #[must_use]
    pub fn from_random(form: CodeForm, random: [u8; 8]) -> Self {
        let digits = form.secret_digits();
        let random = Zeroizing::new(random);
        let number = u64::from_le_bytes(*random) % 10u64.pow(digits as u32);
        Self(format!("{number:0digits$}"))
    }

    /// Returns the digits: for the customer's eyes and for the PAKE, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Parses a secret of exactly [`secret_digits`](CodeForm::secret_digits) ASCII digits.
    pub(crate) fn new(form: CodeForm, digits: &str) -> Result<Self, CodeError> {
        check_digits(digits, form.secret_digits())?;
        Ok(Self(digits.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// The whole code of a session, as the customer's machine holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCode {
    /// The form; always the nameplate's.
    pub form: CodeForm,
    /// The service's half.
    pub nameplate: Nameplate,
    /// The customer's half.
    pub secret: Secret,
}

impl SessionCode {
    /// Makes a fresh code of the service's nameplate and a secret from eight bytes of cryptographic
    /// randomness.
    #[must_use]
    pub fn mint(nameplate: Nameplate, random: [u8; 8]) -> Self {
        let form = nameplate.form();
        Self {
            form,
            nameplate,
            secret: Secret::from_random(form, random),
        }
    }

    /// Returns the code as the customer sees it, with its digits in threes.
    #[must_use]
    pub fn shown(&self) -> ShownCode {
        ShownCode::from_code(self)
    }

    /// Parses the text made by [`to_plain`](Self::to_plain). Strict: no other separators, no other
    /// length.
    ///
    /// # Errors
    /// The fault in the text.
    pub fn from_plain(form: CodeForm, plain: &str) -> Result<Self, CodeError> {
        match form {
            CodeForm::SingleCode => Self::from_plain_single_code(plain),
            CodeForm::IdAndPassword => Self::from_plain_id_and_password(plain),
        }
    }

    /// Returns the text that goes to a plugin's `open` and comes back from its `session_code`:
    /// `NNNNNNSSSSSC` for a single code, `NNNNNNNNC PPPPPP` for ID and password.
    #[must_use]
    pub fn to_plain(&self) -> Zeroizing<String> {
        // With its full capacity, so that growing leaves no copy behind.
        let mut plain = Zeroizing::new(String::with_capacity(16));
        plain.push_str(self.nameplate.as_str());
        match self.form {
            CodeForm::SingleCode => {
                plain.push_str(self.secret.expose());
                let check = damm::check_digit(plain.as_bytes());
                plain.push(char::from(check));
            }
            CodeForm::IdAndPassword => {
                let check = damm::check_digit(plain.as_bytes());
                plain.push(char::from(check));
                plain.push(' ');
                plain.push_str(self.secret.expose());
            }
        }
        plain
    }

    /// Parses twelve digits: nameplate, secret, check digit.
    pub(crate) fn from_plain_single_code(plain: &str) -> Result<Self, CodeError> {
        let form = CodeForm::SingleCode;
        let nameplate_digits = form.nameplate_digits();
        let code_digits = nameplate_digits + form.secret_digits();
        check_digits(plain, code_digits + 1)?;
        if !damm::is_valid(plain.as_bytes()) {
            return Err(CodeError::CheckDigit);
        }
        Ok(Self {
            form,
            nameplate: Nameplate::new(form, &plain[..nameplate_digits])?,
            secret: Secret::new(form, &plain[nameplate_digits..code_digits])?,
        })
    }

    /// Parses an ID, a space and a password.
    fn from_plain_id_and_password(plain: &str) -> Result<Self, CodeError> {
        let (id, password) = plain.split_once(' ').unwrap_or((plain, ""));
        Ok(Self {
            form: CodeForm::IdAndPassword,
            nameplate: parse_id(id)?,
            secret: Secret::new(CodeForm::IdAndPassword, password)?,
        })
    }
}

impl fmt::Debug for SessionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCode")
            .field("form", &self.form)
            .field("nameplate", &self.nameplate)
            .field("secret", &self.secret)
            .finish()
    }
}

/// Parses an ID: the nameplate's eight digits and their check digit.
pub(crate) fn parse_id(id: &str) -> Result<Nameplate, CodeError> {
    let digits = CodeForm::IdAndPassword.nameplate_digits();
    check_digits(id, digits + 1)?;
    if !damm::is_valid(id.as_bytes()) {
        return Err(CodeError::CheckDigit);
    }
    Nameplate::new(CodeForm::IdAndPassword, &id[..digits])
}

/// Checks that `text` is exactly `count` ASCII digits.
fn check_digits(text: &str, count: usize) -> Result<(), CodeError> {
    if text.is_empty() {
        return Err(CodeError::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CodeError::NotDigits);
    }
    if text.len() != count {
        return Err(CodeError::Length { digits: text.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(form: CodeForm, number: u32, random: u64) -> SessionCode {
        let nameplate = Nameplate::from_number(form, number % form.nameplate_count()).unwrap();
        SessionCode::mint(nameplate, random.to_le_bytes())
    }

    fn forms() -> impl Strategy<Value = CodeForm> {
        prop_oneof![Just(CodeForm::SingleCode), Just(CodeForm::IdAndPassword)]
    }

    #[track_caller]
    fn check_plain(form: CodeForm, plain: &str, expected: CodeError) {
        assert_eq!(SessionCode::from_plain(form, plain), Err(expected));
    }

    #[test]
    fn plain_forms_are_as_written_down() {
        let single = code(CodeForm::SingleCode, 123, 45);
        assert!(single.to_plain().starts_with("00012300045"));
        assert_eq!(single.to_plain().len(), 12);
        let pair = code(CodeForm::IdAndPassword, 123, 45);
        assert!(pair.to_plain().starts_with("00000123"));
        assert!(pair.to_plain().ends_with(" 000045"));
        assert_eq!(pair.to_plain().len(), 16);
    }

    #[test]
    fn bad_plain_forms_are_named() {
        check_plain(CodeForm::SingleCode, "", CodeError::Empty);
        check_plain(
            CodeForm::SingleCode,
            "12345",
            CodeError::Length { digits: 5 },
        );
        check_plain(CodeForm::SingleCode, "123 456 789 01", CodeError::NotDigits);
        check_plain(CodeForm::IdAndPassword, "123456789", CodeError::CheckDigit);
        check_plain(
            CodeForm::IdAndPassword,
            "572 123456",
            CodeError::Length { digits: 3 },
        );
        let pair = code(CodeForm::IdAndPassword, 1, 1).to_plain();
        check_plain(CodeForm::IdAndPassword, &pair[..9], CodeError::Empty);
        check_plain(
            CodeForm::IdAndPassword,
            &pair[..12],
            CodeError::Length { digits: 2 },
        );
        check_plain(CodeForm::SingleCode, &pair, CodeError::NotDigits);
    }

    #[test]
    fn a_nameplate_knows_its_form_and_is_text_in_json() {
        let six: Nameplate = serde_json::from_str("\"012345\"").unwrap();
        assert_eq!(six.form(), CodeForm::SingleCode);
        assert_eq!(serde_json::to_string(&six).unwrap(), "\"012345\"");
        assert_eq!(
            "01234567".parse::<Nameplate>().unwrap().form(),
            CodeForm::IdAndPassword
        );
        assert_eq!(
            "0123456".parse::<Nameplate>(),
            Err(CodeError::Length { digits: 7 })
        );
        assert_eq!("".parse::<Nameplate>(), Err(CodeError::Empty));
        assert_eq!("12345٣".parse::<Nameplate>(), Err(CodeError::NotDigits));
        assert!(serde_json::from_str::<Nameplate>("\"../../\"").is_err());
        assert_eq!(
            Nameplate::from_number(CodeForm::SingleCode, 1_000_000),
            None
        );
    }

    #[test]
    fn form_names_are_the_same_everywhere() {
        for form in CodeForm::ALL {
            assert_eq!(serde_json::to_string(&form).unwrap(), format!("\"{form}\""));
            assert_eq!(form.name().parse(), Ok(form));
        }
        assert_eq!("Ecom".parse::<CodeForm>(), Err(UnknownForm));
    }

    #[test]
    fn debug_hides_the_secret_and_shows_the_nameplate() {
        let code = code(CodeForm::IdAndPassword, 11_111_111, 987_654);
        let debug = format!("{code:?} {:?}", code.secret);
        assert!(debug.contains("11111111") && debug.contains("<redacted>"));
        assert!(!debug.contains("987654"));
    }

    proptest! {
        #[test]
        fn plain_round_trip(form in forms(), number: u32, random: u64) {
            let code = code(form, number, random);
            prop_assert_eq!(SessionCode::from_plain(form, &code.to_plain()), Ok(code));
        }

        #[test]
        fn no_text_panics(form in forms(), text: String) {
            let _ = SessionCode::from_plain(form, &text);
            let _ = text.parse::<Nameplate>();
        }

        #[test]
        fn a_secret_has_its_length(form in forms(), random: [u8; 8]) {
            prop_assert_eq!(Secret::from_random(form, random).expose().len(), form.secret_digits());
        }
    }
}
