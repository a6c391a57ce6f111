//! A linked session: control messages from the customer's side, commands of the agent, and failures
//! of the carriers, until the first end; over one connection after the other, if the link is
//! interrupted.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use etatuki_link::{
    AgentEndpoint, AgentResumption, AgentStreams, BootClock, ControlOut, LinkConnection, LinkError,
    LinkStats, PeerWatch,
};
use etatuki_protocol::{HEARTBEAT_INTERVAL, ToAgent, ToCustomer};
use etatuki_trust::RESTART_LIFETIME;
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinError,
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{
    AgentContext, ClipboardTo, EndReason, Finished, Outcome, SessionCommand, SessionEvent,
    carriers::{DataStreams, spawn_carriers},
    dial::Dialled,
};
use crate::{
    sanitize,
    session_error::{SessionError, classify_end},
    viewer::{PictureReadError, ToLink, ViewerHub},
};

/// Time for the customer's side to close the link after this side has ended the session.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time for which a customer's end is waited for, whatever it says.
const MAX_RESTART: Duration = Duration::from_secs(RESTART_LIFETIME);

/// A session from its first connection to its end.
pub(super) struct LinkedSession<'a> {
    pub(super) context: &'a AgentContext,
    pub(super) endpoint: AgentEndpoint,
    pub(super) resumption: AgentResumption,
    /// The customer's address: the service's, then as the customer's end tells it.
    pub(super) address: Value,
    /// Moment of the session's clock until which the customer's launcher comes back after a restart.
    restart_until: Option<Duration>,
    pub(super) commands: &'a mut mpsc::Receiver<SessionCommand>,
    events: &'a mpsc::Sender<SessionEvent>,
    clipboard: ClipboardTo,
    hub: Arc<ViewerHub>,
    /// The queues to the first link.
    to_link: Option<ToLink>,
    pub(super) clock: BootClock,
    /// Bytes over earlier connections.
    earlier: LinkStats,
}

/// The end of one connection.
pub(super) enum LinkEnd {
    /// The session is over.
    Over(Outcome),
    /// The link is interrupted since this moment of the session's clock.
    Interrupted(Duration),
}

impl<'a> LinkedSession<'a> {
    pub(super) fn new(
        context: &'a AgentContext,
        dialled: Dialled,
        clipboard: ClipboardTo,
        commands: &'a mut mpsc::Receiver<SessionCommand>,
        events: &'a mpsc::Sender<SessionEvent>,
    ) -> (Self, AgentStreams) {
        let (hub, to_link) = ViewerHub::new();
        if clipboard == ClipboardTo::Page {
            hub.report_pointer_always();
        }
        let (streams, resumption) = dialled.link.into_parts();
        let session = Self {
            context,
            endpoint: dialled.endpoint,
            resumption,
            address: dialled.address,
            restart_until: None,
            commands,
            events,
            clipboard,
            hub: Arc::new(hub),
            to_link: Some(to_link),
            clock: BootClock::start(),
            earlier: LinkStats::default(),
        };
        (session, streams)
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self, mut streams: AgentStreams) -> Finished {
        let hub = Arc::clone(&self.hub);
        let _closes = CloseOnDrop(Arc::clone(&hub));
        let _ = self.events.send(SessionEvent::Linked(hub)).await;
        let outcome = loop {
            let connection = streams.connection.clone();
            let end = self.run_link(streams).await;
            let stats = connection.stats();
            self.earlier = self.earlier + stats;
            match end {
                LinkEnd::Over(outcome) => {
                    connection.close(match &outcome {
                        Ok(reason) => reason,
                        Err(error) => error.name(),
                    });
                    break outcome;
                }
                LinkEnd::Interrupted(since) => {
                    connection.interrupt();
                    self.hub.interrupt();
                    match self.resume(since).await {
                        Ok(resumed) => streams = resumed,
                        Err(outcome) => break outcome,
                    }
                }
            }
        };
        self.endpoint.close().await;
        Finished {
            outcome,
            stats: self.earlier,
        }
    }

