//! Parts that several crates' tests, benchmarks and fuzz targets share: an RFB client that keeps
//! its picture, the path of an update from a tool's screen to that client, scenes to draw, a slow
//! line, a [network lab](lab), an HTTP proxy, random numbers that repeat, real X servers, and a customer's hand.
//!
//! For development alone: no program or plugin depends on it, and it may end with a panic.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

mod connect_proxy;
pub mod lab;
mod random;
mod rfb_client;
mod scenes;
mod slow_line;
pub mod update_path;
mod xvfb;
mod xvnc;

pub use connect_proxy::ConnectProxy;
pub use random::Random;
pub use rfb_client::RfbClient;
pub use scenes::{Colour, Scene};
pub use slow_line::SlowLine;
pub use xvfb::Xvfb;
pub use xvnc::{Hand, Xvnc};
