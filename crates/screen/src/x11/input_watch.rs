//! The latest keys and clicks of the whole display: who made them, and how long the keyboard was
//! silent before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use x11rb::protocol::xinput::XIEventMask;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use super::escape_key::keycodes_of;
use super::raw_input::{InputSource, RawInput, RawInputEvents, RawKind};
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// Watches keys and buttons, in whichever window. Grabs nothing.
///
/// Times of arrival are those of the last call: call [`pump`](Self::pump) a few times a second.
#[derive(Debug)]
pub struct InputWatch {
    connection: Connection,
    events: RawInputEvents,
    keys: ModifierKeys,
    state: InputState,
}

/// Keycodes that are held for another key.
#[derive(Debug)]
struct ModifierKeys {
    /// Shift, Alt and their like.
    all: Vec<u8>,
    /// Alt: the first of the five that have no fixed meaning (X11, "Keyboards").
    alt: Vec<u8>,
}

/// The latest input.
#[derive(Debug)]
struct InputState {
    opened: Instant,
    /// Keys that are down, with what holds each.
    held: BTreeSet<(InputSource, u8)>,
    /// The last key press and the one before it, modifiers aside.
    last_key: Option<KeyRecord>,
    /// When the last key press arrived.
    key_arrived: Instant,
    button_press: Option<InputSource>,
    click: Option<ClickRecord>,
    injected: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct KeyRecord {
    keycode: u8,
    source: InputSource,
    time: u32,
    silence: Duration,
    with_alt: bool,
}

#[derive(Clone, Copy, Debug)]
struct ClickRecord {
    source: InputSource,
    arrived: Instant,
}

/// A key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// [`InputSource::Hand`] if it and all keys that were held with it came from one.
    pub source: InputSource,
    /// Time since the key press before, or since the watch began. Modifiers don't count.
    pub silence: Duration,
    /// Time since it arrived.
    pub age: Duration,
    /// Whether a hand held Alt. One that a program has locked isn't held.
    pub with_alt: bool,
}

/// A button that was pressed and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    /// [`InputSource::Hand`] if press and release both came from one.
    pub source: InputSource,
    /// Time since the release arrived.
    pub age: Duration,
}

impl InputWatch {
    /// Connects to `display`, or to `$DISPLAY`.
    ///
    /// # Errors
    /// [`ScreenError::Unsupported`] if the display doesn't name the devices of its events (before
    /// XInput 2.1).
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let mut events = RawInputEvents::subscribe(&connection, XIEventMask::RAW_MOTION)?;
        let held = events.held_keys(&connection)?;
        let all = connection.server.get_modifier_mapping()?.reply()?.keycodes;
        // Eight lists of equal length: Shift, Lock, Control, and the five.
        let alt = all.chunks((all.len() / 8).max(1)).nth(3);
        let alt = alt.unwrap_or_default().to_vec();
        Ok(Self {
            connection,
            events,
            keys: ModifierKeys { all, alt },
            state: InputState::new(Instant::now(), held),
        })
    }

    /// Takes note of what has happened.
    ///
    /// # Errors
    /// The display is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        while let Some(input) = self.events.next(&self.connection)? {
            self.state.record(input, &self.keys, Instant::now());
        }
        Ok(())
    }

    /// Returns the time since the last key press, or since the watch began.
    ///
    /// # Errors
    /// The display is gone.
    pub fn key_silence(&mut self) -> Result<Duration, ScreenError> {
        self.catch_up()?;
        Ok(self.state.key_arrived.elapsed())
    }

    /// Returns the last key press if it was of the key that gives `keysym`.
    ///
    /// # Errors
    /// The display is gone.
    pub fn last_key(&mut self, keysym: u32) -> Result<Option<KeyPress>, ScreenError> {
        self.catch_up()?;
        let keycodes = keycodes_of(&self.connection, keysym)?;
        let last = self.state.last_key;
        let last = last.filter(|key| keycodes.contains(&key.keycode));
        Ok(last.map(|key| KeyPress {
            source: key.source,
            silence: key.silence,
            age: self.state.key_arrived.elapsed(),
            with_alt: key.with_alt,
        }))
    }

    /// Returns the last click.
    ///
    /// # Errors
    /// The display is gone.
    pub fn last_click(&mut self) -> Result<Option<Click>, ScreenError> {
        self.catch_up()?;
        Ok(self.state.click.map(|click| Click {
            source: click.source,
            age: click.arrived.elapsed(),
        }))
    }

    /// Returns the source of the last press of a button, whether it is released or not.
    ///
    /// # Errors
    /// The display is gone.
    pub fn last_button(&mut self) -> Result<Option<InputSource>, ScreenError> {
        self.catch_up()?;
        Ok(self.state.button_press)
    }

    /// Returns the time since a program injected anything; `None` if none has.
    ///
    /// # Errors
    /// The display is gone.
    pub fn since_injected(&mut self) -> Result<Option<Duration>, ScreenError> {
        self.catch_up()?;
        Ok(self.state.injected.map(|injected| injected.elapsed()))
    }

    /// Waits until the server has reported all that it did before, and takes note of it.
    fn catch_up(&mut self) -> Result<(), ScreenError> {
        self.connection.server.sync()?;
        self.pump()
    }
}

impl InputState {
    fn new(now: Instant, held: BTreeSet<(InputSource, u8)>) -> Self {
        Self {
            opened: now,
            held,
            last_key: None,
            key_arrived: now,
            button_press: None,
            click: None,
            injected: None,
        }
    }

    fn record(&mut self, input: RawInput, keys: &ModifierKeys, now: Instant) {
        if input.source == InputSource::Injected {
            self.injected = Some(now);
        }
        match input.kind {
            RawKind::KeyPress(keycode) => self.held.insert((input.source, keycode)),
            RawKind::KeyRelease(keycode) => self.held.remove(&(input.source, keycode)),
            _ => false,
        };
        match input.kind {
            RawKind::KeyPress(keycode) if !keys.all.contains(&keycode) => {
                let is_by_hand = |(source, _): &(InputSource, u8)| *source == InputSource::Hand;
                let source = match self.held.iter().all(is_by_hand) {
                    true => InputSource::Hand,
                    false => InputSource::Injected,
                };
                let holds = |alt: &u8| self.held.contains(&(InputSource::Hand, *alt));
                let silence = match self.last_key {
                    Some(before) => {
                        Duration::from_millis(input.time.wrapping_sub(before.time).into())
                    }
                    None => now.saturating_duration_since(self.opened),
                };
                self.last_key = Some(KeyRecord {
                    keycode,
                    source,
                    time: input.time,
                    silence,
                    with_alt: keys.alt.iter().any(holds),
                });
                self.key_arrived = now;
            }
            RawKind::ButtonPress => self.button_press = Some(input.source),
            RawKind::ButtonRelease => {
                let by_hand = [Some(input.source), self.button_press]
                    .iter()
                    .all(|source| *source == Some(InputSource::Hand));
                let source = if by_hand {
                    InputSource::Hand
                } else {
                    InputSource::Injected
                };
                let arrived = now;
                self.click = Some(ClickRecord { source, arrived });
            }
            RawKind::KeyPress(_) | RawKind::KeyRelease(_) | RawKind::Motion => {}
        }
    }
}
