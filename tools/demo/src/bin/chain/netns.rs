//! The far end of the simulated line: a network namespace in which the console runs.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// Address of the customer's end, as scripts/slow-line makes it.
const CUSTOMER_ADDRESS: &str = "10.90.0.1";

/// Runs `work` on a thread in the namespace `netns`: a socket that is made there stays there.
pub(crate) fn run_in<T: Send + 'static>(
    netns: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let namespace = std::fs::File::open(format!("/run/netns/{netns}"))?;
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("can't go there: root can")?;
        work()
    });
    thread.join().map_err(|_| anyhow!("it panicked"))?
}

/// Returns `command` run in the namespace `netns`.
pub(crate) fn command_in(netns: &str, command: &Command) -> Command {
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

/// Forwards `port` of the agent's loopback over the line to the customer's loopback, on which the
/// service listens: plain HTTP is allowed on loopback only.
pub(crate) fn forward_port(netns: &str, port: u16) -> Result<()> {
    let near = TcpListener::bind((CUSTOMER_ADDRESS, port))?;
    std::thread::spawn(move || forward_connections(&near, ("127.0.0.1", port)));
    let name = netns.to_owned();
    run_in(netns, move || {
        let far = TcpListener::bind(("127.0.0.1", port))?;
        // A thread inherits the namespace of the thread that starts it.
        std::thread::spawn(move || forward_connections(&far, (CUSTOMER_ADDRESS, port)));
        Ok(())
    })
    .with_context(|| format!("the namespace {name}"))
}

fn forward_connections(listener: &TcpListener, to: (&'static str, u16)) {
    for client in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            let server = TcpStream::connect(to)?;
            let (from, back) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || super::relay(from, back, None));
            super::relay(server, client, None);
            Ok::<(), std::io::Error>(())
        });
    }
}
