//! The launcher's own hand on the input that a tool fakes.
//!
//! A tool that dies leaves its keys and buttons down: the X server releases none by itself. Every
//! program's faked input comes from the same XTEST devices, so another program can release it.

use x11rb::protocol::xproto::Window;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use super::input_lease::{CONTROL_PROPERTY, InputLease, release_faked_input};
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// A trace on the root window: an agent has control here, by whatever tool.
///
/// Whoever finds the trace of a killed process releases what is held (see
/// [`release_stale_input`](super::release_stale_input)). Dropping the trace removes it.
#[derive(Debug)]
pub struct ControlTrace {
    connection: Connection,
    root: Window,
    lease: InputLease,
}

impl ControlTrace {
    /// Leaves the trace on `display` (`$DISPLAY` when `None`), after mending what a killed process
    /// has left there.
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XTEST, or the error that
    /// ended the wait.
    pub fn leave(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        connection.require_extensions(&["XTEST"])?;
        connection.server.xtest_get_version(2, 2)?.reply()?;
        connection.server.xtest_grab_control(true)?;
        let root = connection.screen().root;
        let lease = InputLease::acquire_as(&connection, root, CONTROL_PROPERTY)?;
        connection.server.sync()?;
        Ok(Self {
            connection,
            root,
            lease,
        })
    }

    /// Releases every key and button that faked input holds down, whichever program pressed it.
    /// Keys that the customer holds stay down. Returns once the server has done so.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn release_input(&self) -> Result<(), ScreenError> {
        release_faked_input(&self.connection, self.root)?;
        self.connection.server.sync()?;
        Ok(())
    }
}

impl Drop for ControlTrace {
    fn drop(&mut self) {
        let Self {
            connection,
            root,
            lease,
        } = self;
        // When the server is gone, so is the trace.
        let _ = connection.run_cleanup(|server| lease.release(server, *root));
    }
}
