//! Message files of launcher and console in three languages, and the types through which they are
//! read.
//!
//! Keys are typed: code that uses a missing text doesn't compile, and a message file with a key too
//! many or too few doesn't parse. Window and page decide which text belongs to which moment.
//!
//! Pure: the files are part of the program. Not in here: the windows and the page that show them.

pub mod catalogue;
pub mod language;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use language::Language;

macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident { $($key:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "the message files are the documentation")]
        pub struct $section { $(pub $key: String),* }
    )*};
}

sections! {
    /// The texts of every window.
    WindowTexts { title, support, development, close }
    /// The small window with the entries.
    MenuTexts { help, heading, hint, fitting, about, version, quit }
    /// The session window before anything is opened.
    BeforeTexts { promise, hint, open }
    /// The code that is read aloud.
    CodeTexts { call, call_two, id, password, session_code, copy, copied, renews }
    /// The session's states.
    StateTexts {
        opening, cancel, waiting, interrupted, interrupted_now, interrupted_more,
        interrupted_control, coming_back, closing,
    }
    /// The notices during a session.
    NoticeTexts {
        stranger_tried, stranger_persists, stranger_was_refused, wrong_clock, date_format,
        card_out_of_time, wrong_code_tried, wrong_code_tried_last, code_burnt, code_renewed, service_lost,
        service_back, code_forgotten, revocations_warning, interrupted, resumed, restart_not_kept,
    }
    /// The questions to the customer, and their answers.
    QuestionTexts {
        view, view_more, view_allow, view_program_more, view_program, view_all, control_program,
        control, control_more, control_allow, restart, restart_more, restart_allow, switch, switch_more, switch_allow, deny, countdown,
        keys,
    }
    /// The bar that says who is looking.
    BarTexts {
        connected, viewing, viewing_program, controlling, controlling_program, asking, take_back, after_restart, withdraw_restart, close,
        escape,
    }
    /// Sentence for what support sees, when that isn't plainly the screen.
    SeesTexts { locked, locked_program, blanked, other_session, program_hung, stands_still, line_slow }
    /// The receipt.
    ReceiptTexts {
        closed, viewed, controlled, viewed_program, controlled_program, not_viewed, nobody, never,
        minutes, second, seconds, again,
    }
    /// A tool with its own transport.
    ExternalTexts { promise, code, window, connected, maybe, over }
    /// The texts around a failure.
    FailedTexts { retry, other, for_support, end_hung }
    /// One failure.
    FailureText { happened, todo }
}

/// All texts of one language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented at their types")]
pub struct Texts {
    pub window: WindowTexts,
    pub menu: MenuTexts,
    pub before: BeforeTexts,
    pub code: CodeTexts,
    pub state: StateTexts,
    pub notice: NoticeTexts,
    pub question: QuestionTexts,
    pub bar: BarTexts,
    pub sees: SeesTexts,
    pub receipt: ReceiptTexts,
    /// `[own]` in the message files.
    #[serde(rename = "own")]
    pub external: ExternalTexts,
    pub failed: FailedTexts,
    failures: BTreeMap<String, FailureText>,
    /// The agent's texts, which the console looks up in a [`catalogue::Catalogue`].
    #[serde(rename = "console")]
    _console: IgnoredAny,
}

/// The failure whose text stands in for those of unknown names.
const FALLBACK_FAILURE: &str = "internal";

impl Texts {
    /// Returns the texts of `language`.
    pub fn load(language: Language) -> Self {
        toml::from_str(source(language)).expect("the message files are parsed by a test")
    }

    /// Returns the text of the failure with that stable name.
    pub fn failure(&self, name: &str) -> &FailureText {
        self.failures
            .get(name)
            .unwrap_or_else(|| &self.failures[FALLBACK_FAILURE])
    }

    /// Returns a duration as a person says it: in seconds if under a minute, else in whole minutes.
    pub fn duration(&self, seconds: u64) -> String {
        let texts = &self.receipt;
        let (count, text) = match seconds {
            1 => return texts.second.clone(),
            ..60 => (seconds, &texts.seconds),
            _ => ((seconds + 30) / 60, &texts.minutes),
        };
        fill(text, &[("n", &count.to_string())])
    }
}

impl FailureText {
    /// Returns both parts: the event, and the remedy.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.happened, self.todo)
    }
}

/// Replaces a text's `{placeholders}` by values. Placeholders inside a value stay as they are.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        if let Some((_, value)) = values.iter().find(|(key, _)| *key == name) {
            filled.push_str(value);
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

