//! The line's other end: a network namespace in which the console runs.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// The customer's end, as scripts/slow-line makes it.
const CUSTOMER: &str = "10.90.0.1";

/// Does something on a thread in that namespace: a socket that is made there stays there.
pub(crate) fn inside<T: Send + 'static>(
    netns: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let place = std::fs::File::open(format!("/run/netns/{netns}"))?;
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
            .context("can't go there: root can")?;
        work()
    });
    thread.join().map_err(|_| anyhow!("it panicked"))?
}

/// The same command in that namespace.
pub(crate) fn within(netns: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", netns]);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
}

/// The service, which listens on the customer's loopback, on the agent's: plain HTTP is for loopback alone. What is said
/// goes over the line.
pub(crate) fn forward(netns: &str, port: u16) -> Result<()> {
    let arrives = TcpListener::bind((CUSTOMER, port))?;
    std::thread::spawn(move || carry(&arrives, ("127.0.0.1", port)));
    let name = netns.to_owned();
    inside(netns, move || {
        let leaves = TcpListener::bind(("127.0.0.1", port))?;
        // Threads are where the thread is that starts them.
        std::thread::spawn(move || carry(&leaves, (CUSTOMER, port)));
        Ok(())
    })
    .with_context(|| format!("the namespace {name}"))
}

fn carry(listener: &TcpListener, to: (&'static str, u16)) {
    for client in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            let server = TcpStream::connect(to)?;
            let (from, back) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || super::pass(from, back, None));
            super::pass(server, client, None);
            Ok::<(), std::io::Error>(())
        });
    }
}
