//! The way in which an entry's sessions reach the agent.

use etatuki_trust::CodeForm;

/// The way in which an entry's sessions reach the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Our own link, encrypted and with the customer's consent, by a code of this form.
    Link(CodeForm),
    /// The transport that the entry's tool brings along, with the tool's own code, consent and
    /// encryption.
    External,
}
