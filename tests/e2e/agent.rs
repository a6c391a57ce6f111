//! The agent's side: `etatuki-console join`, driven by its lines, and a real RFB client on its
//! port.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use etatuki_deployment::process::Process;
use serde_json::Value;
use tokio::net::TcpStream;
use vnc::{
    ClientKeyEvent, ClientMouseEvent, PixelFormat, VncConnector, VncEncoding, VncEvent, X11Event,
};

use crate::testbed::{TIMEOUT, Testbed};

/// An agent who joins.
pub(crate) struct Agent {
    pub(crate) process: Process,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    /// Every line so far.
    pub(crate) received: Vec<Value>,
}

impl Drop for Agent {
    /// Shows, when a test fails, what it didn't ask for yet: perhaps the session was over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let unread: Vec<_> = self.lines.try_iter().collect();
            eprintln!(
                "the agent's side said last: {:?}, {unread:?}",
                self.received.last()
            );
        }
    }
}

impl Agent {
    /// Starts `etatuki-console join` and types the code, a line per field.
    pub(crate) fn join(testbed: &Testbed, code: &[String], more: &[&str]) -> Self {
        let mut command = testbed.deployment.console(&["join"]);
        command.args(["--vnc", "127.0.0.1:0"]).args(more);
        Self::spawn(command, code)
    }

    /// Starts a console that joins, with a command line of the test's own.
    pub(crate) fn spawn(mut command: std::process::Command, code: &[String]) -> Self {
        let mut process =
            Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let mut stdin = process.child().stdin.take().unwrap();
        for field in code {
            writeln!(stdin, "{field}").unwrap();
        }
        let stdout = BufReader::new(process.child().stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line)
                    .unwrap_or_else(|_| panic!("not JSON on stdout: {line}"));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            stdin,
            lines,
            received: Vec::new(),
        }
    }

    /// Returns the next line that matches; `what` describes it for the failure.
    pub(crate) fn expect(&mut self, what: &str, is_match: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!(
                    "the agent's side never said: {what}; it said {:#?}",
                    self.received
                );
            };
            self.received.push(line.clone());
            if is_match(&line) {
                return line;
            }
        }
    }

    /// Takes the lines that have come; returns whether one is of this type.
    pub(crate) fn poll(&mut self, kind: &str) -> Option<()> {
        let before = self.received.len();
        self.received.extend(self.lines.try_iter());
        let new = &self.received[before..];
        new.iter().any(|line| line["type"] == kind).then_some(())
    }

    /// Returns the next line of a type.
    pub(crate) fn expect_type(&mut self, kind: &str) -> Value {
        self.expect(kind, |line| line["type"] == kind)
    }

    /// Writes a command to its stdin.
    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits until it has exited.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        self.process.wait(TIMEOUT).unwrap()
    }

    /// Connects a viewer to the port and password that the ready line names.
    pub(crate) async fn viewer(&mut self) -> RfbViewer {
        let is_ready = |line: &Value| line["vnc"].is_string();
        let ready = match self.received.iter().find(|line| is_ready(line)) {
            Some(line) => line.clone(),
            None => self.expect("vnc", is_ready),
        };
        RfbViewer::connect(
            ready["vnc"].as_str().unwrap(),
            ready["password"].as_str().unwrap(),
        )
        .await
    }
}

/// A real RFB client and its picture.
pub(crate) struct RfbViewer {
    client: vnc::VncClient,
    /// Width and height.
    pub(crate) size: (u16, u16),
    /// The picture in BGRX, rows from the top, with the pad byte as it came.
    pub(crate) pixels: Vec<u8>,
}

