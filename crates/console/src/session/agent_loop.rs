//! The loop of a linked session: control messages from the customer's side, commands of the agent,
//! and failures of the carriers, until the first end.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use etatuki_link::{AgentStreams, ControlOut, LinkConnection, LinkError};
use etatuki_protocol::{ToAgent, ToCustomer};
use tokio::{sync::mpsc, task::JoinError, time::timeout};

use super::{
    ClipboardTo, EndReason, Outcome, SessionCommand, SessionEvent,
    carriers::{DataStreams, spawn_carriers},
};
use crate::{
    sanitize,
    session_error::{SessionError, classify_end},
    viewer::{PictureReadError, ViewerHub},
};

/// Time for the customer's side to close the link after this side has ended the session.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a session over an established link until its end.
pub(super) async fn run_linked(
    streams: AgentStreams,
    clipboard: ClipboardTo,
    commands: &mut mpsc::Receiver<SessionCommand>,
    events: &mpsc::Sender<SessionEvent>,
) -> Outcome {
    let (hub, to_link) = ViewerHub::new();
    if clipboard == ClipboardTo::Page {
        hub.report_pointer_always();
    }
    let hub = Arc::new(hub);
    let _ = events.send(SessionEvent::Linked(Arc::clone(&hub))).await;
    let _closes = CloseOnDrop(Arc::clone(&hub));
    let mut control_in = streams.control_in;
    let data = DataStreams {
        picture_in: streams.picture_in,
        input_out: streams.input_out,
        clipboard_out: streams.clipboard_out,
        clipboard_in: streams.clipboard_in,
        connection: streams.connection.clone(),
    };
    let mut carriers = spawn_carriers(&hub, to_link, data, clipboard, events);
    let mut session = AgentLoop {
        hub,
        control_out: streams.control_out,
        connection: streams.connection,
        events,
    };
    loop {
        let step = tokio::select! {
            message = control_in.recv() => session.on_control(message).await,
            command = commands.recv() => session.on_command(command).await,
            Some(carried) = carriers.join_next() => after_carrier(carried),
        };
        if let ControlFlow::Break(outcome) = step {
            return outcome;
        }
    }
}

/// The state of the loop's handlers.
struct AgentLoop<'a> {
    hub: Arc<ViewerHub>,
    control_out: ControlOut<ToCustomer>,
    connection: LinkConnection,
    events: &'a mpsc::Sender<SessionEvent>,
}

impl AgentLoop<'_> {
    /// Handles a message of the control stream, its end, or its failure.
    async fn on_control(
        &mut self,
        message: Result<Option<ToAgent>, LinkError>,
    ) -> ControlFlow<Outcome> {
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
            Ok(Some(ToAgent::Alive | ToAgent::Address(_))) => return ControlFlow::Continue(()),
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

    /// Tells the customer's side that the session ends, and waits until it closes the link.
    async fn say_goodbye(&mut self) {
        if self.control_out.send(&ToCustomer::End).await.is_ok() {
            self.connection.closed().await;
        }
    }
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
