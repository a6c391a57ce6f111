//! The customer's hands: which of their keys and clicks count as an answer, and which may drag the
//! bar.
//!
//! Three rules, which [`counts`] holds:
//!
//! - A key counts after a second without any: whoever types on must not answer a question that has
//!   just come up. Outside of this file, keys alone never allow without Alt.
//! - While an agent has control, neither a key nor a click counts that a program has injected, or
//!   sent to the window alone; Alt has to be down by hand, too.
//! - Outside of control, on-screen keyboards and other aids inject too, and work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use etatuki_screen::{CancelToken, Click, InputSource, InputWatch, KeyPress, ScreenError};
use etatuki_session_core::{State as SessionState, View};
use fltk::app;
use fltk::enums::Event;

/// Time without a key after which keys count. Nobody reads a question faster.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
/// Time for which injected input makes all input doubtful while an agent has control: the pointer
/// may have been moved under a hand.
const INJECTION_DOUBT: Duration = Duration::from_secs(1);
/// Longest time between a key or click and its answer. An older one was for something else.
const INPUT_LIFETIME: Duration = Duration::from_secs(1);
/// Farthest that the pointer moves until its click is handled, in each direction.
const MAX_POINTER_DRIFT: i32 = 16;

/// The input that pressed a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A click, or a finger.
    Pointer,
    /// A click at a place where the pointer isn't: a program sent it to the window (SendEvent).
    SentClick,
    /// A key, by its keysym.
    Key(u32),
}

impl Trigger {
    /// Returns the input that the toolkit is handling.
    pub(crate) fn current() -> Self {
        match app::event() {
            Event::KeyDown | Event::KeyUp | Event::Shortcut => {
                Self::Key(app::event_key().bits().unsigned_abs())
            }
            Event::Push | Event::Drag | Event::Released if !pointer_is_there() => Self::SentClick,
            _ => Self::Pointer,
        }
    }
}

/// Returns whether the pointer is where the toolkit's event says.
fn pointer_is_there() -> bool {
    let (x, y) = app::get_mouse();
    let drift = [x - app::event_x_root(), y - app::event_y_root()];
    drift.iter().all(|drift| drift.abs() <= MAX_POINTER_DRIFT)
}

/// The kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Allow,
    Deny,
}

/// Watches the display's input while a question is open or an agent has control. Clones share the
/// watch.
#[derive(Clone, Default)]
pub(crate) struct Hands(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// `None` while nothing is to be watched, and on a display that doesn't name the devices of its
    /// input.
    watch: Option<InputWatch>,
    is_controlled: bool,
    is_wanted: bool,
}

/// The latest input, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    /// The last key press, if it was of the key that triggered.
    key: Option<KeyPress>,
    click: Option<Click>,
    since_injected: Option<Duration>,
}

impl Hands {
    /// Watches what a session with this view needs.
    pub(crate) fn follow(&self, view: &View) {
        let mut state = self.0.borrow_mut();
        let connected = view.state == SessionState::Connected;
        // Over a transport of the tool's own, nobody here knows whether there is control.
        let may_control = view.permissions.control || view.agent.is_none();
        state.is_controlled = connected && may_control;
        let is_wanted = state.is_controlled || view.question.is_some();
        if !is_wanted {
            state.watch = None;
        } else if !state.is_wanted {
            state.watch = open().inspect_err(|error| tracing::warn!("{error}")).ok();
        }
        state.is_wanted = is_wanted;
    }

    /// Takes note of what has happened. To be called a few times a second.
    pub(crate) fn tick(&self) {
        self.read(InputWatch::pump);
    }

    /// Returns whether the keyboard has been silent for long enough; never, if nobody knows.
    pub(crate) fn keyboard_rests(&self) -> bool {
        let silence = self.read(InputWatch::key_silence);
        silence.is_some_and(|silence| silence >= SILENCE)
    }

    /// Returns whether a button that was pressed by `trigger` counts as an answer.
    pub(crate) fn counts(&self, trigger: Trigger, reply: Reply) -> bool {
        let keysym = match trigger {
            Trigger::Key(keysym) => Some(keysym),
            Trigger::Pointer | Trigger::SentClick => None,
        };
        let evidence = self.read(|watch| {
            Ok(Evidence {
                key: match keysym {
                    Some(keysym) => watch.last_key(keysym)?,
                    None => None,
                },
                click: watch.last_click()?,
                since_injected: watch.since_injected()?,
            })
        });
        let counted = counts(trigger, reply, self.0.borrow().is_controlled, evidence);
        if !counted {
            tracing::info!(?trigger, ?reply, "an answer doesn't count");
        }
        counted
    }

    /// Returns whether whoever presses the button now may drag the bar.
    pub(crate) fn may_drag(&self) -> bool {
        let source = self.read(InputWatch::last_button).flatten();
        !self.0.borrow().is_controlled || source == Some(InputSource::Hand)
    }

    fn read<T>(&self, read: impl FnOnce(&mut InputWatch) -> Result<T, ScreenError>) -> Option<T> {
        let mut state = self.0.borrow_mut();
        let read = read(state.watch.as_mut()?);
        if let Err(error) = &read {
            tracing::warn!("input isn't watched any more: {error}");
            state.watch = None;
        }
        read.ok()
    }
}

