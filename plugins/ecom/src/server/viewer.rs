//! One client: its capabilities, its knowledge of the desktop, and the updates owed to it. Pure.
//!
//! An update is owed when the client requested one, or, with continuous updates, when it has
//! acknowledged all but one of those before, by answering the fence that ends each of them.

use etatuki_rfb::encode::{fence_flags, server};
use etatuki_rfb::{PixelFormat, Rect, ScreenLayout, encoding};

use super::input_injector::CutTextEncoding;
use super::pointer_throttle::PointerThrottle;

/// Maximum number of unacknowledged updates, with continuous updates.
const MAX_UNACKED_UPDATES: u8 = 2;
/// The payload of the fence that ends an update.
const END_OF_UPDATE: &[u8] = b"u";
/// The payload of the fence that announces that we support fences.
const FENCE_PROBE: &[u8] = b"";
/// The extensions that are confirmed by an empty rectangle of their encoding.
const CONFIRMED_EXTENSIONS: [i32; 3] = [
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
    encoding::UTF8_CUT_TEXT,
];

/// The screen's size and monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desktop {
    /// Columns and rows.
    pub(super) size: (u16, u16),
    pub(super) monitors: Vec<ScreenLayout>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Viewer {
    format: PixelFormat,
    capabilities: ClientCapabilities,
    /// The size that the client was sent.
    size: (u16, u16),
    /// The monitors that the client was sent.
    monitors: Vec<ScreenLayout>,
    /// The requested update. Several requests are merged.
    requested: Option<UpdateRequest>,
    /// The area of continuous updates, while they are on.
    continuous_area: Option<Rect>,
    /// Updates sent whose fence isn't answered.
    unacked: u8,
    /// Whether the client asked for another size, and must be sent the refusal.
    resize_refused: bool,
    /// Extensions that are still to be confirmed.
    unconfirmed: Vec<i32>,
    /// The pointer's position as the client knows it.
    pub(super) pointer: PointerThrottle,
}

/// An update request (RFC 6143 section 7.5.3).
#[derive(Clone, Copy, Debug, Default)]
struct UpdateRequest {
    area: Rect,
    kind: RequestKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum RequestKind {
    /// Answered when something has changed.
    #[default]
    Incremental,
    /// Answered at once, even if nothing has changed.
    Full,
}

/// The client's capabilities, as its encodings tell.
#[derive(Debug, Default)]
struct ClientCapabilities {
    cursor: CursorSupport,
    pointer_pos: bool,
    resize: ResizeSupport,
    /// Fences are announced, by one of ours.
    fence: bool,
    /// Continuous updates are announced, by an EndOfContinuousUpdates.
    continuous_updates: bool,
    /// Extensions that the client has asked for, confirmed or to be confirmed.
    extensions: Vec<i32>,
}

/// Whether the client draws the pointer itself (Cursor pseudo-encoding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CursorSupport {
    #[default]
    None,
    /// The client draws it, and lacks a shape in its pixel format.
    ShapeDue,
    /// The client draws it, and was sent a shape.
    ShapeSent,
}

/// The pseudo-encoding by which the client learns of a new size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ResizeSupport {
    #[default]
    None,
    DesktopSize,
    ExtendedDesktopSize,
}

