//! The language of a request: `--language`, or the first one of the browser's that there is.

use axum::http::{HeaderMap, header};
use etatuki_texts::Language;

/// Languages of a header that are looked at; nobody reads more.
const MAX_RANGES: usize = 32;

/// Returns the language for a request's page (RFC 9110, section 12.5.4). English is for browsers
/// that ask for none of ours.
pub(super) fn of_request(chosen: Option<Language>, headers: &HeaderMap) -> Language {
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    chosen
        .or_else(|| preferred(accepted?.to_str().ok()?))
        .unwrap_or(Language::En)
}

/// Returns the known language with the highest weight; among equals, the first.
fn preferred(header: &str) -> Option<Language> {
    let mut best: Option<(f32, Language)> = None;
    for range in header.split(',').take(MAX_RANGES) {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = match parameters.trim().strip_prefix("q=") {
            Some(weight) => weight.trim().parse().unwrap_or(0.0),
            None => 1.0,
        };
        let known = Language::from_locale(tag.trim()).filter(|_| weight > 0.0);
        if let Some(language) = known
            && best.is_none_or(|(highest, _)| weight > highest)
        {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_first_known_language_is_taken() {
        let check = |header: &str, expected| assert_eq!(preferred(header), expected, "{header}");
        check("fi-FI,fi;q=0.9,en;q=0.8", Some(Language::Fi));
        check("de-DE,de;q=0.9,sv;q=0.4,en;q=0.3", Some(Language::Sv));
        check("en;q=0.5, sv;q=0.7", Some(Language::Sv));
        check("fi;q=0, en-US", Some(Language::En));
        check("de", None);
        check("", None);
        check(";;;,q=1,fi;q=x", None);
    }

    #[test]
    fn the_command_line_decides_over_the_browser() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, "sv".parse().unwrap());
        assert_eq!(of_request(None, &headers), Language::Sv);
        assert_eq!(of_request(Some(Language::Fi), &headers), Language::Fi);
        assert_eq!(of_request(None, &HeaderMap::new()), Language::En);
    }
}
