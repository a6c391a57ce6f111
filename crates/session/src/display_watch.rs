//! The watch over the customer's display while an agent sees it: what no plugin is asked, because the
//! answer is the same for all of them.

use std::fmt::Debug;

use etatuki_session_core::screen_watch::DisplayFacts;

/// Watches the customer's display.
pub trait DisplayWatch: Debug + Send + Sync {
    /// Starts to look once a second, and calls `report` after each look that has something new.
    /// Neither waits. The watch ends when the guard is dropped.
    fn start(&self, report: Box<dyn Fn(DisplayFacts) + Send>) -> Box<dyn Send>;
}
