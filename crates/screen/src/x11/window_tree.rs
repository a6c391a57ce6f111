//! The tree of windows: where each is, and what lies over it. Pure: events and query results come
//! in, the program's windows with their visible regions come out.
//!
//! Events are applied one by one and in order, so that a momentary state isn't missed: a window
//! that was covered and is free again may still show the pixels of the window that covered it.

mod path;

use std::collections::HashMap;

use x11rb::NONE;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{self, ConfigureNotifyEvent, Window};

use crate::exact_region::ExactRegion;
use crate::signed_rect::SignedRect;

/// A window as the server described it.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowNode {
    pub(super) parent: Window,
    /// In stacking order, the lowest first.
    pub(super) children: Vec<Window>,
    /// The outer corner, relative to the parent's inside.
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) border: i32,
    pub(super) mapped: bool,
    /// The window's class is InputOnly: nothing is drawn in it.
    pub(super) input_only: bool,
    /// The shape, relative to the own inside; `None` for a plain rectangle.
    pub(super) shape: Option<ExactRegion>,
    /// The part that takes the pointer, relative to the own inside; `None` for all of it.
    pub(super) input_shape: Option<ExactRegion>,
    /// Whether its visual is one whose pixels we can read.
    pub(super) readable: bool,
    /// The pixel value of grey in its visual.
    pub(super) grey_pixel: u32,
    pub(super) child_events: ChildEvents,
}

impl WindowNode {
    /// Returns the rectangle with the border; the parent's inside begins at `(x, y)`.
    fn outer(&self, (x, y): (i32, i32)) -> SignedRect {
        let (w, h) = (self.width + 2 * self.border, self.height + 2 * self.border);
        SignedRect::new(x + self.x, y + self.y, w, h)
    }

    /// Returns the corner of its inside; the parent's inside begins at `(x, y)`.
    fn origin(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (x + self.x + self.border, y + self.y + self.border)
    }

    /// Returns the rectangle of its inside, which begins at `(x, y)`.
    fn inner(&self, (x, y): (i32, i32)) -> SignedRect {
        SignedRect::new(x, y, self.width, self.height)
    }
}

/// Whether the server reports a window's children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ChildEvents {
    /// The window isn't read yet.
    #[default]
    Unread,
    /// SubstructureNotify is selected.
    Selected,
    /// The window lies too deep: its children don't matter.
    NotSelected,
}

/// The kind of windows that count as lying over another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// Windows that are drawn.
    Pixels,
    /// Windows that take a click: also those that aren't drawn.
    Input,
}

/// An outermost window of the program: none of its ancestors is the program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppWindow {
    pub(super) id: Window,
    /// The corner of its inside, on the screen.
    pub(super) origin: (i32, i32),
    pub(super) size: (i32, i32),
    /// The part that nothing else covers, on the screen.
    pub(super) visible: ExactRegion,
    pub(super) readable: bool,
    pub(super) grey_pixel: u32,
}

/// All known windows.
#[derive(Debug)]
pub(super) struct WindowTree {
    root: Window,
    nodes: HashMap<Window, WindowNode>,
    /// The compositor's overlay window, which lies over everything and covers nothing.
    overlay: Window,
    /// Windows to be queried: they are new, or changed in a way that events don't describe.
    unread: Vec<Window>,
}

impl WindowTree {
    /// Creates a tree of the root alone, to be read.
    pub(super) fn new(root: Window) -> Self {
        Self {
            root,
            nodes: HashMap::from([(root, WindowNode::default())]),
            overlay: NONE,
            unread: vec![root],
        }
    }

    pub(super) fn node(&self, window: Window) -> Option<&WindowNode> {
        self.nodes.get(&window)
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.nodes.keys().copied()
    }

    pub(super) fn set_overlay(&mut self, overlay: Window) {
        self.overlay = overlay;
    }

