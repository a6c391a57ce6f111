//! The keyboard layout: which key, with which modifiers, gives a keysym.
//!
//! A copy of the server's XKB map ("The X Keyboard Extension: Protocol Specification", section 12).
//! Each key has groups (layouts), each group a type, and the type says which modifiers select which
//! of the key's keysyms. [`Keymap::read`] fetches the map, [`Keymap::find_stroke`] searches it.

use x11rb::protocol::xkb::{ConnectionExt as _, GetMapReply, KeySymMap, KeyType, MapPart};

use super::connection::XConnection;
use crate::error::ScreenError;
use crate::keysym;

/// A set of the core protocol's eight modifiers, one bit each.
pub(super) type Modifiers = u8;

const XK_ISO_LEVEL3_SHIFT: u32 = 0xfe03;
/// Both Shifts, and the shifts of levels 3 and 5.
const LEVEL_SHIFTS: [u32; 4] = [0xffe1, 0xffe2, XK_ISO_LEVEL3_SHIFT, 0xfe11];
/// The core protocol's ControlMask.
const CONTROL: Modifiers = 1 << 2;
/// The core protocol's LockMask.
const LOCK: Modifiers = 1 << 1;
/// The core protocol's ShiftMask and LockMask.
const SHIFT_AND_LOCK: Modifiers = 0b11;
/// Meta, Alt, Super and Hyper, left and right.
const COMMAND_KEYSYMS: std::ops::RangeInclusive<u32> = 0xffe7..=0xffee;

/// The server's keyboard layout at the time it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Keymap {
    min_keycode: u8,
    keys: Vec<XkbKey>,
    types: Vec<XkbType>,
    /// The modifiers that each keycode gives, from `min_keycode` on.
    modifier_map: Vec<Modifiers>,
    /// The modifiers that select a level (Shift, ISO level 3 and 5), each with a key that gives it.
    level_shifts: Vec<(Modifiers, u8)>,
    /// Control, Alt and Super: with them a letter means a shortcut, whatever its case.
    command_modifiers: Modifiers,
}

/// One key's keysyms.
#[derive(Clone, Debug, Default)]
struct XkbKey {
    groups: usize,
    /// XKB's groupInfo, which says how groups beyond the key's own are mapped.
    group_info: u8,
    types: [u8; 4],
    /// Keysyms of each group.
    group_width: usize,
    keysyms: Vec<u32>,
}

/// XKB's key type: the level that each set of modifiers selects.
#[derive(Clone, Debug, Default)]
struct XkbType {
    mask: Modifiers,
    level_count: u8,
    levels: Vec<(Modifiers, usize)>,
}

/// The keyboard's group and modifiers at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyboardState {
    /// The group (layout) in use, from 0.
    pub(super) group: u8,
    /// Modifiers in effect.
    pub(super) mods: Modifiers,
    /// The modifiers in effect that only keys held by us give, so that we could release them.
    pub(super) releasable: Modifiers,
}

/// The key press that gives a keysym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyStroke {
    pub(super) keycode: u8,
    /// Modifiers to press for the stroke.
    pub(super) add: Modifiers,
    /// Modifiers to release for the stroke.
    pub(super) remove: Modifiers,
}

impl KeyStroke {
    /// Creates a stroke with the modifiers as they are.
    pub(super) fn plain(keycode: u8) -> Self {
        Self {
            keycode,
            add: 0,
            remove: 0,
        }
    }
}

impl Keymap {
    /// Reads the map of the keyboard `device`.
    pub(super) fn read(server: &XConnection, device: u16) -> Result<Self, ScreenError> {
        let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
        let reply = server
            .xkb_get_map(
                device,
                parts,
                MapPart::from(0u8),
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0u16.into(),
                0,
                0,
                0,
                0,
                0,
                0,
            )?
            .reply()?;
        Ok(Self::from_reply(reply))
    }

    fn from_reply(reply: GetMapReply) -> Self {
        let min_keycode = reply.min_key_code;
        let keys = keys_from(
            min_keycode,
            reply.first_key_sym,
            reply.map.syms_rtrn.unwrap_or_default(),
        );
        let mut modifier_map = vec![0; keys.len()];
        for entry in reply.map.modmap_rtrn.unwrap_or_default() {
            if let Some(slot) =
                modifier_map.get_mut(usize::from(entry.keycode.wrapping_sub(min_keycode)))
            {
                *slot = u16::from(entry.mods) as Modifiers;
            }
        }
        let types = reply
            .map
            .types_rtrn
            .unwrap_or_default()
            .iter()
            .map(XkbType::from)
            .collect();
        let mut map = Self {
            min_keycode,
            keys,
            types,
            modifier_map,
            level_shifts: Vec::new(),
            command_modifiers: 0,
        };
        map.complete_modifiers();
        map.level_shifts = map.find_level_shifts();
        map.command_modifiers = map.find_command_modifiers();
        map
    }

