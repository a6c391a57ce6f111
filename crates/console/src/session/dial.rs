//! From a code to the link: looks up the customer at the service, then dials and authenticates.

use etatuki_link::{AgentEndpoint, AgentStreams};
use tokio::sync::mpsc;

use super::{AgentContext, SessionEvent};
use crate::{code::Code, session_error::SessionError};

/// Establishes the link. The endpoint must outlive the streams.
///
/// # Errors
/// The service doesn't know the code, or the customer can't be reached or refuses.
pub(super) async fn dial(
    context: &AgentContext,
    code: Code,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<(AgentEndpoint, AgentStreams), SessionError> {
    let AgentContext { agent, service } = context;
    let location = service.look_up(agent, &code.nameplate).await?;
    let _ = events.send(SessionEvent::Located).await;
    let endpoint = AgentEndpoint::bind(Some(&location.relay))
        .await
        .map_err(SessionError::Link)?;
    let dialled = endpoint
        .dial(&location.address, &code.nameplate, &code.secret, agent)
        .await;
    match dialled {
        Ok(link) => Ok((endpoint, link.split())),
        Err(error) => {
            endpoint.close().await;
            Err(SessionError::Dial(error))
        }
    }
}