impl Viewer {
    /// Creates a client that was sent this size in the handshake, and no pixels.
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self {
            format: PixelFormat::BGRX,
            capabilities: ClientCapabilities::default(),
            size,
            monitors: Vec::new(),
            requested: None,
            continuous_area: None,
            unacked: 0,
            resize_refused: false,
            unconfirmed: Vec::new(),
            pointer: PointerThrottle::default(),
        }
    }

    pub(super) fn set_format(&mut self, format: PixelFormat) {
        self.format = format;
        if self.draws_cursor() {
            self.capabilities.cursor = CursorSupport::ShapeDue;
        }
    }

    pub(super) fn format(&self) -> &PixelFormat {
        &self.format
    }

    /// Sets the client's encodings. Appends the announcements of fences and continuous updates.
    pub(super) fn set_encodings(&mut self, list: &[i32], out: &mut Vec<u8>) {
        let has = |encoding| list.contains(&encoding);
        let capabilities = &mut self.capabilities;
        capabilities.cursor = match capabilities.cursor {
            _ if !has(encoding::CURSOR) => CursorSupport::None,
            CursorSupport::None => CursorSupport::ShapeDue,
            supported => supported,
        };
        capabilities.pointer_pos = has(encoding::POINTER_POS);
        capabilities.resize = if has(encoding::EXTENDED_DESKTOP_SIZE) {
            ResizeSupport::ExtendedDesktopSize
        } else if has(encoding::DESKTOP_SIZE) {
            ResizeSupport::DesktopSize
        } else {
            ResizeSupport::None
        };
        if has(encoding::FENCE) && !capabilities.fence {
            capabilities.fence = true;
            server::fence(out, fence_flags::REQUEST, FENCE_PROBE);
        }
        if has(encoding::CONTINUOUS_UPDATES) && !capabilities.continuous_updates {
            capabilities.continuous_updates = true;
            server::end_of_continuous_updates(out);
        }
        for extension in CONFIRMED_EXTENSIONS {
            if has(extension) && !capabilities.extensions.contains(&extension) {
                capabilities.extensions.push(extension);
                self.unconfirmed.push(extension);
            }
        }
    }

    /// Returns whether the client's pointer messages may come in the extended form.
    pub(super) fn uses_extended_buttons(&self) -> bool {
        let extensions = &self.capabilities.extensions;
        extensions.contains(&encoding::EXTENDED_MOUSE_BUTTONS)
    }

    /// Returns the encoding of cut text: UTF-8 once that is confirmed.
    pub(super) fn cut_text_encoding(&self) -> CutTextEncoding {
        let utf8 = &encoding::UTF8_CUT_TEXT;
        let asked_for = self.capabilities.extensions.contains(utf8);
        if asked_for && !self.unconfirmed.contains(utf8) {
            CutTextEncoding::Utf8
        } else {
            CutTextEncoding::Latin1
        }
    }

    /// Returns whether the client draws the pointer itself.
    pub(super) fn draws_cursor(&self) -> bool {
        self.capabilities.cursor != CursorSupport::None
    }

    /// Returns whether the client shows the pointer where others move it.
    pub(super) fn shows_pointer_position(&self) -> bool {
        self.capabilities.pointer_pos
    }

    /// Returns whether the client must be sent the pointer's shape though it hasn't changed. It
    /// counts as sent from now on.
    pub(super) fn take_cursor_due(&mut self) -> bool {
        let due = self.is_cursor_due();
        if due {
            self.capabilities.cursor = CursorSupport::ShapeSent;
        }
        due
    }

    fn is_cursor_due(&self) -> bool {
        self.capabilities.cursor == CursorSupport::ShapeDue
    }

    /// Records an update request. One update answers all open requests.
    pub(super) fn request_update(&mut self, incremental: bool, rect: Rect) {
        let mut request = self.requested.unwrap_or_default();
        request.area = request.area.union(&rect);
        if !incremental {
            request.kind = RequestKind::Full;
        }
        self.requested = Some(request);
    }

    /// Turns continuous updates on for `area`, or off.
    pub(super) fn set_continuous_updates(&mut self, area: Option<Rect>, out: &mut Vec<u8>) {
        self.continuous_area = area;
        if area.is_none() {
            server::end_of_continuous_updates(out);
        }
    }

    /// Answers a fence of the client, or records its answer to one of ours.
    pub(super) fn on_fence(&mut self, flags: u32, payload: &[u8], out: &mut Vec<u8>) {
        if flags & fence_flags::REQUEST != 0 {
            // Messages are carried out one by one, so that all before the fence are done by now.
            server::fence(out, flags & fence_flags::SUPPORTED, payload);
        } else if payload == END_OF_UPDATE {
            self.unacked = self.unacked.saturating_sub(1);
        }
    }

    /// Refuses a request for another size.
    pub(super) fn refuse_resize(&mut self) {
        self.resize_refused = self.knows_monitors();
    }

    /// Returns the area that an update may show; `None` when no update is owed.
    pub(super) fn owed_area(&self) -> Option<Rect> {
        let whole = Rect::new(0, 0, self.size.0, self.size.1);
        let continuous = self
            .continuous_area
            .filter(|_| self.unacked < MAX_UNACKED_UPDATES);
        let area = match (self.requested, continuous) {
            (None, None) => return None,
            (Some(request), None) => request.area,
            (None, Some(area)) => area,
            (Some(request), Some(area)) => request.area.union(&area),
        };
        Some(area.intersection(&whole).unwrap_or_default())
    }

    /// Returns whether an update is to be sent even if nothing has changed.
    pub(super) fn wants_full_update(&self) -> bool {
        let is_full = |request: UpdateRequest| request.kind == RequestKind::Full;
        self.requested.is_some_and(is_full) || self.is_cursor_due()
    }

    /// Returns whether [`write_desktop_changes`](Self::write_desktop_changes) has something to
    /// write.
    pub(super) fn has_desktop_changes(&self, desktop: &Desktop) -> bool {
        self.resize_refused
            || !self.unconfirmed.is_empty()
            || self.is_resized(desktop)
            || self.has_new_monitors(desktop)
    }

    fn is_resized(&self, desktop: &Desktop) -> bool {
        desktop.size != self.size && self.capabilities.resize != ResizeSupport::None
    }

    /// Returns whether the client's monitors are out of date; true also before any were sent.
    fn has_new_monitors(&self, desktop: &Desktop) -> bool {
        self.knows_monitors() && desktop.monitors != self.monitors
    }

    fn knows_monitors(&self) -> bool {
        self.capabilities.resize == ResizeSupport::ExtendedDesktopSize
    }

    /// Appends rectangles for the changes that the client doesn't know, and confirmations. Returns
    /// their number. After a new size, the requested area is the whole screen. A refusal goes
    /// alone, because the client ignores the rest of its rectangle; other changes remain for the
    /// next call.
    pub(super) fn write_desktop_changes(&mut self, desktop: &Desktop, out: &mut Vec<u8>) -> u16 {
        if std::mem::take(&mut self.resize_refused) {
            // Reason 1: requested by this client. Status 1: prohibited.
            server::extended_desktop_size(out, 1, 1, desktop.size, &desktop.monitors);
            return 1;
        }
        let mut count = self.unconfirmed.len() as u16;
        for extension in self.unconfirmed.drain(..) {
            server::supports(out, extension);
        }
        let resized = self.is_resized(desktop);
        if self.knows_monitors() && (resized || self.has_new_monitors(desktop)) {
            server::extended_desktop_size(out, 0, 0, desktop.size, &desktop.monitors);
            self.monitors.clone_from(&desktop.monitors);
            count += 1;
        } else if resized {
            server::desktop_size(out, desktop.size.0, desktop.size.1);
            count += 1;
        }
        if resized {
            let whole = Rect::new(0, 0, desktop.size.0, desktop.size.1);
            self.size = desktop.size;
            if let Some(request) = &mut self.requested {
                request.area = whole;
            }
            self.continuous_area = self.continuous_area.map(|_| whole);
        }
        count
    }

    /// Records that an update was sent. Appends its fence, with continuous updates.
    pub(super) fn on_update_sent(&mut self, out: &mut Vec<u8>) {
        self.requested = None;
        if self.continuous_area.is_some() && self.capabilities.fence {
            self.unacked += 1;
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

    /// Returns a desktop with a monitor for each of these ids, side by side.
    fn desktop(size: (u16, u16), ids: &[u32]) -> Desktop {
        let width = size.0 / ids.len() as u16;
        let monitor = |(index, id): (usize, &u32)| ScreenLayout {
            id: *id,
            rect: Rect::new(index as u16 * width, 0, width, size.1),
            flags: 0,
        };
        let monitors = ids.iter().enumerate().map(monitor).collect();
        Desktop { size, monitors }
    }

    fn viewer(encodings: &[i32]) -> Viewer {
        let mut viewer = Viewer::new(SIZE);
        viewer.set_encodings(encodings, &mut Vec::new());
        viewer
    }

    #[test]
    fn nothing_is_owed_unasked() {
        let mut viewer = viewer(&[]);
        assert_eq!(viewer.owed_area(), None);
        viewer.request_update(true, Rect::new(600, 400, 100, 100));
        assert_eq!(viewer.owed_area(), Some(Rect::new(600, 400, 40, 80)));
        viewer.on_update_sent(&mut Vec::new());
        assert_eq!(viewer.owed_area(), None);
    }

    #[test]
    fn several_requests_are_one() {
        let mut viewer = viewer(&[]);
        viewer.request_update(true, Rect::new(0, 0, 10, 10));
        assert!(!viewer.wants_full_update());
        viewer.request_update(false, Rect::new(20, 20, 10, 10));
        assert!(viewer.wants_full_update());
        assert_eq!(viewer.owed_area(), Some(Rect::new(0, 0, 30, 30)));
    }

    #[test]
    fn a_request_off_the_screen_is_answered_empty() {
        let mut viewer = viewer(&[]);
        viewer.request_update(false, Rect::new(700, 0, 10, 10));
        assert_eq!(viewer.owed_area(), Some(Rect::default()));
        assert!(viewer.wants_full_update());
    }

    #[test]
    fn two_updates_are_on_the_way_at_most() {
        let mut viewer = viewer(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
        let mut out = Vec::new();
        viewer.set_continuous_updates(Some(WHOLE), &mut out);
        for _ in 0..2 {
            assert_eq!(viewer.owed_area(), Some(WHOLE));
            viewer.on_update_sent(&mut out);
        }
        assert_eq!(viewer.owed_area(), None);
        viewer.on_fence(0, FENCE_PROBE, &mut out);
        assert_eq!(
            viewer.owed_area(),
            None,
            "that was the answer to another fence"
        );
        viewer.on_fence(0, END_OF_UPDATE, &mut out);
        assert_eq!(viewer.owed_area(), Some(WHOLE));
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
        let desktop = desktop(SIZE, &[3]);
        assert!(once > 0 && viewer.has_desktop_changes(&desktop));
        assert_eq!(viewer.write_desktop_changes(&desktop, &mut Vec::new()), 1);
        viewer.set_encodings(&list, &mut out);
        assert_eq!(out.len(), once);
        assert!(!viewer.has_desktop_changes(&desktop));
    }

    #[test]
    fn a_new_size_is_sent_to_clients_that_support_it() {
        let small = desktop((320, 200), &[3]);
        assert!(!viewer(&[]).has_desktop_changes(&small));
        for known in [encoding::DESKTOP_SIZE, encoding::EXTENDED_DESKTOP_SIZE] {
            let mut viewer = viewer(&[known]);
            viewer.request_update(true, WHOLE);
            assert!(viewer.has_desktop_changes(&small));
            assert_eq!(viewer.write_desktop_changes(&small, &mut Vec::new()), 1);
            assert!(!viewer.has_desktop_changes(&small));
            assert_eq!(viewer.owed_area(), Some(Rect::new(0, 0, 320, 200)));
        }
    }

    #[test]
    fn monitors_are_told_at_first_and_when_they_change() {
        let mut viewer = viewer(&[encoding::EXTENDED_DESKTOP_SIZE]);
        for ids in [&[3][..], &[3, 4], &[4, 3], &[3]] {
            let now = desktop(SIZE, ids);
            assert!(viewer.has_desktop_changes(&now));
            assert_eq!(viewer.write_desktop_changes(&now, &mut Vec::new()), 1);
            assert!(!viewer.has_desktop_changes(&now));
        }
    }

    #[test]
    fn a_refusal_hides_no_change() {
        let mut viewer = viewer(&[encoding::EXTENDED_DESKTOP_SIZE]);
        viewer.refuse_resize();
        let now = desktop((320, 200), &[3]);
        assert_eq!(viewer.write_desktop_changes(&now, &mut Vec::new()), 1);
        assert!(
            viewer.has_desktop_changes(&now),
            "it knows neither size nor monitors"
        );
        assert_eq!(viewer.write_desktop_changes(&now, &mut Vec::new()), 1);
        assert!(!viewer.has_desktop_changes(&now));
    }

    #[test]
    fn the_pointers_shape_is_due_when_it_is_first_understood() {
        let mut viewer = viewer(&[]);
        assert!(!viewer.wants_full_update());
        viewer.set_encodings(&[encoding::CURSOR], &mut Vec::new());
        assert!(viewer.take_cursor_due());
        viewer.set_encodings(&[encoding::CURSOR], &mut Vec::new());
        assert!(!viewer.take_cursor_due());
    }
}
