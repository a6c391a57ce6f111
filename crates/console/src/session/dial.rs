//! From a code to the link: looks up the customer at the service, then dials and authenticates.

use std::time::UNIX_EPOCH;

use etatuki_link::{AgentEndpoint, AgentLink, DialError, EndpointKey, RelayRoute};
use etatuki_trust::{CardError, CardValidity, UnixTime};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{AgentContext, SessionEvent};
use crate::{code::Code, session_error::SessionError};

/// An established link.
pub(super) struct Dialled {
    /// The endpoint, which must outlive the link.
    pub(super) endpoint: AgentEndpoint,
    pub(super) link: AgentLink,
    /// The customer's address, from the service.
    pub(super) address: Value,
}

/// Establishes the link.
///
/// # Errors
/// The service doesn't know the code, or the customer can't be reached or refuses.
pub(super) async fn dial(
    context: &AgentContext,
    code: Code,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<Dialled, SessionError> {
    let AgentContext { agent, service, .. } = context;
    let key = EndpointKey::generate();
    let location = service.look_up(agent, &code.nameplate, &key).await?;
    let _ = events.send(SessionEvent::Located).await;
    let network = service.network().await?;
    let route = RelayRoute {
        relay: &location.relay,
        network: &network,
    };
    let endpoint = AgentEndpoint::bind_as(&key, Some(route))
        .await
        .map_err(SessionError::Link)?;
    endpoint.keep_ticket(&location.relay, service.ticket_renewer().await?);
    let dialled = endpoint
        .dial(&location.address, &code.nameplate, &code.secret, agent)
        .await;
    match dialled {
        Ok(link) => Ok(Dialled {
            endpoint,
            link,
            address: location.address,
        }),
        Err(error) => {
            // Without a relay of our own nothing is known about the customer's end.
            let no_relay = error == DialError::Unreachable && !endpoint.is_relay_connected();
            endpoint.close().await;
            if no_relay {
                return Err(service.relay_failure().await);
            }
            let validity = agent.card.claims().validity();
            Err(dial_failure(error, validity, service.time()))
        }
    }
}

/// Returns the failure of a dial. The clock at fault is the customer's if the card is valid by the
/// service's clock, which has nothing to do with either end's, or by ours if that isn't known.
fn dial_failure(
    error: DialError,
    validity: CardValidity,
    service_time: Option<UnixTime>,
) -> SessionError {
    let of_time = [CardError::Expired, CardError::NotYetValid];
    let refused_for_time = matches!(&error, DialError::Refused(reason)
        if of_time.iter().any(|error| error.name() == reason));
    if !refused_for_time {
        return SessionError::Dial(error);
    }
    let ours = UnixTime(UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()));
    match validity.check(service_time.unwrap_or(ours)) {
        Ok(()) => SessionError::CustomerClock,
        Err(error) => SessionError::CardRefused(error.name().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_clock_tells_whose_clock_is_wrong() {
        let check = |reason: &str, now, expected: &str| {
            let validity = CardValidity {
                issued: UnixTime(10_000),
                expires: UnixTime(20_000),
            };
            let refused = DialError::Refused(reason.into());
            let failure = dial_failure(refused, validity, Some(UnixTime(now)));
            assert_eq!(failure.name(), expected);
        };
        check("card-expired", 15_000, "customer-clock");
        check("card-not-yet-valid", 15_000, "customer-clock");
        check("card-expired", 25_000, "card-expired");
        check("card-not-yet-valid", 1000, "card-not-yet-valid");
        check("card-revoked", 15_000, "card-revoked");
    }
}
