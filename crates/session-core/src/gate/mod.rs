//! The gate: the messages of an agent's program that may pass.
//!
//! The gate ends RFB: bytes go in, and only messages that were understood come out, made anew from
//! their parts. Messages for viewing go to the updater ([`GateOutput::Encodings`] and its like).
//! Input goes to the plugin ([`PluginInput`]) and needs control. A viewer sends pointer events
//! whether it may or not, so input is dropped without control; a message that isn't in the list
//! ends the session.

mod capabilities;
mod line_ends;
mod plugin_input;
mod pressed_input;
#[cfg(test)]
mod tests;
mod violation;

use etatuki_protocol::{MAX_CLIPBOARD, Permissions};
use etatuki_rfb::{ClientMessage, ClientParser, Limits, PointerFormat, Rect, encoding};

pub use capabilities::{BackendCapabilities, ServerCapabilities};
use line_ends::with_lf;
pub use plugin_input::PluginInput;
pub(crate) use plugin_input::from_latin1;
use pressed_input::PressedInput;
pub use violation::Violation;

/// Encodings of an agent's list that pass regardless of the backend's abilities.
const ENCODINGS: [i32; 10] = [
    encoding::RAW,
    encoding::TIGHT,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];

/// Extensions of the input: scan codes, and nine buttons. They pass once the backend's server has
/// confirmed them.
const EXTENDED_INPUT_ENCODINGS: [i32; 2] = [
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// A message that has passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateOutput {
    /// The viewer's encodings, without those that aren't in our list.
    Encodings(Vec<i32>),
    /// A request for an update.
    UpdateRequest {
        /// Whether only changes are wanted.
        incremental: bool,
        /// Area, clipped to the screen.
        rect: Rect,
    },
    /// A switch for updates without requests.
    ContinuousUpdates {
        /// Whether they are on.
        enable: bool,
        /// Area, clipped to the screen.
        rect: Rect,
    },
    /// A fence, or the response to one.
    Fence {
        /// See [`etatuki_rfb::encode::fence_flags`].
        flags: u32,
        /// At most 64 bytes.
        payload: Vec<u8>,
    },
    /// A change of size that isn't allowed, or that the backend can't make. The reply is
    /// 'prohibited'.
    ResizeProhibited,
    /// Input for the plugin; only with control, and while no question is open.
    Input(PluginInput),
}

/// The gate of one agent.
#[derive(Debug)]
pub struct Gate {
    server: ServerCapabilities,
    parser: ClientParser,
    /// The agent's encodings that are in [`ENCODINGS`] or [`EXTENDED_INPUT_ENCODINGS`].
    encodings: Vec<i32>,
    permissions: Permissions,
    /// Whether a question is open.
    input_blocked: bool,
    /// Width and height of the screen.
    size: (u16, u16),
    pressed: PressedInput,
    broken: Option<Violation>,
}

impl Gate {
    /// Makes a gate that lets no input through.
    pub fn new(server: ServerCapabilities) -> Self {
        Self {
            server,
            parser: ClientParser::new(Limits::default()),
            encodings: Vec::new(),
            permissions: Permissions::default(),
            input_blocked: false,
            size: (0, 0),
            pressed: PressedInput::default(),
            broken: None,
        }
    }

    /// Sets the permissions. Before control ends, call [`release_input`](Self::release_input).
    pub fn set_permissions(&mut self, permissions: Permissions) {
        self.permissions = permissions;
    }

    /// Blocks all input while `true`, because a question is on the customer's screen.
    pub fn block_input(&mut self, blocked: bool) {
        self.input_blocked = blocked;
    }

    /// Records what the backend's server can do now. Returns the agent's encodings
    /// again if the set that passes has changed.
    pub fn set_server_capabilities(&mut self, server: ServerCapabilities) -> Option<GateOutput> {
        let before = self.passing_encodings();
        self.server = server;
        let after = self.passing_encodings();
        (after != before).then(|| self.output_encodings(after))
    }

    /// Sets the screen's size, for clipping; (0, 0) while there is no screen.
    pub fn set_size(&mut self, width: u16, height: u16) {
        self.size = (width, height);
    }

