//! The windows that the customer sees, one per file. They know views of a session and send commands;
//! the network, the plugins and the codes are none of their business.
//!
//! [`page`] is what stands on a window, as data; [`sheet`], [`button`], [`lines`] and [`look`] draw it.

pub mod bar;
pub mod before;
pub mod button;
pub mod connected;
pub mod failure;
mod icon;
pub mod lines;
pub mod look;
pub mod menu;
pub mod page;
pub mod question;
pub mod receipt;
pub mod run;
pub mod session;
pub mod sheet;
pub mod subject;
pub mod waiting;
