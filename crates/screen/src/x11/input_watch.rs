//! The latest keys and clicks of the whole display: who made them, and how long the keyboard was
//! silent before.

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
    /// Keycodes of Shift, Alt and their like, which are held for another key.
    modifiers: Vec<u8>,
    state: InputState,
}

/// The latest input.
#[derive(Debug)]
struct InputState {
    opened: Instant,
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
}

#[derive(Clone, Copy, Debug)]
struct ClickRecord {
    source: InputSource,
    arrived: Instant,
}

/// A key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// Its source.
    pub source: InputSource,
    /// Time since the key press before, or since the watch began. Modifiers don't count.
    pub silence: Duration,
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
        let events = RawInputEvents::subscribe(&connection, XIEventMask::RAW_MOTION)?;
        let modifiers = connection.server.get_modifier_mapping()?.reply()?.keycodes;
        Ok(Self {
            connection,
            events,
            modifiers,
            state: InputState::new(Instant::now()),
        })
    }

    /// Takes note of what has happened.
    ///
    /// # Errors
    /// The display is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        while let Some(input) = self.events.next(&self.connection)? {
            self.state.record(input, &self.modifiers, Instant::now());
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
    fn new(now: Instant) -> Self {
        Self {
            opened: now,
            last_key: None,
            key_arrived: now,
            button_press: None,
            click: None,
            injected: None,
        }
    }

    fn record(&mut self, input: RawInput, modifiers: &[u8], now: Instant) {
        if input.source == InputSource::Injected {
            self.injected = Some(now);
        }
        match input.kind {
            RawKind::KeyPress(keycode) if !modifiers.contains(&keycode) => {
                let silence = match self.last_key {
                    Some(before) => {
                        Duration::from_millis(input.time.wrapping_sub(before.time).into())
                    }
                    None => now.saturating_duration_since(self.opened),
                };
                self.last_key = Some(KeyRecord {
                    keycode,
                    source: input.source,
                    time: input.time,
                    silence,
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
