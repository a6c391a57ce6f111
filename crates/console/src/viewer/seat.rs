//! One viewer and what was agreed with it: translates both directions between it and the link.

use std::collections::{BTreeSet, VecDeque};

use etatuki_rfb::{
    ClientMessage, CursorImage, Layout, PixelFormat, Rect, Rectangle, ServerMessage,
    encode::{self, fence_flags},
    encoding, translate,
};

use super::{Known, held::Held, latin1};

/// What the customer's side may be told that a viewer understands. Anything else that a viewer announces
/// (other encodings, noVNC's extended clipboard) is left out.
const PASSED_ON: [i32; 11] = [
    encoding::RAW,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];
/// An update above this is handed to the viewer in several.
const MAX_UPDATE: usize = 16 << 20;
/// Fences of a viewer that may wait for the customer's answer.
const MAX_FENCES: usize = 16;

/// What is to be sent after a message was taken in.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// Bytes for the link's input stream: whole client messages.
    pub(crate) to_link: Vec<u8>,
    /// Bytes for the viewer: whole server messages.
    pub(crate) to_viewer: Vec<u8>,
    /// Text for the customer's clipboard.
    pub(crate) clipboard: Option<String>,
}

/// The viewer can't follow the screen's new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the customer's screen changed its size, and the viewer has not said that it can follow")]
pub(crate) struct CannotResize;

/// A viewer past its handshake.
#[derive(Debug)]
pub(crate) struct Seat {
    format: PixelFormat,
    announced: BTreeSet<i32>,
    /// The pointer's place is shown beside the viewer, which needn't know of it.
    places: bool,
    /// The size that the viewer was told last.
    size: (u16, u16),
    /// It has asked for a picture; before that it gets nothing.
    listening: bool,
    /// It was told that the customer's side understands nine mouse buttons.
    extended_pointer: bool,
    /// It was told that the customer's side understands continuous updates.
    continuous_told: bool,
    /// Where it gets updates without asking.
    continuous: Option<Rect>,
    /// Ends of continuous updates that it waits for.
    ends_owed: usize,
    /// Questions of the customer's side that it hasn't answered.
    fences_owed: VecDeque<(u32, Vec<u8>)>,
    /// Questions of its own that the customer's side hasn't answered.
    fences_asked: usize,
    held: Held,
    /// The update that is being collected.
    update: Vec<u8>,
    rectangles: u16,
}

