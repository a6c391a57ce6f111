//! Rendezvous and relay, in one process: gives out nameplates, hands a customer's address to an agent
//! with a card, and relays the encrypted link where there is no direct way.
//!
//! It never sees the secret half of a code, and can't read a session. What it holds is in memory and
//! small; a restart loses the codes that are waiting, and nothing else.
//!
//! The rules are pure and know neither clock nor network: `directory` (nameplates), `agents`, `passes`
//! (the relay's tokens), `tokens`, `rate`. Around them `state` (locks, clock, randomness), `api` (HTTP),
//! `relay` (iroh's, behind our door) and `server` (the listener).

mod agents;
mod api;
mod cli;
mod clock;
mod config;
mod directory;
mod rate_limit;
mod relay;
mod relay_tokens;
mod revocations;
mod server;
mod state;
mod tls;
mod tokens;

pub use cli::{Cli, Command, KeyArgError, ServeArgs};
pub use clock::Clock;
pub use config::{Config, Limits, StartError, TlsFiles};
pub use rate_limit::Quota;
pub use server::{ServiceHandle, start};
