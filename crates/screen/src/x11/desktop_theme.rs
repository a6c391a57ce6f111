//! The name of the desktop's theme, which XSETTINGS publishes; it tells whether the user wants high
//! contrast.

use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::xsettings::string_setting;

/// Longest property that is read, in units of four bytes.
const MAX_PROPERTY: u32 = 64 * 1024 / 4;

/// Returns the name of the theme of the desktop on `display`, or on `$DISPLAY`; `None` if no
/// settings daemon publishes one.
///
/// # Errors
/// The display can't be reached, or died.
pub fn desktop_theme(
    display: Option<&str>,
    cancel: &CancelToken,
) -> Result<Option<String>, ScreenError> {
    let connection = Connection::open(display, cancel)?;
    let server = &connection.server;
    let selection = format!("_XSETTINGS_S{}", connection.screen_number());
    let selection = server.intern_atom(true, selection.as_bytes())?;
    let property = server.intern_atom(true, b"_XSETTINGS_SETTINGS")?;
    let (selection, property) = (selection.reply()?.atom, property.reply()?.atom);
    if selection == x11rb::NONE || property == x11rb::NONE {
        return Ok(None);
    }
    let owner = server.get_selection_owner(selection)?.reply()?.owner;
    if owner == x11rb::NONE {
        return Ok(None);
    }
    let any = AtomEnum::ANY;
    let settings = server.get_property(false, owner, property, any, 0, MAX_PROPERTY)?;
    // The owner may have gone in the meantime: then there is no theme to be had.
    let Ok(settings) = settings.reply() else {
        return Ok(None);
    };
    Ok(string_setting(&settings.value, "Net/ThemeName"))
}