    /// Reports the interruption, and dials until the link is resumed.
    ///
    /// # Errors
    /// The end of the session: the link is lost, the resume is refused, or the agent ends it.
    async fn resume(&mut self, since: Duration) -> Result<AgentStreams, Outcome> {
        let without_restart = since + self.context.resume_limit;
        let lost_at = without_restart.max(self.restart_until.unwrap_or_default());
        let left = lost_at.saturating_sub(self.clock.elapsed());
        let restart = lost_at > without_restart;
        let event = SessionEvent::Interrupted { left, restart };
        let _ = self.events.send(event).await;
        let streams = match self.redial(lost_at).await {
            Ok(streams) => streams,
            Err(outcome) => {
                if let Ok(reason) = &outcome {
                    self.leave(reason, lost_at).await;
                }
                return Err(outcome);
            }
        };
        let _ = self.events.send(SessionEvent::Resumed).await;
        Ok(streams)
    }

    /// Runs the session over one connection.
    async fn run_link(&mut self, streams: AgentStreams) -> LinkEnd {
        let to_link = self.to_link.take();
        let to_link = to_link.unwrap_or_else(|| self.hub.open_link());
        let mut control_in = streams.control_in;
        let heartbeats = Arc::new(Notify::new());
        let data = DataStreams {
            picture_in: streams.picture_in,
            input_out: streams.input_out,
            clipboard_out: streams.clipboard_out,
            clipboard_in: streams.clipboard_in,
            connection: streams.connection.clone(),
            earlier: self.earlier,
            heartbeats: Arc::clone(&heartbeats),
        };
        let mut carriers = spawn_carriers(&self.hub, to_link, data, self.clipboard, self.events);
        let mut link = AgentLoop {
            hub: Arc::clone(&self.hub),
            control_out: streams.control_out,
            watch: PeerWatch::new(self.clock, &streams.connection),
            connection: streams.connection,
            heartbeats,
            events: self.events,
            address: &mut self.address,
            restart_until: &mut self.restart_until,
            clock: self.clock,
        };
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let silent_at = link.watch.silent_at();
            let step = tokio::select! {
                message = control_in.recv() => link.on_control(message).await,
                command = self.commands.recv() => link.on_command(command).await,
                Some(carried) = carriers.join_next() => after_carrier(carried),
                _ = heartbeat.tick() => link.on_heartbeat().await,
                () = sleep_until(silent_at) => link.look(),
            };
            if let ControlFlow::Break(outcome) = step {
                return link.end(outcome);
            }
        }
    }
}

/// The state of the loop's handlers.
struct AgentLoop<'a> {
    hub: Arc<ViewerHub>,
    control_out: ControlOut<ToCustomer>,
    connection: LinkConnection,
    watch: PeerWatch,
    heartbeats: Arc<Notify>,
    events: &'a mpsc::Sender<SessionEvent>,
    address: &'a mut Value,
    restart_until: &'a mut Option<Duration>,
    clock: BootClock,
}

