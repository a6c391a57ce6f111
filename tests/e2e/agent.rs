//! The agent's side: `etatuki-console join`, driven by its lines, and a real RFB client on its
//! port.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpStream;
use vnc::{
    ClientKeyEvent, ClientMouseEvent, PixelFormat, VncConnector, VncEncoding, VncEvent, X11Event,
};

use crate::json_line_process::JsonLineProcess;
use crate::testbed::{TIMEOUT, Testbed};

/// An agent who joins.
pub(crate) struct Agent {
    program: JsonLineProcess,
}

impl Deref for Agent {
    type Target = JsonLineProcess;

    fn deref(&self) -> &JsonLineProcess {
        &self.program
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut JsonLineProcess {
        &mut self.program
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
    pub(crate) fn spawn(command: Command, code: &[String]) -> Self {
        let mut program = JsonLineProcess::spawn("agent", command);
        for field in code {
            program.send(field);
        }
        Self { program }
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
