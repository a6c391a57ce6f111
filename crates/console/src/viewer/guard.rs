//! An attached viewer as its connection holds it: one half for the viewer's messages, one for its
//! output.

use etatuki_rfb::{ClientMessage, PointerFormat, ServerInit};
use etatuki_viewer::{Actions, CannotResize};
use tokio::sync::oneshot;

use super::hub::{DisconnectReason, ViewerHub};

/// Capacity that the output buffer keeps, in bytes: twice the output at which the link is paused,
/// so that usual output needs no allocation. More is freed after a large output.
const MAX_KEPT_CAPACITY: usize = 8 << 20;

/// A viewer that has been attached to the hub.
#[derive(Debug)]
pub(crate) struct AttachedViewer<'a> {
    /// The half for the viewer's messages.
    pub(crate) guard: ViewerGuard<'a>,
    /// The message that ends the viewer's handshake.
    pub(crate) init: ServerInit,
    /// The half for the viewer's output.
    pub(crate) output: ViewerOutput<'a>,
    /// Completes when the viewer is detached.
    pub(crate) disconnected: oneshot::Receiver<DisconnectReason>,
}

/// The viewer's attachment, which handles its messages. Dropping it detaches the viewer.
#[derive(Debug)]
pub(crate) struct ViewerGuard<'a> {
    pub(super) hub: &'a ViewerHub,
    pub(super) id: u64,
}

/// The output for the viewer.
#[derive(Debug)]
pub(crate) struct ViewerOutput<'a> {
    pub(super) hub: &'a ViewerHub,
    pub(super) id: u64,
}

impl ViewerGuard<'_> {
    /// Returns the format of the viewer's next pointer event.
    pub(crate) fn pointer_format(&self) -> PointerFormat {
        let mut state = self.hub.lock();
        let session = state.viewer(self.id);
        session.map_or(PointerFormat::Standard, |session| session.pointer_format())
    }

    /// Handles a message of the viewer and forwards what it causes. Waits while the viewer doesn't
    /// take the output that its messages cause.
    ///
    /// # Errors
    /// The viewer can't follow the screen's size.
    pub(crate) async fn on_message(&self, message: ClientMessage) -> Result<(), CannotResize> {
        let (actions, has_output) = self.apply(message)?;
        self.hub.changed.notify_waiters();
        if !actions.to_link.is_empty() {
            self.hub.forward_input(actions.to_link).await;
        }
        if let Some(text) = actions.clipboard {
            self.hub.forward_clipboard(text).await;
        }
        if has_output {
            self.hub.wait_for_drain().await;
        }
        Ok(())
    }

    /// Updates the viewer's session. Returns the actions, and whether the message caused output.
    fn apply(&self, message: ClientMessage) -> Result<(Actions, bool), CannotResize> {
        let control = self.hub.control();
        let mut state = self.hub.lock();
        let Some((session, desktop)) = state.viewer_and_desktop(self.id) else {
            return Ok(Default::default());
        };
        if let ClientMessage::CutTextSkipped { length } = message {
            tracing::warn!("the viewer's clipboard text of {length} bytes is too long");
        }
        let before = session.output_len();
        let actions = session.on_client_message(message, desktop, control)?;
        Ok((actions, session.output_len() > before))
    }
}

impl Drop for ViewerGuard<'_> {
    fn drop(&mut self) {
        self.hub.detach_by_id(self.id);
    }
}

impl ViewerOutput<'_> {
    /// Waits for output, and exchanges `buffer`, whose content has been sent, for it. Never
    /// completes once the viewer is detached. Cancel safe.
    pub(crate) async fn next(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(MAX_KEPT_CAPACITY);
        while buffer.is_empty() {
            let changed = self.hub.changed.notified();
            if let Some(session) = self.hub.lock().viewer(self.id) {
                session.take_output(buffer);
            }
            if buffer.is_empty() {
                changed.await;
            }
        }
        self.hub.changed.notify_waiters();
    }
}
