//! Date and time as a person reads them off this machine's clock.

use etatuki_trust::UnixTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Formats a time in this machine's time zone, by a `strftime` pattern of the message files.
pub(crate) fn format(pattern: &str, time: UnixTime) -> String {
    format_in(&TimeZone::system(), pattern, time)
}

fn format_in(zone: &TimeZone, pattern: &str, time: UnixTime) -> String {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_zoned(zone.clone()).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::texts::Texts;

    #[test]
    fn a_date_in_every_language() {
        let check = |language, seconds, expected: &str| {
            let pattern = Texts::load(language).notice.date_format;
            assert_eq!(
                format_in(&TimeZone::UTC, &pattern, UnixTime(seconds)),
                expected
            );
        };
        check(Language::Fi, 1_700_000_000, "14.11.2023 klo 22.13");
        check(Language::Sv, 1_700_000_000, "2023-11-14 kl. 22.13");
        check(Language::En, 1_700_000_000, "14 November 2023, 22:13");
        check(Language::En, 0, "1 January 1970, 00:00");
        let far = format_in(&TimeZone::UTC, "%Y", UnixTime(u64::MAX));
        assert_eq!(far, "9999");
    }
}
