//! Rendezvous and relay, in one process: gives out nameplates, hands a customer's address to an
//! agent with a card, and relays the encrypted link where there is no direct way.
//!
//! It never sees the secret half of a code, and can't read a session. It keeps little, and all of
//! it in memory but the keys. What it has signed outlives a restart: with an owner token a launcher
//! restores its session, and with a relay ticket an endpoint gets to the relay again.
//!
//! The rules are pure and know neither clock nor network: `directory` (nameplates), `agents`,
//! `used_challenges`, `relay_admissions`, `relays`, `tokens`, `rate_limit`. Around them are `state` (locks,
//! clock, randomness), `api` (HTTP), `relay` (iroh's, behind our access control), `address_discovery`
//! (UDP), `peer` (connection limits), `metrics`, and `server` (the listener), which mounts the API and
//! the relay. `check` says what a start would meet.

mod address_discovery;
mod agents;
mod api;
mod certificate_facts;
mod check;
mod cli;
mod clock;
mod config;
mod directory;
mod endings;
mod key_ring;
mod metrics;
mod peer;
mod rate_limit;
mod relay;
mod relay_admissions;
mod relays;
mod revocations;
mod server;
mod state;
mod tls;
mod tokens;
mod used_challenges;

pub use check::{Finding, check, connections_for};
pub use cli::{Cli, Command, KeyArgError, NewKeyArgs, ServeArgs};
pub use clock::Clock;
pub use config::{Config, KeyRingFault, Limits, StartError, TlsFiles};
pub use key_ring::add_key;
pub use rate_limit::Quota;
pub use server::{ServiceHandle, start};
