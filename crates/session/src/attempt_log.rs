//! The bound of the log lines that strangers cause: whoever reaches the link's port can try hundreds
//! of times a second.

/// Attempts in one session that are logged.
const MAX_LOGGED_ATTEMPTS: u32 = 20;

/// Counter of the attempts that were logged.
#[derive(Debug, Default)]
pub(crate) struct AttemptLog(u32);

impl AttemptLog {
    /// Returns whether this attempt is to be logged; says once that no more are.
    pub(crate) fn admit(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        if self.0 == MAX_LOGGED_ATTEMPTS + 1 {
            tracing::warn!("further attempts in this session are not logged");
        }
        self.0 <= MAX_LOGGED_ATTEMPTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_attempts_is_a_few_lines() {
        let mut log = AttemptLog::default();
        assert_eq!((0..10_000).filter(|_| log.admit()).count(), 20);
    }
}
