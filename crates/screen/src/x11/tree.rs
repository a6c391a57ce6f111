//! The tree of windows, kept true by the server's events: where each is, what lies over it. Pure: events
//! and what was read come in, places come out.
//!
//! Every event is taken in by itself and in order, so that also what lasted for a moment only is known:
//! a window that was covered and is free again may still show what lay over it.

use std::collections::HashMap;

use x11rb::NONE;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{self, ConfigureNotifyEvent, Window};

use crate::area::{Area, Part};

/// A window.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) parent: Window,
    /// The lowest first.
    pub(super) children: Vec<Window>,
    /// Its outer corner, on its parent's inside.
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) border: i32,
    pub(super) mapped: bool,
    /// It only takes input; nothing is drawn in it.
    pub(super) input_only: bool,
    /// What of it there is when it isn't a whole rectangle, on its own inside.
    pub(super) shape: Option<Area>,
    /// Its pixels are of the kind that we read.
    pub(super) readable: bool,
    /// What grey is among its pixels.
    pub(super) grey: u32,
    /// Whether its children's events come, once it was read: not when it lies too deep.
    pub(super) heard: Option<bool>,
}

impl Node {
    /// With its border, when its parent's inside begins there.
    fn outer(&self, (x, y): (i32, i32)) -> Part {
        let (w, h) = (self.width + 2 * self.border, self.height + 2 * self.border);
        Part::new(x + self.x, y + self.y, w, h)
    }

    /// Where its inside begins, when its parent's begins there.
    fn origin(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (x + self.x + self.border, y + self.y + self.border)
    }

    fn inner(&self, (x, y): (i32, i32)) -> Part {
        Part::new(x, y, self.width, self.height)
    }
}

/// What may lie over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// What is drawn.
    Pixels,
    /// What takes a click, also where nothing is drawn.
    Input,
}

/// One of the program's windows that has no other of the program's around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) window: Window,
    /// Where its inside begins on the screen.
    pub(super) origin: (i32, i32),
    pub(super) size: (i32, i32),
    /// What of it is free, on the screen.
    pub(super) visible: Area,
    pub(super) readable: bool,
    pub(super) grey: u32,
}

/// All windows that are known.
#[derive(Debug)]
pub(super) struct Tree {
    root: Window,
    nodes: HashMap<Window, Node>,
    /// A window that lies over everything and that everything is drawn into: the compositor's.
    overlay: Window,
    /// Windows that have appeared, or changed in a way that events don't tell, and must be read.
    unread: Vec<Window>,
}

impl Tree {
    /// Only the root is known, and is to be read.
    pub(super) fn new(root: Window) -> Self {
        Self {
            root,
            nodes: HashMap::from([(root, Node::default())]),
            overlay: NONE,
            unread: vec![root],
        }
    }

    pub(super) fn get(&self, window: Window) -> Option<&Node> {
        self.nodes.get(&window)
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.nodes.keys().copied()
    }

    pub(super) fn set_overlay(&mut self, overlay: Window) {
        self.overlay = overlay;
    }

