//! The clipboard (being written).

/// The CLIPBOARD selection of an X display.
#[derive(Debug)]
pub struct Clipboard {}
