//! The agent as the customer gets to know them.

use serde::Serialize;

/// The agent's name and employer, from their verified card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentIdentity {
    /// The agent's name, at most 80 characters, as signed by the vendor.
    pub name: String,
    /// The organisation that the agent works for.
    pub organisation: String,
}
