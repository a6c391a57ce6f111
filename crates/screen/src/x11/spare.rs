//! Keysyms that the keyboard hasn't got, lent a keycode that it doesn't use.
//!
//! A program learns of the new symbol from an event and asks the server for the map when it gets round
//! to it; so a lent keycode keeps its symbol as long as possible, and only the oldest is lent anew.

use std::collections::VecDeque;

use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Server;
use super::keymap::Keymap;
use crate::error::ScreenError;

/// Most keycodes that are taken from the keyboard at a time.
const MOST: usize = 24;

/// Keycodes lent to keysyms, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Spare {
    lent: VecDeque<(u32, u8)>,
}

impl Spare {
    /// A keycode that gives `keysym`; `None` when every one is in use (`is_down`) or the keyboard has none to spare.
    pub(super) fn lend(
        &mut self,
        server: &Server,
        map: &Keymap,
        keysym: u32,
        is_down: impl Fn(u8) -> bool,
    ) -> Result<Option<u8>, ScreenError> {
        if let Some((_, keycode)) = self.lent.iter().find(|(k, _)| *k == keysym) {
            return Ok(Some(*keycode));
        }
        let Some(keycode) = self.unused(map).or_else(|| self.take_back(is_down)) else {
            return Ok(None);
        };
        // Both levels the same, so that Shift makes no difference.
        server.change_keyboard_mapping(1, keycode, 2, &[keysym, keysym])?;
        self.lent.push_back((keysym, keycode));
        Ok(Some(keycode))
    }

    /// The keycodes that are lent.
    pub(super) fn keycodes(&self) -> Vec<u8> {
        self.lent.iter().map(|(_, keycode)| *keycode).collect()
    }

    /// Forgets what the keyboard has no longer got: somebody else has set a new layout.
    pub(super) fn compare(&mut self, map: &Keymap) {
        self.lent
            .retain(|(keysym, keycode)| map.gives(*keycode, *keysym));
    }

    /// Gives every keycode back, as empty as it was.
    pub(super) fn give_back(&mut self, server: &Server) -> Result<(), ScreenError> {
        for (_, keycode) in self.lent.drain(..) {
            server.change_keyboard_mapping(1, keycode, 1, &[0])?;
        }
        Ok(())
    }

    fn unused(&self, map: &Keymap) -> Option<u8> {
        let is_lent = |keycode: &u8| self.lent.iter().any(|(_, k)| k == keycode);
        map.spare()
            .find(|keycode| !is_lent(keycode))
            .filter(|_| self.lent.len() < MOST)
    }

    fn take_back(&mut self, is_down: impl Fn(u8) -> bool) -> Option<u8> {
        let oldest = self
            .lent
            .iter()
            .position(|(_, keycode)| !is_down(*keycode))?;
        self.lent.remove(oldest).map(|(_, keycode)| keycode)
    }
}
