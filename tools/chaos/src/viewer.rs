//! The agent's VNC viewer: a real RFB connection to the console, and its picture.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use des::cipher::{BlockCipherEncrypt, KeyInit};
use etatuki_rfb::encode::client::message;
use etatuki_rfb::{ClientMessage, PixelFormat, PointerFormat, ServerMessage, encoding};
use etatuki_testkit::RfbClient;

/// Time-out of each read while the connection is set up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// A connected viewer. A thread of its own reads, and requests the next update after each.
#[derive(Debug)]
pub(crate) struct Viewer {
    stream: TcpStream,
    picture: Arc<Mutex<Picture>>,
}

#[derive(Debug)]
struct Picture {
    client: RfbClient,
    changed_at: Instant,
}

impl Viewer {
    /// Opens a session on a connected socket.
    pub(crate) fn open(mut stream: TcpStream, password: &str) -> Result<Self> {
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let (width, height) = handshake(&mut stream, password)?;
        stream.set_read_timeout(None)?;
        let picture = Arc::new(Mutex::new(Picture {
            client: RfbClient::new(width, height),
            changed_at: Instant::now(),
        }));
        let mut viewer = Self { stream, picture };
        viewer.send(&ClientMessage::SetPixelFormat(PixelFormat::BGRX))?;
        let encodings = vec![
            encoding::COPY_RECT,
            encoding::RAW,
            encoding::CURSOR,
            encoding::DESKTOP_SIZE,
        ];
        viewer.send(&ClientMessage::SetEncodings(encodings))?;
        let reader = Self {
            stream: viewer.stream.try_clone()?,
            picture: Arc::clone(&viewer.picture),
        };
        viewer.request(false)?;
        std::thread::spawn(move || reader.read());
        Ok(viewer)
    }

    fn read(mut self) {
        let mut bytes = vec![0; 256 * 1024];
        while let Ok(length @ 1..) = self.stream.read(&mut bytes) {
            let mut updates = 0;
            {
                let mut picture = lock(&self.picture);
                picture.client.push(&bytes[..length]);
                while let Some(message) = picture.client.next_message() {
                    if message == ServerMessage::UpdateEnd {
                        updates += 1;
                        picture.changed_at = Instant::now();
                    }
                }
            }
            if updates > 0 && self.request(true).is_err() {
                return;
            }
        }
    }

    /// Presses or releases a key.
    pub(crate) fn key(&mut self, keysym: u32, down: bool) -> Result<()> {
        self.send(&ClientMessage::Key { down, keysym })
    }

    /// Presses and releases a key.
    pub(crate) fn tap(&mut self, keysym: u32) -> Result<()> {
        self.key(keysym, true)?;
        self.key(keysym, false)
    }

    /// Returns when the last update came, if the picture equals these pixels (BGRX).
    pub(crate) fn shows(&self, pixels: &[u8]) -> Option<Instant> {
        let picture = lock(&self.picture);
        let shown = &picture.client.pixels;
        let (pixels, _) = pixels.as_chunks::<4>();
        let is_equal = |(shown, real): (&Option<[u8; 4]>, &[u8; 4])| {
            shown.is_some_and(|shown| shown[..3] == real[..3])
        };
        let is_exact = shown.len() == pixels.len() && shown.iter().zip(pixels).all(is_equal);
        is_exact.then_some(picture.changed_at)
    }

    fn request(&mut self, incremental: bool) -> Result<()> {
        let rect = lock(&self.picture).client.bounds();
        self.send(&ClientMessage::UpdateRequest { incremental, rect })
    }

    fn send(&mut self, client_message: &ClientMessage) -> Result<()> {
        let mut bytes = Vec::new();
        message(&mut bytes, client_message, PointerFormat::Standard);
        self.stream.write_all(&bytes).context("the viewer's socket")
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn lock(picture: &Mutex<Picture>) -> std::sync::MutexGuard<'_, Picture> {
    picture.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the handshake of RFB 3.8 with VNC authentication (RFC 6143, section 7.1), and returns the
/// screen's size.
fn handshake(stream: &mut TcpStream, password: &str) -> Result<(u16, u16)> {
    let mut version = [0; 12];
    stream.read_exact(&mut version)?;
    stream.write_all(b"RFB 003.008\n")?;
    let mut count = [0];
    stream.read_exact(&mut count)?;
    stream.read_exact(&mut vec![0; usize::from(count[0])])?;
    stream.write_all(&[2])?;
    let mut challenge = [0; 16];
    stream.read_exact(&mut challenge)?;
    stream.write_all(&auth_response(password, challenge))?;
    let mut result = [0; 4];
    stream.read_exact(&mut result)?;
    ensure!(result == [0; 4], "the console refused the password");
    stream.write_all(&[1])?;
    let mut init = [0; 24];
    stream.read_exact(&mut init)?;
    let [.., a, b, c, d] = init;
    stream.read_exact(&mut vec![0; u32::from_be_bytes([a, b, c, d]) as usize])?;
    let field = |at: usize| u16::from_be_bytes([init[at], init[at + 1]]);
    Ok((field(0), field(2)))
}

/// Returns the response of VNC authentication (RFC 6143, section 7.2.2). The key's bytes have their
/// bits in reverse order.
fn auth_response(password: &str, challenge: [u8; 16]) -> [u8; 16] {
    let mut key = [0; 8];
    for (key_byte, byte) in key.iter_mut().zip(password.bytes()) {
        *key_byte = byte.reverse_bits();
    }
    let cipher = des::Des::new(&key.into());
    let mut response = challenge;
    for block in response.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    response
}
