//! A bridge between plain bytes on one socket and TLS on the other, until either ends. Buffers are
//! bounded: when one side doesn't read, the bridge stops reading from the other.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::tls_identity::CERTIFICATE_NAME;

/// Longest time from the tool's start to the end of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of bytes that wait for either side.
const MAX_PENDING_BYTES: usize = 256 * 1024;

/// The side that ended the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// The launcher hung up.
    Launcher,
    /// The tool ended its connection.
    Tool,
}

/// Runs the bridge. Both sockets are closed when it returns.
pub(crate) fn run(
    plain: UnixStream,
    tool: UnixStream,
    config: Arc<ClientConfig>,
) -> std::io::Result<EndedBy> {
    plain.set_nonblocking(true)?;
    tool.set_nonblocking(true)?;
    let name = ServerName::try_from(CERTIFICATE_NAME).map_err(std::io::Error::other)?;
    let mut tls = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    tls.set_buffer_limit(Some(MAX_PENDING_BYTES));
    let mut bridge = TlsBridge {
        plain,
        tool,
        tls,
        to_plain: Vec::new(),
        to_tool: Vec::new(),
    };
    let handshake_end = Instant::now() + HANDSHAKE_TIMEOUT;
    loop {
        if let Some(ended) = bridge.step(handshake_end)? {
            return Ok(ended);
        }
    }
}

struct TlsBridge {
    plain: UnixStream,
    tool: UnixStream,
    tls: ClientConnection,
    /// Decrypted bytes for the launcher.
    to_plain: Vec<u8>,
    /// Bytes from the launcher that TLS hasn't accepted yet.
    to_tool: Vec<u8>,
}

impl TlsBridge {
    /// Waits for either socket and transfers the bytes that are ready. Returns the side that ended,
    /// if any.
    fn step(&mut self, handshake_end: Instant) -> std::io::Result<Option<EndedBy>> {
        let (plain, tool) = self.wait(handshake_end)?;
        if tool.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && !self.read_tool()? {
            self.flush_plain()?;
            return Ok(Some(EndedBy::Tool));
        }
        if plain.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && !self.read_plain()?
        {
            return Ok(Some(EndedBy::Launcher));
        }
        self.feed_tls()?;
        self.flush_plain()?;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tool) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                result => result?,
            };
        }
        Ok(None)
    }

    /// Polls the sockets for the directions that can proceed. Only the handshake has a time-out.
    fn wait(&self, handshake_end: Instant) -> std::io::Result<(PollFlags, PollFlags)> {
        let mut on_plain = PollFlags::empty();
        let mut on_tool = PollFlags::empty();
        on_plain.set(
            PollFlags::IN,
            self.to_tool.is_empty() && !self.tls.is_handshaking(),
        );
        on_plain.set(PollFlags::OUT, !self.to_plain.is_empty());
        on_tool.set(PollFlags::IN, self.to_plain.len() < MAX_PENDING_BYTES);
        on_tool.set(PollFlags::OUT, self.tls.wants_write());
        let timeout = self
            .tls
            .is_handshaking()
            .then(|| handshake_end.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [
            PollFd::new(&self.plain, on_plain),
            PollFd::new(&self.tool, on_tool),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => Err(std::io::Error::new(
                ErrorKind::TimedOut,
                "the tool did not finish its TLS handshake",
            )),
            Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
            _ => Ok((fds[0].revents(), fds[1].revents())),
        }
    }

    /// Reads from the tool. Returns false at its end.
    fn read_tool(&mut self) -> std::io::Result<bool> {
        if self.to_plain.len() >= MAX_PENDING_BYTES {
            return Ok(true);
        }
        match self.tls.read_tls(&mut self.tool) {
            Ok(0) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let state = self
            .tls
            .process_new_packets()
            .map_err(std::io::Error::other)?;
        let start = self.to_plain.len();
        self.to_plain
            .resize(start + state.plaintext_bytes_to_read(), 0);
        self.tls.reader().read_exact(&mut self.to_plain[start..])?;
        Ok(!state.peer_has_closed())
    }

    /// Reads from the launcher. Returns false at its end.
    fn read_plain(&mut self) -> std::io::Result<bool> {
        if !self.to_tool.is_empty() || self.tls.is_handshaking() {
            // The launcher isn't read yet, but its end must be noticed.
            return Ok(!has_hung_up(&self.plain));
        }
        let mut chunk = [0; 16 * 1024];
        match self.plain.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.to_tool.extend_from_slice(&chunk[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn feed_tls(&mut self) -> std::io::Result<()> {
        if !self.to_tool.is_empty() {
            let taken = self.tls.writer().write(&self.to_tool)?;
            self.to_tool.drain(..taken);
        }
        Ok(())
    }

    fn flush_plain(&mut self) -> std::io::Result<()> {
        while !self.to_plain.is_empty() {
            match self.plain.write(&self.to_plain) {
                Ok(n) => drop(self.to_plain.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns whether the other end of a socket has hung up.
fn has_hung_up(socket: &UnixStream) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls_identity::TlsIdentity;
    use std::os::fd::AsRawFd;

    /// Starts a TLS echo server on the other end, with the identity as the tool reads it.
    fn echo(identity: &TlsIdentity, socket: UnixStream) -> std::thread::JoinHandle<()> {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let file = identity.pem_file().unwrap();
        let pem = std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        std::thread::spawn(move || {
            let mut stream = rustls::StreamOwned::new(tls, socket);
            let mut chunk = vec![0; 60_000];
            while let Ok(n @ 1..) = stream.read(&mut chunk) {
                stream.write_all(&chunk[..n]).unwrap();
            }
        })
    }

    #[test]
    fn bytes_come_through_unchanged_both_ways() {
        let identity = TlsIdentity::generate().unwrap();
        let (mut launcher, plain) = UnixStream::pair().unwrap();
        let (ours, tool) = UnixStream::pair().unwrap();
        let server = echo(&identity, tool);
        let config = identity.client_config().unwrap();
        let bridge = std::thread::spawn(move || run(plain, ours, config));
        let sent: Vec<u8> = (0..2_000_000u32)
            .map(|n| (n.wrapping_mul(7919) >> 5) as u8)
            .collect();
        let copy = sent.clone();
        let mut writer = launcher.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&copy).unwrap());
        let mut received = vec![0; sent.len()];
        launcher.read_exact(&mut received).unwrap();
        assert!(sent == received);
        writing.join().unwrap();
        drop(launcher);
        assert_eq!(bridge.join().unwrap().unwrap(), EndedBy::Launcher);
        server.join().unwrap();
    }

    #[test]
    fn another_certificate_is_refused() {
        let (_launcher, plain) = UnixStream::pair().unwrap();
        let (ours, tool) = UnixStream::pair().unwrap();
        let server = echo(&TlsIdentity::generate().unwrap(), tool);
        let config = TlsIdentity::generate().unwrap().client_config().unwrap();
        assert!(run(plain, ours, config).is_err());
        server.join().unwrap();
    }

    #[test]
    fn a_launcher_that_left_ends_it_in_the_handshake() {
        let (launcher, plain) = UnixStream::pair().unwrap();
        let (ours, _silent) = UnixStream::pair().unwrap();
        drop(launcher);
        let config = TlsIdentity::generate().unwrap().client_config().unwrap();
        assert_eq!(run(plain, ours, config).unwrap(), EndedBy::Launcher);
    }
}
