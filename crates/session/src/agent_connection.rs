//! The agent's side of a running session: the link's streams, the gate, and what he is shown.

use std::time::Duration;

use etatuki_link::{
    ClipboardIn, ClipboardOut, ControlIn, ControlOut, CustomerLink, InputIn, LinkConnection,
    LinkError, PictureOut,
};
use etatuki_picture::{EncodedChunk, Updater};
use etatuki_protocol::{AgentIdentity, Ask, ToAgent, ToCustomer};
use etatuki_rfb::{PixelFormat, ServerInit, encode};
use tokio::time::Instant;

use crate::gate::{Gate, Passed, ServerCapabilities, ToolInput, Violation};
use crate::send_queue::SendQueue;
use crate::tool_link::ToolLink;
use crate::view::{Failure, FailureName};

/// What the agent's viewer gets to hear instead of the desktop's own name, which may tell a user or a
/// machine.
const DESKTOP_NAME: &str = "Etatuki";
/// For so long the tool isn't listened to because an update has begun. A frame of a film takes some milliseconds, and a
/// torn picture does less harm than a tool that nobody reads.
const PATIENCE: Duration = Duration::from_secs(1);
/// Control messages that wait for an agent who reads none, or for the plugin, at most.
pub(crate) const MAX_CONTROL_WAITING: usize = 64;

/// What comes from the agent.
#[derive(Debug)]
pub(crate) enum AgentEvent {
    /// He asks for a permission.
    PermissionAsked(Ask),
    /// Bytes went to the gate; see [`AgentConnection::next_input`].
    InputReceived,
    /// Text was copied at his end.
    Clipboard(String),
    /// A message has left: the link has credit again.
    Progress,
    /// He has ended the session.
    Ended,
    /// The link dropped.
    LinkLost,
    /// His program broke the rules, or our end of the link failed.
    Failed(Failure),
}

/// A connected agent.
pub(crate) struct AgentConnection {
    pub(crate) gate: Gate,
    connection: LinkConnection,
    control: SendQueue<ControlOut<ToAgent>>,
    picture: SendQueue<PictureOut>,
    clipboard: SendQueue<ClipboardOut>,
    control_in: ControlIn<ToCustomer>,
    /// `None` once he has ended that stream; the session goes on.
    input_in: Option<InputIn>,
    clipboard_in: Option<ClipboardIn>,
    /// From the moment on when he knows that there is a screen.
    updater: Option<Updater>,
    /// The screen holds something that he wasn't sent yet.
    dirty: bool,
    hold: Hold,
    ended: bool,
    began: Instant,
}

/// Since when the screen stays as it is, because the agent has got a part of an update.
#[derive(Debug, Default)]
struct Hold(Option<Instant>);

impl Hold {
    fn look(&mut self, inside: bool, now: Instant) {
        self.0 = inside.then(|| self.0.unwrap_or(now));
    }

    /// Until when it does; `None` if it doesn't.
    fn until(&self, now: Instant) -> Option<Instant> {
        let until = self.0.map(|since| since + PATIENCE);
        until.filter(|until| now < *until)
    }
}

impl AgentConnection {
    pub(crate) fn new(link: CustomerLink, server: ServerCapabilities) -> (AgentIdentity, Self) {
        let identity = link.agent.clone();
        let streams = link.split();
        let agent = Self {
            gate: Gate::new(server),
            connection: streams.connection,
            control: SendQueue::new(streams.control_out, MAX_CONTROL_WAITING),
            picture: SendQueue::new(streams.picture_out, 1),
            clipboard: SendQueue::new(streams.clipboard_out, 1),
            control_in: streams.control_in,
            input_in: Some(streams.input_in),
            clipboard_in: Some(streams.clipboard_in),
            updater: None,
            dirty: false,
            hold: Hold::default(),
            ended: false,
            began: Instant::now(),
        };
        (identity, agent)
    }

    /// The next thing that happens on the link; nothing any more after its end. What acts (input, clipboard) is left
    /// on the link unless `takes_input`. Cancel safe.
    pub(crate) async fn next(&mut self, takes_input: bool) -> AgentEvent {
        if self.ended {
            return std::future::pending().await;
        }
        let event = self.listen(takes_input).await;
        self.ended = matches!(
            event,
            AgentEvent::Ended | AgentEvent::LinkLost | AgentEvent::Failed(_)
        );
        event
    }

