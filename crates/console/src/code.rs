//! The code as an agent types it: one text, or an ID and its password.

use etatuki_trust::{
    CodeError, CodeForm, Nameplate, Secret, SessionCode, TypedCode, parse_password,
    parse_typed_code,
};

/// A whole code: finds the customer and proves that the agent was told it.
#[derive(Clone, Debug)]
pub struct Code {
    /// The routing half, which the service knows.
    pub nameplate: Nameplate,
    /// The secret half, from the customer's machine; it is never sent.
    pub secret: Secret,
}

/// The result of parsing a text as a code.
#[derive(Debug)]
pub enum ParsedCode {
    /// A whole code.
    Complete(Code),
    /// An ID, whose password is still missing.
    NeedsPassword(Nameplate),
}

impl Code {
    /// Parses a session code, an ID, or an ID followed by its password.
    ///
    /// # Errors
    /// The text is none of them, or a check digit is wrong.
    pub fn parse(text: &str) -> Result<ParsedCode, CodeError> {
        Ok(match parse_typed_code(text)? {
            TypedCode::SingleCode { nameplate, secret }
            | TypedCode::IdAndPassword { nameplate, secret } => {
                ParsedCode::Complete(Self { nameplate, secret })
            }
            TypedCode::Id { nameplate } => ParsedCode::NeedsPassword(nameplate),
        })
    }

    /// Parses an ID and its password.
    ///
    /// # Errors
    /// Either is malformed, or the ID's check digit is wrong.
    pub fn with_password(id: &str, password: &str) -> Result<Self, CodeError> {
        match parse_typed_code(id)? {
            TypedCode::Id { nameplate } => Ok(Self {
                nameplate,
                secret: parse_password(password)?,
            }),
            TypedCode::SingleCode { .. } => Err(CodeError::Length { digits: 12 + 6 }),
            TypedCode::IdAndPassword { .. } => Err(CodeError::Length { digits: 15 + 6 }),
        }
    }

    /// Returns the part that is not secret, as the customer sees it, in groups of three digits: the
    /// whole ID, or the first six digits of a session code.
    #[must_use]
    pub fn caption(&self) -> String {
        let shown = SessionCode {
            form: self.nameplate.form(),
            nameplate: self.nameplate,
            secret: self.secret.clone(),
        }
        .shown();
        let first_field = shown
            .fields
            .first()
            .map_or("", |field| field.digits.as_str());
        match self.nameplate.form() {
            CodeForm::IdAndPassword => first_field.to_owned(),
            CodeForm::SingleCode => format!("{} …", first_field.get(..7).unwrap_or_default()),
        }
    }
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
            let Ok(ParsedCode::Complete(code)) = Code::parse(&text) else {
                panic!("a whole code was not seen as one");
            };
            assert_eq!(
                (code.nameplate, &code.secret),
                (id_and_password().nameplate, &id_and_password().secret)
            );
            assert_eq!(code.caption(), *id);
        }
        assert!(
            matches!(Code::parse(id), Ok(ParsedCode::NeedsPassword(plate)) if plate == id_and_password().nameplate)
        );
    }

    #[test]
    fn a_session_code() {
        let minted = SessionCode::mint("123456".parse().unwrap(), [7; 8]);
        let text = minted.shown().fields[0].digits.clone();
        let Ok(ParsedCode::Complete(code)) = Code::parse(&text) else {
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
        let Ok(ParsedCode::Complete(code)) = Code::parse(&minted.to_plain()) else {
            panic!("a session code was refused");
        };
        assert_eq!(code.caption(), "123 456 …");
    }
}
