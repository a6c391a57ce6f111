//! Keysyms that the layout lacks, on keycodes that it doesn't use.
//!
//! A program learns of a new keysym from an event and reads the map some time later. So a borrowed
//! keycode keeps its keysym as long as possible; only the oldest is reused.

use std::collections::VecDeque;

use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::XConnection;
use super::keymap::Keymap;
use crate::error::ScreenError;

/// Maximum number of keycodes that are borrowed at a time.
const MAX_BORROWED: usize = 24;

/// Keysyms and the keycodes borrowed for them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct BorrowedKeycodes {
    borrowed: VecDeque<(u32, u8)>,
}

impl BorrowedKeycodes {
    /// Returns a keycode that gives `keysym`. `None` when all are held (`is_down`), or the keyboard
    /// has no unused one.
    pub(super) fn keycode_for(
        &mut self,
        server: &XConnection,
        map: &Keymap,
        keysym: u32,
        is_down: impl Fn(u8) -> bool,
    ) -> Result<Option<u8>, ScreenError> {
        if let Some((_, keycode)) = self.borrowed.iter().find(|(k, _)| *k == keysym) {
            return Ok(Some(*keycode));
        }
        let Some(keycode) = self
            .free_keycode(map)
            .or_else(|| self.recycle_oldest(is_down))
        else {
            return Ok(None);
        };
        // The keysym is on both levels, so that Shift makes no difference.
        server.change_keyboard_mapping(1, keycode, 2, &[keysym, keysym])?;
        self.borrowed.push_back((keysym, keycode));
        Ok(Some(keycode))
    }

    /// Returns the borrowed keycodes.
    pub(super) fn keycodes(&self) -> Vec<u8> {
        self.borrowed.iter().map(|(_, keycode)| *keycode).collect()
    }

    /// Drops the keycodes that `map` doesn't have: somebody else has set a new layout.
    pub(super) fn retain_present(&mut self, map: &Keymap) {
        self.borrowed
            .retain(|(keysym, keycode)| map.has_keysym(*keycode, *keysym));
    }

    /// Returns every keycode to the keyboard, empty as it was.
    pub(super) fn return_all(&mut self, server: &XConnection) -> Result<(), ScreenError> {
        for (_, keycode) in self.borrowed.drain(..) {
            server.change_keyboard_mapping(1, keycode, 1, &[0])?;
        }
        Ok(())
    }

    fn free_keycode(&self, map: &Keymap) -> Option<u8> {
        let is_borrowed = |keycode: &u8| self.borrowed.iter().any(|(_, k)| k == keycode);
        map.unused_keycodes()
            .find(|keycode| !is_borrowed(keycode))
            .filter(|_| self.borrowed.len() < MAX_BORROWED)
    }

    fn recycle_oldest(&mut self, is_down: impl Fn(u8) -> bool) -> Option<u8> {
        let oldest = self
            .borrowed
            .iter()
            .position(|(_, keycode)| !is_down(*keycode))?;
        self.borrowed.remove(oldest).map(|(_, keycode)| keycode)
    }
}
