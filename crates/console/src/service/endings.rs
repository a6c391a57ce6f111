//! Endings at the service: this end's, and the customer's, while the link is interrupted.

use etatuki_link::RelayToken;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Service, read_json};
use crate::session_error::SessionError;

impl Service {
    /// Returns the client of the service's endings.
    ///
    /// # Errors
    /// This machine can't make TLS connections.
    pub(crate) async fn endings(&self) -> Result<EndingClient, SessionError> {
        Ok(EndingClient {
            url: format!("{}/v1/endings", self.origin),
            http: self.way().await?.http.clone(),
        })
    }
}

/// The endings of sessions at the service.
#[derive(Clone, Debug)]
pub(crate) struct EndingClient {
    url: String,
    http: Client,
}

#[derive(Serialize, Deserialize)]
struct EndingBody {
    ending: String,
}

impl EndingClient {
    /// Leaves this end's ending. Returns whether the service has it.
    pub(crate) async fn leave(&self, ticket: &RelayToken, ending: String) -> bool {
        let request = self.http.put(&self.url).bearer_auth(ticket.expose());
        let sent = request.json(&EndingBody { ending }).send().await;
        sent.is_ok_and(|response| response.status() == StatusCode::NO_CONTENT)
    }

    /// Returns another endpoint's ending, if the service says that it has left one.
    pub(crate) async fn of(&self, ticket: &RelayToken, endpoint: &str) -> Option<String> {
        let url = format!("{}/{endpoint}", self.url);
        let request = self.http.get(url).bearer_auth(ticket.expose());
        let response = request.send().await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let EndingBody { ending } = read_json(response).await.ok()?;
        Some(ending)
    }
}
