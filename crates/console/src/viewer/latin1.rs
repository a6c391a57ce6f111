//! RFB's clipboard is Latin-1 with plain line feeds (RFC 6143 sections 7.5.6 and 7.6.4); the link's is UTF-8.

/// Text for a viewer. What Latin-1 doesn't have becomes `?`.
pub(crate) fn from_text(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n")
        .chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
        .collect()
}

/// Text from a viewer.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!(from_text("Äiti 5 €\r\n"), b"\xc4iti 5 ?\n");
        assert_eq!(to_text(b"\xc4iti\n"), "Äiti\n");
    }
}
