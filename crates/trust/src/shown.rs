//! The code as the customer sees it: labelled fields, with their digits in threes.

use std::fmt;

use serde::Serialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::code::{CodeForm, SessionCode};

/// The label of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, Zeroize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// The session code of [`CodeForm::SingleCode`].
    SessionCode,
    /// The ID of [`CodeForm::IdAndPassword`].
    Id,
    /// The one-time password of [`CodeForm::IdAndPassword`].
    Password,
    /// The code shown by a tool with its own transport.
    ToolCode,
}

/// A labelled group of digits. Secret.
#[derive(Clone, PartialEq, Eq, Serialize, Zeroize, ZeroizeOnDrop)]
pub struct ShownField {
    /// The label.
    pub kind: FieldKind,
    /// ASCII digits in threes, separated by one space: `123 456 789 012`. A [`FieldKind::ToolCode`]
    /// stays as the tool writes it.
    pub digits: String,
}

/// All fields that the customer reads aloud, in reading order. Secret.
#[derive(Clone, PartialEq, Eq, Serialize, Zeroize, ZeroizeOnDrop)]
pub struct ShownCode {
    /// The session code; or ID, then password; or none if a tool's own window shows its code.
    pub fields: Vec<ShownField>,
}

impl ShownCode {
    pub(crate) fn from_code(code: &SessionCode) -> Self {
        let plain = code.to_plain();
        let fields = match code.form {
            CodeForm::SingleCode => vec![field(FieldKind::SessionCode, &plain)],
            CodeForm::IdAndPassword => {
                let (id, password) = plain
                    .split_once(' ')
                    .expect("to_plain puts one space there");
                vec![
                    field(FieldKind::Id, id),
                    field(FieldKind::Password, password),
                ]
            }
        };
        Self { fields }
    }
}

fn field(kind: FieldKind, digits: &str) -> ShownField {
    ShownField {
        kind,
        digits: group_in_threes(digits),
    }
}

fn group_in_threes(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

impl fmt::Debug for ShownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShownField({:?}, <redacted>)", self.kind)
    }
}

impl fmt::Debug for ShownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownCode(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Nameplate;

    fn shown(nameplate: &str, secret: u64) -> ShownCode {
        SessionCode::mint(nameplate.parse().unwrap(), secret.to_le_bytes()).shown()
    }

    #[test]
    fn a_single_code_is_one_field_of_twelve_digits() {
        let shown = shown("123456", 78901);
        assert_eq!(shown.fields.len(), 1);
        assert_eq!(shown.fields[0].kind, FieldKind::SessionCode);
        assert!(shown.fields[0].digits.starts_with("123 456 789 01"));
        assert_eq!(shown.fields[0].digits.len(), 15);
    }

    #[test]
    fn id_and_password_are_two_fields() {
        let shown = shown("12345678", 654_321);
        assert_eq!(shown.fields[0].kind, FieldKind::Id);
        assert!(shown.fields[0].digits.starts_with("123 456 78"));
        assert_eq!(shown.fields[1].kind, FieldKind::Password);
        assert_eq!(shown.fields[1].digits, "654 321");
    }

    #[test]
    fn json_is_what_the_embedding_program_reads() {
        let json = serde_json::to_value(shown("12345678", 654_321)).unwrap();
        assert_eq!(json["fields"][0]["kind"], "id");
        assert_eq!(json["fields"][1]["kind"], "password");
        let single = serde_json::to_value(shown("123456", 1)).unwrap();
        assert_eq!(single["fields"][0]["kind"], "session-code");
    }

    #[test]
    fn debug_shows_no_digit() {
        let shown = shown("12345678", 654_321);
        let debug = format!("{shown:?} {:?}", shown.fields);
        assert!(!debug.contains(|c: char| c.is_ascii_digit()), "{debug}");
    }

    #[test]
    fn a_nameplate_alone_is_no_code() {
        assert!(Nameplate::new(CodeForm::IdAndPassword, "123456").is_err());
    }
}
