//! Text as selections carry it: line ends, and the encodings STRING and COMPOUND_TEXT.

use encoding_rs::{Encoding, ISO_8859_2, ISO_8859_4, ISO_8859_5, ISO_8859_7, ISO_8859_15};
use encoding_rs::{ISO_8859_3, ISO_8859_6, ISO_8859_8, ISO_8859_10, ISO_8859_13, ISO_8859_14};
use encoding_rs::{ISO_8859_16, WINDOWS_1252, WINDOWS_1254};

const ESCAPE: u8 = 0x1b;
/// Begins and ends a part in UTF-8 (Compound Text Encoding, 'Non-Standard Character Set Encodings',
/// as XFree86 extended it).
const UTF8_BEGIN: &[u8] = b"\x1b%G";
const UTF8_END: &[u8] = b"\x1b%@";

/// Returns the text with each line's end as one LF, which is X11's and the link's, whether it was
/// CRLF, CR or LF. Zero bytes at the end, which C programs leave there, are dropped.
pub(super) fn normalised(text: &str) -> String {
    let text = text.trim_end_matches('\0');
    if !text.contains('\r') {
        return text.to_owned();
    }
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Decodes Latin-1, the encoding of STRING (ICCCM section 2.6.2).
pub(super) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Encodes Latin-1. Characters that it lacks become question marks.
pub(super) fn to_latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}

/// Decodes Compound Text with the character sets of one byte, and with parts in UTF-8. `None` for
/// any other, and for malformed text.
pub(super) fn from_compound_text(bytes: &[u8]) -> Option<String> {
    let (mut text, mut rest) = (String::new(), bytes);
    let mut right = WINDOWS_1252;
    while let Some(&first) = rest.first() {
        if first == ESCAPE {
            if let Some(utf8) = rest.strip_prefix(UTF8_BEGIN) {
                let end = utf8.windows(UTF8_END.len()).position(|w| w == UTF8_END);
                let end = end.unwrap_or(utf8.len());
                text.push_str(str::from_utf8(&utf8[..end]).ok()?);
                rest = utf8[end..].strip_prefix(UTF8_END).unwrap_or_default();
                continue;
            }
            match rest.get(1..3)? {
                // ASCII on the left, where it always is.
                b"(B" | b"%@" => {}
                [b'-', set] => right = right_half(*set)?,
                _ => return None,
            }
            rest = &rest[3..];
            continue;
        }
        let end = rest.iter().position(|b| *b == ESCAPE);
        let (plain, others) = rest.split_at(end.unwrap_or(rest.len()));
        if plain.iter().any(|byte| matches!(byte, 0x80..=0x9f)) {
            return None;
        }
        let (decoded, _) = right.decode_without_bom_handling(plain);
        text.push_str(&decoded);
        rest = others;
    }
    Some(text)
}

/// Encodes Compound Text: Latin-1 as it is, everything else in parts of UTF-8. Control characters
/// but tab and newline are dropped, since the encoding has none.
pub(super) fn to_compound_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut in_utf8 = false;
    for c in text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\n'))
    {
        let latin1 = u8::try_from(c).ok();
        if latin1.is_none() != in_utf8 {
            in_utf8 = !in_utf8;
            bytes.extend_from_slice(if in_utf8 { UTF8_BEGIN } else { UTF8_END });
        }
        match latin1 {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if in_utf8 {
        bytes.extend_from_slice(UTF8_END);
    }
    bytes
}

/// Returns the encoding whose upper half a final byte selects (Compound Text Encoding, 'Standard
/// Character Set Encodings'). The web's supersets differ below 0xa0 alone.
fn right_half(set: u8) -> Option<&'static Encoding> {
    Some(match set {
        b'A' => WINDOWS_1252,
        b'B' => ISO_8859_2,
        b'C' => ISO_8859_3,
        b'D' => ISO_8859_4,
        b'F' => ISO_8859_7,
        b'G' => ISO_8859_6,
        b'H' => ISO_8859_8,
        b'L' => ISO_8859_5,
        b'M' => WINDOWS_1254,
        b'V' => ISO_8859_10,
        b'Y' => ISO_8859_13,
        b'_' => ISO_8859_14,
        b'b' => ISO_8859_15,
        b'f' => ISO_8859_16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_ends_with_one_lf() {
        for (text, expected) in [
            ("a\r\nb\rc\nd", "a\nb\nc\nd"),
            ("\r\n\r\r\n", "\n\n\n"),
            ("12,50\0", "12,50"),
            ("åäö", "åäö"),
        ] {
            assert_eq!(normalised(text), expected, "{text:?}");
        }
    }

    #[test]
    fn compound_text_is_decoded() {
        for (bytes, expected) in [
            (b"\xe5\xe4\xf6".as_slice(), Some("åäö")),
            (b"\x1b-L\xbf\xe0\x1b-A\xe4", Some("Прä")),
            (b"\x1b-b\xa4 1", Some("€ 1")),
            (b"a\x1b%G\xe2\x98\x83\x1b%@\xf6", Some("a☃ö")),
            (b"\x1b$(B\x30\x21", None),
            (b"\x1b", None),
            (b"\x1b%G\xff\x1b%@", None),
        ] {
            assert_eq!(from_compound_text(bytes).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn compound_text_goes_there_and_back() {
        for text in ["", "plain", "åäö", "12,50 €", "Пр☃ä\n☃"] {
            let bytes = to_compound_text(text);
            assert_eq!(from_compound_text(&bytes).as_deref(), Some(text));
        }
    }
}
