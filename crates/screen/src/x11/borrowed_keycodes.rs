//! Keysyms that the layout lacks, on keycodes that it doesn't use.
//!
//! A program learns of a new keysym from an event, and reads the map when it comes to that event: a
//! busy one much later. So a keycode keeps its keysyms for [`MIN_LENDING_TIME`] after their last
//! press, also when control ends meanwhile, and the least recently used ones go first.
//!
//! Layouts leave some twenty keycodes unused. Each carries two pairs of keysyms, the second one with
//! AltGr: both cases of a letter are one pair, so that Shift and Caps Lock mean what they always
//! do. That is room for a whole alphabet. While the customer holds or has locked Shift or AltGr, a
//! keycode carries one keysym for whatever modifiers.

use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::xkb::{ConnectionExt as _, ID, KeySymMap, SetMapAux, SetMapFlags, VMod};
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::XConnection;
use super::keymap::Keymap;
use crate::error::ScreenError;
use crate::keysym;

/// Time for which a program may be busy and still find a keysym that was typed into it. It bounds
/// the wait for a free keycode too.
pub(super) const MIN_LENDING_TIME: Duration = Duration::from_secs(5);

/// XKB's canonical key type of one level.
const ONE_LEVEL: u8 = 0;
/// XKB's canonical key type of two levels.
const TWO_LEVEL: u8 = 1;
/// XKB's canonical key type of a letter's two cases.
const ALPHABETIC: u8 = 2;

/// Pairs of keysyms and the keycodes borrowed for them, the least recently used first.
#[derive(Debug, Default)]
pub(super) struct BorrowedKeycodes {
    pairs: Vec<BorrowedPair>,
    /// Keycodes that an earlier input has borrowed; their keysyms aren't read yet.
    adopted: Vec<u8>,
}

/// Two keysyms on one half of a keycode.
#[derive(Clone, Copy, Debug)]
struct BorrowedPair {
    keycode: u8,
    half: Half,
    keysyms: [u32; 2],
    last_used: Instant,
}

/// The levels of a key: the first two, those with AltGr, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Base,
    AltGr,
    Both,
}

/// Modifiers that select a lent keysym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LentLevels {
    /// Shift selects the letter's other case.
    Cases,
    /// Any: some can't be let go of.
    Any,
}

/// A place for a keysym: a keycode, and levels of it.
type Place = (u8, Half);

/// The answer to a request for a keysym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lending {
    /// A keycode has the keysym from now on.
    Lent,
    /// All are in use; one may be free after this time.
    Later(Duration),
    /// The keyboard has no unused keycode.
    Impossible,
}

impl BorrowedKeycodes {
    /// Takes over keycodes that an earlier input has borrowed, with the keysyms that they have now.
    pub(super) fn adopt(keycodes: Vec<u8>) -> Self {
        Self {
            pairs: Vec::new(),
            adopted: keycodes,
        }
    }

    /// Puts `keysym` on an unused keycode, or on the least recently used one that isn't held
    /// (`is_down`).
    pub(super) fn lend(
        &mut self,
        server: &XConnection,
        map: &Keymap,
        keysym: u32,
        levels: LentLevels,
        is_down: impl Fn(u8) -> bool,
    ) -> Result<Lending, ScreenError> {
        // Keys that mean no character are looked for without modifiers.
        let needs_base = keysym::to_char(keysym).is_none();
        let fits = |half| match (levels, half) {
            (LentLevels::Any, half) => half == Half::Both,
            (LentLevels::Cases, Half::AltGr) => !needs_base && map.four_level_type().is_some(),
            (LentLevels::Cases, half) => half == Half::Base,
        };
        let now = Instant::now();
        let place = match self.free_place(map, levels, fits) {
            Some(place) => place,
            None => {
                let Some((place, last_used)) = self.oldest_place(levels, fits, is_down) else {
                    return Ok(Lending::Impossible);
                };
                let free_at = last_used + MIN_LENDING_TIME;
                if free_at > now {
                    return Ok(Lending::Later(free_at - now));
                }
                place
            }
        };
        let (keycode, half) = place;
        let overlaps = |other| half == other || half == Half::Both || other == Half::Both;
        self.pairs
            .retain(|p| p.keycode != keycode || !overlaps(p.half));
        self.pairs.push(BorrowedPair {
            keycode,
            half,
            keysyms: match levels {
                LentLevels::Cases => keysym::cases_of(keysym),
                LentLevels::Any => [keysym; 2],
            },
            last_used: now,
        });
        self.write(server, map, keycode)?;
        Ok(Lending::Lent)
    }

    /// Notes a press of `keycode` that types `keysym`. Returns whether it is a borrowed one.
    pub(super) fn mark_used(&mut self, keycode: u8, keysym: u32) -> bool {
        let types_it =
            |p: &BorrowedPair| p.keysyms.iter().any(|s| keysym::are_equivalent(*s, keysym));
        let is_it = |p: &&mut BorrowedPair| p.keycode == keycode && types_it(p);
        let pair = self.pairs.iter_mut().find(is_it);
        pair.map(|p| p.last_used = Instant::now()).is_some()
    }

