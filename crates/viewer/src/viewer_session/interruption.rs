//! A viewer whose link is interrupted, and resumed over a new connection.

use etatuki_rfb::ClientMessage;

use super::{Actions, State, ViewerSession, continuous_updates, full_rect};
use crate::{RemoteDesktop, link_encodings::link_encodings, negotiated_viewer::CannotResize};

impl ViewerSession {
    /// Ends the update that the link was interrupted in. What the viewer has of it stays until the
    /// picture comes anew.
    pub fn on_link_interrupted(&mut self) {
        if let State::Streaming { .. } | State::Collecting | State::Appending = self.state {
            self.on_update_end();
        }
        self.on_control_revoked();
    }

    /// Goes on over a new link, whose picture has begun: tells the viewer the desktop, and asks for
    /// the whole picture. Returns the messages for the customer's side.
    ///
    /// # Errors
    /// The screen changed its size meanwhile, and the viewer can't follow.
    pub fn on_link_resumed(&mut self, desktop: &RemoteDesktop) -> Result<Vec<u8>, CannotResize> {
        let mut actions = Actions::default();
        if let Some(encodings) = &self.announced {
            let announced = link_encodings(encodings, self.pointer_reports);
            actions.push(&ClientMessage::SetEncodings(announced));
        }
        if self.state == State::Greeting {
            return Ok(actions.to_link);
        }
        let size = self.viewer.size;
        let update = &mut self.pending;
        update.rectangles += self.viewer.write_desktop(desktop, &mut update.bytes)?;
        if self.viewer.size != size {
            update.has_resize = true;
            self.state = State::Waiting;
            self.send_if_ready();
        }
        actions.push(&continuous_updates(true, desktop.size));
        actions.push(&ClientMessage::UpdateRequest {
            incremental: false,
            rect: full_rect(desktop.size),
        });
        Ok(actions.to_link)
    }
}
