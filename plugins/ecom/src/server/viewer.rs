//! What one client understands, what it has been told, and what it is owed. Pure.
//!
//! An update is owed when it was asked for, or, with continuous updates, when the client has taken in
//! all but one of those before (it says so by answering the fence that each ends with).

use etatuki_rfb::encode::{fence_flags, server};
use etatuki_rfb::{Layout, PixelFormat, Rect, encoding};

use super::places::Places;

/// Updates that may be on their way to a client with continuous updates.
const MOST_ON_THE_WAY: u8 = 2;
/// What our fences carry: the one that ends an update, and the one that says that we know fences.
const END_OF_UPDATE: &[u8] = b"u";
const HELLO: &[u8] = b"";

/// The screen as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desk {
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// Its monitors.
    pub(super) monitors: Vec<Layout>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Viewer {
    format: PixelFormat,
    known: Known,
    /// The size that it was told.
    size: (u16, u16),
    /// The monitors that it was told.
    monitors: Vec<Layout>,
    /// What it asked for.
    requested: Option<Rect>,
    /// It wants an answer even when there is nothing new.
    answer_due: bool,
    continuous: Option<Rect>,
    on_the_way: u8,
    /// It asked for another size, and is to be told that it won't get it.
    size_refused: bool,
    /// Extensions to be confirmed by an empty rectangle.
    confirm: Vec<i32>,
    cursor_due: bool,
    /// Where it knows the pointer to be.
    pub(super) places: Places,
}

#[derive(Debug, Default)]
struct Known {
    cursor: bool,
    pointer_pos: bool,
    desktop_size: bool,
    extended_desktop_size: bool,
    fence: bool,
    continuous: bool,
    confirmed: Vec<i32>,
    /// It has been told that cut text is UTF-8.
    utf8: bool,
}