impl RfbViewer {
    async fn connect(address: &str, password: &str) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let password = password.to_owned();
        let client = VncConnector::new(tcp)
            .set_auth_method(async move { Ok(password) })
            .add_encoding(VncEncoding::CopyRect)
            .add_encoding(VncEncoding::DesktopSizePseudo)
            .add_encoding(VncEncoding::CursorPseudo)
            .add_encoding(VncEncoding::Raw)
            .allow_shared(true)
            .set_pixel_format(PixelFormat::bgra())
            .build()
            .unwrap()
            .try_start()
            .await
            .unwrap()
            .finish()
            .unwrap();
        Self {
            client,
            size: (0, 0),
            pixels: Vec::new(),
        }
    }

    /// Applies the events that have come, and asks for an update.
    async fn refresh(&mut self) {
        self.client.input(X11Event::Refresh).await.unwrap();
        while let Ok(Some(event)) = self.client.poll_event().await {
            self.apply(event);
        }
    }

    fn apply(&mut self, event: VncEvent) {
        match event {
            VncEvent::SetResolution(screen) => {
                self.size = (screen.width, screen.height);
                self.pixels = vec![0; usize::from(screen.width) * usize::from(screen.height) * 4];
            }
            VncEvent::RawImage(rect, data) => {
                for row in 0..usize::from(rect.height) {
                    let to = self.offset(rect.x, usize::from(rect.y) + row);
                    let length = usize::from(rect.width) * 4;
                    self.pixels[to..to + length].copy_from_slice(&data[row * length..][..length]);
                }
            }
            VncEvent::Copy(to, from) => {
                let length = usize::from(to.width) * 4;
                let rows: Vec<_> = (0..usize::from(to.height))
                    .map(|row| {
                        self.pixels[self.offset(from.x, usize::from(from.y) + row)..][..length]
                            .to_vec()
                    })
                    .collect();
                for (row, bytes) in rows.into_iter().enumerate() {
                    let at = self.offset(to.x, usize::from(to.y) + row);
                    self.pixels[at..at + length].copy_from_slice(&bytes);
                }
            }
            VncEvent::Error(error) => panic!("the viewer's connection broke: {error}"),
            _ => {}
        }
    }

    fn offset(&self, x: u16, y: usize) -> usize {
        (y * usize::from(self.size.0) + usize::from(x)) * 4
    }

    /// Waits until the picture equals the pixels (BGRX) that `screen` returns.
    pub(crate) async fn expect_picture(&mut self, screen: impl Fn() -> Vec<u8>) {
        let end = Instant::now() + TIMEOUT;
        loop {
            self.refresh().await;
            let expected = screen();
            let wrong = differing_pixels(&self.pixels, &expected);
            if wrong == 0 {
                return;
            }
            assert!(
                Instant::now() < end,
                "{wrong} pixels differ from the real screen, of {}",
                expected.len() / 4
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Applies the events that have come; returns whether any value in the picture is odd.
    pub(crate) async fn has_odd_value(&mut self) -> bool {
        self.refresh().await;
        self.pixels
            .chunks_exact(4)
            .any(|pixel| pixel[..3].iter().any(|value| value % 2 == 1))
    }

    /// Presses or releases a key, by its keysym.
    pub(crate) async fn key(&self, keysym: u32, down: bool) {
        self.client
            .input(X11Event::KeyEvent(ClientKeyEvent {
                keycode: keysym,
                down,
            }))
            .await
            .unwrap();
    }

    /// Moves the pointer, with these buttons down.
    pub(crate) async fn pointer(&self, x: u16, y: u16, buttons: u8) {
        let event = ClientMouseEvent {
            position_x: x,
            position_y: y,
            bottons: buttons,
        };
        self.client
            .input(X11Event::PointerEvent(event))
            .await
            .unwrap();
    }
}

/// Returns the number of pixels that differ, pad bytes aside.
fn differing_pixels(actual: &[u8], expected: &[u8]) -> usize {
    if actual.len() != expected.len() {
        return expected.len() / 4;
    }
    actual
        .chunks_exact(4)
        .zip(expected.chunks_exact(4))
        .filter(|(a, b)| a[..3] != b[..3])
        .count()
}
