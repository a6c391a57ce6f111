//! The keyboard's layout: which key, with which modifiers, gives a keysym.
//!
//! A copy of the server's XKB map ("The X Keyboard Extension: Protocol Specification", section 12):
//! each key has groups (layouts), each group a type, and the type says which modifiers choose which of
//! the key's symbols. [`Keymap::stroke`] searches it; asking the server is all in [`Keymap::read`].

use x11rb::protocol::xkb::{ConnectionExt as _, GetMapReply, KeySymMap, KeyType, MapPart};

use super::connection::Server;
use crate::error::ScreenError;
use crate::keysym;

/// The eight modifiers of the core protocol, one bit each.
pub(super) type Mods = u8;

const SHIFT: u32 = 0xffe1;
const SHIFT_RIGHT: u32 = 0xffe2;
const LEVEL3: u32 = 0xfe03;
const LEVEL5: u32 = 0xfe11;

/// A layout, as the server had it when it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Keymap {
    first: u8,
    keys: Vec<Key>,
    types: Vec<Type>,
    /// What each keycode modifies, from `first` on.
    modifies: Vec<Mods>,
    /// A modifier that chooses symbols, and a key that gives it.
    shifts: Vec<(Mods, u8)>,
}

#[derive(Clone, Debug, Default)]
struct Key {
    groups: usize,
    out_of_range: u8,
    types: [u8; 4],
    width: usize,
    symbols: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Type {
    mask: Mods,
    levels: Vec<(Mods, usize)>,
}

/// How the keyboard stands at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The layout in use, from 0.
    pub(super) group: u8,
    /// Modifiers in effect.
    pub(super) mods: Mods,
    /// Those of them that we could let go of, since only keys that we hold give them.
    pub(super) ours: Mods,
}

/// What to press for a keysym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) keycode: u8,
    /// Modifiers to add while it is pressed.
    pub(super) add: Mods,
    /// Modifiers to take away while it is pressed.
    pub(super) remove: Mods,
}

impl Keymap {
    /// Reads the map of the keyboard `device`.
    pub(super) fn read(server: &Server, device: u16) -> Result<Self, ScreenError> {
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
        let first = reply.min_key_code;
        let keys = placed(
            first,
            reply.first_key_sym,
            reply.map.syms_rtrn.unwrap_or_default(),
        );
        let mut modifies = vec![0; keys.len()];
        for entry in reply.map.modmap_rtrn.unwrap_or_default() {
            if let Some(slot) = modifies.get_mut(usize::from(entry.keycode.wrapping_sub(first))) {
                *slot = u16::from(entry.mods) as Mods;
            }
        }
        let types = reply
            .map
            .types_rtrn
            .unwrap_or_default()
            .iter()
            .map(Type::from)
            .collect();
        let mut map = Self {
            first,
            keys,
            types,
            modifies,
            shifts: Vec::new(),
        };
        map.shifts = map.find_shifts();
        map
    }

    /// How to type `keysym` with the fewest modifiers changed; `None` when the keyboard hasn't got it.
    ///
    /// Keys that type no character (Tab, F1, Shift) are pressed as they are: Shift with Tab means just
    /// that, although the layout has a symbol of its own for the two together.
    pub(super) fn stroke(&self, keysym: u32, now: Standing) -> Option<Stroke> {
        if keysym::is_function(keysym)
            && let Some(keycode) = self.key_with_first(keysym, now.group)
        {
            return Some(Stroke {
                keycode,
                add: 0,
                remove: 0,
            });
        }
        let exactly = |symbol: u32| symbol == keysym;
        self.search(exactly, now)
            .or_else(|| self.search(|symbol| keysym::same(symbol, keysym), now))
    }

    /// What `keycode` gives as the keyboard stands.
    fn symbol(&self, keycode: u8, now: Standing) -> Option<u32> {
        self.symbol_at(self.key(keycode)?, now.group, now.mods)
    }

    /// Whether pressing `keycode` as the keyboard stands is pressing `keysym`.
    pub(super) fn types(&self, keycode: u8, keysym: u32, now: Standing) -> bool {
        let first = || {
            self.key(keycode)
                .and_then(|key| self.symbol_at(key, now.group, 0))
        };
        self.symbol(keycode, now)
            .is_some_and(|s| keysym::same(s, keysym))
            || keysym::is_function(keysym) && first() == Some(keysym)
    }

    /// Whether a key gives `keysym` with whatever modifiers.
    pub(super) fn gives(&self, keycode: u8, keysym: u32) -> bool {
        self.key(keycode)
            .is_some_and(|key| key.symbols.iter().any(|s| keysym::same(*s, keysym)))
    }

    /// The modifiers that a key gives while it is held.
    pub(super) fn modifies(&self, keycode: u8) -> Mods {
        self.modifies
            .get(usize::from(keycode.wrapping_sub(self.first)))
            .copied()
            .unwrap_or(0)
    }

    /// Whether a key is one that is held while others are pressed.
    pub(super) fn is_modifier(&self, keycode: u8) -> bool {
        self.modifies(keycode) != 0
            || self
                .key(keycode)
                .and_then(|k| k.symbols.first())
                .is_some_and(|s| keysym::is_modifier(*s))
    }

    /// A key that gives `modifier` (one bit).
    pub(super) fn key_for(&self, modifier: Mods) -> Option<u8> {
        self.shifts
            .iter()
            .find(|(mods, _)| *mods == modifier)
            .map(|(_, keycode)| *keycode)
    }

