//! The connection to the agent: the link's streams, the gate, and the picture that the agent is
//! sent.

use std::time::Duration;

use etatuki_link::{
    BootClock, ClipboardIn, ClipboardOut, ControlIn, ControlOut, CustomerLink, InputIn,
    LinkConnection, LinkError, PeerWatch, PictureOut,
};
use etatuki_picture::{Source, SourceState, Streamer};
use etatuki_protocol::{
    AgentIdentity, Ask, ClipboardText, HEARTBEAT_INTERVAL, InputMessage, ScreenCondition, ToAgent,
    ToCustomer,
};
use etatuki_session_core::clipboard_order::ClipboardOrder;
use etatuki_session_core::gate::{Gate, GateOutput, PluginInput, ServerCapabilities, Violation};
use etatuki_session_core::{Failure, FailureName};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::maybe::{maybe, maybe_until};
use crate::plugin_stream::PluginStream;
use crate::send_queue::SendQueue;

/// Desktop name for the agent's viewer. The desktop's own name may name a user or a machine.
const DESKTOP_NAME: &str = "Etatuki";
/// Status of ExtendedDesktopSize for a change of size that is prohibited.
const STATUS_PROHIBITED: u16 = 1;
/// Control messages that may wait: for an agent whose program reads none, and for the plugin.
pub(crate) const MAX_QUEUED_CONTROL: usize = 64;

/// An event of the connection.
#[derive(Debug)]
pub(crate) enum AgentEvent {
    /// The agent asks for a permission or a switch.
    PermissionAsked(Ask),
    /// Bytes went to the gate; [`AgentConnection::next_input`] returns what passes.
    InputReceived,
    /// Text that was copied at the agent's end is due: input that follows it comes afterwards.
    Clipboard(String),
    /// A message has left, so that the link has credit again.
    Progress,
    /// The agent has ended the session.
    Ended,
    /// The link broke, or the agent's end is silent.
    LinkInterrupted {
        /// Since when, by the clock of [`AgentConnection::new`].
        since: Duration,
    },
    /// The agent's program broke the rules, or our end of the link failed.
    Failed(Failure),
}

/// The connection to one agent.
pub(crate) struct AgentConnection {
    pub(crate) gate: Gate,
    connection: LinkConnection,
    watch: PeerWatch,
    heartbeat: Interval,
    control: SendQueue<ControlOut<ToAgent>>,
    picture: SendQueue<PictureOut>,
    clipboard: SendQueue<ClipboardOut>,
    control_in: ControlIn<ToCustomer>,
    /// `None` once the agent has ended this stream; the session goes on.
    input_in: Option<InputIn>,
    clipboard_in: Option<ClipboardIn>,
    pub(crate) clipboard_order: ClipboardOrder,
    streamer: Streamer,
    /// The oldest update that the console hasn't acknowledged, and since when it is the oldest.
    awaited: Option<(u32, Instant)>,
    /// The state of the screen that the agent was told last.
    pub(crate) told_screen: ScreenCondition,
    ended: bool,
    began: Instant,
}

impl AgentConnection {
    /// Begins with a link whose gate permits nothing. `clock` is the session's.
    pub(crate) fn new(
        link: CustomerLink,
        server: ServerCapabilities,
        clock: BootClock,
    ) -> (AgentIdentity, Self) {
        let identity = link.agent.clone();
        let streams = link.split();
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let agent = Self {
            gate: Gate::new(server),
            watch: PeerWatch::new(clock, &streams.connection),
            heartbeat,
            connection: streams.connection,
            control: SendQueue::new(streams.control_out, MAX_QUEUED_CONTROL),
            picture: SendQueue::new(streams.picture_out, 1),
            clipboard: SendQueue::new(streams.clipboard_out, 1),
            control_in: streams.control_in,
            input_in: Some(streams.input_in),
            clipboard_in: Some(streams.clipboard_in),
            clipboard_order: ClipboardOrder::default(),
            streamer: Streamer::new(DESKTOP_NAME),
            awaited: None,
            told_screen: ScreenCondition::default(),
            ended: false,
            began: Instant::now(),
        };
        (identity, agent)
    }

