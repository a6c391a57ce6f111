//! The plugin host with a real child, real libraries and real processes that must not be left over.

#![allow(clippy::unwrap_used)]

mod misbehaving;
mod parents_end;
mod sandbox;
mod sessions;
mod support;
mod trust;
