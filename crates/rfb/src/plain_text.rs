//! Text of a peer, or of foreign code, made fit for a terminal, a log and a person.

/// Returns `text` in one line that reads as it is written: control characters become spaces; what
/// is invisible or turns the direction of writing (UAX #9) is left out.
pub fn plain_text(text: &str) -> String {
    let visible = text.chars().filter(|character| !is_invisible(*character));
    visible
        .map(|character| if is_break(character) { ' ' } else { character })
        .collect()
}

fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Returns whether `character` is one of Unicode's format characters: soft hyphen, zero-width
/// spaces and joiners, directional marks, embeddings, overrides and isolates, tags.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_it_is_written() {
        let check = |text: &str, expected: &str| assert_eq!(plain_text(text), expected);
        check("Määrä 5 € 漢", "Määrä 5 € 漢");
        check("\u{1b}]0;pwned\u{7}\nWARN ours", " ]0;pwned  WARN ours");
        check("a\rb\tc\u{9b}d", "a b c d");
        check("evil\u{202e}gpj.exe\u{202c}", "evilgpj.exe");
        check("z\u{200b}e\u{feff}ro\u{2028}x", "zero x");
    }
}