    /// Waits for the next event; none comes after the link's end. Input and clipboard stay on the
    /// link unless `takes_input`. Cancel safe.
    pub(crate) async fn next(&mut self, takes_input: bool) -> AgentEvent {
        if self.ended {
            return std::future::pending().await;
        }
        let event = match self.next_open(takes_input).await {
            Ok(event) => event,
            Err(error) => self.link_ended(error),
        };
        self.ended = matches!(
            event,
            AgentEvent::Ended | AgentEvent::LinkInterrupted { .. } | AgentEvent::Failed(_)
        );
        if self.ended {
            self.streamer.on_client_gone();
        }
        event
    }

    /// Waits for the next event of an open link. What arrives after the silence began is too late.
    ///
    /// # Errors
    /// The link's end; [`LinkError::Lost`] for silence.
    async fn next_open(&mut self, takes_input: bool) -> Result<AgentEvent, LinkError> {
        let order = &self.clipboard_order;
        let (holds_input, holds_texts) = (order.holds_input(), order.holds_texts());
        let deadline = order.deadline().map(|due| self.began + due);
        let silent_at = self.watch.silent_at();
        tokio::select! {
            control = self.control_in.recv() => {
                let control = control?;
                self.heard()?;
                Ok(match control {
                    Some(ToCustomer::Ask(ask)) => AgentEvent::PermissionAsked(ask),
                    Some(ToCustomer::Alive) => AgentEvent::Progress,
                    Some(ToCustomer::End) | None => AgentEvent::Ended,
                })
            }
            input = maybe(self.input_in.as_mut().map(InputIn::recv)), if takes_input && !holds_input => {
                let input = input?;
                self.heard()?;
                Ok(self.on_input(input))
            }
            text = maybe(self.clipboard_in.as_mut().map(ClipboardIn::recv)), if takes_input && !holds_texts => {
                let text = text?;
                self.heard()?;
                Ok(self.on_text(text))
            }
            () = maybe_until(deadline) => {
                let received = self.clipboard_in.as_ref().map_or(0, ClipboardIn::received);
                let now = self.began.elapsed();
                Ok(due_text(self.clipboard_order.on_deadline(received, now)))
            }
            _ = self.heartbeat.tick() => {
                // A link that takes nothing more needs no proof of life.
                if self.control.is_idle() {
                    let _ = self.control.push(ToAgent::Alive);
                }
                self.look()
            }
            () = sleep_until(silent_at) => self.look(),
            sent = self.control.next_sent() => sent.map(|()| AgentEvent::Progress),
            sent = self.picture.next_sent() => {
                let round_trip = self.connection.round_trip_time();
                self.streamer.on_written(sent?, round_trip, self.began.elapsed());
                Ok(AgentEvent::Progress)
            }
            sent = self.clipboard.next_sent() => match sent {
                // A console without a clipboard may refuse this stream.
                Err(LinkError::Stopped) => Ok(AgentEvent::Progress),
                sent => sent.map(|()| AgentEvent::Progress),
            },
        }
    }

    fn heard(&mut self) -> Result<(), LinkError> {
        if self.watch.heard() {
            Ok(())
        } else {
            Err(LinkError::Lost)
        }
    }

    fn look(&mut self) -> Result<AgentEvent, LinkError> {
        if self.watch.look(&self.connection) {
            Err(LinkError::Lost)
        } else {
            Ok(AgentEvent::Progress)
        }
    }

