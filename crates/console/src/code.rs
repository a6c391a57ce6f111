//! A code as an agent gives it: one text, or an ID and its password.

use etatuki_trust::{
    CodeError, CodeForm, Nameplate, Secret, SessionCode, TypedCode, parse_password,
    parse_typed_code,
};
use zeroize::Zeroizing;

/// Digits of an ID, and of an ID with its password.
const ID_DIGITS: usize = 9;
const TOGETHER_DIGITS: usize = 15;

/// What an agent needs of a customer: where to knock, and what to prove.
#[derive(Clone, Debug)]
pub struct Code {
    /// The service's half.
    pub nameplate: Nameplate,
    /// The customer's half.
    pub secret: Secret,
}

/// A text that was read as a code.
#[derive(Debug)]
pub enum ParsedCode {
    /// All of it is there.
    Complete(Code),
    /// An ID; its password is still to come.
    NeedsPassword(Nameplate),
}

impl Code {
    /// Reads a session code, an ID, or an ID and its password in one go.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<ParsedCode, CodeError> {
        match parse_typed_code(text) {
            Ok(TypedCode::SingleCode { nameplate, secret }) => {
                Ok(ParsedCode::Complete(Self { nameplate, secret }))
            }
            Ok(TypedCode::Id { nameplate }) => Ok(ParsedCode::NeedsPassword(nameplate)),
            Err(CodeError::Length {
                digits: TOGETHER_DIGITS,
            }) => {
                let (id, password) = split(text);
                Self::with_password(&id, &password).map(ParsedCode::Complete)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads an ID and its password.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn with_password(id: &str, password: &str) -> Result<Self, CodeError> {
        match parse_typed_code(id)? {
            TypedCode::Id { nameplate } => Ok(Self {
                nameplate,
                secret: parse_password(password)?,
            }),
            TypedCode::SingleCode { .. } => Err(CodeError::Length { digits: 12 + 6 }),
        }
    }

    /// The part that is no secret, as the customer sees it, in threes: a whole ID, or the first six digits
    /// of a session code.
    #[must_use]
    pub fn caption(&self) -> String {
        let shown = SessionCode {
            form: self.nameplate.form(),
            nameplate: self.nameplate,
            secret: self.secret.clone(),
        }
        .shown();
        let first = shown
            .fields
            .first()
            .map_or("", |field| field.digits.as_str());
        match self.nameplate.form() {
            CodeForm::IdAndPassword => first.to_owned(),
            CodeForm::SingleCode => format!("{} …", first.get(..7).unwrap_or_default()),
        }
    }
}

/// Cuts behind the ninth digit.
fn split(text: &str) -> (Zeroizing<String>, Zeroizing<String>) {
    let mut seen = 0;
    let cut = text.char_indices().find(|(_, character)| {
        seen += usize::from(character.is_ascii_digit());
        seen > ID_DIGITS
    });
    let (id, password) = text.split_at(cut.map_or(text.len(), |(at, _)| at));
    (
        Zeroizing::new(id.to_owned()),
        Zeroizing::new(password.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_and_password() -> SessionCode {
        SessionCode::mint("12345678".parse().unwrap(), 42u64.to_le_bytes())
    }

    #[test]
    fn an_id_and_its_password_in_one_go() {
        let shown = id_and_password().shown();
        let (id, password) = (&shown.fields[0].digits, &shown.fields[1].digits);
        for text in [
            format!("{id} {password}"),
            format!("{id}-{password}\n"),
            format!("{id}{password}"),
        ] {
            let Ok(ParsedCode::Complete(code)) = Code::read(&text) else {
                panic!("a whole code was not seen as one");
            };
            assert_eq!(
                (code.nameplate, &code.secret),
                (id_and_password().nameplate, &id_and_password().secret)
            );
            assert_eq!(code.caption(), *id);
        }
        assert!(
            matches!(Code::read(id), Ok(ParsedCode::NeedsPassword(plate)) if plate == id_and_password().nameplate)
        );
    }

    #[test]
    fn a_session_code() {
        let minted = SessionCode::mint("123456".parse().unwrap(), [7; 8]);
        let text = minted.shown().fields[0].digits.clone();
        let Ok(ParsedCode::Complete(code)) = Code::read(&text) else {
            panic!("a session code was refused");
        };
        assert_eq!(
            (code.secret, code.nameplate),
            (minted.secret.clone(), minted.nameplate)
        );
        assert!(Code::with_password(&text, "123456").is_err());
    }

    #[test]
    fn only_the_open_part_is_in_the_caption() {
        let minted = SessionCode::mint("123456".parse().unwrap(), [7; 8]);
        let Ok(ParsedCode::Complete(code)) = Code::read(&minted.to_plain()) else {
            panic!("a session code was refused");
        };
        assert_eq!(code.caption(), "123 456 …");
    }
}
