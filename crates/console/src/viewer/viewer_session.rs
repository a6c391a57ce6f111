//! One viewer and what was agreed with it: translates both directions between it and the link.

use std::collections::{BTreeSet, VecDeque};

use etatuki_rfb::{
    ClientMessage, PixelFormat, PointerFormat, Rect, Rectangle, ServerMessage,
    encode::{self, fence_flags},
    encoding,
};

use super::{
    RemoteDesktop, latin1,
    negotiated_viewer::{CannotResize, NegotiatedViewer},
    pressed_input::PressedInput,
    write_buffer::WriteBuffer,
};

/// What the customer's side may be told that a viewer understands. Anything else that a viewer announces
/// (other encodings, noVNC's extended clipboard) is left out.
const PASSED_ON: [i32; 8] = [
    encoding::RAW,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];
/// What the customer's side is told whatever the viewer understands. We decode JPEG ourselves (`jpeg`). And over the link
/// one update follows the other, as fast as we answer the fence behind each: the viewer's own requests and fences go no
/// further than to us, or each would cost a round trip. How many rectangles an update has is nothing that we need to know
/// before.
const OURS: [i32; 4] = [
    encoding::TIGHT,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];
/// An update above this is handed to the viewer in several.
const MAX_UPDATE: usize = 16 << 20;
/// What comes while the viewer isn't ready for an update is added to the one that waits, up to this; then the link waits.
const MAX_WAITING: usize = 4 << 20;
/// Updates that a viewer with continuous updates may be behind.
const MAX_BEHIND: usize = 2;

/// What is to be sent to the customer's side after a message was taken in.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// Bytes for the link's input stream: whole client messages.
    pub(crate) to_link: Vec<u8>,
    /// Text for the customer's clipboard.
    pub(crate) clipboard: Option<String>,
}

/// A viewer past its handshake.
#[derive(Debug)]
pub(crate) struct ViewerSession {
    negotiated_viewer: NegotiatedViewer,
    /// What it is sent. Whoever serves it takes it from here.
    pub(super) write_buffer: WriteBuffer,
    /// The pixel format that it wants from the next update on.
    next_format: Option<PixelFormat>,
    /// The pointer's place is shown beside the viewer, which needn't know of it.
    places: bool,
    /// It has asked for a picture; before that it gets nothing.
    listening: bool,
    /// It was told that we understand fences and continuous updates.
    continuous_told: bool,
    /// It gets updates without asking.
    continuous: bool,
    /// It has asked for an update.
    wants: bool,
    /// Our fences that it hasn't answered, by number.
    unacked_fences: VecDeque<u32>,
    fences: u32,
    pressed_input: PressedInput,
    /// The update that is being collected, but for the number of its rectangles: several of the link's, if the viewer
    /// isn't ready.
    update: Vec<u8>,
    /// The link is inside an update.
    inside: bool,
    /// It is whole, and waits for the viewer.
    waiting: bool,
    /// It tells a size, to which no pixels may be added.
    sized: bool,
    /// Rectangles of the update that is being collected, or is going out.
    rectangles: u16,
}

impl ViewerSession {
    /// A viewer that has just been told this size by its ServerInit.
    pub(crate) fn new(size: (u16, u16)) -> Self {
        Self {
            negotiated_viewer: NegotiatedViewer::new(size),
            write_buffer: WriteBuffer::default(),
            next_format: None,
            places: false,
            listening: false,
            continuous_told: false,
            continuous: false,
            wants: false,
            unacked_fences: VecDeque::new(),
            fences: 0,
            pressed_input: PressedInput::default(),
            update: begun(),
            inside: false,
            waiting: false,
            sized: false,
            rectangles: 0,
        }
    }

    /// With `places`, the customer's side is asked for the pointer's place, whether the viewer knows it or not.
    pub(crate) const fn with_places(mut self, places: bool) -> Self {
        self.places = places;
        self
    }

    /// Whether the viewer may use pointer events with nine buttons from now on.
    pub(crate) const fn extended_pointer(&self) -> bool {
        self.negotiated_viewer.extended_pointer
    }

    /// Whether the link's next update has to wait until the viewer has taken in what it got.
    pub(crate) fn must_pause_link(&self) -> bool {
        let full = self.sized || self.update.len() > MAX_WAITING;
        self.listening && self.waiting && full
    }

    /// Whether the viewer can be sent an update.
    fn is_ready(&self) -> bool {
        let follows = self.continuous && self.unacked_fences.len() <= MAX_BEHIND;
        self.wants || follows
    }

