//! A window's hints to the window manager.

use x11rb::properties::WmHints;
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// Tells the window manager on `display` (`$DISPLAY` when `None`) whether a window wants the
/// keyboard (ICCCM 4.1.7). One that doesn't can be shown without taking it from whoever types.
///
/// # Errors
/// The display or the window is gone.
pub fn set_wants_keyboard(
    display: Option<&str>,
    window: u32,
    wanted: bool,
    cancel: &CancelToken,
) -> Result<(), ScreenError> {
    let connection = Connection::open(display, cancel)?;
    let server = &connection.server;
    let hints = WmHints::get(server, window)?.reply()?;
    let hints = WmHints {
        input: Some(wanted),
        ..hints.unwrap_or_default()
    };
    hints.set(server, window)?;
    // The window manager is told before the caller shows the window.
    Ok(server.sync()?)
}
