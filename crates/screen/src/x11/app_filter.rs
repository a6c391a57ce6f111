//! App sharing: the windows that belong to the shared program. Keeps the [`WindowTree`] up to date,
//! by queries and events.
//!
//! The server itself says which process created a window (X-Resource 1.2). So menus, drop-down
//! lists, tooltips and dialogs count as the program's without its cooperation, and no other program
//! can claim to belong to it.

use std::collections::HashMap;

use x11rb::NONE;
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::composite::ConnectionExt as _;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, EventMask, Window};

use super::connection::{Connection, XConnection};
use super::window_query::WindowQuery;
use super::window_tree::{AppWindow, ChildEvents, Layer, WindowTree};
use crate::error::ScreenError;
use crate::shared_app::SharedApp;
use crate::signed_rect::SignedRect;

/// Depth under the root down to which the program's windows are searched: a window manager puts a
/// frame or two around them.
const MAX_FRAME_DEPTH: usize = 3;
/// Windows that are queried at a time.
const QUERY_BATCH: usize = 256;

/// The shared program's windows, as one connection sees them.
#[derive(Debug)]
pub(super) struct AppFilter {
    app: SharedApp,
    root: Window,
    /// The bits of a window's id that identify the client that created it.
    client_mask: u32,
    /// For each client (its bits of the id): whether it is a process of the program.
    clients: HashMap<u32, bool>,
    tree: WindowTree,
    has_composite: bool,
    /// The selection that a compositor owns.
    compositor_selection: u32,
    /// The pixel value of grey, for each visual whose pixels can be read.
    visuals: HashMap<u32, u32>,
    /// Whether events tell of grabs: see [`GrabTracker`](super::grab_tracker::GrabTracker).
    watches_grabs: bool,
}

impl AppFilter {
    /// Creates a filter that has read no window yet. `visuals` are the readable visuals with their
    /// grey.
    pub(super) fn new(
        connection: &Connection,
        app: &SharedApp,
        visuals: HashMap<u32, u32>,
    ) -> Result<Self, ScreenError> {
        connection.require_extensions(&["X-Resource", "SHAPE"])?;
        let server = &connection.server;
        let version = server.res_query_version(1, 2)?.reply()?;
        if (version.server_major, version.server_minor) < (1, 2) {
            return Err(ScreenError::Unsupported(
                "the X server doesn't say which process a window is of".into(),
            ));
        }
        let has_composite = connection.has_extension("Composite")?;
        if has_composite {
            server.composite_query_version(0, 4)?.reply()?;
        }
        let name = format!("_NET_WM_CM_S{}", connection.screen_number());
        let compositor_selection = server.intern_atom(false, name.as_bytes())?.reply()?.atom;
        let root = connection.screen().root;
        Ok(Self {
            app: app.clone(),
            root,
            client_mask: !connection.setup().resource_id_mask,
            clients: HashMap::new(),
            tree: WindowTree::new(root),
            has_composite,
            compositor_selection,
            visuals,
            watches_grabs: false,
        })
    }

    /// Subscribes to the events that tell of grabs as well: focus and crossing events of the
    /// program's windows, of the root and of its children.
    pub(super) fn watching_grabs(self) -> Self {
        Self {
            watches_grabs: true,
            ..self
        }
    }

    /// Returns whether the client that created this window is the program.
    pub(super) fn is_app(&self, window: Window) -> bool {
        let client = window & self.client_mask;
        self.clients.get(&client) == Some(&true)
    }

    /// Returns the program's outermost windows with their visible regions.
    pub(super) fn app_windows(&self, layer: Layer) -> Vec<AppWindow> {
        self.tree.app_windows(&|window| self.is_app(window), layer)
    }

    /// Returns the tree of windows.
    pub(super) fn tree(&self) -> &WindowTree {
        &self.tree
    }

    /// Returns the outermost window of the program inside of which this event moves another window.
    pub(super) fn window_moved_within(&self, event: &Event) -> Option<Window> {
        let moved = match event {
            Event::ConfigureNotify(e) => e.window,
            Event::GravityNotify(e) => e.window,
            Event::ReparentNotify(e) => e.window,
            _ => return None,
        };
        let is_app = |window| self.is_app(window);
        let outermost = self.tree.outermost_app_window(moved, &is_app);
        (outermost != moved).then_some(outermost)
    }

