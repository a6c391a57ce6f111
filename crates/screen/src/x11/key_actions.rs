//! XKB's actions: what the X server itself does when a key is pressed, before any program learns of
//! it (XKB Protocol Specification, 'Key Actions').

use x11rb::protocol::xkb::{ConnectionExt as _, MapPart, SAType};

use super::connection::XConnection;
use crate::error::ScreenError;

/// XkbUseCoreKbd: the device id of the keyboard that programs see.
const XKB_USE_CORE_KBD: u16 = 0x100;

/// The action of each level of each key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyActions {
    min_keycode: u8,
    /// For each key its actions, group by group; empty when the key has none.
    keys: Vec<Vec<SAType>>,
}

/// The effect that the server itself gives a key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerEffect {
    /// At most a change of modifiers or of the group.
    None,
    /// The pointer moves or clicks, if the control MouseKeys is on.
    Pointer,
    /// Anything else: another console, the server's end, another control.
    Other,
}

impl KeyActions {
    /// Reads the actions of the keyboard that programs see.
    pub(super) fn read(server: &XConnection) -> Result<Self, ScreenError> {
        let (full, partial) = (MapPart::KEY_ACTIONS, MapPart::from(0u8));
        let (device, no_mods) = (XKB_USE_CORE_KBD, 0u16.into());
        let map = server.xkb_get_map(
            device, full, partial, 0, 0, 0, 0, 0, 0, 0, 0, no_mods, 0, 0, 0, 0, 0, 0,
        )?;
        let map = map.reply()?;
        let padding = map.first_key_action.saturating_sub(map.min_key_code);
        let mut keys = vec![Vec::new(); padding.into()];
        if let Some(actions) = map.map.key_actions {
            let mut rest = actions.acts_rtrn_acts.as_slice();
            for count in actions.acts_rtrn_count {
                let (own, others) = rest.split_at(rest.len().min(count.into()));
                rest = others;
                keys.push(
                    own.iter()
                        .map(|action| action.as_noaction().type_)
                        .collect(),
                );
            }
        }
        Ok(Self {
            min_keycode: map.min_key_code,
            keys,
        })
    }

    /// Returns what the server does when a key is pressed at a level. `place` counts the key's
    /// levels, group by group.
    pub(super) fn effect(&self, keycode: u8, place: usize) -> ServerEffect {
        let key = keycode.checked_sub(self.min_keycode);
        let key = key.and_then(|key| self.keys.get(usize::from(key)));
        match key.and_then(|actions| actions.get(place)).copied() {
            None
            | Some(
                SAType::NO_ACTION
                | SAType::SET_MODS
                | SAType::LATCH_MODS
                | SAType::LOCK_MODS
                | SAType::SET_GROUP
                | SAType::LATCH_GROUP
                | SAType::LOCK_GROUP
                | SAType::ISO_LOCK,
            ) => ServerEffect::None,
            Some(
                SAType::MOVE_PTR | SAType::PTR_BTN | SAType::LOCK_PTR_BTN | SAType::SET_PTR_DFLT,
            ) => ServerEffect::Pointer,
            Some(_) => ServerEffect::Other,
        }
    }
}