    fn on_input(&mut self, input: Option<InputMessage>) -> AgentEvent {
        match input {
            Some(InputMessage::Rfb(bytes)) => {
                self.gate.push(&bytes);
                AgentEvent::InputReceived
            }
            Some(InputMessage::ClipboardMark(number)) => {
                let takes_text = self.gate.exchanges_clipboard();
                let now = self.began.elapsed();
                due_text(self.clipboard_order.on_mark(number, takes_text, now))
            }
            None => {
                self.input_in = None;
                AgentEvent::InputReceived
            }
        }
    }

    fn on_text(&mut self, text: Option<ClipboardText>) -> AgentEvent {
        match text {
            Some(text) => due_text(self.clipboard_order.on_text(text, self.began.elapsed())),
            None => {
                self.clipboard_in = None;
                AgentEvent::Progress
            }
        }
    }

    fn link_ended(&self, error: LinkError) -> AgentEvent {
        match error {
            LinkError::Ended(_) | LinkError::Closed | LinkError::Stopped => AgentEvent::Ended,
            LinkError::Lost | LinkError::Interrupted => AgentEvent::LinkInterrupted {
                since: self.watch.interrupted_since(),
            },
            LinkError::Violation(violation) => AgentEvent::Failed(agent_misbehaved(&format!(
                "{}: {violation}",
                violation.name()
            ))),
            error => AgentEvent::Failed(Failure::new(FailureName::Internal, error.to_string())),
        }
    }

    /// Closes the connection of an interrupted link; the agent's end resumes over another one.
    pub(crate) fn interrupt(self) {
        self.connection.interrupt();
    }

    /// Sends a control message to the console.
    ///
    /// # Errors
    /// The console reads no messages.
    pub(crate) fn send_control(&mut self, message: ToAgent) -> Result<(), Failure> {
        self.control
            .push(message)
            .map_err(|_| agent_misbehaved("it reads no messages"))
    }

