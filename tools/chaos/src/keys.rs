//! The keys that the agent presses, by their keysyms.

/// Keys that the agent holds down when an incident begins. Modifiers don't repeat.
pub(crate) const HELD_KEYS: &[u32] = &[0xffe1, 0xffe3];
/// The key that is typed while both ends say that the session is interrupted: x.
pub(crate) const KEY_DURING: u32 = 0x78;
/// The key that is typed before and after: a.
pub(crate) const KEY_AFTER: u32 = 0x61;
