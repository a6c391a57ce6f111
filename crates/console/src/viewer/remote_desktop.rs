//! What is known of the customer's screen, whoever is watching: what a viewer that comes later must be
//! told because the customer's side won't say it again.

use std::collections::BTreeSet;

use etatuki_rfb::{CursorImage, Rect, Rectangle, ScreenLayout, ServerInit, ServerMessage};

/// The customer's screen, but for its pixels.
#[derive(Debug)]
pub(crate) struct RemoteDesktop {
    /// The desktop's name.
    pub(crate) name: String,
    /// Columns and rows.
    pub(crate) size: (u16, u16),
    /// The screens in it, once they were told.
    pub(crate) layout: Option<Vec<ScreenLayout>>,
    /// The pointer's shape, once it was told.
    pub(crate) cursor: Option<CursorImage>,
    /// Where the customer moved the pointer to last, once it was told.
    pub(crate) pointer: Option<(u16, u16)>,
    /// Pseudo-encodings that the customer's side has confirmed.
    pub(crate) supports: BTreeSet<i32>,
}

impl RemoteDesktop {
    /// What the link's first bytes say.
    pub(crate) fn new(init: ServerInit) -> Self {
        Self {
            name: init.name,
            size: (init.width, init.height),
            layout: None,
            cursor: None,
            pointer: None,
            supports: BTreeSet::new(),
        }
    }

    /// The screens, from left to right; one that is all of it before any were told.
    pub(crate) fn screens(&self) -> Vec<Rect> {
        let (w, h) = self.size;
        let told = self.layout.iter().flatten().map(|screen| screen.rect);
        let mut screens: Vec<Rect> = told.collect();
        screens.sort_by_key(|rect| (rect.x, rect.y));
        if screens.is_empty() {
            screens.push(Rect::new(0, 0, w, h));
        }
        screens
    }

    /// Keeps what a message says.
    pub(crate) fn learn(&mut self, message: &ServerMessage) {
        let ServerMessage::Rectangle(rectangle) = message else {
            return;
        };
        match rectangle {
            Rectangle::DesktopSize { width, height } => {
                self.size = (*width, *height);
                self.layout = None;
            }
            Rectangle::ExtendedDesktopSize {
                status: 0,
                width,
                height,
                screens,
                ..
            } => {
                self.size = (*width, *height);
                self.layout = Some(screens.clone());
            }
            Rectangle::Cursor(cursor) => self.cursor = Some(cursor.clone()),
            Rectangle::PointerPos { x, y } => self.pointer = Some((*x, *y)),
            Rectangle::Supports { encoding } => {
                self.supports.insert(*encoding);
            }
            _ => {}
        }
    }
}