    /// Returns the stroke that types `keysym` with the fewest modifiers changed; `None` when the
    /// layout lacks it.
    ///
    /// Keys that type no character (Tab, F1, Shift) are pressed without a change of modifiers:
    /// Shift with Tab means just that, although the layout has its own keysym for the two together.
    /// While Control, Alt or Super is held, a letter's case counts for nothing: Ctrl+Z is undo with
    /// Caps Lock on too, and a Shift added for the case would make it redo.
    pub(super) fn find_stroke(&self, keysym: u32, state: KeyboardState) -> Option<KeyStroke> {
        if keysym::is_function_key(keysym)
            && let Some(keycode) = self.key_with_base_keysym(keysym, state.group)
        {
            return Some(KeyStroke::plain(keycode));
        }
        if self.is_command(state)
            && let Some(stroke) = self.search(|s| keysym::are_same_letter(s, keysym), state)
        {
            return Some(stroke);
        }
        let exactly = |candidate: u32| candidate == keysym;
        self.search(exactly, state)
            .or_else(|| self.search(|candidate| keysym::are_equivalent(candidate, keysym), state))
    }

    /// Returns the key that gives exactly `keysym` without a change of modifiers.
    pub(super) fn find_plain(&self, keysym: u32, state: KeyboardState) -> Option<KeyStroke> {
        let stroke = self.search(|candidate| candidate == keysym, state);
        stroke.filter(|stroke| stroke.add == 0 && stroke.remove == 0)
    }

    /// Returns whether Control, Alt or Super is in effect.
    pub(super) fn is_command(&self, state: KeyboardState) -> bool {
        state.mods & self.command_modifiers != 0
    }

    /// Returns whether Shift or AltGr is in effect and can't be released: the customer holds it, or
    /// has locked it.
    pub(super) fn has_fixed_level(&self, state: KeyboardState) -> bool {
        let fixed = state.mods & !state.releasable;
        self.level_shifts.iter().any(|(mods, _)| fixed & mods != 0)
    }

    /// Returns the keysym that `keycode` gives in this state.
    pub(super) fn keysym(&self, keycode: u8, state: KeyboardState) -> Option<u32> {
        self.keysym_at(self.key(keycode)?, state.group, state.mods)
    }

    /// Returns the level that `keycode` is on in this state, counted over its groups one after the
    /// other. XKB keeps keysyms and actions in this order.
    pub(super) fn place(&self, keycode: u8, state: KeyboardState) -> Option<usize> {
        let key = self.key(keycode)?;
        let group = key.group(state.group)?;
        let key_type = self.types.get(usize::from(key.types[group]));
        let level = key_type.map_or(0, |t| t.level(state.mods));
        Some(group * key.group_width + level)
    }

    /// Returns whether pressing `keycode` in this state types `keysym`.
    pub(super) fn types_keysym(&self, keycode: u8, keysym: u32, state: KeyboardState) -> bool {
        let base_keysym = || {
            self.key(keycode)
                .and_then(|key| self.keysym_at(key, state.group, 0))
        };
        let matches = match self.is_command(state) {
            true => keysym::are_same_letter,
            false => keysym::are_equivalent,
        };
        self.keysym(keycode, state)
            .is_some_and(|s| matches(s, keysym))
            || keysym::is_function_key(keysym) && base_keysym() == Some(keysym)
    }