    /// Returns the next input that passes the gate. Messages for viewing are handled here.
    ///
    /// # Errors
    /// The agent's program broke the rules.
    pub(crate) fn next_input(&mut self) -> Result<Option<PluginInput>, Failure> {
        while let Some(passed) = self.gate.next().map_err(gate_failure)? {
            if let Some(input) = self.on_viewer_message(passed)? {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }

    fn on_viewer_message(&mut self, passed: GateOutput) -> Result<Option<PluginInput>, Failure> {
        let passed = match passed {
            GateOutput::Input(input) => return Ok(Some(input)),
            passed => passed,
        };
        // Before the agent knows of a screen, the message can mean nothing.
        let Some(updater) = self.streamer.updater() else {
            return Ok(None);
        };
        let done = match passed {
            GateOutput::Encodings(list) => {
                updater.set_encodings(&list);
                Ok(())
            }
            GateOutput::UpdateRequest { incremental, rect } => {
                updater.request(incremental, rect);
                Ok(())
            }
            GateOutput::ContinuousUpdates { enable, rect } => {
                updater.enable_continuous_updates(enable, rect);
                Ok(())
            }
            GateOutput::Fence { flags, payload } => {
                updater.on_fence(flags, &payload, self.began.elapsed())
            }
            GateOutput::ResizeProhibited => updater.answer_set_desktop_size(STATUS_PROHIBITED),
            GateOutput::Input(_) => Ok(()),
        };
        done.map(|()| None)
            .map_err(|error| agent_misbehaved(&error.to_string()))
    }

    /// Records what the plugin's server can do now, and tells the agent's viewer.
    pub(crate) fn set_server_capabilities(
        &mut self,
        server: ServerCapabilities,
    ) -> Result<(), Failure> {
        match self.gate.set_server_capabilities(server) {
            Some(encodings) => self.on_viewer_message(encodings).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Notes that the plugin is about to be given input of the agent's.
    pub(crate) fn note_input(&mut self, plugin: &mut PluginStream) {
        if let Some(framebuffer) = plugin.framebuffer() {
            self.streamer.on_input(framebuffer);
        }
    }

    /// Handles the plugin's reply to a change of size.
    pub(crate) fn on_desktop_size_reply(&mut self, status: u16) -> Result<(), Failure> {
        let Some(updater) = self.streamer.updater() else {
            return Ok(());
        };
        updater
            .answer_set_desktop_size(status)
            .map_err(|error| agent_misbehaved(&error.to_string()))
    }

    /// Sends clipboard text of the plugin's, as far as it passes the gate.
    pub(crate) fn send_clipboard(&mut self, text: String) {
        if let Some(text) = self.gate.clipboard_out(text) {
            self.clipboard.replace(text);
        }
    }

    /// Notes that the plugin completed an update that changed the framebuffer.
    pub(crate) fn on_source_changed(&mut self) {
        self.streamer.on_source_changed();
    }

    /// Returns whether the plugin's socket must not be read; see [`Streamer::holds_source`].
    pub(crate) fn holds_source(&self) -> bool {
        self.streamer.holds_source(self.began.elapsed())
    }

    /// Returns whether the link should send what it has been given before the picture moves on.
    pub(crate) fn should_yield(&self) -> bool {
        self.streamer.should_yield(self.began.elapsed())
    }

    /// Moves the picture on as far as the link takes it, and requests more from the plugin; see
    /// [`Streamer::drive`].
    pub(crate) fn drive_picture(&mut self, plugin: &mut PluginStream) {
        let is_idle = self.picture.is_idle();
        let state = source_state(plugin);
        let has_pixels = plugin.has_pixels();
        let source = plugin.framebuffer().map(|framebuffer| Source {
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
            // The queue is idle, so there is room.
            let _ = self.picture.push(chunk);
        }
        if step.request_more {
            plugin.request_update();
        }
    }

    /// Returns since when the console owes the acknowledgement of an update, if it does. To be called
    /// after every event.
    pub(crate) fn unacknowledged_since(&mut self) -> Option<Instant> {
        let oldest = self.streamer.oldest_unacknowledged();
        self.awaited = oldest.map(|number| match self.awaited {
            Some((awaited, since)) if awaited == number => (number, since),
            _ => (number, Instant::now()),
        });
        self.awaited.map(|(_, since)| since)
    }

    /// Returns when [`drive_picture`](Self::drive_picture) is to be called although nothing
    /// happens.
    pub(crate) fn picture_wake_at(&self, plugin: Option<&PluginStream>) -> Option<Instant> {
        let state = plugin.map_or(SourceState::MidUpdate, source_state);
        let is_idle = self.picture.is_idle();
        let now = self.began.elapsed();
        let wake_at = self.streamer.wake_at(state, is_idle, now);
        wake_at.map(|wake_at| self.began + wake_at)
    }

    /// Closes the link after the last message has been read. The console closes when it has read
    /// the reason. `timeout` bounds the wait for that, because closing from this end throws away what
    /// is still on its way.
    pub(crate) async fn close(mut self, reason: &str, timeout: Duration) {
        if !self.ended {
            let read = async {
                if self.control.flush().await.is_ok() {
                    self.connection.closed().await;
                }
            };
            let _ = tokio::time::timeout(timeout, read).await;
        }
        self.connection.close(reason);
    }
}

fn source_state(plugin: &PluginStream) -> SourceState {
    if plugin.is_between_updates() {
        SourceState::BetweenUpdates
    } else {
        SourceState::MidUpdate
    }
}

fn due_text(text: Option<String>) -> AgentEvent {
    text.map_or(AgentEvent::Progress, AgentEvent::Clipboard)
}

/// Returns the failure of an agent's program that broke the rules.
pub(crate) fn agent_misbehaved(detail: &str) -> Failure {
    let detail = format!("the agent's program: {detail}");
    Failure::new(FailureName::AgentMisbehaved, detail)
}

fn gate_failure(violation: Violation) -> Failure {
    let detail = format!("{}: {violation}", violation.name());
    Failure::new(FailureName::AgentMisbehaved, detail)
}