    /// See [`WindowTree::expose_targets`].
    pub(super) fn expose_targets(
        &self,
        window: &AppWindow,
        exposed: &[SignedRect],
    ) -> Vec<(Window, SignedRect)> {
        let is_app = |window| self.is_app(window);
        self.tree.expose_targets(window, &is_app, exposed)
    }

    /// Applies an event. Returns whether the windows' order or geometry changed.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        let changed = self.tree.apply(event);
        if let Event::DestroyNotify(e) = event {
            self.forget_client(e.window);
        }
        changed
    }

    /// Forgets the client of `window` if it has no window left: it may be gone, and its number
    /// reused.
    fn forget_client(&mut self, window: Window) {
        let client = window & self.client_mask;
        let mut windows = self.tree.windows();
        if windows.all(|window| window & self.client_mask != client) {
            self.clients.remove(&client);
        }
    }

    /// Returns whether windows must be read before the tree is valid.
    pub(super) fn has_unread(&self) -> bool {
        self.tree.has_unread()
    }

    /// Returns whether a window is the program's. The window needn't be in the tree: it may have
    /// the focus, or own a selection.
    pub(super) fn owns_window(
        &mut self,
        server: &XConnection,
        window: Window,
    ) -> Result<bool, ScreenError> {
        self.query_clients(server, &[window])?;
        let owns = self.is_app(window);
        if self.tree.node(window).is_none() {
            self.forget_client(window);
        }
        Ok(owns)
    }

    /// Returns whether the program has passive grabs, of keys or buttons, on whichever windows.
    pub(super) fn has_passive_grabs(&self, server: &XConnection) -> Result<bool, ScreenError> {
        let name = server.intern_atom(true, b"PASSIVE GRAB")?.reply()?.atom;
        for (client, _) in self.clients.iter().filter(|(_, is_app)| **is_app) {
            // A client may be gone by now.
            let Ok(resources) = server.res_query_client_resources(*client)?.reply() else {
                continue;
            };
            let mut types = resources.types.iter();
            if types.any(|t| t.resource_type == name && t.count > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the unread windows. The server must be grabbed, and the events before that applied.
    pub(super) fn read_unread(&mut self, server: &XConnection) -> Result<(), ScreenError> {
        self.find_overlay(server)?;
        loop {
            let unread = self.tree.take_unread();
            if unread.is_empty() {
                return Ok(());
            }
            self.query_clients(server, &unread)?;
            for batch in unread.chunks(QUERY_BATCH) {
                self.read_windows(server, batch)?;
            }
        }
    }

    fn read_windows(
        &mut self,
        server: &XConnection,
        windows: &[Window],
    ) -> Result<(), ScreenError> {
        let mut queries = Vec::with_capacity(windows.len());
        for window in windows {
            let depth = self.tree.depth(*window).unwrap_or(usize::MAX);
            let child_events = if depth < MAX_FRAME_DEPTH || self.is_app(*window) {
                ChildEvents::Selected
            } else {
                ChildEvents::NotSelected
            };
            let grab_events = if self.watches_grabs && (depth <= 1 || self.is_app(*window)) {
                EventMask::FOCUS_CHANGE | EventMask::ENTER_WINDOW | EventMask::LEAVE_WINDOW
            } else {
                EventMask::NO_EVENT
            };
            let root = self.root;
            let query = WindowQuery::send(server, *window, child_events, root, grab_events)?;
            queries.push((*window, query));
        }
        for (window, query) in queries {
            match query.into_node(&self.visuals) {
                Ok(node) => self.tree.insert(window, node),
                // The window is gone by now; an event says so.
                Err(ReplyError::X11Error(_)) => {}
                Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Queries the processes of the windows' clients, where they aren't known.
    fn query_clients(
        &mut self,
        server: &XConnection,
        windows: &[Window],
    ) -> Result<(), ScreenError> {
        let clients = windows.iter().map(|window| window & self.client_mask);
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
            let mut ids = reply.ids.iter().filter(|id| id.spec.client == client);
            let is_app = ids.any(|id| id.value.iter().any(|pid| self.app.contains(*pid)));
            self.clients.insert(client, is_app);
        }
        Ok(())
    }

    /// Finds the window that a compositor draws everything into: it lies over all windows, and
    /// covers none.
    fn find_overlay(&mut self, server: &XConnection) -> Result<(), ScreenError> {
        if !self.has_composite {
            return Ok(());
        }
        let owner = server.get_selection_owner(self.compositor_selection)?;
        let overlay = if owner.reply()?.owner == NONE {
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