    /// Returns the keysyms that a key gives in this group, lowest level first.
    pub(super) fn levels(&self, keycode: u8, group: u8) -> impl Iterator<Item = u32> + '_ {
        let key = self.key(keycode).filter(|key| key.group_width > 0);
        let group = key.and_then(|key| Some((key, key.group(group)?)));
        let levels = group.and_then(|(key, g)| key.keysyms.chunks(key.group_width).nth(g));
        levels.unwrap_or_default().iter().copied()
    }

    /// Returns whether a key gives `keysym` on any level.
    pub(super) fn has_keysym(&self, keycode: u8, keysym: u32) -> bool {
        self.key(keycode).is_some_and(|key| {
            key.keysyms
                .iter()
                .any(|s| keysym::are_equivalent(*s, keysym))
        })
    }

    /// Returns the modifiers that a key gives while it is held.
    pub(super) fn modifiers_of(&self, keycode: u8) -> Modifiers {
        self.modifier_map
            .get(usize::from(keycode.wrapping_sub(self.min_keycode)))
            .copied()
            .unwrap_or(0)
    }

    /// Returns whether a key is a modifier key.
    pub(super) fn is_modifier(&self, keycode: u8) -> bool {
        self.modifiers_of(keycode) != 0
            || self
                .key(keycode)
                .and_then(|k| k.keysyms.first())
                .is_some_and(|s| keysym::is_modifier(*s))
    }

    /// Returns a key that gives `modifier` (one bit).
    pub(super) fn key_for_modifier(&self, modifier: Modifiers) -> Option<u8> {
        self.level_shifts
            .iter()
            .find(|(mods, _)| *mods == modifier)
            .map(|(_, keycode)| *keycode)
    }

    /// Returns whether the server has this keycode.
    pub(super) fn has_keycode(&self, keycode: u8) -> bool {
        self.key(keycode).is_some()
    }

    /// Returns the keycodes without keysyms and modifiers, the highest first: programs are least
    /// likely to use those.
    pub(super) fn unused_keycodes(&self) -> impl Iterator<Item = u8> + '_ {
        let is_unused = |keycode: &u8| {
            self.modifiers_of(*keycode) == 0
                && self
                    .key(*keycode)
                    .is_some_and(|key| key.keysyms.iter().all(|s| *s == 0))
        };
        (self.min_keycode..=u8::MAX).rev().filter(is_unused)
    }

    /// Returns XKB's type of a letter with two more keysyms by AltGr, which Caps Lock shifts too
    /// (`FOUR_LEVEL_ALPHABETIC`). `None` if the layout lacks it, or has no key for AltGr.
    pub(super) fn four_level_type(&self) -> Option<u8> {
        let alt_gr = self.key_with_base_keysym(XK_ISO_LEVEL3_SHIFT, 0)?;
        let alt_gr = self.modifiers_of(alt_gr);
        let [shift, lock] = [1, 2];
        let levels = [
            (0, 0),
            (shift, 1),
            (lock, 1),
            (alt_gr, 2),
            (shift | alt_gr, 3),
        ];
        let is_it = |t: &XkbType| {
            t.level_count == 4
                && t.mask == shift | lock | alt_gr
                && levels.iter().all(|(mods, level)| t.level(*mods) == *level)
        };
        let index = self.types.iter().position(is_it)?;
        u8::try_from(index)
            .ok()
            .filter(|_| self.key_for_modifier(alt_gr).is_some())
    }

    /// Returns the keycode that gives `keysym` without modifiers.
    pub(super) fn key_with_base_keysym(&self, keysym: u32, group: u8) -> Option<u8> {
        let keys = self.keys.iter().zip(self.min_keycode..=u8::MAX);
        keys.into_iter()
            .find(|(key, _)| self.keysym_at(key, group, 0) == Some(keysym))
            .map(|(_, keycode)| keycode)
    }

    /// Returns the stroke with the fewest modifiers changed whose keysym is `wanted`.
    fn search(&self, wanted: impl Fn(u32) -> bool, state: KeyboardState) -> Option<KeyStroke> {
        let mut best: Option<(u32, KeyStroke)> = None;
        for (key, keycode) in self.keys.iter().zip(self.min_keycode..=u8::MAX) {
            if !key.keysyms.iter().any(|s| wanted(*s)) {
                continue;
            }
            for mods in self.reachable_modifiers(state) {
                if !self.keysym_at(key, state.group, mods).is_some_and(&wanted) {
                    continue;
                }
                let (add, remove) = (mods & !state.mods, state.mods & !mods);
                let cost = add.count_ones() + remove.count_ones();
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((
                        cost,
                        KeyStroke {
                            keycode,
                            add,
                            remove,
                        },
                    ));
                }
            }
        }
        best.map(|(_, stroke)| stroke)
    }

    /// Returns every set of modifiers that pressing and releasing level shifts can reach.
    fn reachable_modifiers(&self, state: KeyboardState) -> impl Iterator<Item = Modifiers> {
        let changeable = self
            .level_shifts
            .iter()
            .map(|(mods, _)| *mods)
            .filter(|m| state.mods & m & !state.releasable == 0);
        let all = changeable.fold(0, |all, m| all | m);
        let kept = state.mods & !all;
        (0..=Modifiers::MAX)
            .filter(move |mods| mods & !all == 0)
            .map(move |mods| kept | mods)
    }

    fn key(&self, keycode: u8) -> Option<&XkbKey> {
        self.keys
            .get(usize::from(keycode.checked_sub(self.min_keycode)?))
    }

    fn keysym_at(&self, key: &XkbKey, group: u8, mods: Modifiers) -> Option<u32> {
        let group = key.group(group)?;
        let key_type = self.types.get(usize::from(key.types[group]));
        let level = key_type.map_or(0, |t| t.level(mods));
        let keysym = if level < key.group_width {
            key.keysyms.get(group * key.group_width + level)
        } else {
            None
        };
        let keysym = keysym.copied().filter(|s| *s != 0)?;
        // Programs capitalise a letter whose key's type leaves Caps Lock to them (Xlib, 'Interpreting
        // the Lock modifier').
        let is_left_to_programs = mods & LOCK != 0 && key_type.is_none_or(|t| t.mask & LOCK == 0);
        Some(match is_left_to_programs {
            true => keysym::cases_of(keysym)[1],
            false => keysym,
        })
    }

    fn find_command_modifiers(&self) -> Modifiers {
        let keys = self.keys.iter().zip(self.min_keycode..=u8::MAX);
        let commands = keys.filter(|(key, _)| {
            let first = key.keysyms.first();
            first.is_some_and(|s| COMMAND_KEYSYMS.contains(s))
        });
        let mods = commands.fold(CONTROL, |all, (_, code)| all | self.modifiers_of(code));
        let level_shifts = self
            .level_shifts
            .iter()
            .fold(0, |all, (mods, _)| all | mods);
        mods & !level_shifts & !SHIFT_AND_LOCK
    }

    /// Gives keys like AltGr the modifiers of another key with the same keysym: layouts often map
    /// one of them only, and leave the other to its action.
    fn complete_modifiers(&mut self) {
        let first_keysym = |key: &XkbKey| key.keysyms.first().copied().unwrap_or(0);
        let mapped: Vec<(u32, Modifiers)> = self
            .keys
            .iter()
            .zip(&self.modifier_map)
            .map(|(key, mods)| (first_keysym(key), *mods))
            .filter(|(keysym, mods)| *mods != 0 && keysym::is_modifier(*keysym))
            .collect();
        for (key, mods) in self.keys.iter().zip(&mut self.modifier_map) {
            let same = mapped
                .iter()
                .find(|(keysym, _)| *keysym == first_keysym(key));
            if let (0, Some((_, known))) = (*mods, same) {
                *mods = *known;
            }
        }
    }

    /// Returns the modifier and the key of Shift and of the level 3 and level 5 shifts.
    fn find_level_shifts(&self) -> Vec<(Modifiers, u8)> {
        let mut shifts: Vec<(Modifiers, u8)> = Vec::new();
        for wanted in LEVEL_SHIFTS {
            for (key, keycode) in self.keys.iter().zip(self.min_keycode..=u8::MAX) {
                let mods = self.modifiers_of(keycode);
                let is_new = mods.count_ones() == 1 && shifts.iter().all(|(m, _)| *m != mods);
                if key.keysyms.first() == Some(&wanted) && is_new {
                    shifts.push((mods, keycode));
                }
            }
        }
        shifts
    }
}