impl AgentLoop<'_> {
    /// Handles a message of the control stream, its end, or its failure.
    async fn on_control(
        &mut self,
        message: Result<Option<ToAgent>, LinkError>,
    ) -> ControlFlow<Outcome> {
        if message.is_ok() && !self.watch.heard() {
            return lost();
        }
        let event = match message {
            Ok(Some(ToAgent::Info(info))) => {
                SessionEvent::Customer(Box::new(sanitize::customer_info(*info)))
            }
            Ok(Some(ToAgent::Permissions(permissions))) => {
                self.hub.set_control(permissions.control);
                SessionEvent::Permissions(permissions)
            }
            Ok(Some(ToAgent::Answer {
                ask,
                allowed,
                asks_left,
            })) => SessionEvent::Answer {
                ask,
                allowed,
                asks_left,
            },
            Ok(Some(ToAgent::Asking { ask })) => SessionEvent::Asking(ask),
            Ok(Some(ToAgent::Shown(mut shown))) => {
                shown.text = sanitize::question_text(shown.text);
                SessionEvent::Shown(shown)
            }
            Ok(Some(ToAgent::Screen(status))) => SessionEvent::Screen(status),
            Ok(Some(ToAgent::Alive)) => {
                self.heartbeats.notify_one();
                return ControlFlow::Continue(());
            }
            Ok(Some(ToAgent::Address(address))) => {
                *self.address = address.as_json().clone();
                return ControlFlow::Continue(());
            }
            Ok(Some(ToAgent::Restarting { seconds_left })) => {
                let left = Duration::from_secs(seconds_left.into()).min(MAX_RESTART);
                let left = Some(left).filter(|left| !left.is_zero());
                *self.restart_until = left.map(|left| self.clock.elapsed() + left);
                SessionEvent::Restarting { left }
            }
            Ok(Some(ToAgent::Ended { reason })) => {
                return ControlFlow::Break(classify_end(sanitize::stable_name(&reason)));
            }
            Ok(None) => {
                let closed = timeout(GOODBYE_TIMEOUT, self.connection.closed()).await;
                return ControlFlow::Break(link_end(closed.unwrap_or(LinkError::Lost)));
            }
            Err(error) => return ControlFlow::Break(link_end(error)),
        };
        let _ = self.events.send(event).await;
        ControlFlow::Continue(())
    }

    /// Handles a command of the agent; `None` ends the session too.
    async fn on_command(&mut self, command: Option<SessionCommand>) -> ControlFlow<Outcome> {
        match command {
            Some(SessionCommand::Ask(ask)) => {
                if let Err(error) = self.control_out.send(&ToCustomer::Ask(ask.clone())).await {
                    return ControlFlow::Break(link_end(error));
                }
                let _ = self.events.send(SessionEvent::Asked(ask)).await;
                ControlFlow::Continue(())
            }
            Some(SessionCommand::Clipboard(text)) => {
                self.hub.send_clipboard(text);
                ControlFlow::Continue(())
            }
            Some(SessionCommand::End(reason)) => {
                let _ = timeout(GOODBYE_TIMEOUT, self.say_goodbye()).await;
                ControlFlow::Break(Ok(reason.name().into()))
            }
            None => ControlFlow::Break(Ok(EndReason::Agent.name().into())),
        }
    }

    /// Tells the customer's side that somebody is here, and looks whether somebody is there.
    async fn on_heartbeat(&mut self) -> ControlFlow<Outcome> {
        if let Err(error) = self.control_out.send(&ToCustomer::Alive).await {
            return ControlFlow::Break(link_end(error));
        }
        self.look()
    }

    fn look(&mut self) -> ControlFlow<Outcome> {
        if self.watch.look(&self.connection) {
            return lost();
        }
        ControlFlow::Continue(())
    }

    /// Returns the end of the connection: a link that broke or fell silent is interrupted.
    fn end(&self, outcome: Outcome) -> LinkEnd {
        match outcome {
            Err(SessionError::Link(LinkError::Lost | LinkError::Interrupted)) => {
                LinkEnd::Interrupted(self.watch.interrupted_since())
            }
            outcome => LinkEnd::Over(outcome),
        }
    }

    /// Tells the customer's side that the session ends, and waits until it closes the link.
    async fn say_goodbye(&mut self) {
        if self.control_out.send(&ToCustomer::End).await.is_ok() {
            self.connection.closed().await;
        }
    }
}

fn lost() -> ControlFlow<Outcome> {
    ControlFlow::Break(Err(SessionError::Link(LinkError::Lost)))
}

/// Returns whether the session goes on without a carrier. It doesn't without one that found rubbish,
/// nor without one that died of what it got: the picture would stand still while control goes on.
fn after_carrier(carried: Result<Result<(), PictureReadError>, JoinError>) -> ControlFlow<Outcome> {
    let detail = match carried {
        Ok(Ok(())) => return ControlFlow::Continue(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "what it sent couldn't be worked off".to_owned(),
    };
    ControlFlow::Break(Err(SessionError::Picture(detail)))
}

/// Returns the session's end for the link's end: a link that was closed with a reason ended in good
/// order, or with a named failure.
fn link_end(error: LinkError) -> Outcome {
    match error {
        LinkError::Ended(reason) => classify_end(sanitize::stable_name(&reason)),
        other => Err(SessionError::Link(other)),
    }
}

/// A guard that closes the hub, and so detaches the viewer, however the session ends.
struct CloseOnDrop(Arc<ViewerHub>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_carrier_that_dies_ends_the_session_as_the_customers_fault() {
        let check = async |carrier: fn() -> Result<(), PictureReadError>, expected| {
            let mut carriers = JoinSet::new();
            carriers.spawn(async move { carrier() });
            let ended = after_carrier(carriers.join_next().await.expect("one carrier"));
            let name = match ended {
                ControlFlow::Break(Err(error)) => Some(error.name().to_owned()),
                ControlFlow::Break(Ok(_)) => panic!("it isn't a good end"),
                ControlFlow::Continue(()) => None,
            };
            assert_eq!(name.as_deref(), expected);
        };
        check(|| panic!("as a decoder may"), Some("customer-misbehaved")).await;
        let rubbish = || Err(PictureReadError::Init);
        check(rubbish, Some("customer-misbehaved")).await;
        check(|| Ok(()), None).await;
    }
}
