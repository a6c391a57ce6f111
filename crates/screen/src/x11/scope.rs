//! Which windows are the program's, and what of them is free: the [`Tree`], read from the server and kept
//! true by its events.
//!
//! The server itself says which process made a window (X-Resource 1.2): so menus, drop-down lists,
//! tooltips and dialogs are the program's without a word of the program's own, and no other program
//! can say that it belongs to it.

use std::collections::HashMap;

use x11rb::NONE;
use x11rb::cookie::{Cookie, VoidCookie};
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::Event;
use x11rb::protocol::composite::ConnectionExt as _;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};
use x11rb::protocol::shape::{ConnectionExt as _, GetRectanglesReply, QueryExtentsReply, SK};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GetGeometryReply,
    GetWindowAttributesReply, MapState, QueryTreeReply, Window, WindowClass,
};

use super::connection::{Connection, Server};
use super::tree::{Cover, Node, Place, Tree};
use crate::area::{Area, Part};
use crate::error::ScreenError;
use crate::program::Program;

/// How deep under the root the program's windows are looked for: a window manager puts a frame or two around them.
const DEEPEST: usize = 3;
/// Windows that are asked about at a time.
const AT_ONCE: usize = 256;

/// The program's windows on one connection.
#[derive(Debug)]
pub(super) struct Scope {
    program: Program,
    root: Window,
    /// The bits of a window's number that say which client made it.
    client_bits: u32,
    /// Clients by those bits, and whether they are the program's.
    clients: HashMap<u32, bool>,
    tree: Tree,
    has_composite: bool,
    compositor: u32,
    /// Visuals whose pixels can be read, and what grey is in each.
    visuals: HashMap<u32, u32>,
}

impl Scope {
    /// Nothing is read yet. `visuals` are those whose pixels can be read, each with its grey.
    pub(super) fn new(
        connection: &Connection,
        program: &Program,
        visuals: HashMap<u32, u32>,
    ) -> Result<Self, ScreenError> {
        for needed in ["X-Resource", "SHAPE"] {
            if !connection.has(needed)? {
                return Err(ScreenError::Unsupported(format!(
                    "the X server has no {needed} extension"
                )));
            }
        }
        let server = &connection.server;
        let version = server.res_query_version(1, 2)?.reply()?;
        if (version.server_major, version.server_minor) < (1, 2) {
            return Err(ScreenError::Unsupported(
                "the X server doesn't say which process a window is of".into(),
            ));
        }
        let has_composite = connection.has("Composite")?;
        if has_composite {
            server.composite_query_version(0, 4)?.reply()?;
        }
        let name = format!("_NET_WM_CM_S{}", connection.number());
        let compositor = server.intern_atom(false, name.as_bytes())?.reply()?.atom;
        let root = connection.screen().root;
        Ok(Self {
            program: program.clone(),
            root,
            client_bits: !connection.setup().resource_id_mask,
            clients: HashMap::new(),
            tree: Tree::new(root),
            has_composite,
            compositor,
            visuals,
        })
    }

    /// Whether this window's client is the program's.
    fn is_ours(&self, window: Window) -> bool {
        let client = window & self.client_bits;
        self.clients.get(&client) == Some(&true)
    }

    /// The program's windows and what is free of each.
    pub(super) fn places(&self, cover: Cover) -> Vec<Place> {
        self.tree.places(&|window| self.is_ours(window), cover)
    }

    /// The highest of the program's windows around the one that an event moves inside of it.
    pub(super) fn moved_in(&self, event: &Event) -> Option<Window> {
        let moved = match event {
            Event::ConfigureNotify(e) => e.window,
            Event::GravityNotify(e) => e.window,
            Event::ReparentNotify(e) => e.window,
            _ => return None,
        };
        let is_ours = |window| self.is_ours(window);
        let top = self.tree.top_of(moved, &is_ours);
        (top != moved).then_some(top)
    }

    /// See [`Tree::drawn_in`].
    pub(super) fn drawn_in(&self, place: &Place, what: &[Part]) -> Vec<(Window, Part)> {
        self.tree
            .drawn_in(place, &|window| self.is_ours(window), what)
    }

