//! Clipboard texts. RFB's are Latin-1 with plain line feeds (RFC 6143 sections 7.5.6 and 7.6.4),
//! the link's are UTF-8.

/// Converts a text for a viewer. Characters outside Latin-1 become `?`, CR LF becomes LF.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n")
        .chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
        .collect()
}

/// Returns how many characters of a text are outside Latin-1.
pub(crate) fn missing(text: &str) -> usize {
    let latin1 = |character: &char| u8::try_from(u32::from(*character)).is_ok();
    text.chars().filter(|character| !latin1(character)).count()
}

/// Converts a viewer's text.
pub(crate) fn decode(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!(encode("Äiti 5 €\r\n"), b"\xc4iti 5 ?\n");
        assert_eq!(missing("Äiti 5 €, 漢字"), 3);
        assert_eq!(decode(b"\xc4iti\n"), "Äiti\n");
    }
}
