//! Whole journeys, with the real programs on a display of each test's own: `etatuki` and its
//! plugins on one side, `etatuki-console join` with a real RFB client on the other, and a real
//! service between them.
//!
//! The programs come from cargo's target folder: `cargo build --workspace` first, or `make test`.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

mod agent;
mod codes;
mod console_page;
mod customer;
mod desktop;
mod doctor;
mod endings;
mod hands;
mod integration;
mod journeys;
mod json_line_process;
mod launches;
mod outcomes;
mod page;
mod page_call;
mod real_viewer;
mod restart;
mod second_start;
mod secrets;
mod sizes;
mod testbed;
mod troubles;
mod windows;
mod worst_day;
