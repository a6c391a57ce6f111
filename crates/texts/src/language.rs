//! The three languages of the customer's texts, and the choice between them.

use serde::{Deserialize, Serialize};

/// A language of the customer's texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Finnish, which is also what an unknown system gets.
    #[default]
    Fi,
    /// Swedish.
    Sv,
    /// English.
    En,
}

impl Language {
    /// All languages, in the order in which lists show them.
    pub const ALL: [Language; 3] = [Language::Fi, Language::Sv, Language::En];

    /// Returns the language's ISO 639-1 code: two letters.
    pub fn code(self) -> &'static str {
        match self {
            Language::Fi => "fi",
            Language::Sv => "sv",
            Language::En => "en",
        }
    }

    /// Returns the language of a POSIX locale such as `sv_FI.UTF-8`; `None` for any other language
    /// and for `C`.
    pub fn from_locale(locale: &str) -> Option<Self> {
        let language = locale.split(['_', '.', '@', '-']).next()?;
        Self::ALL
            .into_iter()
            .find(|known| known.code().eq_ignore_ascii_case(language))
    }

    /// Returns the language that the environment asks for: the first of `LC_ALL`, `LC_MESSAGES` and
    /// `LANG` that is set and not empty decides (POSIX, "Internationalization Variables").
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty())?;
        Self::from_locale(&locale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Option<Language>) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(
            Language::from_environment(variable),
            expected,
            "{variables:?}"
        );
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        check(&[], None);
        check(&[("LANG", "fi_FI.UTF-8")], Some(Language::Fi));
        check(
            &[("LANG", "fi_FI.UTF-8"), ("LC_MESSAGES", "sv_FI.UTF-8")],
            Some(Language::Sv),
        );
        check(
            &[("LC_ALL", "en_GB"), ("LC_MESSAGES", "sv_FI")],
            Some(Language::En),
        );
        check(&[("LC_ALL", ""), ("LANG", "sv")], Some(Language::Sv));
        check(&[("LC_ALL", "C"), ("LANG", "sv")], None);
        check(&[("LANG", "C.UTF-8")], None);
        check(&[("LANG", "de_DE.UTF-8")], None);
    }
}
