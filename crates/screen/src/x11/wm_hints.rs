//! A window's hints and requests to the window manager.

use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::properties::WmHints;
use x11rb::protocol::xproto::{
    AtomEnum, CLIENT_MESSAGE_EVENT, ClientMessageData, ClientMessageEvent, ConnectionExt as _,
    EventMask, InputFocus, Window,
};
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

/// Asks the window manager on `display` (`$DISPLAY` when `None`) to give the keyboard to a window
/// (EWMH, `_NET_ACTIVE_WINDOW`) if nobody has it: a window that is closed may leave it so. Whoever
/// types in another window keeps it, and without a window manager nothing happens.
///
/// # Errors
/// The display is gone.
pub fn request_free_keyboard(
    display: Option<&str>,
    window: u32,
    cancel: &CancelToken,
) -> Result<(), ScreenError> {
    let connection = Connection::open(display, cancel)?;
    let server = &connection.server;
    let root = connection.screen().root;
    let active = server.intern_atom(false, b"_NET_ACTIVE_WINDOW")?;
    let check = server.intern_atom(false, b"_NET_SUPPORTING_WM_CHECK")?;
    let (active, check) = (active.reply()?.atom, check.reply()?.atom);
    let named = |property: u32| -> Result<Option<Window>, ScreenError> {
        let reply = server.get_property(false, root, property, AtomEnum::WINDOW, 0, 1)?;
        Ok(reply.reply()?.value32().and_then(|mut value| value.next()))
    };
    let Some(manager) = named(check)? else {
        return Ok(());
    };
    // openbox goes on naming a window that was closed.
    let is_there = |window: Window| -> Result<bool, ScreenError> {
        match server.get_geometry(window)?.reply() {
            Ok(_) => Ok(true),
            Err(ReplyError::X11Error(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    if let Some(active) = named(active)?.filter(|active| *active != NONE)
        && is_there(active)?
    {
        return Ok(());
    }
    // A window manager parks it on a window of its own; a menu of another program has it without
    // being active.
    let client_of = |window: Window| window & !server.setup().resource_id_mask;
    let focus = server.get_input_focus()?.reply()?.focus;
    let nobody = [NONE, InputFocus::POINTER_ROOT.into(), root];
    if !nobody.contains(&focus) && client_of(focus) != client_of(manager) {
        return Ok(());
    }
    let message = ClientMessageEvent {
        response_type: CLIENT_MESSAGE_EVENT,
        format: 32,
        sequence: 0,
        window,
        type_: active,
        // From an application, at an unknown time, instead of no other window.
        data: ClientMessageData::from([1, 0, NONE, 0, 0]),
    };
    let to_manager = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
    server.send_event(false, root, to_manager, message)?;
    Ok(server.sync()?)
}

/// The place of a window on the screen, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlace {
    /// Left edge of the window, without its frame.
    pub x: i32,
    /// Upper edge of the window, without its frame.
    pub y: i32,
    /// Width of the frame's left edge.
    pub left: i32,
    /// Height of the frame's upper edge, mostly a title bar.
    pub top: i32,
}

/// Returns where a window on `display` (`$DISPLAY` when `None`) is, and how wide its frame is (EWMH,
/// `_NET_FRAME_EXTENTS`).
///
/// # Errors
/// The display or the window is gone.
pub fn window_place(
    display: Option<&str>,
    window: u32,
    cancel: &CancelToken,
) -> Result<WindowPlace, ScreenError> {
    let connection = Connection::open(display, cancel)?;
    let (server, root) = (&connection.server, connection.screen().root);
    let extents = server.intern_atom(false, b"_NET_FRAME_EXTENTS")?;
    let at = server.translate_coordinates(window, root, 0, 0)?.reply()?;
    let extents = extents.reply()?.atom;
    let frame = server.get_property(false, window, extents, AtomEnum::CARDINAL, 0, 4)?;
    let frame = frame.reply()?;
    let mut widths = frame.value32().into_iter().flatten();
    // In the order left, right, top, bottom.
    let mut width = || i32::try_from(widths.next().unwrap_or(0)).unwrap_or(0);
    let (left, _, top) = (width(), width(), width());
    Ok(WindowPlace {
        x: at.dst_x.into(),
        y: at.dst_y.into(),
        left,
        top,
    })
}
