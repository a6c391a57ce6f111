//! Lines from an accounting program to `etatuki session`: reading and parsing.

use std::io::BufReader;

use etatuki_session_core::json::{InputError, InputLine, MAX_LINE, parse, read_line};

pub(crate) fn session_lines(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len().max(1));
    // However the bytes come in, the same lines come out.
    let cut = usize::from(bytes.first().copied().unwrap_or(1)) + 1;
    assert_eq!(lines(bytes, cut), whole);
    for line in whole {
        match line.and_then(|line| parse(&line)) {
            Ok(Some(InputLine::Answer { .. } | InputLine::TakeBack {} | InputLine::Close {}))
            | Ok(None) => {}
            Err(error) => {
                // The refusal never hands a part of the line back: it may be a secret that went
                // astray.
                assert!(error.to_string().len() < 100, "{error}");
                assert!(!error.name().is_empty());
            }
        }
    }
}

/// Reads all lines through a buffer of `buffer` bytes.
fn lines(bytes: &[u8], buffer: usize) -> Vec<Result<Vec<u8>, InputError>> {
    let mut reader = BufReader::with_capacity(buffer, bytes);
    let next = || read_line(&mut reader).expect("bytes in memory can be read");
    let lines: Vec<_> = std::iter::from_fn(next).collect();
    for line in lines.iter().flatten() {
        assert!(line.len() <= MAX_LINE && !line.contains(&b'\n'));
    }
    lines
}
