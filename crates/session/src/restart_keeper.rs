//! The place of what the next launcher needs to go on after a restart of the machine.

use std::fmt::Debug;

use etatuki_trust::LinkCredentials;

/// Keeps the customer's end of a link over one restart, and removes it again.
pub trait RestartKeeper: Debug + Send + Sync {
    /// Keeps `link`, in place of what was kept of it before, and has the launcher started at the next
    /// login. Returns whether that was done; nothing is kept otherwise.
    fn keep(&self, link: LinkCredentials) -> bool;

    /// Removes what was kept of this session's link.
    fn forget(&self);
}