    /// Whether the server has this keycode at all.
    pub(super) fn has(&self, keycode: u8) -> bool {
        self.key(keycode).is_some()
    }

    /// Keys without any symbol or meaning, the last first: those are the least likely to be looked at.
    pub(super) fn spare(&self) -> impl Iterator<Item = u8> + '_ {
        let is_free = |keycode: &u8| {
            self.modifies(*keycode) == 0
                && self
                    .key(*keycode)
                    .is_some_and(|key| key.symbols.iter().all(|s| *s == 0))
        };
        (self.first..=u8::MAX).rev().filter(is_free)
    }

    fn key_with_first(&self, keysym: u32, group: u8) -> Option<u8> {
        let keys = self.keys.iter().zip(self.first..=u8::MAX);
        keys.into_iter()
            .find(|(key, _)| self.symbol_at(key, group, 0) == Some(keysym))
            .map(|(_, keycode)| keycode)
    }

    fn search(&self, wanted: impl Fn(u32) -> bool, now: Standing) -> Option<Stroke> {
        let mut best: Option<(u32, Stroke)> = None;
        for (key, keycode) in self.keys.iter().zip(self.first..=u8::MAX) {
            if !key.symbols.iter().any(|s| wanted(*s)) {
                continue;
            }
            for mods in self.reachable(now) {
                if !self.symbol_at(key, now.group, mods).is_some_and(&wanted) {
                    continue;
                }
                let (add, remove) = (mods & !now.mods, now.mods & !mods);
                let cost = add.count_ones() + remove.count_ones();
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((
                        cost,
                        Stroke {
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

    /// Every set of modifiers that can be had by pressing and letting go of shifts.
    fn reachable(&self, now: Standing) -> impl Iterator<Item = Mods> {
        let changeable = self
            .shifts
            .iter()
            .map(|(mods, _)| *mods)
            .filter(|m| now.mods & m & !now.ours == 0);
        let all = changeable.fold(0, |all, m| all | m);
        let kept = now.mods & !all;
        (0..=Mods::MAX)
            .filter(move |mods| mods & !all == 0)
            .map(move |mods| kept | mods)
    }

    fn key(&self, keycode: u8) -> Option<&Key> {
        self.keys.get(usize::from(keycode.checked_sub(self.first)?))
    }

    fn symbol_at(&self, key: &Key, group: u8, mods: Mods) -> Option<u32> {
        let group = key.group(group)?;
        let kind = self.types.get(usize::from(key.types[group]));
        let level = kind.map_or(0, |t| t.level(mods));
        let symbol = if level < key.width {
            key.symbols.get(group * key.width + level)
        } else {
            None
        };
        symbol.copied().filter(|s| *s != 0)
    }

    /// For Shift and the third and fifth level's shifts, the modifier that they give and the key.
    fn find_shifts(&self) -> Vec<(Mods, u8)> {
        let mut found: Vec<(Mods, u8)> = Vec::new();
        for wanted in [SHIFT, SHIFT_RIGHT, LEVEL3, LEVEL5] {
            for (key, keycode) in self.keys.iter().zip(self.first..=u8::MAX) {
                let mods = self.modifies(keycode);
                let is_new = mods.count_ones() == 1 && found.iter().all(|(m, _)| *m != mods);
                if key.symbols.first() == Some(&wanted) && is_new {
                    found.push((mods, keycode));
                }
            }
        }
        found
    }
}

impl Key {
    /// The group that applies when `group` is in use, for keys with fewer groups than the keyboard
    /// (Protocol Specification, 'Computing Effective Group').
    fn group(&self, group: u8) -> Option<usize> {
        const CLAMP: u8 = 0x40;
        const REDIRECT: u8 = 0x80;
        let group = usize::from(group);
        match self.groups {
            0 => None,
            count if group < count => Some(group),
            count if self.out_of_range & 0xc0 == CLAMP => Some(count - 1),
            count if self.out_of_range & 0xc0 == REDIRECT => {
                Some(usize::from(self.out_of_range >> 4 & 3)).map(|g| if g < count { g } else { 0 })
            }
            count => Some(group % count),
        }
    }
}

impl From<KeySymMap> for Key {
    fn from(map: KeySymMap) -> Self {
        Self {
            groups: usize::from(map.group_info & 0x0f).min(4),
            out_of_range: map.group_info,
            types: map.kt_index,
            width: usize::from(map.width),
            symbols: map.syms,
        }
    }
}

impl Type {
    fn level(&self, mods: Mods) -> usize {
        let relevant = mods & self.mask;
        self.levels
            .iter()
            .find(|(m, _)| *m == relevant)
            .map_or(0, |(_, level)| *level)
    }
}

impl From<&KeyType> for Type {
    fn from(of: &KeyType) -> Self {
        let active = of.map.iter().filter(|entry| entry.active);
        Self {
            mask: u16::from(of.mods_mask) as Mods,
            levels: active
                .map(|e| (u16::from(e.mods_mask) as Mods, usize::from(e.level)))
                .collect(),
        }
    }
}

/// The keys from keycode `first` on, where the list begins at `from`.
fn placed(first: u8, from: u8, list: Vec<KeySymMap>) -> Vec<Key> {
    let missing = usize::from(from.saturating_sub(first));
    let padding = std::iter::repeat_with(Key::default).take(missing);
    padding.chain(list.into_iter().map(Key::from)).collect()
}
