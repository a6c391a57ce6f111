//! Whether the customer's session is locked, as logind knows it from the desktop's own locker
//! (`LockedHint`, org.freedesktop.login1). Asked once, and again after each signal that something has
//! changed: nothing wakes for it while nothing happens.
//!
//! The few messages that this needs are in `message.rs`: a D-Bus library would bring a second
//! executor for one boolean.

mod message;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use message::{Call, Kind, Message};

/// Time in which the bus, and logind, must answer.
const REPLY_TIMEOUT: Duration = Duration::from_millis(500);
/// Socket of the system's bus where the environment names none.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
/// Variable with the bus's address.
const ADDRESS_VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// The session of this process or, if it belongs to none, the user's graphical one.
const SESSION: &str = "/org/freedesktop/login1/session/auto";
/// Signals about sessions.
const CHANGES: &str = "type='signal',sender='org.freedesktop.login1',\
                       interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'";

/// A connection to logind.
#[derive(Debug)]
pub(crate) struct LockHint {
    bus: UnixStream,
    buffer: Vec<u8>,
    serial: u32,
    locked: bool,
}

impl LockHint {
    /// Connects and asks for the first time.
    ///
    /// # Errors
    /// There is no such bus, or nobody answers there for logind.
    pub(crate) fn open() -> io::Result<Self> {
        let address = std::env::var(ADDRESS_VARIABLE).ok();
        let path = address
            .as_deref()
            .and_then(|all| all.strip_prefix("unix:path="));
        let path = path.and_then(|path| path.split([',', ';']).next());
        Self::connect(path.unwrap_or(SYSTEM_BUS))
    }

    fn connect(path: &str) -> io::Result<Self> {
        let bus = UnixStream::connect(path)?;
        bus.set_read_timeout(Some(REPLY_TIMEOUT))?;
        bus.set_write_timeout(Some(REPLY_TIMEOUT))?;
        let mut hint = Self {
            bus,
            buffer: Vec::new(),
            serial: 0,
            locked: false,
        };
        hint.authenticate()?;
        hint.call(&Call::to_bus("Hello", &[]))?;
        hint.call(&Call::to_bus("AddMatch", &[CHANGES]))?;
        hint.ask()?;
        Ok(hint)
    }

    /// Returns whether the session is locked. Doesn't wait while nothing has changed.
    ///
    /// # Errors
    /// The bus is gone.
    pub(crate) fn is_locked(&mut self) -> io::Result<bool> {
        self.bus.set_nonblocking(true)?;
        let received = self.receive();
        self.bus.set_nonblocking(false)?;
        let mut changed = false;
        match received {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        while let Some(message) = message::take(&mut self.buffer)? {
            changed |= message.kind == Kind::Signal;
        }
        if changed {
            self.ask()?;
        }
        Ok(self.locked)
    }

    fn ask(&mut self) -> io::Result<()> {
        let arguments = ["org.freedesktop.login1.Session", "LockedHint"];
        let reply = self.call(&Call {
            destination: "org.freedesktop.login1",
            path: SESSION,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: &arguments,
        })?;
        // An error: this process has no session.
        self.locked = reply.boolean().unwrap_or(false);
        Ok(())
    }

    /// Authenticates as this process's user (EXTERNAL, of the D-Bus specification).
    fn authenticate(&mut self) -> io::Result<()> {
        let user = rustix::process::getuid().as_raw().to_string();
        let hex: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.bus
            .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        while !self.buffer.ends_with(b"\r\n") {
            self.receive()?;
        }
        let accepted = std::mem::take(&mut self.buffer).starts_with(b"OK ");
        if !accepted {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.bus.write_all(b"BEGIN\r\n")
    }

    /// Makes a call and waits for its reply. A signal that comes meanwhile is older than the reply.
    fn call(&mut self, call: &Call<'_>) -> io::Result<Message> {
        self.serial += 1;
        self.bus.write_all(&call.encode(self.serial))?;
        loop {
            while let Some(message) = message::take(&mut self.buffer)? {
                if message.reply_to == Some(self.serial) {
                    return Ok(message);
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        match self.bus.read(&mut bytes)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
