//! The input that an agent can give to a plugin, and nothing besides.

use etatuki_rfb::{ClientMessage, PointerFormat, ScreenLayout, encode};

use super::capabilities::ServerCapabilities;

/// Input for a plugin's RFB server: everything that can ever reach a tool from an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginInput {
    /// A key, by X11 keysym.
    Key {
        /// Whether it goes down.
        down: bool,
        /// X11 keysym.
        keysym: u32,
    },
    /// A physical key, by scan code; needs [`ServerCapabilities::qemu_keys`].
    QemuKey {
        /// Whether it goes down.
        down: bool,
        /// X11 keysym; 0 if unknown.
        keysym: u32,
        /// PC scan code.
        keycode: u32,
    },
    /// The pointer, inside the screen.
    Pointer {
        /// Pressed buttons, one bit each. Bits above 7 need
        /// [`ServerCapabilities::extended_buttons`].
        buttons: u16,
        /// Column in pixels.
        x: u16,
        /// Row in pixels.
        y: u16,
    },
    /// Clipboard text.
    CutText(String),
    /// Another size of the screen; needs [`ServerCapabilities::can_resize`].
    DesktopSize {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
        /// Screens in it.
        screens: Vec<ScreenLayout>,
    },
}

impl PluginInput {
    /// Appends the RFB client message to `out`. Text is Latin-1 unless the server has confirmed
    /// UTF-8; characters that Latin-1 lacks become `?`.
    pub fn encode(&self, server: &ServerCapabilities, out: &mut Vec<u8>) {
        let message = match self.clone() {
            PluginInput::Key { down, keysym } => ClientMessage::Key { down, keysym },
            PluginInput::QemuKey {
                down,
                keysym,
                keycode,
            } => ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            },
            PluginInput::Pointer { buttons, x, y } => ClientMessage::Pointer { buttons, x, y },
            PluginInput::CutText(text) if server.utf8_cut_text => {
                ClientMessage::CutText(text.into_bytes())
            }
            PluginInput::CutText(text) => ClientMessage::CutText(to_latin1(&text)),
            PluginInput::DesktopSize {
                width,
                height,
                screens,
            } => ClientMessage::SetDesktopSize {
                width,
                height,
                screens,
            },
        };
        let pointer_format = PointerFormat::negotiated(server.extended_buttons);
        encode::client::message(out, &message, pointer_format);
    }
}

fn to_latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(u32::from(c)).unwrap_or(b'?');
    text.chars().map(byte).collect()
}

/// Decodes Latin-1, the encoding of cut text in RFC 6143 section 7.6.4.
pub(crate) fn from_latin1(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}