    /// Takes bytes from the agent's input stream, split anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.parser.push(bytes);
        }
    }

    /// Returns the next message that passes; `None` until more bytes come.
    ///
    /// # Errors
    /// The agent's program broke the rules. The same error comes back from then on.
    #[allow(
        clippy::should_implement_trait,
        reason = "it can fail, and more may come after None"
    )]
    pub fn next(&mut self) -> Result<Option<GateOutput>, Violation> {
        if let Some(violation) = &self.broken {
            return Err(violation.clone());
        }
        let output = self.next_output();
        self.broken = output.as_ref().err().cloned();
        output
    }

    /// Returns clipboard text of the agent's as it may reach the plugin, with LF at the ends of
    /// lines.
    pub fn clipboard_in(&self, text: String) -> Option<PluginInput> {
        let passes = self.passes_clipboard(&text) && !text.is_empty();
        passes.then(|| PluginInput::CutText(with_lf(text)))
    }

    /// Returns clipboard text of the plugin's as it may reach the agent, with LF at the ends of
    /// lines. It is empty when the clipboard holds something that can't be taken, such as a picture.
    pub fn clipboard_out(&self, text: String) -> Option<String> {
        let fits = text.len() <= MAX_CLIPBOARD;
        let text = if fits { with_lf(text) } else { String::new() };
        self.passes_clipboard(&text).then_some(text)
    }

    /// Returns whether clipboard text may pass now, either way.
    pub fn exchanges_clipboard(&self) -> bool {
        self.passes_input() && self.server.backend.clipboard
    }

    fn passes_clipboard(&self, text: &str) -> bool {
        self.exchanges_clipboard() && text.len() <= MAX_CLIPBOARD
    }

    /// Returns the releases of everything that the agent holds down, latest first. Nothing is held
    /// afterwards.
    pub fn release_input(&mut self) -> Vec<PluginInput> {
        self.pressed.release()
    }

    fn passes_input(&self) -> bool {
        self.permissions.control && !self.input_blocked
    }

    fn next_output(&mut self) -> Result<Option<GateOutput>, Violation> {
        while let Some(message) = self.parser.next()? {
            if let Some(output) = self.classify(message)? {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    /// Decides over one message: it passes, is dropped, or ends the session.
    fn classify(&mut self, message: ClientMessage) -> Result<Option<GateOutput>, Violation> {
        Ok(match message {
            ClientMessage::SetPixelFormat(_) => return Err(Violation::PixelFormat),
            ClientMessage::SetEncodings(list) => Some(self.set_encodings(&list)),
            ClientMessage::UpdateRequest { incremental, rect } => self
                .clip(rect)
                .map(|rect| GateOutput::UpdateRequest { incremental, rect }),
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                let clipped = self.clip(rect);
                (clipped.is_some() || !enable).then(|| GateOutput::ContinuousUpdates {
                    enable,
                    rect: clipped.unwrap_or_default(),
                })
            }
            ClientMessage::Fence { flags, payload } => Some(GateOutput::Fence { flags, payload }),
            ClientMessage::SetDesktopSize { .. }
                if !(self.passes_input() && self.server.can_resize()) =>
            {
                Some(GateOutput::ResizeProhibited)
            }
            _ if !self.passes_input() => None,
            message => self.translate_input(message).map(GateOutput::Input),
        })
    }

    /// Translates a message into input, with control. `None` if the backend can't take it.
    fn translate_input(&mut self, message: ClientMessage) -> Option<PluginInput> {
        let input = match message {
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. }
                if !self.server.backend.input =>
            {
                return None;
            }
            ClientMessage::Key { down, keysym } => PluginInput::Key { down, keysym },
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            } => {
                if self.server.qemu_keys && keycode <= 0xff {
                    PluginInput::QemuKey {
                        down,
                        keysym,
                        keycode,
                    }
                } else if keysym != 0 {
                    PluginInput::Key { down, keysym }
                } else {
                    return None;
                }
            }
            ClientMessage::Pointer { buttons, x, y } => self.pointer(buttons, x, y)?,
            ClientMessage::CutText(text) => self.clipboard_in(from_latin1(&text))?,
            ClientMessage::SetDesktopSize {
                width,
                height,
                screens,
            } => PluginInput::DesktopSize {
                width,
                height,
                screens,
            },
            // The parser returns neither: the console sends texts on their own stream.
            ClientMessage::CutTextSkipped { .. } | ClientMessage::Clipboard(_) => return None,
            // None of these is input: classify() has dealt with them.
            ClientMessage::SetPixelFormat(_)
            | ClientMessage::SetEncodings(_)
            | ClientMessage::UpdateRequest { .. }
            | ClientMessage::Fence { .. }
            | ClientMessage::EnableContinuousUpdates { .. } => return None,
        };
        self.pressed.record(&input).then_some(input)
    }

    /// Moves the pointer into the screen, and drops buttons that the server doesn't know.
    fn pointer(&self, buttons: u16, x: u16, y: u16) -> Option<PluginInput> {
        let (width, height) = self.size;
        let (right, bottom) = (width.checked_sub(1)?, height.checked_sub(1)?);
        let known = if self.server.extended_buttons {
            0x1ff
        } else {
            0xff
        };
        Some(PluginInput::Pointer {
            buttons: buttons & known,
            x: x.min(right),
            y: y.min(bottom),
        })
    }

    fn set_encodings(&mut self, list: &[i32]) -> GateOutput {
        self.encodings.clear();
        let is_known = |encoding: &&i32| {
            ENCODINGS.contains(encoding) || EXTENDED_INPUT_ENCODINGS.contains(encoding)
        };
        for encoding in list.iter().filter(is_known) {
            if !self.encodings.contains(encoding) {
                self.encodings.push(*encoding);
            }
        }
        self.output_encodings(self.passing_encodings())
    }

    /// Returns the agent's encodings that the backend's server can serve.
    fn passing_encodings(&self) -> Vec<i32> {
        let passes = |encoding: &i32| {
            !EXTENDED_INPUT_ENCODINGS.contains(encoding)
                || self.server.supports_input_encoding(*encoding)
        };
        self.encodings.iter().copied().filter(passes).collect()
    }

    /// Lets `passing` through. From here on the agent's pointer events may have the long form if it
    /// is among them.
    fn output_encodings(&mut self, passing: Vec<i32>) -> GateOutput {
        let extended_buttons = passing.contains(&encoding::EXTENDED_MOUSE_BUTTONS);
        self.parser
            .set_pointer_format(PointerFormat::negotiated(extended_buttons));
        GateOutput::Encodings(passing)
    }

    fn clip(&self, rect: Rect) -> Option<Rect> {
        rect.intersection(&Rect::new(0, 0, self.size.0, self.size.1))
    }
}
