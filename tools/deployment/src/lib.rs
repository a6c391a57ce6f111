//! A whole deployment on one machine: displays, keys, the service and the programs of both sides,
//! each ended when the value that started it is dropped.
//!
//! `make run`, `make chaos` and the end-to-end tests use it. Nothing in here ships.

pub mod deployment;
pub mod display;
pub mod json_process;
pub mod plugins;
pub mod process;
