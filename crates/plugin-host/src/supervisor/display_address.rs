//! Where a display listens: the one address that a plugin without the network may
//! connect to.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::time::Duration;

/// TCP port of display 0.
const FIRST_PORT: u16 = 6000;
/// Longest time for the look-up of a display's host.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(800);
/// Offset of the path in `struct sockaddr_un`.
const PATH_OFFSET: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// The address of a display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DisplayAddress {
    /// There is none.
    None,
    /// On this machine: a socket with this path. Xlib tries the abstract one of this name first.
    Local(String),
    /// On another machine (`host:0`), or by ssh (`localhost:10.0`).
    Remote {
        /// The host's name or address.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

impl DisplayAddress {
    /// Parses a display's name, by X(7): `[protocol/][host]:number[.screen]`, or the path of a socket.
    pub(crate) fn parse(display: &str) -> Self {
        if display.starts_with('/') {
            return Self::Local(display.to_owned());
        }
        let display = display.strip_prefix("tcp/").unwrap_or(display);
        let Some((host, number)) = display.rsplit_once(':') else {
            return Self::None;
        };
        let number = number.split('.').next().unwrap_or_default();
        let Ok(number) = number.parse::<u16>() else {
            return Self::None;
        };
        match host {
            "" | "unix" | "unix/" => Self::Local(format!("/tmp/.X11-unix/X{number}")),
            host => FIRST_PORT
                .checked_add(number)
                .map_or(Self::None, |port| Self::Remote {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port,
                }),
        }
    }

    /// Returns whether it is reached by TCP.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }

    /// Returns whether the bytes of a `struct sockaddr_un` name the display's socket.
    pub(super) fn is_unix_address(&self, address: &[u8]) -> bool {
        let (Self::Local(path), Some(found)) = (self, address.get(PATH_OFFSET..)) else {
            return false;
        };
        let path = path.as_bytes();
        match found.strip_prefix(&[0]) {
            // An abstract name has its length; a path may have zeros behind it.
            Some(name) => name == path,
            None => found
                .strip_prefix(path)
                .is_some_and(|rest| rest.iter().all(|byte| *byte == 0)),
        }
    }

    /// Returns whether this is the display's TCP address. May wait for a look-up.
    pub(super) fn is_socket_address(&self, address: SocketAddr) -> bool {
        let Self::Remote { host, port } = self else {
            return false;
        };
        let is_same = |found: SocketAddr| found.ip().to_canonical() == address.ip().to_canonical();
        *port == address.port()
            && (host.as_str(), *port)
                .to_socket_addrs()
                .is_ok_and(|mut addresses| addresses.any(is_same))
    }
}

/// Returns `DISPLAY` with its host's address in place of its name: without the network nobody can
/// look the name up. `None` when there is nothing to replace.
pub(super) fn numeric_display() -> Option<String> {
    let display = std::env::var("DISPLAY").ok()?;
    let DisplayAddress::Remote { host, port } = DisplayAddress::parse(&display) else {
        return None;
    };
    // `localhost` is in /etc/hosts.
    if host == "localhost" || host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let (send, receive) = channel();
    std::thread::spawn(move || send.send((host, port).to_socket_addrs()));
    let found = receive.recv_timeout(LOOKUP_TIMEOUT).ok()?.ok()?;
    let address = found.map(|found| found.ip()).find(IpAddr::is_ipv4)?;
    let (_, number) = display.rsplit_once(':')?;
    Some(format!("{address}:{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix_address(path: &[u8]) -> Vec<u8> {
        [&[1, 0], path].concat()
    }

    #[test]
    fn a_display_is_one_address() {
        let local = |path: &str| DisplayAddress::Local(path.to_owned());
        let remote = |host: &str, port| DisplayAddress::Remote {
            host: host.to_owned(),
            port,
        };
        let check =
            |display, expected| assert_eq!(DisplayAddress::parse(display), expected, "{display}");
        check(":0", local("/tmp/.X11-unix/X0"));
        check(":12.1", local("/tmp/.X11-unix/X12"));
        check("unix:0", local("/tmp/.X11-unix/X0"));
        check("/private/tmp/x:0", local("/private/tmp/x:0"));
        check("localhost:10.0", remote("localhost", 6010));
        check("tcp/[::1]:1", remote("::1", 6001));
        for none in ["", "x", ":x", "host:65535"] {
            check(none, DisplayAddress::None);
        }
    }

    #[test]
    fn only_the_displays_own_socket_is_it() {
        let display = DisplayAddress::parse(":1");
        for name in [
            &b"/tmp/.X11-unix/X1"[..],
            b"/tmp/.X11-unix/X1\0\0",
            b"\0/tmp/.X11-unix/X1",
        ] {
            assert!(display.is_unix_address(&unix_address(name)), "{name:?}");
        }
        for name in [
            &b""[..],
            b"/tmp/.X11-unix/X",
            b"/tmp/.X11-unix/X10",
            b"/tmp/.X11-unix/X1\0x",
            b"\0/tmp/.X11-unix/X1\0",
            b"\0/tmp/.X11-unix/X10",
            b"/run/user/1000/bus",
        ] {
            assert!(!display.is_unix_address(&unix_address(name)), "{name:?}");
        }
        assert!(!DisplayAddress::None.is_unix_address(&unix_address(b"/tmp/.X11-unix/X1")));
        let remote = DisplayAddress::parse("127.0.0.1:1");
        assert!(remote.is_socket_address(([127, 0, 0, 1], 6001).into()));
        assert!(!remote.is_socket_address(([127, 0, 0, 1], 6002).into()));
        assert!(!remote.is_socket_address(([127, 0, 0, 2], 6001).into()));
    }
}
