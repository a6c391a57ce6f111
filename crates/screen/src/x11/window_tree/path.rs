//! Where a window lies in the tree: its ancestors, and the windows under a point of the screen.

use x11rb::protocol::xproto::Window;

use super::{ChildEvents, Layer, WindowTree};

impl WindowTree {
    /// Returns the windows from the root down to `window`; `None` when an ancestor is unknown.
    pub(in crate::x11) fn path_to(&self, window: Window) -> Option<Vec<Window>> {
        let above = |window: &Window| self.nodes.get(window).map(|node| node.parent);
        let mut path: Vec<Window> = std::iter::successors(Some(window), above)
            .take(self.nodes.len() + 1)
            .take_while(|w| *w != self.root)
            .collect();
        let last = path.last().copied().unwrap_or(self.root);
        let is_known = last == self.root || self.nodes.get(&last)?.parent == self.root;
        path.push(self.root);
        path.reverse();
        is_known.then_some(path)
    }

    /// Returns the windows from the root down to the innermost one under a point of the screen: the
    /// one that the pointer is in. A window that isn't read, or lies too deep, is never entered.
    pub(in crate::x11) fn path_at(&self, x: i32, y: i32) -> Vec<Window> {
        let mut path = vec![self.root];
        let Some(mut node) = self.nodes.get(&self.root) else {
            return path;
        };
        let mut origin = (0, 0);
        loop {
            let hit = node.children.iter().rev().find_map(|window| {
                let child = self.occluder(*window, Layer::Input)?;
                let own = child.origin(origin);
                let mut shapes = child.shape.iter().chain(&child.input_shape);
                let is_inside = child.outer(origin).contains(x, y)
                    && shapes.all(|shape| shape.contains(x - own.0, y - own.1));
                is_inside.then_some((*window, child, own))
            });
            let Some((window, child, own)) = hit else {
                return path;
            };
            path.push(window);
            (node, origin) = (child, own);
        }
    }

    /// Returns whether a window and all of its ancestors are mapped.
    pub(in crate::x11) fn is_viewable(&self, window: Window) -> bool {
        let is_mapped = |window: &Window| self.nodes.get(window).is_some_and(|node| node.mapped);
        self.path_to(window)
            .is_some_and(|path| path.iter().all(is_mapped))
    }

    /// Returns the mapped children of the root about which no events arrive yet.
    pub(in crate::x11) fn unread_top_levels(&self) -> Vec<Window> {
        let root = self.nodes.get(&self.root);
        let children = root.map(|node| node.children.as_slice());
        let is_unread = |window: &&Window| {
            let node = self.nodes.get(window);
            node.is_some_and(|n| n.mapped && n.child_events == ChildEvents::Unread)
        };
        let children = children.unwrap_or_default().iter();
        children.filter(is_unread).copied().collect()
    }
}
