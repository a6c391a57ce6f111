//! An HTTP proxy that knows CONNECT alone (RFC 9110 section 9.3.6), and one place to go.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time until a proxy that is to end notices it.
const POLL: Duration = Duration::from_millis(20);
/// Longest request's head.
const MAX_HEAD: usize = 8 << 10;

/// A running proxy. Its sockets are in the namespace of the thread that starts it. It ends with
/// this value, and its tunnels with it.
#[derive(Debug)]
pub struct ConnectProxy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// The end of every tunnel, whatever name was asked for.
    target: SocketAddr,
    /// The value that `Proxy-Authorization` must have.
    authorization: Option<String>,
    tunnels: AtomicUsize,
    ends: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl ConnectProxy {
    /// Starts a proxy on `listener`. `authorization` is the header's value that is demanded, as
    /// `Basic YWlubzpzYWxh` for `aino` and `sala`.
    ///
    /// # Panics
    /// The listener is none.
    #[must_use]
    pub fn start(listener: TcpListener, target: SocketAddr, authorization: Option<&str>) -> Self {
        listener.set_nonblocking(true).expect("a listener");
        let shared = Arc::new(Shared {
            target,
            authorization: authorization.map(str::to_owned),
            tunnels: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let proxy = shared.clone();
        let thread = std::thread::spawn(move || {
            while !proxy.ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let proxy = proxy.clone();
                        std::thread::spawn(move || proxy.serve(stream));
                    }
                    Err(_) => std::thread::sleep(POLL),
                }
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Returns the number of tunnels that were made.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.shared.tunnels.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Serves one connection; `None` when it is over.
    fn serve(&self, mut client: TcpStream) -> Option<()> {
        client.set_nonblocking(false).ok()?;
        self.streams.lock().unwrap().push(client.try_clone().ok()?);
        let head = read_head(&mut client)?;
        let wanted = self.authorization.as_deref();
        if !head.starts_with("CONNECT ") {
            return client.write_all(b"HTTP/1.1 405 No\r\n\r\n").ok();
        }
        let given = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then_some(value)
        });
        if wanted.is_some() && given != wanted {
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                Proxy-Authenticate: Basic realm=\"lab\"\r\nContent-Length: 0\r\n\r\n";
            return client.write_all(refusal).ok();
        }
        let Ok(mut server) = TcpStream::connect(self.target) else {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").ok();
        };
        self.streams.lock().unwrap().push(server.try_clone().ok()?);
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
        self.tunnels.fetch_add(1, Ordering::Relaxed);
        let (mut from_server, mut to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut client, &mut server);
        server.shutdown(Shutdown::Write).ok()
    }
}

/// Reads a request's head, byte by byte so that nothing behind it is lost.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
