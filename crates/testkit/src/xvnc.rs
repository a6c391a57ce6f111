//! A display whose viewer's keys and clicks come from devices of its own: TigerVNC's Xvnc. It stands
//! for a customer who sits at the machine, since XTEST, which agents' tools use, injects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etatuki_rfb::encode::client::message;
use etatuki_rfb::{ClientHandshake, ClientMessage, Limits, PointerFormat};

/// The pseudo-encoding DesktopSize (RFC 6143, section 7.8.2).
const DESKTOP_SIZE: i32 = -223;

/// An Xvnc on a free display number; it ends with its handle.
#[derive(Debug)]
pub struct Xvnc {
    child: Child,
    /// Name of the display, such as `:7`.
    pub display: String,
    socket: PathBuf,
}

impl Xvnc {
    /// Starts a server with a screen such as `1024x768`, and waits until it accepts connections.
    /// Its RFB socket is made in `folder`.
    pub fn start(screen: &str, folder: &Path) -> Self {
        let socket = folder.join("xvnc.socket");
        let mut child = Command::new("Xvnc")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(["-geometry", screen, "-depth", "24"])
            .args(["-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvnc is installed: Debian's package tigervnc-standalone-server");
        let mut number = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut number)
            .expect("Xvnc says its number");
        Self {
            child,
            display: format!(":{}", number.trim()),
            socket,
        }
    }

    /// Connects the customer's hand.
    pub fn hand(&self) -> Hand {
        Hand::connect(&self.socket)
    }
}

impl Drop for Xvnc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A customer's hand at the keyboard and the mouse of an Xvnc.
#[derive(Debug)]
pub struct Hand {
    stream: UnixStream,
}

impl Hand {
    /// Connects to the socket of an Xvnc that asks for no password.
    pub fn connect(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).expect("Xvnc accepts");
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).expect("a limit");
        stream.set_write_timeout(limit).expect("a limit");
        let mut handshake = ClientHandshake::new(Limits::default());
        let mut bytes = [0; 4096];
        while handshake.step().expect("Xvnc speaks RFB").is_none() {
            let reply = handshake.take_output();
            stream.write_all(&reply).expect("Xvnc reads");
            let read = stream.read(&mut bytes).expect("Xvnc writes");
            assert_ne!(read, 0, "Xvnc hung up");
            handshake.push(&bytes[..read]);
        }
        let mut hand = Self { stream };
        // Xvnc hangs up on a client that can't follow the screen's size.
        hand.send(&ClientMessage::SetEncodings(vec![DESKTOP_SIZE]));
        hand
    }

    /// Presses or releases a key, by its keysym.
    pub fn key(&mut self, keysym: u32, down: bool) {
        self.send(&ClientMessage::Key { down, keysym });
    }

    /// Presses and releases a key.
    pub fn tap(&mut self, keysym: u32) {
        self.key(keysym, true);
        self.key(keysym, false);
    }

    /// Moves the pointer, with these buttons down.
    pub fn point(&mut self, x: u16, y: u16, buttons: u16) {
        self.send(&ClientMessage::Pointer { buttons, x, y });
    }

    /// Clicks with the left button.
    pub fn click(&mut self, x: u16, y: u16) {
        for buttons in [0, 1, 0] {
            self.point(x, y, buttons);
        }
    }

    fn send(&mut self, client_message: &ClientMessage) {
        let mut bytes = Vec::new();
        message(&mut bytes, client_message, PointerFormat::Standard);
        self.stream.write_all(&bytes).expect("Xvnc reads");
    }
}
