//! Capabilities of a backend: those that its descriptor declares, and the RFB extensions that its
//! server confirms.

use etatuki_protocol::Feature;
use etatuki_rfb::{Rectangle, encoding};

/// Capability bits of a backend, from its descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCapabilities {
    /// Keys and pointer.
    pub input: bool,
    /// Clipboard text, both ways.
    pub clipboard: bool,
    /// SetDesktopSize.
    pub resize: bool,
}

impl BackendCapabilities {
    /// Returns the features that the backend lacks, for the agent's console.
    pub fn unsupported(self) -> Vec<Feature> {
        let features = [
            (Feature::Control, self.input),
            (Feature::Clipboard, self.clipboard),
            (Feature::Resize, self.resize),
        ];
        let lacking = features.into_iter().filter(|(_, has)| !has);
        lacking.map(|(feature, _)| feature).collect()
    }
}

/// Capabilities of a plugin's RFB server: the messages that it may be sent. An extension counts
/// once the server has confirmed it by a pseudo-rectangle, because old tools close the connection
/// at a message type that they don't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCapabilities {
    /// Capabilities that the descriptor declares.
    pub backend: BackendCapabilities,
    /// QEMU extended key events, which carry scan codes.
    pub qemu_keys: bool,
    /// Nine mouse buttons.
    pub extended_buttons: bool,
    /// Cut text in UTF-8 instead of Latin-1.
    pub utf8_cut_text: bool,
    /// ExtendedDesktopSize, and so SetDesktopSize.
    pub extended_desktop_size: bool,
}

impl ServerCapabilities {
    /// Returns the capabilities of a server that hasn't confirmed any extension yet.
    pub fn declared(backend: BackendCapabilities) -> Self {
        Self {
            backend,
            ..Self::default()
        }
    }

    /// Records the extension that `rectangle` confirms, if it confirms one.
    pub fn confirm(&mut self, rectangle: &Rectangle) {
        match *rectangle {
            Rectangle::ExtendedDesktopSize { .. } => self.extended_desktop_size = true,
            Rectangle::Supports { encoding } => match encoding {
                encoding::QEMU_EXTENDED_KEY => self.qemu_keys = true,
                encoding::EXTENDED_MOUSE_BUTTONS => self.extended_buttons = true,
                encoding::UTF8_CUT_TEXT => self.utf8_cut_text = true,
                _ => {}
            },
            _ => {}
        }
    }

    /// Returns whether the server may be sent SetDesktopSize.
    pub fn can_resize(&self) -> bool {
        self.backend.resize && self.extended_desktop_size
    }

    /// Returns whether an agent's viewer may be told that `encoding`, an extension of the input,
    /// works.
    pub(super) fn supports_input_encoding(&self, encoding: i32) -> bool {
        match encoding {
            encoding::QEMU_EXTENDED_KEY => self.qemu_keys,
            encoding::EXTENDED_MOUSE_BUTTONS => self.extended_buttons,
            _ => false,
        }
    }
}