    async fn listen(&mut self, takes_input: bool) -> AgentEvent {
        tokio::select! {
            control = self.control_in.recv() => match control {
                Ok(Some(ToCustomer::Ask(ask))) => AgentEvent::PermissionAsked(ask),
                Ok(Some(ToCustomer::End) | None) => AgentEvent::Ended,
                Err(error) => link_ended(error),
            },
            input = received(self.input_in.as_mut().map(InputIn::recv)), if takes_input => match input {
                Ok(Some(bytes)) => {
                    self.gate.push(&bytes);
                    AgentEvent::InputReceived
                }
                Ok(None) => {
                    self.input_in = None;
                    AgentEvent::InputReceived
                }
                Err(error) => link_ended(error),
            },
            text = received(self.clipboard_in.as_mut().map(ClipboardIn::recv)), if takes_input => match text {
                Ok(Some(text)) => AgentEvent::Clipboard(text),
                Ok(None) => {
                    self.clipboard_in = None;
                    AgentEvent::Progress
                }
                Err(error) => link_ended(error),
            },
            sent = self.control.next_sent() => progress_or_end(sent),
            sent = self.picture.next_sent() => {
                if let (Ok(bytes), Some(updater)) = (&sent, &mut self.updater) {
                    updater.on_written(*bytes, self.connection.round_trip_time(), self.began.elapsed());
                }
                progress_or_end(sent.map(|_| ()))
            }
            sent = self.clipboard.next_sent() => match sent {
                // a console without a clipboard may refuse that stream
                Err(LinkError::Stopped) => AgentEvent::Progress,
                sent => progress_or_end(sent),
            },
        }
    }

    /// Says something to the console.
    pub(crate) fn send_control(&mut self, message: ToAgent) -> Result<(), Failure> {
        self.control
            .push(message)
            .map_err(|_| agent_misbehaved("it reads no messages"))
    }

