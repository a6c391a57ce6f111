//! The customer's screen but for its pixels. The customer's side sends these facts once, so they
//! are kept for viewers that attach later.

use std::collections::BTreeSet;

use etatuki_rfb::{CursorImage, Rect, Rectangle, ScreenLayout, ServerInit, ServerMessage};

/// The facts about the screen that have arrived.
#[derive(Debug)]
pub struct RemoteDesktop {
    /// The desktop's name.
    pub name: String,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The column and row to which the customer moved the pointer last; `None` until then.
    pub pointer: Option<(u16, u16)>,
    /// The screens; `None` until they arrive.
    pub(crate) layout: Option<Vec<ScreenLayout>>,
    /// The pointer's shape; `None` until it arrives.
    pub(crate) cursor: Option<CursorImage>,
    /// Pseudo-encodings that the customer's side has confirmed.
    pub(crate) supports: BTreeSet<i32>,
}

impl RemoteDesktop {
    /// Creates the desktop from the first message of the picture stream.
    #[must_use]
    pub fn new(init: ServerInit) -> Self {
        Self {
            name: init.name,
            size: (init.width, init.height),
            pointer: None,
            layout: None,
            cursor: None,
            supports: BTreeSet::new(),
        }
    }

    /// Returns the screens from left to right; before any arrive, one that fills the desktop.
    #[must_use]
    pub fn screens(&self) -> Vec<Rect> {
        let (w, h) = self.size;
        let layout = self.layout.iter().flatten();
        let mut screens: Vec<Rect> = layout.map(|screen| screen.rect).collect();
        screens.sort_by_key(|rect| (rect.x, rect.y));
        if screens.is_empty() {
            screens.push(Rect::new(0, 0, w, h));
        }
        screens
    }

    /// Updates the facts from a message of the picture stream.
    pub fn update(&mut self, message: &ServerMessage) {
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
