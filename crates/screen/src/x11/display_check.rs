//! Whether a display can be shared at all, whichever program shares it: asked before anybody is
//! given a code.

use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::xinput::{self, ConnectionExt as _, Device};
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;
use crate::geometry::Size;

/// Reason and remedy for a connection with restricted rights.
const UNTRUSTED: &str = "this connection to the X server has restricted rights, as 'ssh -X' gives \
                         them (it has no XTEST); start this on the desktop itself, or use 'ssh -Y'";

/// Checks that the display can be shared, and returns its size.
///
/// # Errors
/// [`ScreenError::NoDisplay`], [`ScreenError::Wayland`], or [`ScreenError::Unsupported`] with a
/// sentence that says what to do, for a connection that may not control the display.
pub fn check_display(display: Option<&str>, cancel: &CancelToken) -> Result<Size, ScreenError> {
    let connection = match Connection::open(display, cancel) {
        Ok(connection) => connection,
        // A desktop without Xwayland.
        Err(ScreenError::NoDisplay { .. }) if std::env::var_os("WAYLAND_DISPLAY").is_some() => {
            return Err(ScreenError::Wayland);
        }
        Err(error) => return Err(error),
    };
    if is_xwayland(&connection)? {
        return Err(ScreenError::Wayland);
    }
    if !connection.has_extension("XTEST")? {
        return Err(ScreenError::Unsupported(UNTRUSTED.into()));
    }
    let root = connection.screen().root;
    let size = connection.server.get_geometry(root)?.reply()?;
    Ok(Size {
        width: size.width,
        height: size.height,
    })
}

/// Returns whether the X server is a Wayland client. Since 23.1 it has an extension that says so;
/// earlier ones name their monitors or their devices after it.
fn is_xwayland(connection: &Connection) -> Result<bool, ScreenError> {
    if connection.has_extension("XWAYLAND")? {
        return Ok(true);
    }
    Ok(has_xwayland_monitor(connection)? || has_xwayland_device(connection)?)
}

fn has_xwayland_monitor(connection: &Connection) -> Result<bool, ScreenError> {
    let (server, root) = (&connection.server, connection.screen().root);
    if !connection.has_extension("RANDR")? {
        return Ok(false);
    }
    let version = server.randr_query_version(1, 3)?.reply()?;
    if (version.major_version, version.minor_version) < (1, 3) {
        return Ok(false);
    }
    let resources = server.randr_get_screen_resources_current(root)?.reply()?;
    for output in resources.outputs {
        let info = server.randr_get_output_info(output, 0)?.reply()?;
        if info.name.starts_with(b"XWAYLAND") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_xwayland_device(connection: &Connection) -> Result<bool, ScreenError> {
    let server = &connection.server;
    if !connection.has_extension(xinput::X11_EXTENSION_NAME)? {
        return Ok(false);
    }
    let Ok(_) = server.xinput_xi_query_version(2, 2)?.reply() else {
        return Ok(false);
    };
    let devices = server.xinput_xi_query_device(Device::ALL)?.reply()?;
    let mut names = devices.infos.iter().map(|info| &info.name);
    Ok(names.any(|name| name.starts_with(b"xwayland-")))
}
