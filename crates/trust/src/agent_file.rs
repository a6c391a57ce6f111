//! The agent's file: a card and its private key, as the vendor gives them to an agent. This module
//! makes and parses the text; files are the caller's business.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    card::{AgentCard, CardError},
    keys::{AgentKey, KeyError},
};

/// The most bytes of an agent's file: 16 KiB.
const MAX_TEXT: usize = 16 * 1024;

/// An agent's card and private key.
#[derive(Clone)]
pub struct AgentFile {
    /// The card.
    pub card: AgentCard,
    /// The private key to the public key on the card.
    pub key: AgentKey,
}

/// An error in an agent's file. Never carries any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentFileError {
    /// Not TOML with `card` and `key`, or too long.
    #[error("the agent's file can't be read: it needs the lines card = \"…\" and key = \"…\"")]
    Syntax,
    /// The card can't be read.
    #[error("in the agent's file, {0}")]
    Card(CardError),
    /// The key can't be read.
    #[error("in the agent's file, key: {0}")]
    Key(KeyError),
    /// The key isn't the card's.
    #[error("in the agent's file, the key doesn't belong to the card")]
    Mismatch,
}

/// The file's fields, borrowed from the text where TOML allows it, so that the key isn't copied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    card: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
}

impl AgentFile {
    /// Parses the text made by [`to_text`](Self::to_text). Doesn't verify the card's signature: an
    /// agent may not have the vendor's public key, and everybody who is shown the card verifies it.
    ///
    /// # Errors
    /// The fault in the text.
    pub fn parse(text: &str) -> Result<Self, AgentFileError> {
        if text.len() > MAX_TEXT {
            return Err(AgentFileError::Syntax);
        }
        let fields: Fields<'_> = toml::from_str(text).map_err(|_| AgentFileError::Syntax)?;
        let card = AgentCard::from_text(&fields.card).map_err(AgentFileError::Card)?;
        let key = AgentKey::from_text(&fields.key).map_err(AgentFileError::Key)?;
        if key.public() != card.claims().key {
            return Err(AgentFileError::Mismatch);
        }
        Ok(Self { card, key })
    }

    /// Returns the file's text: TOML, with comments for the person who opens it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let claims = self.card.claims();
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push_str("# An agent's card and private key for etatuki-console --agent FILE.\n");
        text.push_str("# Whoever has this file can act as this agent: keep it to yourself.\n");
        text.push_str("# ");
        text.push_str(&claims.name);
        text.push_str(", ");
        text.push_str(&claims.organisation);
        text.push_str("\ncard = \"");
        text.push_str(&self.card.to_text());
        text.push_str("\"\nkey = \"");
        text.push_str(&self.key.to_text());
        text.push_str("\"\n");
        text
    }
}

impl fmt::Debug for AgentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentFile")
            .field("card", self.card.claims())
            .field("key", &self.key)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::tests::{agent, card};

    fn file() -> AgentFile {
        AgentFile {
            card: card(),
            key: agent(),
        }
    }

    #[track_caller]
    fn check_error(text: &str, expected: AgentFileError) {
        assert_eq!(AgentFile::parse(text).map(|_| ()), Err(expected));
    }

    #[test]
    fn round_trip() {
        let read = AgentFile::parse(&file().to_text()).unwrap();
        assert_eq!(read.card, card());
        assert_eq!(read.key.public(), agent().public());
    }

    #[test]
    fn mistakes_are_named() {
        let text = file().to_text();
        check_error("", AgentFileError::Syntax);
        check_error("card = 3\nkey = 4", AgentFileError::Syntax);
        check_error(&format!("{}\nmore = 1\n", *text), AgentFileError::Syntax);
        check_error(&"#".repeat(MAX_TEXT + 1), AgentFileError::Syntax);
        check_error(
            &text.replace("etcard1-", "etcard1-!"),
            AgentFileError::Card(CardError::Malformed),
        );
        check_error(
            &text.replace("eta1-private-", "etv1-private-"),
            AgentFileError::Key(KeyError::Prefix("eta1-private-")),
        );
        let stranger = AgentFile {
            key: AgentKey::from_seed([8; 32]),
            ..file()
        };
        check_error(&stranger.to_text(), AgentFileError::Mismatch);
    }

    #[test]
    fn nothing_printed_holds_the_key() {
        let key = agent().to_text();
        let debug = format!("{:?}", file());
        assert!(debug.contains("<redacted>") && !debug.contains(&key["eta1-private-".len()..]));
        let damaged = file().to_text().replace("\"\nkey", "\nkey");
        let error = AgentFile::parse(&damaged).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&key["eta1-private-".len()..]));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = AgentFile::parse(&text);
            let _ = AgentFile::parse(&format!("card = \"{text}\"\nkey = \"{text}\""));
        }
    }
}
