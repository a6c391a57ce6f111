//! A plain RFB server on a loopback port, for benchmarks: `serve --display :N --port P`.
//!
//! Anybody on this machine who connects sees and controls that display. Clients are served one
//! after the other; it runs until it is killed.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;

use etatuki_ecom::{Permissions, Share, serve};

fn main() -> ExitCode {
    let mut display = None;
    let mut port = 0;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match (name.as_str(), arguments.next()) {
            ("--display", Some(value)) => display = Some(value),
            ("--port", Some(value)) if value.parse::<u16>().is_ok() => {
                port = value.parse().unwrap_or_default();
            }
            _ => {
                eprintln!("usage: serve [--display :N] [--port P]");
                return ExitCode::from(2);
            }
        }
    }
    match listen(display.as_deref(), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(display: Option<&str>, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    eprintln!("listening on {}", listener.local_addr()?);
    for client in listener.incoming() {
        let client = client?;
        client.set_nodelay(true)?;
        let share = Share::new(display)?;
        share.set_permissions(Permissions::CONTROL);
        if let Err(error) = serve(&share, client) {
            eprintln!("{}: {error}", error.name());
        }
    }
    Ok(())
}