    /// Takes an event in; says whether windows are in another order or place now.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        let changed = self.tree.apply(event);
        if let Event::DestroyNotify(e) = event {
            self.forget_client(e.window);
        }
        changed
    }

    /// A client without windows may be gone, and its number somebody else's soon.
    fn forget_client(&mut self, window: Window) {
        let client = window & self.client_bits;
        let mut left = self.tree.windows();
        if left.all(|window| window & self.client_bits != client) {
            self.clients.remove(&client);
        }
    }

    /// Whether something must be read before anything is known.
    pub(super) fn is_unread(&self) -> bool {
        self.tree.is_unread()
    }

    /// Whether a client whose window needn't be in the tree is the program's: the focus's, a selection's.
    pub(super) fn owns(&mut self, server: &Server, window: Window) -> Result<bool, ScreenError> {
        self.ask_for_clients(server, &[window])?;
        let owns = self.is_ours(window);
        if self.tree.get(window).is_none() {
            self.forget_client(window);
        }
        Ok(owns)
    }

    /// Reads what is unread. The server must be grabbed, and what it said before taken in.
    pub(super) fn read(&mut self, server: &Server) -> Result<(), ScreenError> {
        self.look_for_overlay(server)?;
        loop {
            let unread = self.tree.take_unread();
            if unread.is_empty() {
                return Ok(());
            }
            self.ask_for_clients(server, &unread)?;
            for some in unread.chunks(AT_ONCE) {
                self.read_some(server, some)?;
            }
        }
    }

    fn read_some(&mut self, server: &Server, windows: &[Window]) -> Result<(), ScreenError> {
        let mut asked = Vec::with_capacity(windows.len());
        for window in windows {
            let depth = self.tree.depth(*window).unwrap_or(usize::MAX);
            let deeper = depth < DEEPEST || self.is_ours(*window);
            asked.push((
                *window,
                deeper,
                Asked::about(server, *window, deeper, self.root)?,
            ));
        }
        for (window, deeper, asked) in asked {
            match asked.answer(deeper, &self.visuals) {
                Ok(node) => self.tree.insert(window, node),
                // It is gone by now; an event says so.
                Err(ReplyError::X11Error(_)) => {}
                Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Asks which processes the windows' clients are, where that isn't known.
    fn ask_for_clients(&mut self, server: &Server, windows: &[Window]) -> Result<(), ScreenError> {
        let clients = windows.iter().map(|window| window & self.client_bits);
        let mut new: Vec<u32> = clients.filter(|c| !self.clients.contains_key(c)).collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Ok(());
        }
        let mask = ClientIdMask::LOCAL_CLIENT_PID;
        let spec = |client: &u32| ClientIdSpec {
            client: *client,
            mask,
        };
        let specs: Vec<_> = new.iter().map(spec).collect();
        let reply = server.res_query_client_ids(&specs)?.reply()?;
        for client in new {
            let mut said = reply.ids.iter().filter(|id| id.spec.client == client);
            let ours = said.any(|id| id.value.iter().any(|pid| self.program.has(*pid)));
            self.clients.insert(client, ours);
        }
        Ok(())
    }

    /// What a compositor draws everything into lies over all windows, and covers none.
    fn look_for_overlay(&mut self, server: &Server) -> Result<(), ScreenError> {
        if !self.has_composite {
            return Ok(());
        }
        let owner = server.get_selection_owner(self.compositor)?.reply()?.owner;
        let overlay = if owner == NONE {
            NONE
        } else {
            let overlay = server.composite_get_overlay_window(self.root)?.reply()?;
            server.composite_release_overlay_window(self.root)?;
            overlay.overlay_win
        };
        self.tree.set_overlay(overlay);
        Ok(())
    }
}

/// Questions about a window whose answers are on their way.
struct Asked<'c> {
    tree: Cookie<'c, Server, QueryTreeReply>,
    geometry: Cookie<'c, Server, GetGeometryReply>,
    attributes: Cookie<'c, Server, GetWindowAttributesReply>,
    extents: Cookie<'c, Server, QueryExtentsReply>,
    bounding: Cookie<'c, Server, GetRectanglesReply>,
    clip: Cookie<'c, Server, GetRectanglesReply>,
}

impl<'c> Asked<'c> {
    /// Listens to the window, and asks.
    fn about(
        server: &'c Server,
        window: Window,
        deeper: bool,
        root: Window,
    ) -> Result<Self, ConnectionError> {
        let mut news = EventMask::NO_EVENT;
        if deeper {
            news |= EventMask::SUBSTRUCTURE_NOTIFY;
        }
        if window == root {
            news |= EventMask::STRUCTURE_NOTIFY;
        }
        ignore(server.change_window_attributes(
            window,
            &ChangeWindowAttributesAux::new().event_mask(news),
        )?);
        ignore(server.shape_select_input(window, true)?);
        Ok(Self {
            tree: server.query_tree(window)?,
            geometry: server.get_geometry(window)?,
            attributes: server.get_window_attributes(window)?,
            extents: server.shape_query_extents(window)?,
            bounding: server.shape_get_rectangles(window, SK::BOUNDING)?,
            clip: server.shape_get_rectangles(window, SK::CLIP)?,
        })
    }

    fn answer(self, deeper: bool, visuals: &HashMap<u32, u32>) -> Result<Node, ReplyError> {
        // All are taken in before one may fail.
        let tree = self.tree.reply();
        let (geometry, attributes) = (self.geometry.reply(), self.attributes.reply());
        let (bounding, clip) = (self.bounding.reply(), self.clip.reply());
        let extents = self.extents.reply()?;
        let (tree, geometry, attributes) = (tree?, geometry?, attributes?);
        let (width, height) = (i32::from(geometry.width), i32::from(geometry.height));
        let input_only = attributes.class == WindowClass::INPUT_ONLY;
        // A shape that was set stays what it is when the window's size changes.
        let bounding = Some(area(&bounding?)).filter(|_| extents.bounding_shaped);
        let clip = Some(area(&clip?)).filter(|_| extents.clip_shaped);
        let shape = match (bounding, clip) {
            (Some(bounding), Some(clip)) => Some(bounding.common(&clip)),
            (bounding, clip) => bounding.or(clip),
        };
        let grey = visuals.get(&attributes.visual);
        Ok(Node {
            children: if deeper { tree.children } else { Vec::new() },
            x: geometry.x.into(),
            y: geometry.y.into(),
            width,
            height,
            border: geometry.border_width.into(),
            mapped: attributes.map_state != MapState::UNMAPPED,
            input_only,
            shape,
            readable: !input_only && grey.is_some(),
            grey: grey.copied().unwrap_or_default(),
            heard: Some(deeper),
            ..Node::default()
        })
    }
}

fn area(reply: &GetRectanglesReply) -> Area {
    let mut area = Area::default();
    for r in &reply.rectangles {
        area.add(Part::new(
            r.x.into(),
            r.y.into(),
            r.width.into(),
            r.height.into(),
        ));
    }
    area
}

/// Whatever goes wrong with a request comes as an event, which nobody heeds: the window is gone then.
fn ignore(cookie: VoidCookie<'_, Server>) {
    drop(cookie);
}
