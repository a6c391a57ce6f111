//! What a plugin host reports by itself, and the bounded queue through which it does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use etatuki_backend_api::State;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::error::FailureReport;
use crate::lines::{MAX_LOG, Throttle, cut};

/// How much a line of a plugin's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened that support wants to know.
    Info,
    /// Only for those who hunt a bug.
    Debug,
}

/// What a plugin host reports by itself.
#[derive(Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// The plugin's state, re-read. Level-triggered: only the newest is kept when the reader is slow. Of a plugin that hung,
    /// or broke the protocol, the host says `failed` itself.
    Changed {
        /// The state now.
        state: State,
        /// The session code now, in its plain form.
        code: Option<Zeroizing<String>>,
        /// Why it failed; set when `state` is `failed`.
        failure: Option<FailureReport>,
    },
    /// A line of the plugin's log, or of what it or its tool printed.
    Log {
        /// How much it matters; what was printed is `Info`.
        level: LogLevel,
        /// The line, at most 1000 bytes, with the code blacked out.
        text: String,
    },
    /// The child is gone, and everything that it started was killed. Nothing comes after this.
    Died {
        /// What is known about it: `the plugin hung in open`, `signal SIGSEGV`, `exit code 1`.
        description: String,
    },
}

/// Without the code.
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

/// Where the events come out.
#[derive(Debug)]
pub struct HostEvents(Arc<EventQueue>);

impl HostEvents {
    /// The next event; None after [`HostEvent::Died`], after `shutdown`, and when the host was dropped. Cancel safe.
    pub async fn recv(&mut self) -> Option<HostEvent> {
        loop {
            // Asked for before the look, so that what is put in between wakes us.
            let put = self.0.put.notified();
            match self.0.take() {
                Taken::Event(event) => return Some(event),
                Taken::End => return None,
                Taken::Nothing => put.await,
            }
        }
    }
}

/// The events that wait to be read: any number of changes is one, and lines of a log are dropped above a bound.
pub(crate) struct EventQueue {
    inner: Mutex<Inner>,
    put: Notify,
}

const MAX_LOGS: usize = 256;

struct Inner {
    changed: Option<HostEvent>,
    logs: VecDeque<HostEvent>,
    died: Option<String>,
    ended: bool,
    throttle: Throttle,
    secrets: Secrets,
}

enum Taken {
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
            throttle: Throttle::new(Instant::now()),
            secrets: Secrets::default(),
        };
        let queue = Arc::new(Self {
            inner: Mutex::new(inner),
            put: Notify::new(),
        });
        (Arc::clone(&queue), HostEvents(queue))
    }

    pub(crate) fn changed(
        &self,
        state: State,
        code: Option<Zeroizing<String>>,
        failure: Option<FailureReport>,
    ) {
        let mut inner = self.lock();
        if let Some(code) = &code {
            inner.secrets.learn(code);
        }
        inner.changed = Some(HostEvent::Changed {
            state,
            code,
            failure,
        });
        self.put.notify_one();
    }

    /// The code that was handed out, so that it can be blacked out.
    pub(crate) fn learn(&self, code: &str) {
        self.lock().secrets.learn(code);
    }

    pub(crate) fn log(&self, level: LogLevel, text: &str) {
        let mut inner = self.lock();
        let Some(dropped) = inner.throttle.allow(Instant::now()) else {
            return;
        };
        if dropped > 0 {
            let text = format!("{dropped} lines of the plugin's log were dropped");
            inner.put_log(HostEvent::Log {
                level: LogLevel::Warn,
                text,
            });
        }
        let text = cut(&inner.secrets.black_out(cut(text, MAX_LOG)), MAX_LOG).to_owned();
        inner.put_log(HostEvent::Log { level, text });
        self.put.notify_one();
    }

    /// The last event.
    pub(crate) fn died(&self, description: String) {
        let mut inner = self.lock();
        inner.died = Some(description);
        inner.ended = true;
        self.put.notify_one();
    }

    /// The end, without an event.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.put.notify_one();
    }

    fn take(&self) -> Taken {
        let mut inner = self.lock();
        let next = inner.changed.take().or_else(|| inner.logs.pop_front());
        let next = next.or_else(|| {
            inner
                .died
                .take()
                .map(|description| HostEvent::Died { description })
        });
        match next {
            Some(event) => Taken::Event(event),
            None if inner.ended => Taken::End,
            None => Taken::Nothing,
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
    fn put_log(&mut self, event: HostEvent) {
        if self.logs.len() == MAX_LOGS {
            self.logs.pop_front();
        }
        self.logs.push_back(event);
    }
}

/// The codes of this host, in the ways in which somebody may have written them.
#[derive(Default)]
struct Secrets(VecDeque<Zeroizing<String>>);

/// Ways to write one code, times codes that are remembered.
const MAX_SECRETS: usize = 5 * 8;

impl Secrets {
    fn learn(&mut self, code: &str) {
        let whole = code
            .split(' ')
            .filter(|part| part.len() >= 5)
            .map(str::to_owned);
        let in_threes = [" ", "-"].map(|gap| threes(code, gap));
        for text in whole.chain(in_threes).chain([code.to_owned()]) {
            let text = Zeroizing::new(text);
            if text.len() >= 5 && !self.0.contains(&text) {
                self.0.push_back(text);
            }
        }
        while self.0.len() > MAX_SECRETS {
            self.0.pop_front();
        }
    }

    fn black_out(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "<code>")
        })
    }
}

/// The digits of a code in threes, as it is shown.
fn threes(code: &str, gap: &str) -> String {
    let digits: Vec<char> = code.chars().filter(char::is_ascii_digit).collect();
    digits
        .chunks(3)
        .map(|three| three.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_blacked_out(code: &str, line: &str, expected: &str) {
        let mut secrets = Secrets::default();
        secrets.learn(code);
        assert_eq!(secrets.black_out(line), expected);
    }

    #[test]
    fn the_code_is_blacked_out_however_it_is_written() {
        check_blacked_out("123456789012", "open 123456789012!", "open <code>!");
        check_blacked_out("123456789012", "open 123 456 789 012!", "open <code>!");
        check_blacked_out("123456789012", "open 123-456-789-012!", "open <code>!");
        check_blacked_out("123456789 654321", "password=654321", "password=<code>");
        check_blacked_out("12", "12 of 12", "12 of 12");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn changes_are_one_logs_are_bounded_and_death_is_last() {
        let (queue, mut events) = EventQueue::new();
        queue.died("gone".into());
        for _ in 0..1000 {
            queue.log(LogLevel::Info, "x");
        }
        queue.changed(State::Opening, None, None);
        queue.changed(State::Waiting, Some(Zeroizing::new("1".into())), None);
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
        assert!(logs <= MAX_LOGS, "{logs}");
        assert_eq!(events.recv().await, None);
    }
}
