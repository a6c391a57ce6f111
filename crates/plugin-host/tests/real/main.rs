//! The plugin host as it is used: a real child, real libraries, real processes to be left over or not.

#![allow(clippy::unwrap_used)]

mod jail;
mod misbehaving;
mod parents_end;
mod sessions;
mod support;
mod trust;
