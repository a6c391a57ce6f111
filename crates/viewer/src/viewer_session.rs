//! One viewer past its handshake: converts messages in both directions between it and the link.
//!
//! The link's updates reach the viewer by this state machine. Every arrow into `Idle` except the
//! first request completes an update at the viewer.
//!
//! ```text
//!                      ┌─────────────────UpdateEnd───────────────────┐
//!                      ▼                                             │
//! Greeting ─request─▶ Idle ─UpdateStart (ready, knows LastRect)─▶ Streaming
//!                     │  ▲                                           │
//!          UpdateStart│  │UpdateEnd (ready)                          │65,534 rectangles
//!                     ▼  │                                           │
//!                  Collecting ◀──────────────────────────────────────┘
//!                     │    ▲
//!     UpdateEnd (busy)│    └───────full, or a resize arrives────────┐
//!                     ▼                                             │
//! Idle ◀─now ready─ Waiting ─────────────UpdateStart─────────▶ Appending ─UpdateEnd (ready)─▶ Idle
//!                     ▲                                             │
//!                     └──────────────UpdateEnd (busy)───────────────┘
//! ```
//!
//! The viewer is ready or busy by its [`FlowControl`]. A full update is sent whatever the viewer
//! has requested; `Collecting` then goes on with an empty one. A viewer whose first request comes
//! inside an update collects the rest of that update.

mod interruption;

use etatuki_rfb::{
    ClientMessage, PixelFormat, PointerFormat, Rect, Rectangle, ServerMessage,
    encode::{self, fence_flags},
    encoding,
};

use crate::{
    RemoteDesktop,
    flow_control::FlowControl,
    latin1,
    link_encodings::{PointerReports, link_encodings},
    negotiated_viewer::{CannotResize, NegotiatedViewer},
    pending_update::{MAX_RECTANGLES, PendingUpdate},
    pressed_input::PressedInput,
    viewer_clipboard::{LostCharacters, ViewerClipboard},
    write_buffer::WriteBuffer,
};

/// Largest waiting update to which the link's next update is appended, in bytes; with more, the
/// link is paused.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Whether the customer allows control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The viewer's input is forwarded.
    Granted,
    /// The viewer's input is dropped.
    Denied,
}

/// The output for the customer's side that a message causes.
#[derive(Debug, Default)]
pub struct Actions {
    /// Whole client messages for the link's input stream.
    pub to_link: Vec<u8>,
    /// A text for the customer's clipboard.
    pub clipboard: Option<String>,
}

/// The state of the link's update towards the viewer; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The viewer has not requested a picture yet, and gets no updates.
    Greeting,
    /// No update is under way.
    Idle,
    /// The link's update is sent rectangle by rectangle, so that the first are shown while the last
    /// are still made.
    Streaming {
        /// Rectangles that were sent.
        rectangles: u16,
    },
    /// The link's update is collected in `pending`.
    Collecting,
    /// `pending` is complete and waits until the viewer is ready.
    Waiting,
    /// The link's next update is appended to the waiting one.
    Appending,
}

/// One viewer past its handshake.
#[derive(Debug)]
pub struct ViewerSession {
    viewer: NegotiatedViewer,
    output: WriteBuffer,
    /// A pixel format that the viewer asked for inside an update; valid from the next one on.
    next_format: Option<PixelFormat>,
    /// The encodings that the viewer has announced, in its order; `None` before.
    announced: Option<Vec<i32>>,
    pointer_reports: PointerReports,
    flow: FlowControl,
    pressed: PressedInput,
    clipboard: ViewerClipboard,
    state: State,
    pending: PendingUpdate,
}

impl ViewerSession {
    /// Creates the session of a viewer that was told this size, in columns and rows, by its
    /// ServerInit.
    #[must_use]
    pub fn new(size: (u16, u16), pointer_reports: PointerReports) -> Self {
        Self {
            viewer: NegotiatedViewer::new(size),
            output: WriteBuffer::default(),
            next_format: None,
            announced: None,
            pointer_reports,
            flow: FlowControl::default(),
            pressed: PressedInput::default(),
            clipboard: ViewerClipboard::default(),
            state: State::Greeting,
            pending: PendingUpdate::new(),
        }
    }

