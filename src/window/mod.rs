//! The windows that the customer sees, one per file. They know views of a session and send
//! commands; they know nothing of the network, the plugins or the codes' secrets.
//!
//! [`page`] is a window's content as data; [`page_window`], `item_widget`, [`button`],
//! [`text_layout`] and [`theme`] draw it, where [`layout`] has put it.

pub mod app;
pub mod bar;
pub mod bar_layout;
mod bar_place;
pub mod button;
pub mod connected;
pub(crate) mod events;
pub mod failure;
pub(crate) mod hands;
mod icon;
mod item_widget;
pub mod layout;
pub mod menu;
pub mod metrics;
pub mod no_code;
pub mod page;
mod page_events;
mod page_place;
pub mod page_window;
pub mod question;
mod quote;
pub mod receipt;
pub mod sees;
pub mod session;
pub mod session_context;
pub mod text_layout;
pub mod theme;
pub mod waiting;
