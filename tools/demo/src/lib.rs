//! The accounting program of `make run` and of the end-to-end tests. Nothing in here ships.

pub mod gnucash;
