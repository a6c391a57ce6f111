//! The Esc key, held down in whichever window.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use x11rb::connection::Connection as _;
use x11rb::protocol::xinput::XIEventMask;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Connection;
use super::raw_input::{InputSource, RawInputEvents, RawKind};
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// The keysym of Esc (X11's keysymdef.h).
const XK_ESCAPE: u32 = 0xff1b;
/// Time between two queries of the keyboard, on a display that doesn't name the device of a key.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the customer holds Esc down. Grabs nothing: the key still reaches the program that
/// has the focus.
///
/// An Esc that a program injects doesn't count, since the agent's keys come that way. A display
/// without XInput 2.1 can't tell: there, any Esc counts.
#[derive(Debug)]
pub struct EscapeKey {
    connection: Connection,
    cancel: CancelToken,
    keycodes: Vec<u8>,
    /// `None` on a display without XInput 2.1.
    events: Option<RawInputEvents>,
}

impl EscapeKey {
    /// Connects to `display`, or to `$DISPLAY`, and finds the key on the keyboard.
    ///
    /// # Errors
    /// No display answers.
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let events = match RawInputEvents::subscribe(&connection, XIEventMask::from(0u32)) {
            Ok(events) => Some(events),
            Err(ScreenError::Unsupported(_)) => None,
            Err(error) => return Err(error),
        };
        let keycodes = keycodes_of(&connection, XK_ESCAPE)?;
        Ok(Self {
            connection,
            cancel: cancel.clone(),
            keycodes,
            events,
        })
    }

    /// Waits until Esc has been held down for `hold`. The next wait begins with a key that isn't
    /// down.
    ///
    /// # Errors
    /// [`ScreenError::Cancelled`], or the display is gone.
    pub fn wait_until_held(&mut self, hold: Duration) -> Result<(), ScreenError> {
        let mut since: Option<Instant> = None;
        loop {
            if self.cancel.is_cancelled() {
                return Err(ScreenError::Cancelled);
            }
            since = self.down_since(since)?;
            let left = since.map(|since| hold.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) {
                if self.is_down()? {
                    return Ok(());
                }
                // The release was lost, such as at a switch to another console.
                since = None;
                continue;
            }
            self.wait(match &self.events {
                Some(_) => left,
                None => Some(POLL_INTERVAL),
            })?;
        }
    }

    /// Returns since when Esc has been down. A repeated press isn't a new one.
    fn down_since(&mut self, before: Option<Instant>) -> Result<Option<Instant>, ScreenError> {
        if self.events.is_none() {
            let is_down = self.is_down()?;
            return Ok(is_down.then(|| before.unwrap_or_else(Instant::now)));
        }
        let mut since = before;
        while let Some(events) = &mut self.events
            && let Some(event) = events.next(&self.connection)?
        {
            match (event.kind, event.source) {
                (RawKind::KeyPress(code), InputSource::Hand) if self.keycodes.contains(&code) => {
                    since = since.or_else(|| Some(Instant::now()));
                }
                (RawKind::KeyRelease(code), InputSource::Hand) if self.keycodes.contains(&code) => {
                    since = None;
                }
                _ => {}
            }
        }
        Ok(since)
    }

    fn is_down(&self) -> Result<bool, ScreenError> {
        let pressed = self.connection.server.query_keymap()?.reply()?.keys;
        let is_pressed = |code: &u8| pressed[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        Ok(self.keycodes.iter().any(is_pressed))
    }

    /// Waits for the server, for a cancellation, or for `timeout`.
    fn wait(&self, timeout: Option<Duration>) -> Result<(), ScreenError> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = [
            PollFd::new(&self.connection, PollFlags::IN),
            PollFd::new(&self.cancel, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(ScreenError::System(error.into())),
        }
    }
}

/// Returns all keycodes that give `keysym`, on any shift level and group.
pub(super) fn keycodes_of(connection: &Connection, keysym: u32) -> Result<Vec<u8>, ScreenError> {
    let (first, last) = {
        let setup = connection.server.setup();
        (setup.min_keycode, setup.max_keycode)
    };
    let count = last - first + 1;
    let map = connection
        .server
        .get_keyboard_mapping(first, count)?
        .reply()?;
    let keysyms_per_keycode = usize::from(map.keysyms_per_keycode).max(1);
    let keys = (first..=last).zip(map.keysyms.chunks(keysyms_per_keycode));
    Ok(keys
        .filter(|(_, keysyms)| keysyms.contains(&keysym))
        .map(|(code, _)| code)
        .collect())
}
