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
const PASSED_ON: [i32; 9] = [
    encoding::RAW,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::POINTER_POS,
    encoding::DESKTOP_SIZE,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::LAST_RECT,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];
/// What the customer's side is told whatever the viewer understands. We decode JPEG ourselves (`jpeg`). And over the link
/// one update follows the other, as fast as we answer the fence behind each: the viewer's own requests and fences go no
/// further than to us, or each would cost a round trip.
const OURS: [i32; 3] = [
    encoding::TIGHT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];
/// An update above this is handed to the viewer in several.
const MAX_UPDATE: usize = 16 << 20;
/// What comes while the viewer isn't ready for an update is added to the one that waits, up to this; then the link waits.
const MAX_WAITING: usize = 4 << 20;
/// Updates that a viewer with continuous updates may be behind.
const MAX_BEHIND: usize = 2;

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
    /// It was told that we understand fences and continuous updates.
    continuous_told: bool,
    /// It gets updates without asking.
    continuous: bool,
    /// It has asked for an update.
    wants: bool,
    /// Our fences that it hasn't answered, by number.
    behind: VecDeque<u32>,
    fences: u32,
    held: Held,
    /// The update that is being collected, but for the number of its rectangles: several of the link's, if the viewer
    /// isn't ready.
    update: Vec<u8>,
    /// The link is inside an update.
    inside: bool,
    /// It is whole, and waits for the viewer.
    waiting: bool,
    /// It tells a size, to which no pixels may be added.
    sized: bool,
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
            continuous: false,
            wants: false,
            behind: VecDeque::new(),
            fences: 0,
            held: Held::default(),
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
        self.extended_pointer
    }

    /// Whether the link's next update has to wait until the viewer has taken in what it got.
    pub(crate) fn must_wait(&self) -> bool {
        let full = self.sized || self.update.len() > MAX_WAITING;
        self.listening && self.waiting && full
    }

    /// Whether the viewer can be sent an update.
    fn is_ready(&self) -> bool {
        let follows = self.continuous && self.behind.len() <= MAX_BEHIND;
        self.wants || follows
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
            ClientMessage::SetEncodings(encodings) => self.encodings(&encodings, &mut actions),
            ClientMessage::UpdateRequest { .. } if !self.listening => {
                self.first_request(known, &mut actions)?;
            }
            ClientMessage::UpdateRequest { incremental, .. } => {
                self.wants = true;
                self.hand_over(&mut actions);
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
            ClientMessage::Fence { flags, payload } => self.fence(flags, &payload, &mut actions),
            ClientMessage::EnableContinuousUpdates { enable, .. } => {
                self.enable_continuous(enable, &mut actions);
            }
            ClientMessage::SetDesktopSize { .. } if control => actions.pass(&message, false),
            ClientMessage::SetDesktopSize { .. } => {
                self.forbid_resize(known, &mut actions);
            }
        }
        Ok(actions)
    }

    /// Takes in what the customer's side sent.
    ///
    /// # Errors
    /// The viewer must go: it can't follow a new size.
    pub(crate) fn link_said(&mut self, message: &ServerMessage) -> Result<Actions, CannotResize> {
        let mut actions = Actions::default();
        match message {
            ServerMessage::UpdateStart => self.inside = true,
            ServerMessage::Rectangle(rectangle) if self.listening => {
                let before = self.size;
                let sizes = matches!(
                    rectangle,
                    Rectangle::DesktopSize { .. } | Rectangle::ExtendedDesktopSize { .. }
                );
                if sizes && self.waiting {
                    self.end_update(&mut actions);
                }
                self.sized |= sizes;
                self.rectangle(rectangle)?;
                if self.size != before {
                    actions.pass(&streaming(true, self.size), false);
                }
                if self.update.len() > MAX_UPDATE || self.rectangles == u16::MAX - 1 {
                    self.end_update(&mut actions);
                }
            }
            ServerMessage::UpdateEnd => {
                self.inside = false;
                self.waiting = self.listening;
                self.hand_over(&mut actions);
            }
            ServerMessage::Bell if self.listening => encode::server::bell(&mut actions.to_viewer),
            // The clipboard has a stream of its own, and fences are answered for every viewer alike.
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

    /// What the customer's side must hear when this viewer is gone: keys are released, no updates come.
    pub(crate) fn leave(mut self, control: bool) -> Vec<u8> {
        let mut actions = Actions::default();
        if control {
            for release in self.held.release() {
                actions.pass(&release, self.extended_pointer);
            }
        }
        if self.listening {
            actions.pass(&streaming(false, self.size), false);
        }
        actions.to_link
    }

    fn encodings(&mut self, encodings: &[i32], actions: &mut Actions) {
        self.announced = encodings.iter().copied().collect();
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
            self.tell_continuous(actions);
        }
    }

    /// A new viewer gets the whole picture, whatever its first request says, and what the customer's side
    /// told an earlier one.
    fn first_request(&mut self, known: &Known, actions: &mut Actions) -> Result<(), CannotResize> {
        self.listening = true;
        self.wants = true;
        self.begin_update();
        self.introduce(known)?;
        if self.rectangles > 0 {
            self.end_update(actions);
        }
        self.tell_continuous(actions);
        let whole = ClientMessage::UpdateRequest {
            incremental: false,
            rect: whole(known.size),
        };
        actions.pass(&streaming(true, known.size), false);
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

    /// Once: a fence and the end of continuous updates say that both are understood.
    fn tell_continuous(&mut self, actions: &mut Actions) {
        let both = self.has(encoding::FENCE) && self.has(encoding::CONTINUOUS_UPDATES);
        if both && !self.continuous_told {
            self.continuous_told = true;
            self.ask(actions);
            encode::server::end_of_continuous_updates(&mut actions.to_viewer);
        }
    }

    /// Wherever it wants them: it gets all of the screen.
    fn enable_continuous(&mut self, enable: bool, actions: &mut Actions) {
        if !self.continuous_told {
            return;
        }
        self.continuous = enable;
        self.hand_over(actions);
        if !enable {
            encode::server::end_of_continuous_updates(&mut actions.to_viewer);
        }
    }

    /// A fence to the viewer: how far it has come.
    fn ask(&mut self, actions: &mut Actions) {
        self.fences = self.fences.wrapping_add(1);
        self.behind.push_back(self.fences);
        let flags = fence_flags::REQUEST | fence_flags::BLOCK_BEFORE;
        let number = self.fences.to_be_bytes();
        encode::server::fence(&mut actions.to_viewer, flags, &number);
    }

    fn input(&mut self, message: &ClientMessage, control: bool, actions: &mut Actions) {
        if control {
            self.held.note(message);
            actions.pass(message, self.extended_pointer);
        }
    }

    fn fence(&mut self, flags: u32, payload: &[u8], actions: &mut Actions) {
        if flags & fence_flags::REQUEST != 0 {
            encode::server::fence(&mut actions.to_viewer, flags & fence_flags::KNOWN, payload);
            return;
        }
        let answered = |number: &u32| number.to_be_bytes() == payload;
        if let Some(at) = self.behind.iter().position(answered) {
            self.behind.drain(..=at);
            self.hand_over(actions);
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
        self.update = begun();
        self.sized = false;
        self.rectangles = 0;
    }

    /// What waits goes, if the viewer is ready; inside the link's update at its end.
    fn hand_over(&mut self, actions: &mut Actions) {
        if self.waiting && !self.inside && self.is_ready() {
            self.end_update(actions);
        }
    }

    /// An update without rectangles is sent too: a viewer asks for the next one when it has got one.
    fn end_update(&mut self, actions: &mut Actions) {
        let mut update = std::mem::take(&mut self.update);
        encode::server::update_count(&mut update, self.rectangles);
        if actions.to_viewer.is_empty() {
            actions.to_viewer = update;
        } else {
            actions.to_viewer.append(&mut update);
        }
        self.begin_update();
        self.waiting = false;
        self.wants = false;
        if self.continuous {
            self.ask(actions);
        }
    }

    fn rectangle(&mut self, rectangle: &Rectangle) -> Result<(), CannotResize> {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                encode::server::raw_head(&mut self.update, *rect);
                translate(pixels, &self.format, &mut self.update);
                self.rectangles += 1;
            }
            // Pixels by now: what reads the link decodes it.
            Rectangle::Jpeg { .. } => {}
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
        flags: flags & fence_flags::KNOWN,
        payload,
    }
}