impl Seat {
    /// A viewer that has just been told this size by its ServerInit.
    pub(crate) fn new(size: (u16, u16)) -> Self {
        Self {
            format: PixelFormat::BGRX,
            announced: BTreeSet::new(),
            places: false,
            size,
            listening: false,
            extended_pointer: false,
            continuous_told: false,
            continuous: None,
            ends_owed: 0,
            fences_owed: VecDeque::new(),
            fences_asked: 0,
            held: Held::default(),
            update: Vec::new(),
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
        self.extended_pointer
    }

    /// How many of its fences the customer's side will still answer.
    pub(crate) const fn fences_asked(&self) -> usize {
        self.fences_asked
    }

    /// Takes in what the viewer sent. Without `control` its input goes nowhere: the customer's gate would
    /// drop it anyway.
    ///
    /// # Errors
    /// The viewer must go: the screen's size changed before its first request, and it can't follow.
    pub(crate) fn viewer_said(
        &mut self,
        message: ClientMessage,
        known: &Known,
        control: bool,
    ) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        match message {
            ClientMessage::SetPixelFormat(format) => self.format = format,
            ClientMessage::SetEncodings(encodings) => {
                self.encodings(&encodings, known, &mut actions);
            }
            ClientMessage::UpdateRequest { .. } if !self.listening => {
                self.first_request(known, &mut actions)?;
            }
            ClientMessage::UpdateRequest { .. } => actions.pass(&message, false),
            ClientMessage::Key { .. }
            | ClientMessage::QemuKey { .. }
            | ClientMessage::Pointer { .. } => {
                self.input(&message, control, &mut actions);
            }
            ClientMessage::CutText(text) if control => {
                actions.clipboard = Some(latin1::to_text(&text));
            }
            ClientMessage::CutText(_) => {}
            ClientMessage::Fence { flags, payload } => {
                self.fence_from_viewer(flags, payload, &mut actions)
            }
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                self.enable_continuous(enable, rect, &mut actions);
            }
            ClientMessage::SetDesktopSize { .. } if control => actions.pass(&message, false),
            ClientMessage::SetDesktopSize { .. } => {
                self.forbid_resize(known, &mut actions);
            }
        }
        Ok(actions)
    }

    /// Takes in what the customer's side sent; `known` has learnt it already.
    ///
    /// # Errors
    /// The viewer must go: it can't follow a new size.
    pub(crate) fn link_said(
        &mut self,
        message: &ServerMessage,
        known: &Known,
    ) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        match message {
            ServerMessage::UpdateStart => self.begin_update(),
            ServerMessage::Rectangle(rectangle) if self.listening => {
                self.rectangle(rectangle)?;
                if self.update.len() > MAX_UPDATE || self.rectangles == u16::MAX - 1 {
                    self.end_update(&mut actions);
                }
            }
            ServerMessage::UpdateEnd if self.listening => self.end_update(&mut actions),
            ServerMessage::Bell if self.listening => encode::server::bell(&mut actions.to_viewer),
            ServerMessage::Fence { flags, payload } => {
                self.fence_from_link(*flags, payload, &mut actions)
            }
            ServerMessage::EndOfContinuousUpdates => self.end_of_continuous(known, &mut actions),
            // The clipboard has a stream of its own.
            _ => {}
        }
        Ok(actions)
    }

    /// The customer's clipboard, for a viewer that isn't our page.
    pub(crate) fn clipboard(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.listening {
            encode::server::cut_text(&mut bytes, &latin1::from_text(text));
        }
        bytes
    }

    /// The customer has taken control back and released every key there.
    pub(crate) fn control_lost(&mut self) {
        self.held.forget();
    }

    /// What the customer's side must hear when this viewer is gone: keys are released, its fences are
    /// answered, updates come only on request.
    pub(crate) fn leave(mut self, control: bool) -> Vec<u8> {
        let mut actions = Actions::default();
        if control {
            for release in self.held.release() {
                actions.pass(&release, self.extended_pointer);
            }
        }
        for (flags, payload) in self.fences_owed.drain(..) {
            actions.pass(&answer(flags, payload), false);
        }
        if let Some(rect) = self.continuous {
            actions.pass(
                &ClientMessage::EnableContinuousUpdates {
                    enable: false,
                    rect,
                },
                false,
            );
        }
        actions.to_link
    }

    fn encodings(&mut self, encodings: &[i32], known: &Known, actions: &mut Actions) {
        self.announced = encodings
            .iter()
            .copied()
            .filter(|number| PASSED_ON.contains(number))
            .collect();
        let mut seen = BTreeSet::new();
        let cut = encodings.iter().copied();
        let mut cut: Vec<i32> = cut
            .filter(|number| self.announced.contains(number) && seen.insert(*number))
            .collect();
        if self.places && !cut.contains(&encoding::POINTER_POS) {
            cut.push(encoding::POINTER_POS);
        }
        actions.pass(&ClientMessage::SetEncodings(cut), false);
        if self.listening {
            self.tell_continuous(known, actions);
        }
    }

    /// A new viewer gets the whole picture, whatever its first request says, and what the customer's side
    /// told an earlier one.
    fn first_request(&mut self, known: &Known, actions: &mut Actions) -> Result<(), CannotResize> {
        self.listening = true;
        self.begin_update();
        self.introduce(known)?;
        if self.rectangles > 0 {
            self.end_update(actions);
        }
        self.tell_continuous(known, actions);
        let (w, h) = known.size;
        let whole = ClientMessage::UpdateRequest {
            incremental: false,
            rect: Rect::new(0, 0, w, h),
        };
        actions.pass(&whole, false);
        Ok(())
    }

    fn introduce(&mut self, known: &Known) -> Result<(), CannotResize> {
        if let Some(screens) = &known.layout
            && self.has(encoding::EXTENDED_DESKTOP_SIZE)
        {
            self.put_size(known.size, screens);
        } else {
            self.resize(known.size)?;
        }
        if let Some(cursor) = &known.cursor {
            self.cursor(cursor);
        }
        for encoding in &known.supports {
            self.supports(*encoding);
        }
        Ok(())
    }

    fn tell_continuous(&mut self, known: &Known, actions: &mut Actions) {
        if known.continuous && !self.continuous_told && self.has(encoding::CONTINUOUS_UPDATES) {
            self.continuous_told = true;
            encode::server::end_of_continuous_updates(&mut actions.to_viewer);
        }
    }

    fn end_of_continuous(&mut self, known: &Known, actions: &mut Actions) {
        if self.ends_owed > 0 {
            self.ends_owed -= 1;
            encode::server::end_of_continuous_updates(&mut actions.to_viewer);
        } else if self.listening {
            self.tell_continuous(known, actions);
        }
    }

    fn enable_continuous(&mut self, enable: bool, rect: Rect, actions: &mut Actions) {
        if !self.continuous_told {
            return;
        }
        self.continuous = enable.then_some(rect);
        if !enable {
            self.ends_owed += 1;
        }
        actions.pass(
            &ClientMessage::EnableContinuousUpdates { enable, rect },
            false,
        );
    }

    fn input(&mut self, message: &ClientMessage, control: bool, actions: &mut Actions) {
        if control {
            self.held.note(message);
            actions.pass(message, self.extended_pointer);
        }
    }

    fn fence_from_viewer(&mut self, flags: u32, payload: Vec<u8>, actions: &mut Actions) {
        if flags & fence_flags::REQUEST != 0 {
            if self.fences_asked < MAX_FENCES {
                self.fences_asked += 1;
                actions.pass(&ClientMessage::Fence { flags, payload }, false);
            }
        } else if self
            .fences_owed
            .front()
            .is_some_and(|(_, owed)| *owed == payload)
        {
            self.fences_owed.pop_front();
            actions.pass(&ClientMessage::Fence { flags, payload }, false);
        }
    }

    fn fence_from_link(&mut self, flags: u32, payload: &[u8], actions: &mut Actions) {
        if flags & fence_flags::REQUEST == 0 {
            if self.fences_asked > 0 {
                self.fences_asked -= 1;
                encode::server::fence(&mut actions.to_viewer, flags, payload);
            }
        } else if self.listening && self.has(encoding::FENCE) && self.fences_owed.len() < MAX_FENCES
        {
            self.fences_owed.push_back((flags, payload.to_vec()));
            encode::server::fence(&mut actions.to_viewer, flags, payload);
        } else {
            actions.pass(&answer(flags, payload.to_vec()), false);
        }
    }

    /// Without control the size can't be asked for; the viewer waits for an answer all the same.
    fn forbid_resize(&mut self, known: &Known, actions: &mut Actions) {
        const THIS_CLIENT: u16 = 1;
        const PROHIBITED: u16 = 1;
        if let Some(screens) = &known.layout {
            let out = &mut actions.to_viewer;
            encode::server::update_start(out, Some(1));
            encode::server::extended_desktop_size(
                out,
                THIS_CLIENT,
                PROHIBITED,
                known.size,
                screens,
            );
        }
    }

    fn begin_update(&mut self) {
        self.update.clear();
        self.rectangles = 0;
    }

    /// An update without rectangles is sent too: a viewer asks for the next one when it has got one.
    fn end_update(&mut self, actions: &mut Actions) {
        encode::server::update_start(&mut actions.to_viewer, Some(self.rectangles));
        actions.to_viewer.append(&mut self.update);
        self.begin_update();
    }

    fn rectangle(&mut self, rectangle: &Rectangle) -> Result<(), CannotResize> {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                encode::server::raw_head(&mut self.update, *rect);
                translate(pixels, &self.format, &mut self.update);
                self.rectangles += 1;
            }
            // One that doesn't know it may still meet one on its way to the viewer before; its own first
            // picture mends what is missed.
            Rectangle::CopyRect { rect, from } if self.has(encoding::COPY_RECT) => {
                encode::server::copy_rect(&mut self.update, *rect, *from);
                self.rectangles += 1;
            }
            Rectangle::CopyRect { .. } => {}
            Rectangle::Cursor(cursor) => self.cursor(cursor),
            Rectangle::PointerPos { x, y } if self.has(encoding::POINTER_POS) => {
                encode::server::pointer_pos(&mut self.update, (*x, *y));
                self.rectangles += 1;
            }
            Rectangle::PointerPos { .. } => {}
            Rectangle::DesktopSize { width, height } => self.resize((*width, *height))?,
            Rectangle::ExtendedDesktopSize {
                reason,
                status,
                width,
                height,
                screens,
            } => {
                self.extended_size((*reason, *status), (*width, *height), screens)?;
            }
            Rectangle::Supports { encoding } => self.supports(*encoding),
        }
        Ok(())
    }

    fn cursor(&mut self, cursor: &CursorImage) {
        if self.has(encoding::CURSOR) {
            let mut translated = CursorImage {
                pixels: Vec::new(),
                ..cursor.clone()
            };
            translate(&cursor.pixels, &self.format, &mut translated.pixels);
            encode::server::cursor(&mut self.update, &translated);
            self.rectangles += 1;
        }
    }

    fn supports(&mut self, number: i32) {
        if self.has(number) {
            self.extended_pointer |= number == encoding::EXTENDED_MOUSE_BUTTONS;
            encode::server::supports(&mut self.update, number);
            self.rectangles += 1;
        }
    }

    fn extended_size(
        &mut self,
        (reason, status): (u16, u16),
        size: (u16, u16),
        screens: &[Layout],
    ) -> Result<(), CannotResize> {
        if self.has(encoding::EXTENDED_DESKTOP_SIZE) {
            encode::server::extended_desktop_size(&mut self.update, reason, status, size, screens);
            self.rectangles += 1;
            if status == 0 {
                self.size = size;
            }
            return Ok(());
        }
        if status == 0 {
            self.resize(size)
        } else {
            Ok(())
        }
    }

    fn resize(&mut self, size: (u16, u16)) -> Result<(), CannotResize> {
        if size == self.size {
            return Ok(());
        }
        if self.has(encoding::EXTENDED_DESKTOP_SIZE) {
            let (w, h) = size;
            self.put_size(
                size,
                &[Layout {
                    id: 0,
                    rect: Rect::new(0, 0, w, h),
                    flags: 0,
                }],
            );
        } else if self.has(encoding::DESKTOP_SIZE) {
            encode::server::desktop_size(&mut self.update, size.0, size.1);
            self.rectangles += 1;
            self.size = size;
        } else {
            return Err(CannotResize);
        }
        Ok(())
    }

    fn put_size(&mut self, size: (u16, u16), screens: &[Layout]) {
        encode::server::extended_desktop_size(&mut self.update, 0, 0, size, screens);
        self.rectangles += 1;
        self.size = size;
    }

    fn has(&self, encoding: i32) -> bool {
        self.announced.contains(&encoding)
    }
}

impl Actions {
    fn pass(&mut self, message: &ClientMessage, extended_pointer: bool) {
        encode::client::message(&mut self.to_link, message, extended_pointer);
    }
}

/// The answer to a fence that nobody else answers.
pub(crate) fn answer(flags: u32, payload: Vec<u8>) -> ClientMessage {
    ClientMessage::Fence {
        flags: flags & fence_flags::KNOWN,
        payload,
    }
}