impl Viewer {
    /// A client that was told this size and has seen nothing yet.
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self {
            format: PixelFormat::BGRX,
            known: Known::default(),
            size,
            monitors: Vec::new(),
            requested: None,
            answer_due: false,
            continuous: None,
            on_the_way: 0,
            size_refused: false,
            confirm: Vec::new(),
            cursor_due: false,
            places: Places::default(),
        }
    }

    pub(super) fn set_format(&mut self, format: PixelFormat) {
        self.format = format;
        self.cursor_due = self.known.cursor;
    }

    pub(super) fn format(&self) -> &PixelFormat {
        &self.format
    }

    /// What it understands; says what we do in turn.
    pub(super) fn set_encodings(&mut self, list: &[i32], out: &mut Vec<u8>) {
        let has = |encoding| list.contains(&encoding);
        let known = &mut self.known;
        self.cursor_due |= has(encoding::CURSOR) && !known.cursor;
        known.cursor = has(encoding::CURSOR);
        self.cursor_due &= known.cursor;
        known.pointer_pos = has(encoding::POINTER_POS);
        known.desktop_size = has(encoding::DESKTOP_SIZE);
        known.extended_desktop_size = has(encoding::EXTENDED_DESKTOP_SIZE);
        if has(encoding::FENCE) && !known.fence {
            known.fence = true;
            server::fence(out, fence_flags::REQUEST, HELLO);
        }
        if has(encoding::CONTINUOUS_UPDATES) && !known.continuous {
            known.continuous = true;
            server::end_of_continuous_updates(out);
        }
        for extension in [
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS,
            encoding::UTF8_CUT_TEXT,
        ] {
            if has(extension) && !known.confirmed.contains(&extension) {
                known.confirmed.push(extension);
                self.confirm.push(extension);
            }
        }
    }

    /// Whether its pointer messages may come in the long form.
    pub(super) fn has_nine_buttons(&self) -> bool {
        self.known
            .confirmed
            .contains(&encoding::EXTENDED_MOUSE_BUTTONS)
    }

    /// Whether cut text is UTF-8 from now on; else it is Latin-1 (RFC 6143 section 7.6.4).
    pub(super) fn speaks_utf8(&self) -> bool {
        self.known.utf8
    }

    /// Whether it draws the pointer itself.
    pub(super) fn draws_cursor(&self) -> bool {
        self.known.cursor
    }

    /// Whether it shows where others move the pointer.
    pub(super) fn shows_places(&self) -> bool {
        self.known.pointer_pos
    }

    /// Whether it lost the pointer's shape, or never had it.
    pub(super) fn take_cursor_due(&mut self) -> bool {
        std::mem::take(&mut self.cursor_due)
    }

    /// It asks for an update. Several requests are answered by one.
    pub(super) fn request(&mut self, incremental: bool, rect: Rect) {
        let before = self.requested.unwrap_or_default();
        self.requested = Some(before.around(&rect));
        self.answer_due |= !incremental;
    }

    /// It turns continuous updates on, of this area, or off.
    pub(super) fn continuous(&mut self, area: Option<Rect>, out: &mut Vec<u8>) {
        self.continuous = area;
        if area.is_none() {
            server::end_of_continuous_updates(out);
        }
    }

    /// A fence of its own, to be answered, or its answer to one of ours.
    pub(super) fn fence(&mut self, flags: u32, payload: &[u8], out: &mut Vec<u8>) {
        if flags & fence_flags::REQUEST != 0 {
            // Whatever came before it was done when it came, whatever comes after it will be after it.
            server::fence(out, flags & fence_flags::KNOWN, payload);
        } else if payload == END_OF_UPDATE {
            self.on_the_way = self.on_the_way.saturating_sub(1);
        }
    }

    /// It asked for another screen size.
    pub(super) fn refuse_size(&mut self) {
        self.size_refused = self.known.extended_desktop_size;
    }

    /// The area that an update may show now; `None` when none is owed.
    pub(super) fn owed(&self) -> Option<Rect> {
        let whole = Rect::new(0, 0, self.size.0, self.size.1);
        let flowing = self
            .continuous
            .filter(|_| self.on_the_way < MOST_ON_THE_WAY);
        let area = match (self.requested, flowing) {
            (None, None) => return None,
            (Some(asked), None) => asked,
            (None, Some(flow)) => flow,
            (Some(asked), Some(flow)) => asked.around(&flow),
        };
        Some(area.intersection(&whole).unwrap_or_default())
    }

    /// Whether it wants an update even when nothing has changed.
    pub(super) fn answer_is_due(&self) -> bool {
        self.answer_due || self.cursor_due
    }

    /// Whether there is something to [`tell`](Self::tell) it, the screen being like this.
    pub(super) fn has_news(&self, desk: &Desk) -> bool {
        self.size_refused
            || !self.confirm.is_empty()
            || self.is_resized(desk)
            || self.has_new_monitors(desk)
    }

    fn is_resized(&self, desk: &Desk) -> bool {
        let follows = self.known.extended_desktop_size || self.known.desktop_size;
        desk.size != self.size && follows
    }

    /// Also before it was told any.
    fn has_new_monitors(&self, desk: &Desk) -> bool {
        self.known.extended_desktop_size && desk.monitors != self.monitors
    }

    /// Appends rectangles that tell it of the screen and of what we understand, where it doesn't know yet;
    /// gives their number. After a new size the whole of it is what it asked for. A refused size is told
    /// alone, for the client ignores what else is in that answer; the rest is still news then.
    pub(super) fn tell(&mut self, desk: &Desk, out: &mut Vec<u8>) -> u16 {
        if std::mem::take(&mut self.size_refused) {
            // This client asked; forbidden.
            server::extended_desktop_size(out, 1, 1, desk.size, &desk.monitors);
            return 1;
        }
        let mut count = self.confirm.len() as u16;
        for extension in self.confirm.drain(..) {
            self.known.utf8 |= extension == encoding::UTF8_CUT_TEXT;
            server::supports(out, extension);
        }
        let resized = self.is_resized(desk);
        if self.known.extended_desktop_size && (resized || self.has_new_monitors(desk)) {
            server::extended_desktop_size(out, 0, 0, desk.size, &desk.monitors);
            self.monitors.clone_from(&desk.monitors);
            count += 1;
        } else if resized {
            server::desktop_size(out, desk.size.0, desk.size.1);
            count += 1;
        }
        if resized {
            let whole = Rect::new(0, 0, desk.size.0, desk.size.1);
            self.size = desk.size;
            self.requested = self.requested.map(|_| whole);
            self.continuous = self.continuous.map(|_| whole);
        }
        count
    }

    /// An update went out; ends it.
    pub(super) fn served(&mut self, out: &mut Vec<u8>) {
        self.requested = None;
        self.answer_due = false;
        if self.continuous.is_some() && self.known.fence {
            self.on_the_way += 1;
            server::fence(
                out,
                fence_flags::REQUEST | fence_flags::BLOCK_BEFORE,
                END_OF_UPDATE,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u16, u16) = (640, 480);
    const WHOLE: Rect = Rect::new(0, 0, 640, 480);

    /// With a monitor for each of these numbers, side by side.
    fn desk(size: (u16, u16), ids: &[u32]) -> Desk {
        let width = size.0 / ids.len() as u16;
        let monitor = |(at, id): (usize, &u32)| Layout {
            id: *id,
            rect: Rect::new(at as u16 * width, 0, width, size.1),
            flags: 0,
        };
        let monitors = ids.iter().enumerate().map(monitor).collect();
        Desk { size, monitors }
    }

    fn viewer(encodings: &[i32]) -> Viewer {
        let mut viewer = Viewer::new(SIZE);
        viewer.set_encodings(encodings, &mut Vec::new());
        viewer
    }

    #[test]
    fn nothing_is_owed_unasked() {
        let mut viewer = viewer(&[]);
        assert_eq!(viewer.owed(), None);
        viewer.request(true, Rect::new(600, 400, 100, 100));
        assert_eq!(viewer.owed(), Some(Rect::new(600, 400, 40, 80)));
        viewer.served(&mut Vec::new());
        assert_eq!(viewer.owed(), None);
    }

    #[test]
    fn several_requests_are_one() {
        let mut viewer = viewer(&[]);
        viewer.request(true, Rect::new(0, 0, 10, 10));
        assert!(!viewer.answer_is_due());
        viewer.request(false, Rect::new(20, 20, 10, 10));
        assert!(viewer.answer_is_due());
        assert_eq!(viewer.owed(), Some(Rect::new(0, 0, 30, 30)));
    }

    #[test]
    fn a_request_off_the_screen_is_answered_empty() {
        let mut viewer = viewer(&[]);
        viewer.request(false, Rect::new(700, 0, 10, 10));
        assert_eq!(viewer.owed(), Some(Rect::default()));
        assert!(viewer.answer_is_due());
    }

    #[test]
    fn two_updates_are_on_the_way_at_most() {
        let mut viewer = viewer(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
        let mut out = Vec::new();
        viewer.continuous(Some(WHOLE), &mut out);
        for _ in 0..2 {
            assert_eq!(viewer.owed(), Some(WHOLE));
            viewer.served(&mut out);
        }
        assert_eq!(viewer.owed(), None);
        viewer.fence(0, HELLO, &mut out);
        assert_eq!(viewer.owed(), None, "that was the answer to another fence");
        viewer.fence(0, END_OF_UPDATE, &mut out);
        assert_eq!(viewer.owed(), Some(WHOLE));
    }

    #[test]
    fn extensions_are_announced_once() {
        let mut viewer = Viewer::new(SIZE);
        let list = [
            encoding::FENCE,
            encoding::CONTINUOUS_UPDATES,
            encoding::QEMU_EXTENDED_KEY,
        ];
        let mut out = Vec::new();
        viewer.set_encodings(&list, &mut out);
        let once = out.len();
        let desk = desk(SIZE, &[3]);
        assert!(once > 0 && viewer.has_news(&desk));
        assert_eq!(viewer.tell(&desk, &mut Vec::new()), 1);
        viewer.set_encodings(&list, &mut out);
        assert_eq!(out.len(), once);
        assert!(!viewer.has_news(&desk));
    }

    #[test]
    fn a_new_size_is_told_to_those_who_know_the_word() {
        let small = desk((320, 200), &[3]);
        assert!(!viewer(&[]).has_news(&small));
        for known in [encoding::DESKTOP_SIZE, encoding::EXTENDED_DESKTOP_SIZE] {
            let mut viewer = viewer(&[known]);
            viewer.request(true, WHOLE);
            assert!(viewer.has_news(&small));
            assert_eq!(viewer.tell(&small, &mut Vec::new()), 1);
            assert!(!viewer.has_news(&small));
            assert_eq!(viewer.owed(), Some(Rect::new(0, 0, 320, 200)));
        }
    }

    #[test]
    fn monitors_are_told_at_first_and_when_they_change() {
        let mut viewer = viewer(&[encoding::EXTENDED_DESKTOP_SIZE]);
        for ids in [&[3][..], &[3, 4], &[4, 3], &[3]] {
            let now = desk(SIZE, ids);
            assert!(viewer.has_news(&now));
            assert_eq!(viewer.tell(&now, &mut Vec::new()), 1);
            assert!(!viewer.has_news(&now));
        }
    }

    #[test]
    fn a_refusal_hides_no_news() {
        let mut viewer = viewer(&[encoding::EXTENDED_DESKTOP_SIZE]);
        viewer.refuse_size();
        let now = desk((320, 200), &[3]);
        assert_eq!(viewer.tell(&now, &mut Vec::new()), 1);
        assert!(viewer.has_news(&now), "it knows neither size nor monitors");
        assert_eq!(viewer.tell(&now, &mut Vec::new()), 1);
        assert!(!viewer.has_news(&now));
    }

    #[test]
    fn the_pointers_shape_is_due_when_it_is_first_understood() {
        let mut viewer = viewer(&[]);
        assert!(!viewer.answer_is_due());
        viewer.set_encodings(&[encoding::CURSOR], &mut Vec::new());
        assert!(viewer.take_cursor_due());
        viewer.set_encodings(&[encoding::CURSOR], &mut Vec::new());
        assert!(!viewer.take_cursor_due());
    }
}