impl XkbKey {
    /// Returns the key's effective group when `group` is in use: a key may have fewer groups than
    /// the keyboard (Protocol Specification, 'Computing Effective Group').
    fn group(&self, group: u8) -> Option<usize> {
        const CLAMP: u8 = 0x40;
        const REDIRECT: u8 = 0x80;
        let group = usize::from(group);
        match self.groups {
            0 => None,
            count if group < count => Some(group),
            count if self.group_info & 0xc0 == CLAMP => Some(count - 1),
            count if self.group_info & 0xc0 == REDIRECT => {
                Some(usize::from(self.group_info >> 4 & 3)).map(|g| if g < count { g } else { 0 })
            }
            count => Some(group % count),
        }
    }
}

impl From<KeySymMap> for XkbKey {
    fn from(map: KeySymMap) -> Self {
        Self {
            groups: usize::from(map.group_info & 0x0f).min(4),
            group_info: map.group_info,
            types: map.kt_index,
            group_width: usize::from(map.width),
            keysyms: map.syms,
        }
    }
}

impl XkbType {
    fn level(&self, mods: Modifiers) -> usize {
        let relevant = mods & self.mask;
        self.levels
            .iter()
            .find(|(m, _)| *m == relevant)
            .map_or(0, |(_, level)| *level)
    }
}

impl From<&KeyType> for XkbType {
    fn from(of: &KeyType) -> Self {
        let active = of.map.iter().filter(|entry| entry.active);
        Self {
            mask: u16::from(of.mods_mask) as Modifiers,
            level_count: of.num_levels,
            levels: active
                .map(|e| (u16::from(e.mods_mask) as Modifiers, usize::from(e.level)))
                .collect(),
        }
    }
}

/// Returns the keys from `min_keycode` on; `list` begins at `first`.
fn keys_from(min_keycode: u8, first: u8, list: Vec<KeySymMap>) -> Vec<XkbKey> {
    let missing = usize::from(first.saturating_sub(min_keycode));
    let padding = std::iter::repeat_with(XkbKey::default).take(missing);
    padding.chain(list.into_iter().map(XkbKey::from)).collect()
}
