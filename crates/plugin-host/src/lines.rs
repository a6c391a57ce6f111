//! Bytes in, lines out, both bounded: messages, which are refused when they are too long, and text that a plugin or
//! a tool prints, which is cut. Pure.

use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use crate::wire::MAX_LINE;

/// A line without an end within the bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Takes messages apart.
#[derive(Default)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    /// Bytes in which no line's end was found so far.
    searched: usize,
}

impl Messages {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, TooLong> {
        let end = self.bytes[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        match end.map(|end| end + self.searched) {
            Some(end) if end < MAX_LINE => {
                let line = Zeroizing::new(self.bytes[..end].to_vec());
                self.bytes[..=end].zeroize();
                self.bytes.drain(..=end);
                self.searched = 0;
                Ok(Some(line))
            }
            None if self.bytes.len() < MAX_LINE => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            _ => Err(TooLong),
        }
    }
}

/// The longest line of a log, in bytes.
pub(crate) const MAX_LOG: usize = 1000;

/// Takes printed text apart: lines are cut at [`MAX_LOG`], the rest of them is swallowed.
#[derive(Default)]
pub(crate) struct Printed {
    line: Vec<u8>,
}

impl Printed {
    /// Calls `each` with every line that ends in these bytes. Empty lines are left out.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part
                .strip_suffix(b"\n")
                .map_or((part, false), |text| (text, true));
            let room = MAX_LOG.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.flush(&mut each);
            }
        }
    }

    /// The last line, which has no end.
    pub(crate) fn flush(&mut self, mut each: impl FnMut(String)) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if !line.is_empty() {
            each(line);
        }
    }
}

/// Lines that may come at once.
const BURST: u32 = 200;
/// One more is allowed after every such time.
const EVERY: Duration = Duration::from_millis(20);

/// Lets so many lines through and counts the rest.
pub(crate) struct Throttle {
    left: u32,
    since: Instant,
    dropped: u64,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
            dropped: 0,
        }
    }

    /// May a line pass? Some says how many were dropped before it.
    pub(crate) fn allow(&mut self, now: Instant) -> Option<u64> {
        let earned = now.duration_since(self.since).as_millis() / EVERY.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        if earned > 0 {
            self.left = (self.left + earned).min(BURST);
            self.since = now;
        }
        if self.left == 0 {
            self.dropped += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// At most `max` bytes of `text`, cut at a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut messages = Messages::default();
        let mut found = Vec::new();
        for piece in pieces {
            messages.push(piece);
            loop {
                match messages.next() {
                    Ok(Some(line)) => found.push(Ok(line.to_vec())),
                    Ok(None) => break,
                    Err(error) => {
                        found.push(Err(error));
                        return found;
                    }
                }
            }
        }
        found
    }

    #[test]
    fn messages_come_out_however_they_were_cut() {
        let expected = vec![Ok(b"one".to_vec()), Ok(b"".to_vec()), Ok(b"two".to_vec())];
        assert_eq!(messages(&[b"one\n\ntwo\nrest"]), expected);
        assert_eq!(messages(&[b"o", b"ne", b"\n", b"\ntw", b"o\nr"]), expected);
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let long = vec![b'x'; MAX_LINE];
        assert_eq!(messages(&[&long]), [Err(TooLong)]);
        assert_eq!(messages(&[&long, b"\n"]), [Err(TooLong)]);
        assert_eq!(messages(&[&long[1..], b"\n"]), [Ok(long[1..].to_vec())]);
    }

    #[test]
    fn printed_text_is_cut_and_never_refused() {
        let mut printed = Printed::default();
        let mut lines = Vec::new();
        printed.push(&[b'x'; 5000], |line| lines.push(line));
        printed.push(b"y\nab", |line| lines.push(line));
        printed.push(b"c\xff\n\n\r\nlast", |line| lines.push(line));
        printed.flush(|line| lines.push(line));
        assert_eq!(lines, ["x".repeat(MAX_LOG).as_str(), "abc\u{fffd}", "last"]);
    }

    #[test]
    fn a_flood_is_counted_and_the_log_recovers() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let passed = (0..1000)
            .filter(|_| throttle.allow(start).is_some())
            .count();
        assert_eq!(passed, BURST as usize);
        let later = start + EVERY;
        assert_eq!(throttle.allow(later), Some(800));
        assert_eq!(throttle.allow(later), None);
        assert_eq!(throttle.allow(later + Duration::from_secs(3600)), Some(1));
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("aä", 9), "aä");
    }
}