    /// Takes in what the viewer sent. Without `control` its input goes nowhere: the customer's gate would
    /// drop it anyway.
    ///
    /// # Errors
    /// The viewer must go: the screen's size changed before its first request, and it can't follow.
    pub(crate) fn on_client_message(
        &mut self,
        message: ClientMessage,
        remote_desktop: &RemoteDesktop,
        control: bool,
    ) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        match message {
            ClientMessage::SetPixelFormat(format) if self.write_buffer.is_open() => {
                self.next_format = Some(format);
            }
            ClientMessage::SetPixelFormat(format) => self.negotiated_viewer.format = format,
            ClientMessage::SetEncodings(encodings) => self.encodings(&encodings, &mut actions),
            ClientMessage::UpdateRequest { .. } if !self.listening => {
                self.first_request(remote_desktop, &mut actions)?;
            }
            ClientMessage::UpdateRequest { incremental, .. } => {
                self.wants = true;
                self.hand_over();
                if !incremental {
                    actions.pass(&message, false);
                }
            }
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. } => {
                self.input(&message, control, &mut actions);
            }
            ClientMessage::CutText(text) if control => {
                actions.clipboard = Some(latin1::to_text(&text));
            }
            ClientMessage::CutText(_) => {}
            ClientMessage::Fence { flags, payload } => self.fence(flags, &payload),
            ClientMessage::EnableContinuousUpdates { enable, .. } => self.enable_continuous(enable),
            ClientMessage::SetDesktopSize { .. } if control => actions.pass(&message, false),
            ClientMessage::SetDesktopSize { .. } => {
                self.forbid_resize(remote_desktop);
            }
        }
        Ok(actions)
    }

    /// Takes in what the customer's side sent.
    ///
    /// # Errors
    /// The viewer must go: it can't follow a new size.
    pub(crate) fn on_server_message(
        &mut self,
        message: &ServerMessage,
    ) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        match message {
            ServerMessage::UpdateStart => self.begin(),
            ServerMessage::Rectangle(rectangle) if self.listening => {
                let before = self.negotiated_viewer.size;
                let sizes = matches!(
                    rectangle,
                    Rectangle::DesktopSize { .. } | Rectangle::ExtendedDesktopSize { .. }
                );
                if sizes && self.waiting {
                    self.end_update();
                }
                self.sized |= sizes;
                let update = self.write_buffer.open().unwrap_or(&mut self.update);
                self.rectangles += self.negotiated_viewer.put(rectangle, update)?;
                if self.negotiated_viewer.size != before {
                    actions.pass(&streaming(true, self.negotiated_viewer.size), false);
                }
                if self.update.len() > MAX_UPDATE || self.rectangles == u16::MAX - 1 {
                    self.end_update();
                }
            }
            ServerMessage::UpdateEnd => {
                self.inside = false;
                if self.write_buffer.is_open() {
                    self.end_update();
                } else {
                    self.waiting = self.listening;
                    self.hand_over();
                }
            }
            ServerMessage::Bell if self.listening => {
                encode::server::bell(self.write_buffer.messages())
            }
            // The clipboard has a stream of its own, and fences are answered for every viewer alike.
            _ => {}
        }
        Ok(actions)
    }

    /// The customer's clipboard, for a viewer that isn't our page.
    pub(crate) fn clipboard(&mut self, text: &str) {
        if self.listening {
            encode::server::cut_text(self.write_buffer.messages(), &latin1::from_text(text));
        }
    }

    /// The customer has taken control back and released every key there.
    pub(crate) fn on_control_revoked(&mut self) {
        self.pressed_input.forget();
    }

    /// What the customer's side must hear when this viewer is gone: keys are released, no updates come.
    pub(crate) fn detach(mut self, control: bool) -> Vec<u8> {
        let mut actions = Actions::default();
        if control {
            for release in self.pressed_input.release() {
                actions.pass(&release, self.negotiated_viewer.extended_pointer);
            }
        }
        if self.listening {
            actions.pass(&streaming(false, self.negotiated_viewer.size), false);
        }
        actions.to_link
    }

    fn encodings(&mut self, encodings: &[i32], actions: &mut Actions) {
        self.negotiated_viewer.announce(encodings);
        let mut seen = BTreeSet::new();
        let passed_on = encodings
            .iter()
            .copied()
            .filter(|number| PASSED_ON.contains(number) && seen.insert(*number));
        let mut cut: Vec<i32> = passed_on.chain(OURS).collect();
        if self.places && !cut.contains(&encoding::POINTER_POS) {
            cut.push(encoding::POINTER_POS);
        }
        actions.pass(&ClientMessage::SetEncodings(cut), false);
        if self.listening {
            self.tell_continuous();
        }
    }

    /// A new viewer gets the whole picture, whatever its first request says, and what the customer's side
    /// told an earlier one.
    fn first_request(
        &mut self,
        remote_desktop: &RemoteDesktop,
        actions: &mut Actions,
    ) -> Result<(), CannotResize> {
        self.listening = true;
        self.wants = true;
        self.clear_update();
        self.rectangles = self
            .negotiated_viewer
            .introduce(remote_desktop, &mut self.update)?;
        if self.rectangles > 0 {
            self.end_update();
        }
        self.tell_continuous();
        let whole = ClientMessage::UpdateRequest {
            incremental: false,
            rect: whole(remote_desktop.size),
        };
        actions.pass(&streaming(true, remote_desktop.size), false);
        actions.pass(&whole, false);
        Ok(())
    }

    /// Once: a fence and the end of continuous updates say that both are understood.
    fn tell_continuous(&mut self) {
        let both = self.negotiated_viewer.has(encoding::FENCE)
            && self.negotiated_viewer.has(encoding::CONTINUOUS_UPDATES);
        if both && !self.continuous_told {
            self.continuous_told = true;
            self.ask();
            encode::server::end_of_continuous_updates(self.write_buffer.messages());
        }
    }

    /// Wherever it wants them: it gets all of the screen.
    fn enable_continuous(&mut self, enable: bool) {
        if !self.continuous_told {
            return;
        }
        self.continuous = enable;
        self.hand_over();
        if !enable {
            encode::server::end_of_continuous_updates(self.write_buffer.messages());
        }
    }

    /// A fence to the viewer: how far it has come.
    fn ask(&mut self) {
        self.fences = self.fences.wrapping_add(1);
        self.unacked_fences.push_back(self.fences);
        let flags = fence_flags::REQUEST | fence_flags::BLOCK_BEFORE;
        let number = self.fences.to_be_bytes();
        encode::server::fence(self.write_buffer.messages(), flags, &number);
    }

    fn input(&mut self, message: &ClientMessage, control: bool, actions: &mut Actions) {
        if control {
            self.pressed_input.note(message);
            actions.pass(message, self.negotiated_viewer.extended_pointer);
        }
    }

    fn fence(&mut self, flags: u32, payload: &[u8]) {
        if flags & fence_flags::REQUEST != 0 {
            let out = self.write_buffer.messages();
            encode::server::fence(out, flags & fence_flags::SUPPORTED, payload);
            return;
        }
        let answered = |number: &u32| number.to_be_bytes() == payload;
        if let Some(at) = self.unacked_fences.iter().position(answered) {
            self.unacked_fences.drain(..=at);
            self.hand_over();
        }
    }

    /// Without control the size can't be asked for; the viewer waits for an answer all the same.
    fn forbid_resize(&mut self, remote_desktop: &RemoteDesktop) {
        const THIS_CLIENT: u16 = 1;
        const PROHIBITED: u16 = 1;
        if let Some(screens) = &remote_desktop.layout {
            let out = self.write_buffer.messages();
            encode::server::update_start(out, Some(1));
            encode::server::extended_desktop_size(
                out,
                THIS_CLIENT,
                PROHIBITED,
                remote_desktop.size,
                screens,
            );
        }
    }

    /// The link begins an update. To a viewer that is ready it goes as it comes: the first rectangles are on the screen
    /// while the last are still being made.
    fn begin(&mut self) {
        self.inside = true;
        let free = self.listening && !self.waiting && self.rectangles == 0;
        if free && self.is_ready() && self.negotiated_viewer.has(encoding::LAST_RECT) {
            // What it asks for from now on is the next one.
            self.wants = false;
            self.write_buffer.open_update();
        }
    }

    fn clear_update(&mut self) {
        self.update = begun();
        self.sized = false;
        self.rectangles = 0;
    }

    /// What waits goes, if the viewer is ready; inside the link's update at its end.
    fn hand_over(&mut self) {
        if self.waiting && !self.inside && self.is_ready() {
            self.end_update();
        }
    }

    /// An update without rectangles is sent too: a viewer asks for the next one when it has got one.
    fn end_update(&mut self) {
        if self.write_buffer.is_open() {
            self.write_buffer.close_update();
            self.negotiated_viewer.format = self
                .next_format
                .take()
                .unwrap_or(self.negotiated_viewer.format);
        } else {
            encode::server::set_rectangle_count(&mut self.update, self.rectangles);
            self.write_buffer.update(&mut self.update);
            self.waiting = false;
            self.wants = false;
        }
        self.clear_update();
        if self.continuous {
            self.ask();
        }
    }
}

impl Actions {
    fn pass(&mut self, message: &ClientMessage, extended_pointer: bool) {
        encode::client::message(
            &mut self.to_link,
            message,
            PointerFormat::negotiated(extended_pointer),
        );
    }
}

/// An update whose number of rectangles is still to come.
fn begun() -> Vec<u8> {
    let mut update = Vec::new();
    encode::server::update_start(&mut update, Some(0));
    update
}

/// Updates follow each other without being asked for, or don't.
fn streaming(enable: bool, size: (u16, u16)) -> ClientMessage {
    ClientMessage::EnableContinuousUpdates {
        enable,
        rect: whole(size),
    }
}

fn whole((w, h): (u16, u16)) -> Rect {
    Rect::new(0, 0, w, h)
}

/// The answer to a fence of the customer's side.
pub(crate) fn answer(flags: u32, payload: Vec<u8>) -> ClientMessage {
    ClientMessage::Fence {
        flags: flags & fence_flags::SUPPORTED,
        payload,
    }
}