    /// Returns the borrowed keycodes.
    pub(super) fn keycodes(&self) -> Vec<u8> {
        let pairs = self.pairs.iter().map(|p| p.keycode);
        let mut keycodes: Vec<u8> = pairs.chain(self.adopted.iter().copied()).collect();
        keycodes.sort_unstable();
        keycodes.dedup();
        keycodes
    }

    /// Takes in a layout that was read anew. Drops the pairs that it doesn't have: somebody else has
    /// set it.
    pub(super) fn on_new_map(&mut self, map: &Keymap) {
        let now = Instant::now();
        for keycode in self.adopted.drain(..) {
            let levels: Vec<u32> = map.levels(keycode, 0).collect();
            for (half, pair) in [Half::Base, Half::AltGr].into_iter().zip(levels.chunks(2)) {
                if pair[0] != 0 {
                    self.pairs.push(BorrowedPair {
                        keycode,
                        half,
                        keysyms: [pair[0], pair.get(1).copied().unwrap_or(pair[0])],
                        last_used: now,
                    });
                }
            }
        }
        self.pairs.retain(|p| {
            p.keysyms
                .iter()
                .all(|keysym| map.has_keysym(p.keycode, *keysym))
        });
    }

    /// Returns an unused place, the first halves first.
    fn free_place(
        &self,
        map: &Keymap,
        levels: LentLevels,
        fits: impl Fn(Half) -> bool,
    ) -> Option<Place> {
        let is_borrowed = |keycode: u8| self.pairs.iter().any(|p| p.keycode == keycode);
        let mut unused = map
            .unused_keycodes()
            .filter(|keycode| !is_borrowed(*keycode));
        if let Some(keycode) = unused.next() {
            return Some((keycode, first_half(levels)));
        }
        let pairs = self.pairs.iter();
        let mut halves = pairs.filter_map(|p| Some((p.keycode, other_half(p.half)?)));
        let is_free = |place: &Place| {
            fits(place.1) && !self.pairs.iter().any(|p| (p.keycode, p.half) == *place)
        };
        halves.find(is_free)
    }

    /// Returns the least recently used place that isn't down, and when it was used last.
    fn oldest_place(
        &self,
        levels: LentLevels,
        fits: impl Fn(Half) -> bool,
        is_down: impl Fn(u8) -> bool,
    ) -> Option<(Place, Instant)> {
        let pairs = self.pairs.iter().filter(|p| !is_down(p.keycode));
        let last_used = |p: &BorrowedPair| {
            let same_key = self.pairs.iter().filter(|o| o.keycode == p.keycode);
            same_key.map(|o| o.last_used).max().unwrap_or(p.last_used)
        };
        let places = pairs.filter_map(|p| match (levels, p.half) {
            (LentLevels::Cases, half) if fits(half) => Some(((p.keycode, half), p.last_used)),
            (LentLevels::Cases, Half::AltGr) => None,
            _ => Some(((p.keycode, first_half(levels)), last_used(p))),
        });
        places.min_by_key(|(_, last_used)| *last_used)
    }

    /// Writes the pairs of a keycode to the server's map.
    fn write(&self, server: &XConnection, map: &Keymap, keycode: u8) -> Result<(), ScreenError> {
        let pair = |half| {
            let mut pairs = self.pairs.iter();
            let found = pairs.find(|p| p.keycode == keycode && p.half == half);
            found.map_or([0, 0], |p| p.keysyms)
        };
        let (base, alt_gr) = (pair(Half::Base), pair(Half::AltGr));
        let (key_type, syms) = match map.four_level_type() {
            _ if pair(Half::Both) != [0, 0] => (ONE_LEVEL, pair(Half::Both)[..1].to_vec()),
            Some(four_level) => (four_level, [base, alt_gr].concat()),
            None if base[0] != base[1] => (ALPHABETIC, base.to_vec()),
            None => (TWO_LEVEL, base.to_vec()),
        };
        let key = KeySymMap {
            kt_index: [key_type, 0, 0, 0],
            group_info: 1,
            width: syms.len() as u8,
            syms,
        };
        set_key(server, keycode, key)
    }
}

/// Empties keycodes that were borrowed, as they were.
pub(super) fn return_keycodes(
    server: &XConnection,
    keycodes: impl Iterator<Item = u8>,
) -> Result<(), ScreenError> {
    for keycode in keycodes {
        server.change_keyboard_mapping(1, keycode, 1, &[0])?;
    }
    Ok(())
}

fn first_half(levels: LentLevels) -> Half {
    match levels {
        LentLevels::Cases => Half::Base,
        LentLevels::Any => Half::Both,
    }
}

fn other_half(half: Half) -> Option<Half> {
    match half {
        Half::Base => Some(Half::AltGr),
        Half::AltGr => Some(Half::Base),
        Half::Both => None,
    }
}

/// Sets one key of all keyboards.
fn set_key(server: &XConnection, keycode: u8, key: KeySymMap) -> Result<(), ScreenError> {
    let (first, last) = {
        let setup = server.setup();
        (setup.min_keycode, setup.max_keycode)
    };
    let count = key.syms.len() as u16;
    let values = SetMapAux::new().syms(vec![key]);
    server.xkb_set_map(
        ID::USE_CORE_KBD.into(),
        SetMapFlags::from(0u16),
        first,
        last,
        0,
        0,
        keycode,
        1,
        count,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        VMod::from(0u16),
        &values,
    )?;
    Ok(())
}
