//! App sharing: input that reaches the windows of the shared program alone.

use std::collections::HashMap;

use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, Window};
use x11rb::wrapper::ConnectionExt as _;

use super::Input;
use super::delivery::KeyDelivery;
use crate::error::ScreenError;
use crate::shared_app::SharedApp;
use crate::x11::app_filter::AppFilter;
use crate::x11::connection::Connection;
use crate::x11::grab_probe::GrabProbe;
use crate::x11::grab_tracker::GrabTracker;
use crate::x11::key_actions::KeyActions;
use crate::x11::pressed_keycodes::KeyName;
use crate::x11::window_tree::Layer;

/// The state of input that is restricted to one program.
#[derive(Debug)]
pub(super) struct AppInput {
    pub(super) filter: AppFilter,
    pub(super) grabs: GrabTracker,
    pub(super) probe: GrabProbe,
    /// `None` until it is needed, and again when the layout has changed.
    pub(super) key_actions: Option<KeyActions>,
    /// The answer for the key that is about to be pressed.
    pub(super) key_delivery: Option<KeyDelivery>,
    /// Whether the focus may have moved since it was looked at.
    focus_moved: bool,
    /// Modifiers that the peer holds, and that are up while another program has the keyboard.
    suspended: Vec<(KeyName, u8)>,
    /// Buttons that the peer pressed outside of the program, and still holds.
    outside_buttons: u16,
}

impl AppInput {
    pub(super) fn new(connection: &Connection, app: &SharedApp) -> Result<Self, ScreenError> {
        Ok(Self {
            filter: AppFilter::new(connection, app, HashMap::new())?.watching_grabs(),
            grabs: GrabTracker::default(),
            probe: GrabProbe::new(connection)?,
            key_actions: None,
            key_delivery: None,
            focus_moved: false,
            suspended: Vec::new(),
            outside_buttons: 0,
        })
    }

    pub(super) fn apply(&mut self, event: &Event) {
        self.filter.apply(event);
        let tree = self.filter.tree();
        self.grabs.apply(event, || tree.unread_top_levels());
        self.focus_moved |= matches!(event, Event::FocusIn(_) | Event::FocusOut(_));
        if let Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_) | Event::MappingNotify(_) =
            event
        {
            self.key_actions = None;
        }
    }

    /// Returns whether windows must be read before the tree is valid.
    pub(super) fn has_unread(&self) -> bool {
        self.filter.has_unread()
    }

    /// Returns whether a window is the program's, and on the screen.
    pub(super) fn is_shown(&self, window: Window) -> bool {
        self.filter.is_app(window) && self.filter.tree().is_viewable(window)
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
        self.process_events()?;
        if let Some(app) = self.app.as_mut().filter(|app| app.has_unread()) {
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
        let new = buttons & !pressed;
        if !inside || self.is_pointer_taken()? {
            self.refuse_buttons(new);
            return self.set_buttons(buttons & pressed);
        }
        if new != 0 {
            // Modifiers that the peer holds belong to the click.
            self.may_press_key(0)?;
        }
        let new = new & !self.app.as_ref().map_or(0, |app| app.outside_buttons);
        self.fake_motion(x, y)?;
        if new != 0 && (!self.is_pointer_over_app()? || self.is_click_taken((x, y), new)?) {
            self.refuse_buttons(new);
            return self.set_buttons(buttons & pressed);
        }
        self.set_buttons(buttons & pressed | new)
    }

    /// Releases the keys that are held once another program has the keyboard: they would change
    /// what the customer types there. Modifiers are pressed again before the next press that
    /// reaches the program.
    pub(super) fn suspend_keys_elsewhere(&mut self) -> Result<(), ScreenError> {
        let moved = self.app.as_mut().map(|app| &mut app.focus_moved);
        if !moved.is_some_and(std::mem::take) || self.pressed.keycodes().is_empty() {
            return Ok(());
        }
        self.with_app_guard(|input| {
            if input.query_key_delivery()?.reaches_app() {
                return Ok(());
            }
            for (name, keycode) in input.pressed.take_keys() {
                input.fake_release(keycode)?;
                let is_modifier = input.keymap()?.is_modifier(keycode);
                if let Some(app) = input.app.as_mut().filter(|_| is_modifier) {
                    app.suspended.push((name, keycode));
                }
            }
            Ok(())
        })?;
        self.flush()
    }

    /// Presses suspended modifiers again. To be called when the program has the keyboard. Returns
    /// whether there were any.
    pub(super) fn resume_modifiers(&mut self) -> Result<bool, ScreenError> {
        let suspended = self
            .app
            .as_mut()
            .map(|app| std::mem::take(&mut app.suspended));
        let suspended = suspended.unwrap_or_default();
        for (name, keycode) in suspended.iter().rev() {
            self.fake_press(*keycode)?;
            self.pressed.press(*name, *keycode);
        }
        Ok(!suspended.is_empty())
    }

    /// Keeps a suspended modifier up: the peer has let go of it.
    pub(super) fn forget_suspended(&mut self, released: KeyName) {
        if let Some(app) = &mut self.app {
            app.suspended.retain(|(name, _)| *name != released);
        }
    }

    /// Keeps buttons up until the peer presses them anew.
    fn refuse_buttons(&mut self, buttons: u16) {
        if let Some(app) = &mut self.app {
            app.outside_buttons |= buttons;
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