fn open() -> Result<InputWatch, ScreenError> {
    InputWatch::open(None, &CancelToken::new()?)
}

/// Decides whether an input counts as an answer. Without evidence, keys don't; nor does a click that
/// allows while an agent has control.
fn counts(trigger: Trigger, reply: Reply, is_controlled: bool, evidence: Option<Evidence>) -> bool {
    let Some(evidence) = evidence else {
        let is_key = matches!(trigger, Trigger::Key(_));
        return !is_key && (!is_controlled || reply == Reply::Deny);
    };
    let is_doubtful = |source| {
        let injected = evidence.since_injected;
        let disturbed = injected.is_some_and(|since| since < INJECTION_DOUBT);
        is_controlled && (source == InputSource::Injected || disturbed)
    };
    match trigger {
        Trigger::Key(_) => evidence.key.is_some_and(|key| {
            let is_fresh = key.silence >= SILENCE && key.age < INPUT_LIFETIME;
            let has_alt = key.with_alt || reply == Reply::Deny || !is_controlled;
            is_fresh && has_alt && !is_doubtful(key.source)
        }),
        Trigger::Pointer | Trigger::SentClick if !is_controlled => true,
        Trigger::SentClick => false,
        Trigger::Pointer => evidence
            .click
            .is_some_and(|click| click.age < INPUT_LIFETIME && !is_doubtful(click.source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAND: InputSource = InputSource::Hand;
    const INJECTED: InputSource = InputSource::Injected;
    const LONG_AGO: Option<Duration> = Some(Duration::from_secs(9));
    const JUST_NOW: Option<Duration> = Some(Duration::from_millis(300));

    #[track_caller]
    fn check(
        trigger: Trigger,
        is_controlled: bool,
        evidence: Option<Evidence>,
        [allow, deny]: [bool; 2],
    ) {
        let found = [Reply::Allow, Reply::Deny]
            .map(|reply| counts(trigger, reply, is_controlled, evidence));
        assert_eq!(found, [allow, deny]);
    }

    fn evidence(
        key: Option<(InputSource, u64)>,
        click: Option<(InputSource, u64)>,
        since_injected: Option<Duration>,
    ) -> Option<Evidence> {
        Some(Evidence {
            key: key.map(|(source, silence)| KeyPress {
                source,
                silence: Duration::from_millis(silence),
                age: Duration::ZERO,
                with_alt: true,
            }),
            click: click.map(|(source, age)| Click {
                source,
                age: Duration::from_millis(age),
            }),
            since_injected,
        })
    }

    #[test]
    fn a_key_counts_after_a_second_of_silence() {
        let key = Trigger::Key(0xff0d);
        let check_key = |pressed, is_controlled, since, expected| {
            let evidence = evidence(pressed, None, since);
            check(key, is_controlled, evidence, [expected; 2]);
        };
        check_key(Some((HAND, 1000)), false, None, true);
        check_key(Some((HAND, 900)), false, None, false);
        check_key(Some((INJECTED, 1000)), false, JUST_NOW, true);
        check_key(None, false, None, false);
        check_key(Some((HAND, 1000)), true, None, true);
        check_key(Some((INJECTED, 5000)), true, LONG_AGO, false);
        check_key(Some((HAND, 5000)), true, JUST_NOW, false);
    }

    #[test]
    fn under_control_a_key_needs_a_hand_on_alt_to_allow() {
        let pressed = |age, with_alt| {
            let hand = evidence(Some((HAND, 1000)), None, None);
            hand.map(|evidence| Evidence {
                key: evidence.key.map(|key| KeyPress {
                    age,
                    with_alt,
                    ..key
                }),
                ..evidence
            })
        };
        let check_key = |is_controlled, evidence, expected| {
            check(Trigger::Key(0x61), is_controlled, evidence, expected);
        };
        check_key(true, pressed(Duration::ZERO, true), [true, true]);
        check_key(true, pressed(Duration::ZERO, false), [false, true]);
        check_key(false, pressed(Duration::ZERO, false), [true, true]);
        check_key(true, pressed(INPUT_LIFETIME, true), [false, false]);
    }

    #[test]
    fn under_control_a_click_counts_if_it_is_a_hands() {
        let check_click = |click, is_controlled, since, expected| {
            let evidence = evidence(None, click, since);
            check(Trigger::Pointer, is_controlled, evidence, [expected; 2]);
        };
        check_click(Some((INJECTED, 10)), false, JUST_NOW, true);
        check_click(None, false, None, true);
        check_click(Some((HAND, 10)), true, LONG_AGO, true);
        check_click(Some((HAND, 10)), true, JUST_NOW, false);
        check_click(Some((INJECTED, 10)), true, LONG_AGO, false);
        check_click(Some((HAND, 2000)), true, None, false);
        check_click(None, true, None, false);
        let by_hand = evidence(None, Some((HAND, 10)), None);
        check(Trigger::SentClick, true, by_hand, [false, false]);
        check(Trigger::SentClick, false, by_hand, [true, true]);
    }

    #[test]
    fn a_display_that_cant_tell_takes_no_keys_and_no_yes_under_control() {
        check(Trigger::Key(0x20), false, None, [false, false]);
        check(Trigger::Pointer, false, None, [true, true]);
        check(Trigger::Pointer, true, None, [false, true]);
    }
}