/// Formats seconds as `1:47`.
pub fn clock(seconds: u32) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn source(language: Language) -> &'static str {
    match language {
        Language::Fi => include_str!("fi.toml"),
        Language::Sv => include_str!("sv.toml"),
        Language::En => include_str!("en.toml"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns every key of a message file with its placeholders.
    fn placeholders(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        collect(&toml::from_str(source(language)).unwrap(), "", &mut found);
        found
    }

    fn collect(table: &toml::Table, above: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
        for (key, value) in table {
            let path = format!("{above}/{key}");
            match value {
                toml::Value::Table(table) => collect(table, &path, found),
                text => {
                    let text = text.as_str().expect("only texts");
                    assert!(!text.trim().is_empty(), "{path}");
                    let names = text
                        .split('{')
                        .skip(1)
                        .filter_map(|part| part.split('}').next());
                    found.insert(path, names.map(str::to_owned).collect());
                }
            }
        }
    }

    #[test]
    fn all_languages_have_the_same_keys_and_placeholders() {
        let finnish = placeholders(Language::Fi);
        assert_eq!(finnish, placeholders(Language::Sv));
        assert_eq!(finnish, placeholders(Language::En));
    }

    #[test]
    fn every_language_parses() {
        for language in Language::ALL {
            assert!(!Texts::load(language).window.title.is_empty());
        }
    }

    #[test]
    fn every_failure_has_a_text() {
        let launchers = [
            "registry-broken",
            "unknown-backend",
            "fonts-missing",
            "session-hung",
            "wrong-start",
        ];
        let sessions = etatuki_session_core::FailureName::ALL.map(|name| name.as_str());
        let names: BTreeSet<_> = sessions.iter().chain(&launchers).copied().collect();
        for language in Language::ALL {
            let texts = Texts::load(language);
            let known: BTreeSet<_> = texts.failures.keys().map(String::as_str).collect();
            assert_eq!(known, names, "{language:?}");
        }
    }

    /// Both parts of every failure are whole sentences.
    #[test]
    fn failures_are_sentences() {
        for language in Language::ALL {
            for (name, failure) in Texts::load(language).failures {
                for text in [failure.happened, failure.todo] {
                    assert!(text.ends_with('.') && !text.contains('{'), "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn the_designs_words_are_kept() {
        let fi = Texts::load(Language::Fi);
        assert_eq!(fi.code.id, "Tunnus (ID)");
        assert_eq!(fi.code.password, "Kertasalasana");
        assert_eq!(fi.code.session_code, "Istuntokoodi");
        assert_eq!(
            fi.before.promise,
            "Tuki näkee näyttösi vasta, kun annat luvan."
        );
        let agent = [("name", "Maija Virtanen"), ("organisation", "Ecom Oy")];
        assert_eq!(
            fill(&fi.question.view, &agent),
            "Saako Maija Virtanen (Ecom Oy) katsoa näyttöäsi?"
        );
        assert_eq!(
            fill(&fi.question.control, &agent),
            "Saako Maija Virtanen käyttää hiirtäsi ja näppäimistöäsi?"
        );
        assert_eq!(
            fill(&fi.state.interrupted, &[("time", &clock(107))]),
            "Yhteys katkesi. Tuki ei nyt näe mitään. Yritetään uudelleen… 1:47"
        );
        let viewed = [
            ("viewed", &*fi.duration(720)),
            ("controlled", &*fi.duration(250)),
        ];
        let receipt = fill(&fi.receipt.controlled, &[&agent[..], &viewed[..]].concat());
        assert_eq!(
            receipt,
            "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi konettasi 4 min."
        );
    }

    #[test]
    fn fill_knows_its_names_only_and_never_fills_twice() {
        let check = |text: &str, expected: &str| {
            let values = [("a", "{b}"), ("b", "two")];
            assert_eq!(fill(text, &values), expected);
        };
        check("no place", "no place");
        check("{a} and {b}", "{b} and two");
        check("{c}!", "!");
        check("open {a", "open {a");
    }

    #[test]
    fn durations_as_a_person_says_them() {
        let fi = Texts::load(Language::Fi);
        let check = |seconds, expected: &str| assert_eq!(fi.duration(seconds), expected);
        check(0, "0 sekuntia");
        check(1, "1 sekunnin");
        check(59, "59 sekuntia");
        check(60, "1 min");
        check(89, "1 min");
        check(90, "2 min");
        check(3600, "60 min");
    }
}