    /// Removes and returns the windows to be queried.
    pub(super) fn take_unread(&mut self) -> Vec<Window> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.sort_unstable();
        unread.dedup();
        unread.retain(|window| self.nodes.contains_key(window));
        unread
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Forgets all windows, so that all are read again.
    pub(super) fn reset(&mut self) {
        self.nodes = HashMap::from([(self.root, WindowNode::default())]);
        self.unread = vec![self.root];
    }

    /// Returns the number of steps up to the root; `None` when an ancestor is unknown.
    pub(super) fn depth(&self, window: Window) -> Option<usize> {
        let above = |window: &Window| self.nodes.get(window).map(|node| node.parent);
        std::iter::successors(Some(window), above).position(|w| w == self.root)
    }

    /// Inserts a window as it was read. Children that weren't known are queued for reading.
    pub(super) fn insert(&mut self, window: Window, mut node: WindowNode) {
        let old = self.nodes.get(&window);
        let before = old.map(|node| node.children.clone()).unwrap_or_default();
        node.parent = old.map_or(NONE, |node| node.parent);
        let was_selected = old.is_some_and(|node| node.child_events == ChildEvents::Selected);
        for gone in before.iter().filter(|c| !node.children.contains(c)) {
            self.remove(*gone);
        }
        for child in &node.children {
            if !was_selected || !self.nodes.contains_key(child) {
                self.unread.push(*child);
            }
            self.nodes.entry(*child).or_insert_with(unread_node).parent = window;
        }
        self.nodes.insert(window, node);
    }

