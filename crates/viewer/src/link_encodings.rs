//! The encodings that are announced to the customer's side, selected from a viewer's.

use std::collections::BTreeSet;

use etatuki_rfb::encoding;

/// Encodings of the viewer that are announced to the customer's side. All others, such as noVNC's
/// extended clipboard, are left out.
const FORWARDED_ENCODINGS: [i32; 8] = [
    encoding::RAW,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];
/// Encodings that are announced to the customer's side for every viewer.
///
/// - Tight: JPEG is decoded by [`PictureParser`](crate::PictureParser).
/// - LastRect: updates may be open-ended.
/// - Fence and continuous updates: over the link updates follow each other as fast as the fence
///   behind each is answered. The viewer's own requests and fences end here; forwarded, each would
///   cost a round trip.
const OWN_ENCODINGS: [i32; 4] = [
    encoding::TIGHT,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];

/// The viewers for which the customer's side is asked to report the pointer's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerReports {
    /// Those that have announced the encoding.
    IfAnnounced,
    /// All: the page shows the position beside its viewer.
    Always,
}

/// Returns the viewer's encodings that are forwarded, in its order and each once, then our own.
pub(crate) fn link_encodings(viewer: &[i32], pointer_reports: PointerReports) -> Vec<i32> {
    let mut seen = BTreeSet::new();
    let forwarded = viewer
        .iter()
        .copied()
        .filter(|number| FORWARDED_ENCODINGS.contains(number) && seen.insert(*number));
    let mut announced: Vec<i32> = forwarded.chain(OWN_ENCODINGS).collect();
    let always = pointer_reports == PointerReports::Always;
    if always && !announced.contains(&encoding::POINTER_POS) {
        announced.push(encoding::POINTER_POS);
    }
    announced
}
