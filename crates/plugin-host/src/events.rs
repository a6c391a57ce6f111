//! Events of a plugin host, and their bounded queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use etatuki_backend_api::{LogLevel, State};
use etatuki_rfb::plain_text;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::error::FailureReport;
use crate::log_lines::{LogThrottle, MAX_LOG_LINE, MAX_UNREDACTED_LINE, truncate};
use crate::redactor::Redactor;

/// An event of a plugin host.
#[derive(Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// The plugin's state, read anew. Level-triggered: a slow reader gets only the newest one. The
    /// host itself reports `failed` for a plugin that hung or broke the protocol.
    Changed {
        /// State now.
        state: State,
        /// Session code now, in its plain form.
        code: Option<Zeroizing<String>>,
        /// Failure; set when `state` is `failed`.
        failure: Option<FailureReport>,
    },
    /// A line of the plugin's log, or of the plugin's or its tool's output.
    Log {
        /// Severity; output is `Info`.
        level: LogLevel,
        /// The line, at most 1000 bytes, with the code redacted.
        text: String,
    },
    /// The child is gone, and everything that it started was killed. This is the last event.
    Died {
        /// Cause, as far as it is known: `the plugin hung in open`, `signal SIGSEGV`, `exit code
        /// 1`.
        description: String,
    },
}

/// Leaves the code out.
impl std::fmt::Debug for HostEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HostEvent::Changed {
                state,
                code,
                failure,
            } => {
                let code = code.as_ref().map(|_| "<redacted>");
                f.debug_struct("Changed")
                    .field("state", state)
                    .field("code", &code)
                    .field("failure", failure)
                    .finish()
            }
            HostEvent::Log { level, text } => f
                .debug_struct("Log")
                .field("level", level)
                .field("text", text)
                .finish(),
            HostEvent::Died { description } => f
                .debug_struct("Died")
                .field("description", description)
                .finish(),
        }
    }
}

/// Receiver of a host's events.
#[derive(Debug)]
pub struct HostEvents(Arc<EventQueue>);

impl HostEvents {
    /// Returns the next event; `None` after [`HostEvent::Died`], after `shutdown`, and when the
    /// host was dropped. Cancel safe.
    pub async fn recv(&mut self) -> Option<HostEvent> {
        loop {
            // Registered before the queue is read, so that an event in between wakes us.
            let pushed = self.0.pushed.notified();
            match self.0.pop() {
                Popped::Event(event) => return Some(event),
                Popped::End => return None,
                Popped::Nothing => pushed.await,
            }
        }
    }
}

/// Events that wait to be read. Any number of changes is one event, and log lines above a bound are
/// dropped.
pub(crate) struct EventQueue {
    inner: Mutex<Inner>,
    pushed: Notify,
}

/// Bytes of the last line that a failure quotes.
const MAX_LAST_WORDS: usize = 200;
/// Log lines that wait at most; older ones are dropped.
const MAX_QUEUED_LOGS: usize = 256;

struct Inner {
    changed: Option<HostEvent>,
    logs: VecDeque<HostEvent>,
    died: Option<String>,
    ended: bool,
    throttle: LogThrottle,
    redactor: Redactor,
    /// Last line of the plugin's as it came, also one that was dropped.
    last_line: String,
}

enum Popped {
    Event(HostEvent),
    Nothing,
    End,
}

impl EventQueue {
    pub(crate) fn new() -> (Arc<Self>, HostEvents) {
        let inner = Inner {
            changed: None,
            logs: VecDeque::new(),
            died: None,
            ended: false,
            throttle: LogThrottle::new(Instant::now()),
            redactor: Redactor::default(),
            last_line: String::new(),
        };
        let queue = Arc::new(Self {
            inner: Mutex::new(inner),
            pushed: Notify::new(),
        });
        (Arc::clone(&queue), HostEvents(queue))
    }

    pub(crate) fn push_changed(
        &self,
        state: State,
        code: Option<Zeroizing<String>>,
        failure: Option<FailureReport>,
    ) {
        let mut inner = self.lock();
        if let Some(code) = &code {
            inner.redactor.add_code(code);
        }
        inner.changed = Some(HostEvent::Changed {
            state,
            code,
            failure,
        });
        self.pushed.notify_one();
    }

    /// Redacts this code, which was handed to the plugin, in the log from now on.
    pub(crate) fn redact_code(&self, code: &str) {
        self.lock().redactor.add_code(code);
    }

    /// Adds a line of the plugin's, as long as it is: it is cleaned, redacted and cut here.
    pub(crate) fn push_log(&self, level: LogLevel, text: &str) {
        let mut inner = self.lock();
        truncate(text, MAX_UNREDACTED_LINE).clone_into(&mut inner.last_line);
        let Some(dropped) = inner.throttle.admit(Instant::now()) else {
            return;
        };
        if dropped > 0 {
            let text = format!("{dropped} lines of the plugin's log were dropped");
            inner.push_log(HostEvent::Log {
                level: LogLevel::Warn,
                text,
            });
        }
        let text = inner.redactor.redact_line(&plain_text(text), MAX_LOG_LINE);
        inner.push_log(HostEvent::Log { level, text });
        self.pushed.notify_one();
    }

    /// Returns what the plugin said last, as the end of a sentence; empty if it said nothing.
    pub(crate) fn last_words(&self) -> String {
        let inner = self.lock();
        let line = plain_text(&inner.last_line);
        match inner.redactor.redact_line(&line, MAX_LAST_WORDS).as_str() {
            "" => String::new(),
            words => format!("; its last words: {words}"),
        }
    }

    /// Ends the queue with [`HostEvent::Died`].
    pub(crate) fn end_with_death(&self, description: String) {
        let mut inner = self.lock();
        inner.died = Some(description);
        inner.ended = true;
        self.pushed.notify_one();
    }

    /// Ends the queue without an event.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.pushed.notify_one();
    }

    fn pop(&self) -> Popped {
        let mut inner = self.lock();
        let next = inner.changed.take().or_else(|| inner.logs.pop_front());
        let next = next.or_else(|| {
            inner
                .died
                .take()
                .map(|description| HostEvent::Died { description })
        });
        match next {
            Some(event) => Popped::Event(event),
            None if inner.ended => Popped::End,
            None => Popped::Nothing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventQueue").finish_non_exhaustive()
    }
}

impl Inner {
    fn push_log(&mut self, event: HostEvent) {
        if self.logs.len() == MAX_QUEUED_LOGS {
            self.logs.pop_front();
        }
        self.logs.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn changes_are_one_logs_are_bounded_and_death_is_last() {
        let (queue, mut events) = EventQueue::new();
        queue.end_with_death("gone".into());
        for _ in 0..1000 {
            queue.push_log(LogLevel::Info, "x");
        }
        queue.push_changed(State::Opening, None, None);
        queue.push_changed(State::Waiting, Some(Zeroizing::new("1".into())), None);
        let first = events.recv().await.unwrap();
        assert!(
            matches!(
                &first,
                HostEvent::Changed {
                    state: State::Waiting,
                    ..
                }
            ),
            "{first:?}"
        );
        assert!(!format!("{first:?}").contains('1'), "{first:?}");
        let mut logs = 0;
        loop {
            match events.recv().await.unwrap() {
                HostEvent::Log { .. } => logs += 1,
                other => {
                    break assert_eq!(
                        other,
                        HostEvent::Died {
                            description: "gone".into()
                        }
                    );
                }
            }
        }
        assert!(logs <= MAX_QUEUED_LOGS, "{logs}");
        assert_eq!(events.recv().await, None);
    }
}