    /// Applies an event. Returns whether the windows' order or geometry changed.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        if event.sent_event() {
            // Another program sent it with SendEvent.
            return false;
        }
        match event {
            Event::CreateNotify(e) => self.create(e.parent, e.window, |node| {
                (node.x, node.y) = (e.x.into(), e.y.into());
                (node.width, node.height) = (e.width.into(), e.height.into());
                node.border = e.border_width.into();
            }),
            Event::DestroyNotify(e) => self.detach(e.window) | self.remove(e.window),
            Event::MapNotify(e) => self.set_mapped(e.window, true),
            Event::UnmapNotify(e) => self.set_mapped(e.window, false),
            Event::ReparentNotify(e) => {
                self.reparent(e.window, e.parent, (e.x.into(), e.y.into()));
                true
            }
            Event::ConfigureNotify(e) => self.configure(e),
            Event::GravityNotify(e) => self.update(e.window, |node| {
                (node.x, node.y) = (e.x.into(), e.y.into());
            }),
            Event::CirculateNotify(e) => {
                let below = (e.place == xproto::Place::ON_BOTTOM).then_some(NONE);
                self.restack(e.window, below)
            }
            Event::ShapeNotify(e) if self.nodes.contains_key(&e.affected_window) => {
                // Nobody can say which shapes it had in between, perhaps one with a hole.
                self.unread.push(e.affected_window);
                self.update(e.affected_window, |node| {
                    node.shape = Some(ExactRegion::default())
                })
            }
            _ => false,
        }
    }

    fn create(
        &mut self,
        parent: Window,
        window: Window,
        set_geometry: impl FnOnce(&mut WindowNode),
    ) -> bool {
        let Some(above) = self.nodes.get_mut(&parent) else {
            return false;
        };
        above.children.retain(|child| *child != window);
        above.children.push(window);
        let mut node = WindowNode {
            parent,
            mapped: false,
            ..unread_node()
        };
        set_geometry(&mut node);
        self.nodes.insert(window, node);
        self.unread.push(window);
        // It isn't visible yet.
        false
    }

    fn update(&mut self, window: Window, change: impl FnOnce(&mut WindowNode)) -> bool {
        self.nodes.get_mut(&window).map(change).is_some()
    }

    fn set_mapped(&mut self, window: Window, mapped: bool) -> bool {
        self.update(window, |node| node.mapped = mapped)
    }

    fn reparent(&mut self, window: Window, parent: Window, (x, y): (i32, i32)) {
        self.detach(window);
        let above = self.nodes.get_mut(&parent);
        let Some(above) = above.filter(|above| above.child_events != ChildEvents::NotSelected)
        else {
            self.remove(window);
            return;
        };
        above.children.push(window);
        let is_read = above.child_events != ChildEvents::Unread && self.nodes.contains_key(&window);
        let node = self.nodes.entry(window).or_insert_with(unread_node);
        (node.parent, node.x, node.y) = (parent, x, y);
        if !is_read {
            // No events about it arrive yet.
            node.shape = Some(ExactRegion::default());
            self.unread.push(window);
        }
    }

    fn configure(&mut self, e: &ConfigureNotifyEvent) -> bool {
        let is_known = self.update(e.window, |node| {
            (node.x, node.y) = (e.x.into(), e.y.into());
            (node.width, node.height) = (e.width.into(), e.height.into());
            node.border = e.border_width.into();
        });
        is_known && (e.window == self.root || self.restack(e.window, Some(e.above_sibling)))
    }

    /// Restacks a window right above the sibling `above`: lowest for `Some(NONE)`, highest for
    /// `None`. Returns false for an unknown window.
    fn restack(&mut self, window: Window, above: Option<Window>) -> bool {
        let Some(parent) = self.nodes.get(&window).map(|node| node.parent) else {
            return false;
        };
        let Some(parent) = self.nodes.get_mut(&parent) else {
            return false;
        };
        parent.children.retain(|child| *child != window);
        let index = match above {
            None => Some(parent.children.len()),
            Some(NONE) => Some(0),
            Some(sibling) => {
                let below = parent.children.iter().position(|child| *child == sibling);
                below.map(|below| below + 1)
            }
        };
        match index {
            Some(index) => parent.children.insert(index, window),
            None => self.reset(),
        }
        true
    }

    fn detach(&mut self, window: Window) -> bool {
        let Some(parent) = self.nodes.get(&window).map(|node| node.parent) else {
            return false;
        };
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.retain(|child| *child != window);
        }
        true
    }

    /// Forgets a window and its descendants. Returns false for an unknown window.
    fn remove(&mut self, window: Window) -> bool {
        let Some(node) = self.nodes.remove(&window) else {
            return false;
        };
        for child in node.children {
            self.remove(child);
        }
        true
    }

    /// Returns the program's outermost windows with their visible regions.
    pub(super) fn app_windows(
        &self,
        is_app: &impl Fn(Window) -> bool,
        layer: Layer,
    ) -> Vec<AppWindow> {
        let mut windows = Vec::new();
        let Some(root) = self.nodes.get(&self.root) else {
            return windows;
        };
        let inside = ExactRegion::from_rect(root.inner((0, 0)));
        self.collect_visible(root, (0, 0), inside, is_app, layer, &mut windows);
        windows
    }

    /// Walks a foreign window's children, the highest first. `free` is the part of its inside that
    /// none of the children so far covers.
    fn collect_visible(
        &self,
        node: &WindowNode,
        origin: (i32, i32),
        mut free: ExactRegion,
        is_app: &impl Fn(Window) -> bool,
        layer: Layer,
        windows: &mut Vec<AppWindow>,
    ) {
        for window in node.children.iter().rev() {
            let Some(child) = self.occluder(*window, layer) else {
                continue;
            };
            let outer = child.outer(origin);
            let own = child.origin(origin);
            let mut inside = free.clipped_to(&child.inner(own));
            if let Some(shape) = &child.shape {
                inside = inside.intersection(&shape.translated(own.0, own.1));
            }
            if let Some(shape) = child.input_shape.as_ref().filter(|_| layer == Layer::Input) {
                inside = inside.intersection(&shape.translated(own.0, own.1));
            }
            if is_app(*window) {
                self.subtract_foreign_children(child, own, is_app, layer, &mut inside);
                windows.push(AppWindow {
                    id: *window,
                    origin: own,
                    size: (child.width, child.height),
                    visible: inside,
                    readable: child.readable,
                    grey_pixel: child.grey_pixel,
                });
            } else if !inside.is_empty() {
                self.collect_visible(child, own, inside, is_app, layer, windows);
            }
            // A hole in a window of the program shows the program's windows below. A foreign window
            // covers its whole bounding box, shaped or not; so do an unread one, and a foreign one
            // inside of ours.
            let mut hole = ExactRegion::default();
            if let Some(shape) = &child.shape
                && layer == Layer::Pixels
                && is_app(*window)
                && !shape.is_empty()
            {
                hole = free
                    .clipped_to(&outer)
                    .difference(&shape.translated(own.0, own.1));
                self.subtract_foreign_children(child, own, is_app, layer, &mut hole);
            }
            free.subtract(&outer);
            free.add_region(&hole);
        }
    }

    /// Removes the boxes of other programs' windows inside of ours (XEmbed: a plug in a socket).
    fn subtract_foreign_children(
        &self,
        node: &WindowNode,
        origin: (i32, i32),
        is_app: &impl Fn(Window) -> bool,
        layer: Layer,
        visible: &mut ExactRegion,
    ) {
        for window in &node.children {
            let Some(child) = self.occluder(*window, layer) else {
                continue;
            };
            if is_app(*window) {
                self.subtract_foreign_children(child, child.origin(origin), is_app, layer, visible);
            } else {
                visible.subtract(&child.outer(origin));
            }
        }
    }

    /// Returns the window if it covers what is below it in this layer.
    fn occluder(&self, window: Window, layer: Layer) -> Option<&WindowNode> {
        let node = self.nodes.get(&window)?;
        let counts = layer == Layer::Input || !node.input_only;
        (node.mapped && counts && window != self.overlay).then_some(node)
    }

    /// Returns the outermost window of the program around `window`, which may be itself.
    pub(super) fn outermost_app_window(
        &self,
        window: Window,
        is_app: &impl Fn(Window) -> bool,
    ) -> Window {
        let above = |window: &Window| {
            let parent = self.nodes.get(window)?.parent;
            is_app(parent).then_some(parent)
        };
        std::iter::successors(Some(window), above)
            .last()
            .unwrap_or(window)
    }

    /// Returns the program's windows to which Expose must be sent so that it draws `exposed` again:
    /// `window` and its descendants, each with rectangles relative to its own inside.
    pub(super) fn expose_targets(
        &self,
        window: &AppWindow,
        is_app: &impl Fn(Window) -> bool,
        exposed: &[SignedRect],
    ) -> Vec<(Window, SignedRect)> {
        let mut targets = Vec::new();
        self.collect_expose_targets(window.id, window.origin, is_app, exposed, &mut targets);
        targets
    }

    fn collect_expose_targets(
        &self,
        window: Window,
        origin: (i32, i32),
        is_app: &impl Fn(Window) -> bool,
        exposed: &[SignedRect],
        targets: &mut Vec<(Window, SignedRect)>,
    ) {
        let Some(node) = self.occluder(window, Layer::Pixels) else {
            return;
        };
        let inner = node.inner(origin);
        let rects = exposed.iter().map(|rect| rect.intersection(&inner));
        let rects: Vec<_> = rects.filter(|rect| !rect.is_empty()).collect();
        if rects.is_empty() {
            return;
        }
        let local = rects.iter().map(|p| p.translated(-origin.0, -origin.1));
        targets.extend(local.map(|rect| (window, rect)));
        for child in node.children.iter().filter(|child| is_app(**child)) {
            if let Some(own) = self.nodes.get(child).map(|node| node.origin(origin)) {
                self.collect_expose_targets(*child, own, is_app, &rects, targets);
            }
        }
    }
}

/// Creates a window that isn't read yet: nothing of it is shown.
fn unread_node() -> WindowNode {
    WindowNode {
        mapped: true,
        shape: Some(ExactRegion::default()),
        ..WindowNode::default()
    }
}
