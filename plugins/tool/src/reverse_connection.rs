//! A reverse connection: a tool that can't serve on its stdio connects to a loopback port. The port
//! accepts the tool's connection and no other; its bytes are relayed to the launcher.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etatuki_backend_api::{Failure, Host};
use etatuki_legacy_tool::Driver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::internal_failure;

/// Longest time from the tool's start to its connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the tool until it or the launcher ends.
pub(crate) fn serve(driver: &Driver, host: &Host, stream: UnixStream) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(internal_failure)?;
    let port = listener
        .local_addr()
        .map_err(internal_failure)?
        .port()
        .to_string();
    // Dropping `alive` stops the tool, which is supervised through `peer`.
    let (alive, peer) = UnixStream::pair().map_err(internal_failure)?;
    let relaying = std::thread::spawn(move || {
        let relayed = accept_tool(&listener, &stream).and_then(|tool| relay(stream, tool));
        drop(alive);
        relayed
    });
    let run = driver.serve(host, None, &peer, &[("port", &port)]);
    drop(peer);
    match relaying.join() {
        Ok(Ok(())) => run,
        // The tool's own exit says more about the reason.
        Ok(Err(error)) => run.and(Err(Failure::tool("tool-died", error.to_string()))),
        Err(_) => Err(Failure::ours("plugin-failed", "carrying panicked")),
    }
}

/// Waits for the tool's connection. The launcher may leave meanwhile. Connections of other users'
/// processes are closed: such a process could show any picture.
fn accept_tool(listener: &TcpListener, launcher: &UnixStream) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::new(
                ErrorKind::TimedOut,
                "the tool did not connect",
            ));
        }
        let mut fds = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(launcher, PollFlags::empty()),
        ];
        let left = Timespec::try_from(left).ok();
        match poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        if !fds[1].revents().is_empty() {
            return Err(std::io::Error::new(
                ErrorKind::BrokenPipe,
                "the launcher left",
            ));
        }
        match listener.accept() {
            Ok((tool, peer)) if is_same_user(peer, listener.local_addr()?) => {
                tool.set_nonblocking(false)?;
                return Ok(tool);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns whether a connection to `local` comes from a process of this user.
fn is_same_user(peer: SocketAddr, local: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    socket_owner(&table, peer, local) == Some(rustix::process::getuid().as_raw())
}

/// Returns the user id of the socket that is bound to `from` and connected to `to`. `table` is the
/// kernel's table of IPv4 sockets (Linux, proc_net_tcp: addresses in host byte order, hexadecimal;
/// the eighth field is the user).
fn socket_owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let table_address = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            let ip = u32::from_ne_bytes(address.ip().octets());
            Some(format!("{ip:08X}:{:04X}", address.port()))
        }
        SocketAddr::V6(_) => None,
    };
    let (from, to) = (table_address(from)?, table_address(to)?);
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let fits = fields.get(1) == Some(&from.as_str()) && fields.get(2) == Some(&to.as_str());
        fits.then(|| fields.get(7)?.parse().ok())?
    })
}

/// Relays both ways until either side ends. Bounded: when one side doesn't read, the other isn't
/// read from.
fn relay(launcher: UnixStream, tool: TcpStream) -> std::io::Result<()> {
    tool.set_nodelay(true)?;
    let (from_launcher, to_tool) = (launcher.try_clone()?, tool.try_clone()?);
    let forward: JoinHandle<()> = std::thread::spawn(move || {
        copy(&from_launcher, &to_tool);
        let _ = to_tool.shutdown(Shutdown::Both);
    });
    copy(&tool, &launcher);
    let _ = launcher.shutdown(Shutdown::Both);
    let _ = tool.shutdown(Shutdown::Both);
    let _ = forward.join();
    Ok(())
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(n @ 1..) if to.write_all(&chunk[..n]).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_own_connection_is_known_by_its_user() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (_kept, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(is_same_user(peer, local));
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(
            !is_same_user(elsewhere, local),
            "nobody is connected from there"
        );
    }

    #[test]
    fn another_users_connection_is_known() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:0001 0100007F:0002 01 00000000:00000000 00:00000000 00000000  1234        0 77 1 0\n";
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(socket_owner(table, at(1), at(2)), Some(1234));
        assert_eq!(socket_owner(table, at(2), at(1)), None);
    }

    #[test]
    fn a_launcher_that_leaves_isnt_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (launcher, ours) = UnixStream::pair().unwrap();
        drop(launcher);
        let error = accept_tool(&listener, &ours).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn bytes_come_through_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tool = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut launcher, ours) = UnixStream::pair().unwrap();
        let theirs = accept_tool(&listener, &ours).unwrap();
        let relaying = std::thread::spawn(move || relay(ours, theirs));
        tool.write_all(b"RFB").unwrap();
        launcher.write_all(b"key").unwrap();
        let (mut one, mut other) = ([0; 3], [0; 3]);
        launcher.read_exact(&mut one).unwrap();
        tool.read_exact(&mut other).unwrap();
        assert_eq!((&one, &other), (b"RFB", b"key"));
        drop(launcher);
        relaying.join().unwrap().unwrap();
        assert_eq!(tool.read(&mut one).unwrap(), 0);
    }
}
