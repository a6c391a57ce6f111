//! The checks of the service and of the clock, which the service's answer tells.

use etatuki_session::{check_service, describe_proxy};
use etatuki_session_core::Failure;

use super::Check;
use crate::texts::Texts;

/// Greatest difference of two clocks that is called right, in seconds: a certificate or a card that
/// is made and used at once bears no more.
const MAX_CLOCK_DIFFERENCE: u64 = 120;

/// Names the proxy, without its password, and asks the service at `url`.
pub(super) fn check(url: &str, texts: &Texts) -> Vec<Check> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![Check::blocked("service", error.to_string())],
    };
    let (report, (words, used)) =
        runtime.block_on(async { (check_service(url).await, describe_proxy(url).await) });
    let mut checks = vec![if used {
        Check::ok("proxy", words)
    } else {
        Check::warning("proxy", words)
    }];
    checks.extend(match report {
        Ok(report) => vec![
            Check::ok("service", format!("{url} answers")),
            clock(report.clock_ahead),
        ],
        Err(Failure { name, detail }) => {
            let sentence = texts.failure(name.as_str()).sentence();
            let text = format!("{}: {url}: {detail} ({sentence})", name.as_str());
            vec![Check::blocked("service", text)]
        }
    });
    checks
}

/// Compares this machine's clock with the service's.
fn clock(ahead: Option<i64>) -> Check {
    let Some(ahead) = ahead else {
        return Check::warning("clock", "the service doesn't tell its time");
    };
    let difference = ahead.unsigned_abs();
    if difference <= MAX_CLOCK_DIFFERENCE {
        return Check::ok("clock", "right by the service's");
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let text = format!(
        "{} {direction} the service's clock: set date and time, else the vendor's own support is \
         refused",
        span(difference)
    );
    Check::warning("clock", text)
}

/// Returns seconds in words, in the largest unit that fits.
fn span(seconds: u64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7200.. => format!("{} hours", seconds / 3600),
        _ => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_wrong_clock_is_said_with_its_direction() {
        let check = |ahead, verdict, words: &str| {
            let found = clock(ahead);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert!(found.text.contains(words), "{found:?}");
        };
        check(Some(0), Verdict::Ok, "right");
        check(Some(-120), Verdict::Ok, "right");
        check(Some(121), Verdict::Warning, "2 minutes ahead of");
        check(Some(-7200), Verdict::Warning, "2 hours behind");
        check(Some(-172_800), Verdict::Warning, "2 days behind");
        check(None, Verdict::Warning, "doesn't tell");
    }
}
