//! The fuzz targets. Each gives hostile bytes to one part, and checks what must hold afterwards.
//!
//! A new target is a function here (or in a file of its own), a line in [`TARGETS`], and a folder
//! with a few small seeds in `corpus/`. `run` and the replay test find it by itself.

mod gate;
mod jpeg;
mod json;
mod link_code;
mod liveness;
mod moves;
mod picture;
mod plugin;
mod profile;
mod protocol;
mod registry;
mod relay_ticket;
mod restart_ticket;
mod rfb;

/// A target: gives the bytes to the part under test, and panics when an invariant doesn't hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its folders.
pub const TARGETS: &[(&str, Target)] = &[
    ("console_jpeg", jpeg::console_jpeg),
    ("link_code", link_code::link_code),
    ("link_control", protocol::link_control),
    ("link_handshake", protocol::link_handshake),
    ("link_protocol", protocol::link_protocol),
    ("peer_clock", liveness::peer_clock),
    ("picture", picture::picture),
    ("picture_moves", moves::picture_moves),
    ("plugin_descriptor", plugin::plugin_descriptor),
    ("plugin_lines", plugin::plugin_lines),
    ("profile", profile::profile),
    ("registry", registry::registry),
    ("relay_ticket", relay_ticket::relay_ticket),
    ("restart_ticket", restart_ticket::restart_ticket),
    ("rfb_client_messages", rfb::client_messages),
    ("rfb_handshake", rfb::handshake),
    ("rfb_server_messages", rfb::server_messages),
    ("session_gate", gate::session_gate),
    ("session_lines", json::session_lines),
];

/// Returns the target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, target)| *target)
}

/// Bytes that come in pieces: the first bytes of an input decide where it is split, so that the
/// fuzzer finds the splits that matter.
pub(crate) fn pieces<'a>(lengths: &'a [u8], mut bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = usize::from(*lengths.next().unwrap_or(&255)).clamp(1, bytes.len().max(1));
        let (piece, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(piece)
    })
}