    /// What is to be read; it counts as read from now on.
    pub(super) fn take_unread(&mut self) -> Vec<Window> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.sort_unstable();
        unread.dedup();
        unread.retain(|window| self.nodes.contains_key(window));
        unread
    }

    pub(super) fn is_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Forgets all, so that all is read again: on any doubt.
    pub(super) fn doubt(&mut self) {
        self.nodes = HashMap::from([(self.root, Node::default())]);
        self.unread = vec![self.root];
    }

    /// How many windows are between this one and the root; `None` when it hangs on nothing that is known.
    pub(super) fn depth(&self, window: Window) -> Option<usize> {
        let above = |window: &Window| self.nodes.get(window).map(|node| node.parent);
        std::iter::successors(Some(window), above).position(|w| w == self.root)
    }

    /// A window as it was read. Children that weren't known are to be read.
    pub(super) fn insert(&mut self, window: Window, mut node: Node) {
        let known = self.nodes.get(&window);
        let before = known.map(|node| node.children.clone()).unwrap_or_default();
        node.parent = known.map_or(NONE, |node| node.parent);
        let heard = known.is_some_and(|node| node.heard == Some(true));
        for gone in before.iter().filter(|c| !node.children.contains(c)) {
            self.remove(*gone);
        }
        for child in &node.children {
            if !heard || !self.nodes.contains_key(child) {
                self.unread.push(*child);
            }
            self.nodes.entry(*child).or_insert_with(unknown).parent = window;
        }
        self.nodes.insert(window, node);
    }

    /// Takes in what the server says has happened; says whether the windows are in another order or place now.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        if event.sent_event() {
            // Another program made it up.
            return false;
        }
        match event {
            Event::CreateNotify(e) => self.create(e.parent, e.window, |node| {
                (node.x, node.y) = (e.x.into(), e.y.into());
                (node.width, node.height) = (e.width.into(), e.height.into());
                node.border = e.border_width.into();
            }),
            Event::DestroyNotify(e) => self.detach(e.window) | self.remove(e.window),
            Event::MapNotify(e) => self.map(e.window, true),
            Event::UnmapNotify(e) => self.map(e.window, false),
            Event::ReparentNotify(e) => {
                self.reparent(e.window, e.parent, (e.x.into(), e.y.into()));
                true
            }
            Event::ConfigureNotify(e) => self.configure(e),
            Event::GravityNotify(e) => self.change(e.window, |node| {
                (node.x, node.y) = (e.x.into(), e.y.into());
            }),
            Event::CirculateNotify(e) => {
                let below = (e.place == xproto::Place::ON_BOTTOM).then_some(NONE);
                self.restack(e.window, below)
            }
            Event::ShapeNotify(e) if self.nodes.contains_key(&e.affected_window) => {
                // What it was in between, perhaps with a hole for a moment, nobody can say.
                self.unread.push(e.affected_window);
                self.change(e.affected_window, |node| node.shape = Some(Area::default()))
            }
            _ => false,
        }
    }

    fn create(&mut self, parent: Window, window: Window, place: impl FnOnce(&mut Node)) -> bool {
        let Some(above) = self.nodes.get_mut(&parent) else {
            return false;
        };
        above.children.retain(|child| *child != window);
        above.children.push(window);
        let mut node = Node {
            parent,
            mapped: false,
            ..unknown()
        };
        place(&mut node);
        self.nodes.insert(window, node);
        self.unread.push(window);
        // Nothing can be seen of it yet.
        false
    }

    fn change(&mut self, window: Window, change: impl FnOnce(&mut Node)) -> bool {
        self.nodes.get_mut(&window).map(change).is_some()
    }

    fn map(&mut self, window: Window, mapped: bool) -> bool {
        self.change(window, |node| node.mapped = mapped)
    }

    fn reparent(&mut self, window: Window, parent: Window, (x, y): (i32, i32)) {
        self.detach(window);
        let above = self.nodes.get_mut(&parent);
        let Some(above) = above.filter(|above| above.heard != Some(false)) else {
            self.remove(window);
            return;
        };
        above.children.push(window);
        let heard = above.heard.is_some() && self.nodes.contains_key(&window);
        let node = self.nodes.entry(window).or_insert_with(unknown);
        (node.parent, node.x, node.y) = (parent, x, y);
        if !heard {
            // What becomes of it in there nobody tells yet.
            node.shape = Some(Area::default());
            self.unread.push(window);
        }
    }

    fn configure(&mut self, e: &ConfigureNotifyEvent) -> bool {
        let known = self.change(e.window, |node| {
            (node.x, node.y) = (e.x.into(), e.y.into());
            (node.width, node.height) = (e.width.into(), e.height.into());
            node.border = e.border_width.into();
        });
        known && (e.window == self.root || self.restack(e.window, Some(e.above_sibling)))
    }

    /// Puts a window right above a sibling: below all of them when that is `NONE`, above all when there is none.
    fn restack(&mut self, window: Window, above: Option<Window>) -> bool {
        let Some(parent) = self.nodes.get(&window).map(|node| node.parent) else {
            return false;
        };
        let Some(parent) = self.nodes.get_mut(&parent) else {
            return false;
        };
        parent.children.retain(|child| *child != window);
        let at = match above {
            None => Some(parent.children.len()),
            Some(NONE) => Some(0),
            Some(sibling) => {
                let below = parent.children.iter().position(|child| *child == sibling);
                below.map(|below| below + 1)
            }
        };
        match at {
            Some(at) => parent.children.insert(at, window),
            None => self.doubt(),
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

    /// Forgets a window with all that is in it.
    fn remove(&mut self, window: Window) -> bool {
        let Some(node) = self.nodes.remove(&window) else {
            return false;
        };
        for child in node.children {
            self.remove(child);
        }
        true
    }

    /// The program's windows, each as far as nothing else covers it.
    pub(super) fn places(&self, is_ours: &impl Fn(Window) -> bool, cover: Cover) -> Vec<Place> {
        let mut found = Vec::new();
        let Some(root) = self.nodes.get(&self.root) else {
            return found;
        };
        let inside = Area::of(root.inner((0, 0)));
        self.look_into(root, (0, 0), inside, is_ours, cover, &mut found);
        found
    }

    /// Goes through a foreign window's children, the highest first; `free` is what of its inside is left.
    fn look_into(
        &self,
        node: &Node,
        origin: (i32, i32),
        mut free: Area,
        is_ours: &impl Fn(Window) -> bool,
        cover: Cover,
        found: &mut Vec<Place>,
    ) {
        for window in node.children.iter().rev() {
            let Some(child) = self.covering(*window, cover) else {
                continue;
            };
            let outer = child.outer(origin);
            let own = child.origin(origin);
            let mut inside = free.cut(&child.inner(own));
            if let Some(shape) = &child.shape {
                inside = inside.common(&shape.shifted(own.0, own.1));
            }
            if is_ours(*window) {
                self.take_strangers(child, own, is_ours, cover, &mut inside);
                found.push(Place {
                    window: *window,
                    origin: own,
                    size: (child.width, child.height),
                    visible: inside,
                    readable: child.readable,
                    grey: child.grey,
                });
            } else if !inside.is_empty() {
                self.look_into(child, own, inside, is_ours, cover, found);
            }
            // Through a hole in one of ours shows what is ours under it; a foreign one covers all of its box, and so does
            // one that isn't read yet, and what is another's inside of ours.
            let mut hole = Area::default();
            if let Some(shape) = &child.shape
                && cover == Cover::Pixels
                && is_ours(*window)
                && !shape.is_empty()
            {
                hole = free.cut(&outer).without(&shape.shifted(own.0, own.1));
                self.take_strangers(child, own, is_ours, cover, &mut hole);
            }
            free.take(&outer);
            free.add_all(&hole);
        }
    }

    /// Other programs' windows inside of ours (a plug in a socket) aren't the program's.
    fn take_strangers(
        &self,
        node: &Node,
        origin: (i32, i32),
        is_ours: &impl Fn(Window) -> bool,
        cover: Cover,
        visible: &mut Area,
    ) {
        for window in &node.children {
            let Some(child) = self.covering(*window, cover) else {
                continue;
            };
            if is_ours(*window) {
                self.take_strangers(child, child.origin(origin), is_ours, cover, visible);
            } else {
                visible.take(&child.outer(origin));
            }
        }
    }

    /// The window, if it is there to be seen or clicked at.
    fn covering(&self, window: Window, cover: Cover) -> Option<&Node> {
        let node = self.nodes.get(&window)?;
        let counts = cover == Cover::Input || !node.input_only;
        (node.mapped && counts && window != self.overlay).then_some(node)
    }

    /// The highest of the program's windows that a window of the program's is in.
    pub(super) fn top_of(&self, window: Window, is_ours: &impl Fn(Window) -> bool) -> Window {
        let above = |window: &Window| {
            let parent = self.nodes.get(window)?.parent;
            is_ours(parent).then_some(parent)
        };
        std::iter::successors(Some(window), above)
            .last()
            .unwrap_or(window)
    }

    /// The program's windows inside of one of its windows, itself included: what has to be drawn anew where it shows `what`.
    /// Gives each with the parts of it, on its own inside.
    pub(super) fn drawn_in(
        &self,
        place: &Place,
        is_ours: &impl Fn(Window) -> bool,
        what: &[Part],
    ) -> Vec<(Window, Part)> {
        let mut found = Vec::new();
        self.collect(place.window, place.origin, is_ours, what, &mut found);
        found
    }

    fn collect(
        &self,
        window: Window,
        origin: (i32, i32),
        is_ours: &impl Fn(Window) -> bool,
        what: &[Part],
        found: &mut Vec<(Window, Part)>,
    ) {
        let Some(node) = self.covering(window, Cover::Pixels) else {
            return;
        };
        let inner = node.inner(origin);
        let parts = what.iter().map(|part| part.cut(&inner));
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return;
        }
        let local = parts.iter().map(|p| p.shifted(-origin.0, -origin.1));
        found.extend(local.map(|part| (window, part)));
        for child in node.children.iter().filter(|child| is_ours(**child)) {
            if let Some(own) = self.nodes.get(child).map(|node| node.origin(origin)) {
                self.collect(*child, own, is_ours, &parts, found);
            }
        }
    }
}

/// A window that isn't read yet: nothing of it is shown.
fn unknown() -> Node {
    Node {
        mapped: true,
        shape: Some(Area::default()),
        ..Node::default()
    }
}
