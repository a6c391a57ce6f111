//! The agent's side of a running session: the link's streams, the gate, and what he is shown.

use std::time::Duration;

use etatuki_link::{
    ClipboardIn, ClipboardOut, ControlIn, ControlOut, CustomerLink, InputIn, LinkConnection,
    LinkError, PictureOut,
};
use etatuki_picture::{Source, SourceState, Streamer};
use etatuki_protocol::{AgentIdentity, Ask, ToAgent, ToCustomer};
use tokio::time::Instant;

use crate::gate::{Gate, Passed, ServerCapabilities, ToolInput, Violation};
use crate::send_queue::SendQueue;
use crate::tool_link::ToolLink;
use crate::view::{Failure, FailureName};

/// What the agent's viewer gets to hear instead of the desktop's own name, which may tell a user or a
/// machine.
const DESKTOP_NAME: &str = "Etatuki";
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
    streamer: Streamer,
    ended: bool,
    began: Instant,
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
            streamer: Streamer::new(DESKTOP_NAME),
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
        if self.ended {
            self.streamer.on_client_gone();
        }
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
                if let Ok(bytes) = &sent {
                    let round_trip = self.connection.round_trip_time();
                    self.streamer.on_written(*bytes, round_trip, self.began.elapsed());
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
        let Some(updater) = self.streamer.updater() else {
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
        if let Some(framebuffer) = tool.screen() {
            self.streamer.on_input(framebuffer);
        }
    }

    /// The tool answered a change of size.
    pub(crate) fn on_desktop_size_reply(&mut self, status: u16) -> Result<(), Failure> {
        let Some(updater) = self.streamer.updater() else {
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

    /// Notes that the plugin completed an update that changed its screen.
    pub(crate) fn mark_dirty(&mut self) {
        self.streamer.on_source_changed();
    }

    /// Whether the plugin's socket must not be read; see [`Streamer::holds_source`].
    pub(crate) fn holds_source(&self) -> bool {
        self.streamer.holds_source(self.began.elapsed())
    }

    /// Whether the link should send what it has been given before the picture moves on.
    pub(crate) fn should_yield(&self) -> bool {
        self.streamer.should_yield(self.began.elapsed())
    }

    /// Moves the picture on as far as the link takes it, and asks the plugin for more; see [`Streamer::drive`].
    pub(crate) fn drive_picture(&mut self, tool: &mut ToolLink) {
        let is_idle = self.picture.is_idle();
        let state = source_state(tool);
        let has_pixels = tool.is_painted();
        let source = tool.screen().map(|framebuffer| Source {
            framebuffer,
            state,
            has_pixels,
        });
        if let Some(source) = &source
            && state == SourceState::BetweenUpdates
            && is_idle
        {
            let framebuffer = &source.framebuffer;
            self.gate
                .set_size(framebuffer.width(), framebuffer.height());
        }
        let step = self.streamer.drive(source, is_idle, self.began.elapsed());
        if let Some(chunk) = step.chunk {
            // it is idle, so there is room
            let _ = self.picture.push(chunk);
        }
        if step.request_more {
            tool.ask();
        }
    }

    /// When [`drive_picture`](Self::drive_picture) is to be called although nothing happens.
    pub(crate) fn picture_wake_at(&self, tool: Option<&ToolLink>) -> Option<Instant> {
        let state = tool.map_or(SourceState::MidUpdate, source_state);
        let is_idle = self.picture.is_idle();
        let now = self.began.elapsed();
        let wake_at = self.streamer.wake_at(state, is_idle, now);
        wake_at.map(|wake_at| self.began + wake_at)
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

fn source_state(tool: &ToolLink) -> SourceState {
    if tool.is_settled() {
        SourceState::BetweenUpdates
    } else {
        SourceState::MidUpdate
    }
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