    /// What came through the gate next. What only looks on is done here already.
    pub(crate) fn next_input(&mut self) -> Result<Option<ToolInput>, Failure> {
        while let Some(passed) = self.gate.next()? {
            if let Some(input) = self.on_viewer_message(passed)? {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }

    fn on_viewer_message(&mut self, passed: Passed) -> Result<Option<ToolInput>, Failure> {
        let passed = match passed {
            Passed::Tool(input) => return Ok(Some(input)),
            passed => passed,
        };
        // before he knows of a screen there is nothing that he could mean
        let Some(updater) = &mut self.updater else {
            return Ok(None);
        };
        let done = match passed {
            Passed::Encodings(list) => {
                updater.set_encodings(&list);
                Ok(())
            }
            Passed::Request { incremental, rect } => {
                updater.request(incremental, rect);
                Ok(())
            }
            Passed::Continuous { enable, rect } => {
                updater.enable_continuous_updates(enable, rect);
                Ok(())
            }
            Passed::Fence { flags, payload } => {
                updater.on_fence(flags, &payload, self.began.elapsed())
            }
            Passed::SizeForbidden => updater.answer_set_desktop_size(1),
            Passed::Tool(_) => Ok(()),
        };
        done.map(|()| None)
            .map_err(|error| agent_misbehaved(&error.to_string()))
    }

    /// Records what the plugin's server can do now; the agent's viewer is told of it.
    pub(crate) fn set_server(&mut self, server: ServerCapabilities) -> Result<(), Failure> {
        match self.gate.set_server(server) {
            Some(encodings) => self.on_viewer_message(encodings).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The tool is to be given what he did.
    pub(crate) fn note_input(&mut self, tool: &mut ToolLink) {
        if let (Some(updater), Some(screen)) = (&mut self.updater, tool.screen()) {
            updater.on_input(screen);
        }
    }

    /// The tool answered a change of size.
    pub(crate) fn on_desktop_size_reply(&mut self, status: u16) -> Result<(), Failure> {
        let Some(updater) = &mut self.updater else {
            return Ok(());
        };
        updater
            .answer_set_desktop_size(status)
            .map_err(|error| agent_misbehaved(&error.to_string()))
    }

    /// The tool has text for the clipboard.
    pub(crate) fn send_clipboard(&mut self, text: String) {
        if let Some(text) = self.gate.clipboard_out(text) {
            self.clipboard.replace(text);
        }
    }

    /// The screen changed.
    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Whether the screen must stay as it is: he has got a part of an update, and not long ago.
    pub(crate) fn holds_screen(&self) -> bool {
        !self.ended && self.hold.until(Instant::now()).is_some()
    }

    /// Whether a part of an update has been given to the link, and the rest is still to be made.
    pub(crate) fn gives_way(&self) -> bool {
        self.holds_screen()
            || self
                .updater
                .as_ref()
                .is_some_and(Updater::has_started_early)
    }

    /// Moves the picture on, as far as the link has credit, and asks the tool for more only when what
    /// it gave has left, or nothing waits: the newest state wins, and no queue builds up.
    pub(crate) fn pump(&mut self, tool: &mut ToolLink) {
        let painted = tool.is_painted();
        if tool.is_settled()
            && self.picture.is_idle()
            && let Some(screen) = tool.screen()
        {
            self.gate.set_size(screen.width(), screen.height());
            let chunk = match &mut self.updater {
                None => {
                    let size = (screen.width(), screen.height());
                    self.updater = Some(Updater::new(size.0, size.1));
                    let bytes = server_init(size);
                    let incompressible_from = bytes.len();
                    Some(EncodedChunk {
                        bytes,
                        incompressible_from,
                    })
                }
                // our own black is no picture
                Some(_) if !painted => None,
                Some(updater) => {
                    self.dirty &= !updater.wants_update();
                    updater.next_chunk(screen, self.began.elapsed())
                }
            };
            if let Some(chunk) = chunk {
                // it is idle, so there is room
                let _ = self.picture.push(chunk);
            }
        } else if painted && self.picture.is_idle() {
            self.go_ahead(tool);
        }
        let part = |updater: &Updater| {
            updater.is_mid_update() || updater.has_started_early() && !self.picture.is_idle()
        };
        let held = self.updater.as_ref().is_some_and(part);
        self.hold.look(held, Instant::now());
        let credit =
            self.picture.is_idle() && self.updater.as_ref().is_some_and(Updater::wants_update);
        if credit || !(self.dirty || self.holds_screen()) {
            tool.ask();
        }
    }

    /// What of a film can go while the tool is inside of an update.
    fn go_ahead(&mut self, tool: &mut ToolLink) {
        let (Some(updater), Some(screen)) = (&mut self.updater, tool.screen()) else {
            return;
        };
        if let Some(chunk) = updater.start_early(screen, self.began.elapsed()) {
            // it is idle, so there is room
            let _ = self.picture.push(chunk);
        }
    }

    /// When [`pump`](Self::pump) is to be called although nothing happened: the picture has something to say, which it
    /// can't before the tool's update is whole (`settled`); or the screen isn't held any longer.
    pub(crate) fn due(&self, settled: bool) -> Option<Instant> {
        let due = self.updater.as_ref().and_then(Updater::wake_at);
        let due = due.filter(|_| settled && self.picture.is_idle());
        let due = due.map(|due| self.began + due);
        due.into_iter().chain(self.hold.until(Instant::now())).min()
    }

    /// Says goodbye. The console closes when it has read why; `limit` bounds the wait for that, since
    /// closing from this end throws away what is still on its way.
    pub(crate) async fn close(mut self, reason: &str, limit: Duration) {
        if !self.ended {
            let read = async {
                if self.control.flush().await.is_ok() {
                    self.connection.closed().await;
                }
            };
            let _ = tokio::time::timeout(limit, read).await;
        }
        self.connection.close(reason);
    }
}

/// Waits for a stream that may have ended already.
async fn received<T>(stream: Option<impl Future<Output = T>>) -> T {
    match stream {
        Some(stream) => stream.await,
        None => std::future::pending().await,
    }
}

fn server_init(size: (u16, u16)) -> Vec<u8> {
    let mut out = Vec::new();
    let name = DESKTOP_NAME.to_owned();
    let init = ServerInit {
        width: size.0,
        height: size.1,
        format: PixelFormat::BGRX,
        name,
    };
    encode::server::server_init(&mut out, &init);
    out
}

fn progress_or_end(sent: Result<(), LinkError>) -> AgentEvent {
    sent.map_or_else(link_ended, |()| AgentEvent::Progress)
}

fn link_ended(error: LinkError) -> AgentEvent {
    match error {
        LinkError::Ended(_) | LinkError::Closed | LinkError::Stopped => AgentEvent::Ended,
        LinkError::Lost => AgentEvent::LinkLost,
        LinkError::Violation(violation) => AgentEvent::Failed(agent_misbehaved(&format!(
            "{}: {violation}",
            violation.name()
        ))),
        error => AgentEvent::Failed(Failure {
            name: FailureName::Internal,
            detail: error.to_string(),
        }),
    }
}

pub(crate) fn agent_misbehaved(detail: &str) -> Failure {
    Failure {
        name: FailureName::AgentMisbehaved,
        detail: format!("the agent's program: {detail}"),
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        let detail = format!("{}: {violation}", violation.name());
        Failure {
            name: FailureName::AgentMisbehaved,
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_isnt_kept_waiting_for_ever() {
        let (began, mut hold) = (Instant::now(), Hold::default());
        let after = |part: u32| began + PATIENCE * part / 4;
        hold.look(false, began);
        assert_eq!(hold.until(began), None);
        // A stuck update is looked at again and again, and that doesn't prolong it.
        for part in 0..6 {
            hold.look(true, after(part));
            let until = (part < 4).then_some(after(4));
            assert_eq!(hold.until(after(part)), until);
        }
        hold.look(false, after(6));
        hold.look(true, after(7));
        assert_eq!(hold.until(after(7)), Some(after(11)));
    }
}
