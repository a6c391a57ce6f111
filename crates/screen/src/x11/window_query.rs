//! The queries that read one window: its place in the tree, geometry, attributes and shape.

use std::collections::HashMap;

use x11rb::cookie::{Cookie, VoidCookie};
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::shape::{ConnectionExt as _, GetRectanglesReply, QueryExtentsReply, SK};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GetGeometryReply,
    GetWindowAttributesReply, MapState, QueryTreeReply, Window, WindowClass,
};

use super::connection::XConnection;
use super::window_tree::{ChildEvents, WindowNode};
use crate::exact_region::ExactRegion;
use crate::signed_rect::SignedRect;

/// The queries about one window, whose replies are under way.
pub(super) struct WindowQuery<'c> {
    child_events: ChildEvents,
    tree: Cookie<'c, XConnection, QueryTreeReply>,
    geometry: Cookie<'c, XConnection, GetGeometryReply>,
    attributes: Cookie<'c, XConnection, GetWindowAttributesReply>,
    extents: Cookie<'c, XConnection, QueryExtentsReply>,
    bounding: Cookie<'c, XConnection, GetRectanglesReply>,
    clip: Cookie<'c, XConnection, GetRectanglesReply>,
    input: Cookie<'c, XConnection, GetRectanglesReply>,
}

impl<'c> WindowQuery<'c> {
    /// Subscribes to the window's events, and to those in `grab_events`; sends the queries.
    pub(super) fn send(
        server: &'c XConnection,
        window: Window,
        child_events: ChildEvents,
        root: Window,
        grab_events: EventMask,
    ) -> Result<Self, ConnectionError> {
        let mut events = grab_events;
        if child_events == ChildEvents::Selected {
            events |= EventMask::SUBSTRUCTURE_NOTIFY;
        }
        if window == root {
            events |= EventMask::STRUCTURE_NOTIFY;
        }
        ignore_error(server.change_window_attributes(
            window,
            &ChangeWindowAttributesAux::new().event_mask(events),
        )?);
        ignore_error(server.shape_select_input(window, true)?);
        Ok(Self {
            child_events,
            tree: server.query_tree(window)?,
            geometry: server.get_geometry(window)?,
            attributes: server.get_window_attributes(window)?,
            extents: server.shape_query_extents(window)?,
            bounding: server.shape_get_rectangles(window, SK::BOUNDING)?,
            clip: server.shape_get_rectangles(window, SK::CLIP)?,
            input: server.shape_get_rectangles(window, SK::INPUT)?,
        })
    }

    /// Waits for the replies. `visuals` are the readable visuals with their grey.
    pub(super) fn into_node(self, visuals: &HashMap<u32, u32>) -> Result<WindowNode, ReplyError> {
        // All replies are read before one may fail.
        let tree = self.tree.reply();
        let (geometry, attributes) = (self.geometry.reply(), self.attributes.reply());
        let (bounding, clip) = (self.bounding.reply(), self.clip.reply());
        let input = self.input.reply();
        let extents = self.extents.reply()?;
        let (tree, geometry, attributes) = (tree?, geometry?, attributes?);
        let (width, height) = (i32::from(geometry.width), i32::from(geometry.height));
        let input_only = attributes.class == WindowClass::INPUT_ONLY;
        // A shape that was set stays the same when the window's size changes.
        let bounding = Some(to_region(&bounding?)).filter(|_| extents.bounding_shaped);
        let clip = Some(to_region(&clip?)).filter(|_| extents.clip_shaped);
        let shape = match (bounding, clip) {
            (Some(bounding), Some(clip)) => Some(bounding.intersection(&clip)),
            (bounding, clip) => bounding.or(clip),
        };
        let border = i32::from(geometry.border_width);
        let outer = SignedRect::new(-border, -border, width + 2 * border, height + 2 * border);
        let input_shape = Some(to_region(&input?)).filter(|input| input.rects() != [outer]);
        let grey_pixel = visuals.get(&attributes.visual);
        let children = match self.child_events {
            ChildEvents::Selected => tree.children,
            ChildEvents::NotSelected | ChildEvents::Unread => Vec::new(),
        };
        Ok(WindowNode {
            children,
            x: geometry.x.into(),
            y: geometry.y.into(),
            width,
            height,
            border,
            mapped: attributes.map_state != MapState::UNMAPPED,
            input_only,
            shape,
            input_shape,
            readable: !input_only && grey_pixel.is_some(),
            grey_pixel: grey_pixel.copied().unwrap_or_default(),
            child_events: self.child_events,
            ..WindowNode::default()
        })
    }
}

fn to_region(reply: &GetRectanglesReply) -> ExactRegion {
    let mut region = ExactRegion::default();
    for r in &reply.rectangles {
        region.add(SignedRect::new(
            r.x.into(),
            r.y.into(),
            r.width.into(),
            r.height.into(),
        ));
    }
    region
}

/// Leaves a request's error to the event queue, where it is dropped: the window is gone then.
fn ignore_error(cookie: VoidCookie<'_, XConnection>) {
    drop(cookie);
}
