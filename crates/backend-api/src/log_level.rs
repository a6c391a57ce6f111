//! Severity of log lines.

use crate::raw;

/// Severity of a line of a plugin's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened that support wants to know.
    Info,
    /// Detail for debugging.
    Debug,
}

impl LogLevel {
    /// Returns the number in the C interface.
    pub const fn to_raw(self) -> u32 {
        match self {
            LogLevel::Error => raw::LOG_ERROR,
            LogLevel::Warn => raw::LOG_WARN,
            LogLevel::Info => raw::LOG_INFO,
            LogLevel::Debug => raw::LOG_DEBUG,
        }
    }

    /// Returns the level of a number in the C interface; an unknown one is [`Debug`](Self::Debug).
    pub const fn from_raw(level: u32) -> Self {
        match level {
            raw::LOG_ERROR => LogLevel::Error,
            raw::LOG_WARN => LogLevel::Warn,
            raw::LOG_INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }
}
