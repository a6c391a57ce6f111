//! Lines of a log: text that a plugin or a tool prints, cut into bounded lines, at a bounded rate.
//! Pure.

use std::time::{Duration, Instant};

use crate::redactor::MAX_SECRET_BYTES;

/// Longest line of a log, in bytes.
pub(crate) const MAX_LOG_LINE: usize = 1000;
/// Bytes of a line that are kept until the session codes in it are redacted: a code that begins in
/// the line must be there whole, or its beginning would stay.
pub(crate) const MAX_UNREDACTED_LINE: usize = MAX_LOG_LINE + MAX_SECRET_BYTES;

/// Splits printed text into lines; drops what a line has beyond [`MAX_UNREDACTED_LINE`].
#[derive(Default)]
pub(crate) struct LogLines {
    line: Vec<u8>,
}

impl LogLines {
    /// Calls `each` with every line that ends in these bytes, but not with empty ones.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part
                .strip_suffix(b"\n")
                .map_or((part, false), |text| (text, true));
            let room = MAX_UNREDACTED_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.flush(&mut each);
            }
        }
    }

    /// Calls `each` with the last line, which has no end.
    pub(crate) fn flush(&mut self, mut each: impl FnMut(String)) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if !line.is_empty() {
            each(line);
        }
    }
}

/// Capacity of the token bucket: lines that may come at once.
const BUCKET_CAPACITY: u32 = 200;
/// Time in which the bucket gains one token.
const REFILL_INTERVAL: Duration = Duration::from_millis(20);

/// Rate limit of log lines: a token bucket that also counts the dropped lines.
pub(crate) struct LogThrottle {
    tokens: u32,
    refilled_at: Instant,
    dropped: u64,
}

impl LogThrottle {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tokens: BUCKET_CAPACITY,
            refilled_at: now,
            dropped: 0,
        }
    }

    /// Takes a token for a line. Returns the number of lines dropped before this one, or `None`
    /// when this line must be dropped too.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let gained = now.duration_since(self.refilled_at).as_millis() / REFILL_INTERVAL.as_millis();
        let gained = u32::try_from(gained)
            .unwrap_or(BUCKET_CAPACITY)
            .min(BUCKET_CAPACITY);
        if gained > 0 {
            self.tokens = (self.tokens + gained).min(BUCKET_CAPACITY);
            self.refilled_at = now;
        }
        if self.tokens == 0 {
            self.dropped += 1;
            return None;
        }
        self.tokens -= 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Returns at most `max` bytes of `text`, cut between characters.
pub(crate) fn truncate(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_text_is_cut_and_never_refused() {
        let mut splitter = LogLines::default();
        let mut lines = Vec::new();
        splitter.push(&[b'x'; 5000], |line| lines.push(line));
        splitter.push(b"y\nab", |line| lines.push(line));
        splitter.push(b"c\xff\n\n\r\nlast", |line| lines.push(line));
        splitter.flush(|line| lines.push(line));
        assert_eq!(
            lines,
            [
                "x".repeat(MAX_UNREDACTED_LINE).as_str(),
                "abc\u{fffd}",
                "last"
            ]
        );
    }

    #[test]
    fn a_flood_is_counted_and_the_log_recovers() {
        let start = Instant::now();
        let mut throttle = LogThrottle::new(start);
        let admitted = (0..1000)
            .filter(|_| throttle.admit(start).is_some())
            .count();
        assert_eq!(admitted, BUCKET_CAPACITY as usize);
        let later = start + REFILL_INTERVAL;
        assert_eq!(throttle.admit(later), Some(800));
        assert_eq!(throttle.admit(later), None);
        assert_eq!(throttle.admit(later + Duration::from_secs(3600)), Some(1));
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(truncate("aä", 2), "a");
        assert_eq!(truncate("aä", 3), "aä");
        assert_eq!(truncate("aä", 9), "aä");
    }
}
