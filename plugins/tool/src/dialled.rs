//! A tool that can't serve on its stdio, but connects to a port ('reverse connection'): the port is one of loopback,
//! it takes the tool's connection and no other, and what comes is passed on to the launcher.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etatuki_backend_api::{Failure, Host};
use etatuki_legacy_tool::Driver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::broken;

/// How long the tool may take from its start to its connection.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// Runs the tool until it or the launcher is done.
pub(crate) fn serve(driver: &Driver, host: &Host, stream: UnixStream) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(broken)?;
    let port = listener.local_addr().map_err(broken)?.port().to_string();
    // When one end is dropped the tool, which is watched by the other, is stopped.
    let (alive, peer) = UnixStream::pair().map_err(broken)?;
    let carrying = std::thread::spawn(move || {
        let carried = dialled(&listener, &stream).and_then(|tool| carry(stream, tool));
        drop(alive);
        carried
    });
    let served = driver.serve(host, None, &peer, &[("port", &port)]);
    drop(peer);
    match carrying.join() {
        Ok(Ok(())) => served,
        // Why the tool ended is known better from its own end.
        Ok(Err(error)) => served.and(Err(Failure::tool("tool-died", error.to_string()))),
        Err(_) => Err(Failure::ours("plugin-failed", "carrying panicked")),
    }
}

/// Waits for the tool's connection. The launcher may leave meanwhile; another user's process may knock, and is sent
/// away, for it could show any picture it likes.
fn dialled(listener: &TcpListener, launcher: &UnixStream) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + DIAL_LIMIT;
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
            Ok((tool, peer)) if is_ours(peer, listener.local_addr()?) => {
                tool.set_nonblocking(false)?;
                return Ok(tool);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a connection to `local` comes from a process of this user.
fn is_ours(peer: SocketAddr, local: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    owner(&table, peer, local) == Some(rustix::process::getuid().as_raw())
}

/// Whose the socket is that is bound to `from` and connected to `to`, by the kernel's table of IPv4 sockets
/// (proc_net_tcp: addresses as the machine holds them, in hexadecimal; the user stands eighth).
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let named = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            let ip = u32::from_ne_bytes(address.ip().octets());
            Some(format!("{ip:08X}:{:04X}", address.port()))
        }
        SocketAddr::V6(_) => None,
    };
    let (from, to) = (named(from)?, named(to)?);
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let fits = fields.get(1) == Some(&from.as_str()) && fields.get(2) == Some(&to.as_str());
        fits.then(|| fields.get(7)?.parse().ok())?
    })
}

/// Both ways at once, until either side ends. Bounded: who doesn't read stops the other side's reading.
fn carry(launcher: UnixStream, tool: TcpStream) -> std::io::Result<()> {
    tool.set_nodelay(true)?;
    let (from_launcher, to_tool) = (launcher.try_clone()?, tool.try_clone()?);
    let onward: JoinHandle<()> = std::thread::spawn(move || {
        copy(&from_launcher, &to_tool);
        let _ = to_tool.shutdown(Shutdown::Both);
    });
    copy(&tool, &launcher);
    let _ = launcher.shutdown(Shutdown::Both);
    let _ = tool.shutdown(Shutdown::Both);
    let _ = onward.join();
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
        assert!(is_ours(peer, local));
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(!is_ours(elsewhere, local), "nobody is connected from there");
    }

    #[test]
    fn another_users_connection_is_known() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:0001 0100007F:0002 01 00000000:00000000 00:00000000 00000000  1234        0 77 1 0\n";
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner(table, at(1), at(2)), Some(1234));
        assert_eq!(owner(table, at(2), at(1)), None);
    }

    #[test]
    fn a_launcher_that_leaves_isnt_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (launcher, ours) = UnixStream::pair().unwrap();
        drop(launcher);
        let error = dialled(&listener, &ours).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn bytes_come_through_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tool = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut launcher, ours) = UnixStream::pair().unwrap();
        let theirs = dialled(&listener, &ours).unwrap();
        let carrying = std::thread::spawn(move || carry(ours, theirs));
        tool.write_all(b"RFB").unwrap();
        launcher.write_all(b"key").unwrap();
        let (mut one, mut other) = ([0; 3], [0; 3]);
        launcher.read_exact(&mut one).unwrap();
        tool.read_exact(&mut other).unwrap();
        assert_eq!((&one, &other), (b"RFB", b"key"));
        drop(launcher);
        carrying.join().unwrap().unwrap();
        assert_eq!(tool.read(&mut one).unwrap(), 0);
    }
}
