//! App sharing: input that reaches the windows of the shared program alone.

use std::collections::HashMap;

use x11rb::NONE;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::Input;
use crate::error::ScreenError;
use crate::shared_app::SharedApp;
use crate::x11::app_filter::AppFilter;
use crate::x11::connection::Connection;
use crate::x11::window_tree::Layer;

/// The focus value PointerRoot: the window under the pointer has the focus.
const FOCUS_POINTER_ROOT: u32 = 1;

/// The state of input that is restricted to one program.
#[derive(Debug)]
pub(super) struct AppInput {
    filter: AppFilter,
    /// Buttons that the peer pressed outside of the program, and still holds.
    outside_buttons: u16,
}

impl AppInput {
    pub(super) fn new(connection: &Connection, app: &SharedApp) -> Result<Self, ScreenError> {
        Ok(Self {
            filter: AppFilter::new(connection, app, HashMap::new())?,
            outside_buttons: 0,
        })
    }

    pub(super) fn apply(&mut self, event: &Event) {
        self.filter.apply(event);
    }

    /// Returns whether a click at this position hits the program.
    fn is_clickable(&self, x: i16, y: i16) -> bool {
        let windows = self.filter.app_windows(Layer::Input);
        let mut windows = windows.iter();
        windows.any(|window| window.visible.contains(x.into(), y.into()))
    }
}

impl Input {
    /// Runs `action`. With app sharing, the server is grabbed meanwhile and the windows are up to
    /// date, so that no other client can change what the action has checked.
    pub(super) fn with_app_guard(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<(), ScreenError>,
    ) -> Result<(), ScreenError> {
        if self.app.is_none() {
            return action(self);
        }
        self.connection.grab_server()?;
        self.connection.server.sync()?;
        self.pump()?;
        if let Some(app) = self.app.as_mut().filter(|app| app.filter.has_unread()) {
            app.filter.read_unread(&self.connection.server)?;
        }
        action(self)?;
        self.connection.ungrab_server()
    }

    /// Moves and presses inside of the program's windows alone. A button that was pressed outside
    /// stays up until it is pressed anew; one that was pressed inside is released wherever the
    /// pointer is.
    pub(super) fn send_pointer_to_app(
        &mut self,
        x: i16,
        y: i16,
        buttons: u16,
    ) -> Result<(), ScreenError> {
        let Some(app) = &mut self.app else {
            return Ok(());
        };
        let inside = app.is_clickable(x, y);
        app.outside_buttons &= buttons;
        let pressed = self.pressed.buttons();
        if !inside {
            app.outside_buttons |= buttons & !pressed;
            return self.set_buttons(buttons & pressed);
        }
        let wanted = buttons & !app.outside_buttons;
        self.fake_motion(x, y)?;
        if wanted & !pressed != 0 && !self.is_pointer_over_app()? {
            return self.set_buttons(wanted & pressed);
        }
        self.set_buttons(wanted)
    }

    /// Returns whether a key press reaches the program now. Always true without app sharing.
    pub(super) fn may_press_key(&mut self) -> Result<bool, ScreenError> {
        let Some(app) = &mut self.app else {
            return Ok(true);
        };
        let focus = self.connection.server.get_input_focus()?.reply()?.focus;
        match focus {
            NONE => Ok(false),
            FOCUS_POINTER_ROOT => self.is_pointer_over_app(),
            window => app.filter.owns_window(&self.connection.server, window),
        }
    }

    /// Returns whether the pointer is over the program: the customer may be moving it at this
    /// moment.
    fn is_pointer_over_app(&self) -> Result<bool, ScreenError> {
        let reply = self.connection.server.query_pointer(self.root)?.reply()?;
        let is_over =
            |app: &AppInput| reply.same_screen && app.is_clickable(reply.root_x, reply.root_y);
        Ok(self.app.as_ref().is_none_or(is_over))
    }
}