    /// Returns the format of the viewer's next pointer event.
    #[must_use]
    pub const fn pointer_format(&self) -> PointerFormat {
        self.viewer.pointer_format
    }

    /// Returns whether the link's next update must not be read before the viewer is sent the
    /// waiting one.
    #[must_use]
    pub fn must_pause_link(&self) -> bool {
        let full = self.pending.has_resize || self.pending.bytes.len() > MAX_WAITING_BYTES;
        self.state == State::Waiting && full
    }

    /// Returns whether the viewer has requested a picture, so that rectangles mean anything to it.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.state != State::Greeting
    }

    /// Returns the number of bytes that wait to be sent to the viewer.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Exchanges the bytes that can be sent to the viewer now for `empty`, whose capacity is
    /// reused.
    pub fn take_output(&mut self, empty: &mut Vec<u8>) {
        self.output.take(empty);
    }

    /// Handles a message of the viewer. Input without control is dropped, as the customer's gate
    /// would do anyway.
    ///
    /// # Errors
    /// The screen changed its size before the viewer's first request, and the viewer can't follow.
    pub fn on_client_message(
        &mut self,
        message: ClientMessage,
        desktop: &RemoteDesktop,
        control: Control,
    ) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        let controls = control == Control::Granted;
        match message {
            ClientMessage::SetPixelFormat(format) => self.set_pixel_format(format),
            ClientMessage::SetEncodings(encodings) => self.set_encodings(&encodings, &mut actions),
            ClientMessage::UpdateRequest { .. } if self.state == State::Greeting => {
                self.on_first_request(desktop, &mut actions)?;
            }
            ClientMessage::UpdateRequest { incremental, .. } => {
                self.flow.on_request();
                self.send_if_ready();
                if !incremental {
                    actions.push(&message);
                }
            }
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. }
                if controls =>
            {
                self.pressed.record(&message);
                actions.push_input(&message, self.viewer.pointer_format);
            }
            ClientMessage::CutText(text) if controls => {
                actions.clipboard = Some(latin1::decode(&text));
            }
            ClientMessage::Clipboard(message) => {
                let out = self.output.messages();
                actions.clipboard = self.clipboard.on_message(message, controls, out);
            }
            ClientMessage::Fence { flags, payload } => self.on_client_fence(flags, &payload),
            ClientMessage::EnableContinuousUpdates { enable, .. } => {
                self.set_continuous_updates(enable);
            }
            ClientMessage::SetDesktopSize { .. } if controls => actions.push(&message),
            ClientMessage::SetDesktopSize { .. } => self.reject_resize(desktop),
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. }
            | ClientMessage::CutText(_)
            | ClientMessage::CutTextSkipped { .. } => {}
        }
        Ok(actions)
    }

    /// Handles a message of the customer's side.
    ///
    /// # Errors
    /// The viewer can't follow a new size.
    pub fn on_server_message(&mut self, message: &ServerMessage) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        let greeting = self.state == State::Greeting;
        match message {
            ServerMessage::UpdateStart => self.on_update_start(),
            ServerMessage::Rectangle(rectangle) if !greeting => {
                self.on_rectangle(rectangle, &mut actions)?;
            }
            ServerMessage::UpdateEnd => self.on_update_end(),
            ServerMessage::Bell if !greeting => encode::server::bell(self.output.messages()),
            // The clipboard has its own stream, and fences are answered without regard to viewers.
            _ => {}
        }
        Ok(actions)
    }

    /// Sends the customer's clipboard text, or offers it; see [`crate::LostCharacters`]. An empty one
    /// says that the customer copied something else.
    pub fn send_clipboard(&mut self, text: &str) -> LostCharacters {
        if self.state == State::Greeting {
            return LostCharacters::default();
        }
        self.clipboard.offer(text, self.output.messages())
    }

    /// Forgets pressed keys: the customer revoked control, and the customer's side released them.
    /// Takes back the text that the viewer was offered.
    pub fn on_control_revoked(&mut self) {
        self.pressed.clear();
        self.clipboard.withdraw(self.output.messages());
    }

    /// Ends the session. Returns the messages for the customer's side: they release pressed keys
    /// and stop the updates.
    #[must_use]
    pub fn detach(mut self, control: Control) -> Vec<u8> {
        let mut actions = Actions::default();
        if control == Control::Granted {
            for release in self.pressed.take_releases() {
                actions.push_input(&release, self.viewer.pointer_format);
            }
        }
        if self.state != State::Greeting {
            actions.push(&continuous_updates(false, self.viewer.size));
        }
        actions.to_link
    }

    /// Sets the pixel format; inside an update for the next one.
    fn set_pixel_format(&mut self, format: PixelFormat) {
        if let State::Streaming { .. } = self.state {
            self.next_format = Some(format);
        } else {
            self.viewer.format = format;
        }
    }

    /// Records the viewer's encodings, and announces those of the link to the customer's side.
    fn set_encodings(&mut self, encodings: &[i32], actions: &mut Actions) {
        self.viewer.set_encodings(encodings);
        self.announced = Some(encodings.to_vec());
        let announced = link_encodings(encodings, self.pointer_reports);
        actions.push(&ClientMessage::SetEncodings(announced));
        if self.state != State::Greeting {
            self.announce_extensions();
        }
    }

    /// Sends what earlier viewers were told, and requests the whole picture even if the viewer's
    /// request is incremental.
    fn on_first_request(
        &mut self,
        desktop: &RemoteDesktop,
        actions: &mut Actions,
    ) -> Result<(), CannotResize> {
        self.state = State::Idle;
        self.flow.on_request();
        let update = &mut self.pending;
        update.rectangles = self.viewer.write_desktop(desktop, &mut update.bytes)?;
        if update.rectangles > 0 {
            self.send_pending();
        }
        self.announce_extensions();
        let whole_picture = ClientMessage::UpdateRequest {
            incremental: false,
            rect: full_rect(desktop.size),
        };
        actions.push(&continuous_updates(true, desktop.size));
        actions.push(&whole_picture);
        Ok(())
    }

    fn announce_extensions(&mut self) {
        if self.viewer.supports(encoding::EXTENDED_CLIPBOARD) {
            self.clipboard.on_announced(self.output.messages());
        }
        let supports = |number| self.viewer.supports(number);
        if supports(encoding::FENCE) && supports(encoding::CONTINUOUS_UPDATES) {
            self.flow.announce_continuous(self.output.messages());
        }
    }

    fn set_continuous_updates(&mut self, enable: bool) {
        if !self.flow.set_continuous(enable) {
            return;
        }
        self.send_if_ready();
        if !enable {
            encode::server::end_of_continuous_updates(self.output.messages());
        }
    }

    /// Answers a fence of the viewer, or records its answer to one of ours.
    fn on_client_fence(&mut self, flags: u32, payload: &[u8]) {
        if flags & fence_flags::REQUEST != 0 {
            let out = self.output.messages();
            encode::server::fence(out, flags & fence_flags::SUPPORTED, payload);
        } else if self.flow.on_fence_reply(payload) {
            self.send_if_ready();
        }
    }

    /// Answers SetDesktopSize without control: the viewer waits for an answer.
    fn reject_resize(&mut self, desktop: &RemoteDesktop) {
        const THIS_CLIENT: u16 = 1;
        const PROHIBITED: u16 = 1;
        if let Some(screens) = &desktop.layout {
            let out = self.output.messages();
            encode::server::update_start(out, Some(1));
            encode::server::extended_desktop_size(
                out,
                THIS_CLIENT,
                PROHIBITED,
                desktop.size,
                screens,
            );
        }
    }

    fn on_update_start(&mut self) {
        match self.state {
            State::Idle if self.flow.is_ready() && self.viewer.supports(encoding::LAST_RECT) => {
                self.flow.on_answered();
                self.output.start_update();
                self.state = State::Streaming { rectangles: 0 };
            }
            State::Idle => self.state = State::Collecting,
            State::Waiting => self.state = State::Appending,
            // The parser ends each update before it starts the next.
            State::Greeting | State::Streaming { .. } | State::Collecting | State::Appending => {}
        }
    }

    fn on_rectangle(
        &mut self,
        rectangle: &Rectangle,
        actions: &mut Actions,
    ) -> Result<(), CannotResize> {
        let old_size = self.viewer.size;
        if let State::Streaming { rectangles } = &mut self.state {
            let out = self.output.rectangles();
            *rectangles += self.viewer.write_rectangle(rectangle, out)?;
            if *rectangles == MAX_RECTANGLES {
                self.end_streaming();
                self.state = State::Collecting;
            }
        } else {
            self.collect(rectangle)?;
        }
        if self.viewer.size != old_size {
            actions.push(&continuous_updates(true, self.viewer.size));
        }
        Ok(())
    }

    /// Appends a rectangle to the pending update, and sends that update when it must not grow.
    fn collect(&mut self, rectangle: &Rectangle) -> Result<(), CannotResize> {
        let resizes = matches!(
            rectangle,
            Rectangle::DesktopSize { .. } | Rectangle::ExtendedDesktopSize { .. }
        );
        if self.state == State::Appending && resizes {
            self.send_pending();
            self.state = State::Collecting;
        } else if self.state == State::Idle {
            // The viewer's first request came inside this update.
            self.state = State::Collecting;
        }
        let update = &mut self.pending;
        update.has_resize |= resizes;
        update.rectangles += self.viewer.write_rectangle(rectangle, &mut update.bytes)?;
        if update.is_full() {
            self.send_pending();
            self.state = State::Collecting;
        }
        Ok(())
    }

    fn on_update_end(&mut self) {
        match self.state {
            State::Greeting => {}
            State::Streaming { .. } => {
                self.end_streaming();
                self.state = State::Idle;
            }
            State::Idle | State::Collecting | State::Waiting | State::Appending => {
                self.state = State::Waiting;
                self.send_if_ready();
            }
        }
    }

    /// Sends the waiting update, if the viewer is ready for it.
    fn send_if_ready(&mut self) {
        if self.state == State::Waiting && self.flow.is_ready() {
            self.send_pending();
            self.state = State::Idle;
        }
    }

    /// Sends the pending update, also without rectangles: the viewer sends its next request when it
    /// has got an update.
    fn send_pending(&mut self) {
        self.output.append(&mut self.pending.take());
        self.flow.on_answered();
        self.flow.on_update_sent(self.output.messages());
    }

    fn end_streaming(&mut self) {
        self.output.end_update();
        self.viewer.format = self.next_format.take().unwrap_or(self.viewer.format);
        self.flow.on_update_sent(self.output.messages());
    }
}

impl Actions {
    fn push(&mut self, message: &ClientMessage) {
        self.push_input(message, PointerFormat::Standard);
    }

    fn push_input(&mut self, message: &ClientMessage, pointer_format: PointerFormat) {
        encode::client::message(&mut self.to_link, message, pointer_format);
    }
}

/// Returns the reply to a fence of the customer's side.
#[must_use]
pub fn fence_reply(flags: u32, payload: Vec<u8>) -> ClientMessage {
    ClientMessage::Fence {
        flags: flags & fence_flags::SUPPORTED,
        payload,
    }
}

/// Enables or disables continuous updates of the whole screen over the link.
fn continuous_updates(enable: bool, size: (u16, u16)) -> ClientMessage {
    ClientMessage::EnableContinuousUpdates {
        enable,
        rect: full_rect(size),
    }
}

fn full_rect((w, h): (u16, u16)) -> Rect {
    Rect::new(0, 0, w, h)
}

#[cfg(test)]
mod tests;
