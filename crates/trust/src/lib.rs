//! Codes and identities: session codes, the vendor's and the agents' keys, agent cards, proofs,
//! revocations, restart tickets and relay tickets.
//!
//! Everything here is a pure function of its arguments. Time and randomness are passed in, and
//! nothing is read or written anywhere, so that the whole crate can be tested and fuzzed as it is.
//!
//! Not here: the PAKE that turns a code into a key (`link`), the storage of keys and cards
//! (`vendor`, `console`), and limits on attempts (`service`, `link`).

mod agent_file;
mod card;
mod code;
mod damm;
mod envelope;
mod keys;
mod name;
mod origin;
mod proof;
mod restart_ticket;
mod revocation;
mod shown;
mod ticket;
mod time;
mod typed;

pub use agent_file::{AgentFile, AgentFileError};
pub use card::{AgentCard, CardData, CardError, CardId, CardValidity};
pub use code::{CodeError, CodeForm, Nameplate, Secret, SessionCode, UnknownForm};
pub use keys::{
    AgentKey, AgentPublicKey, KeyError, TicketKey, TicketPublicKey, VendorKey, VendorPublicKey,
};
pub use name::{MAX_NAME_CHARS, NameError, check_name};
pub use origin::{MAX_RELAYS, OriginError, is_part_of_service, service_origin};
pub use proof::LinkBinding;
pub use restart_ticket::{
    LinkCredentials, MAX_RESTART_TICKET, RESTART_LIFETIME, RestartKey, RestartTicket,
    RestartTicketError,
};
pub use revocation::{
    MAX_LISTS_TEXT, MAX_REVOKED, MAX_VENDOR_KEYS, RevocationError, RevocationList, Revocations,
    SignedRevocations, StaleRevocations, VerifiedList,
};
pub use shown::{FieldKind, ShownCode, ShownField};
pub use ticket::{
    MAX_SESSION_SECONDS, RelayTicket, TICKET_SECONDS, TicketBearer, TicketError, VerifiedTicket,
};
pub use time::UnixTime;
pub use typed::{TypedCode, parse_password, parse_typed_code};
