//! A virtual display, with a window manager if wanted, and with a customer's hand if wanted.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, Window,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;

use crate::process::Process;

/// The window manager of a display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowManager {
    /// None: windows are where they put themselves.
    None,
    /// openbox.
    Openbox,
}

/// An X server that nobody else uses; it and its window manager end with this value.
#[derive(Debug)]
pub struct Display {
    name: String,
    // Fields drop in order: the window manager before its display.
    manager: Option<Process>,
    server: Process,
    /// The folder of Xvnc's socket.
    hand: Option<tempfile::TempDir>,
}

/// The name of Xvnc's socket in its folder.
const HAND_SOCKET: &str = "xvnc.socket";

impl Display {
    /// Starts Xvfb on a free display number, and the window manager on it.
    pub fn start(width: u16, height: u16, manager: WindowManager) -> Result<Self> {
        let mut xvfb = Command::new("Xvfb");
        xvfb.args(["-screen", "0"])
            .arg(format!("{width}x{height}x24"));
        Self::start_server(&mut xvfb, None, manager)
            .context("Xvfb is needed: Debian's package xvfb")
    }

    /// Starts Xvnc on a free display number, and the window manager on it. Keys and clicks that come
    /// through [`hand_socket`](Self::hand_socket) are a customer's: they come from devices of their
    /// own, and not from XTEST, through which an agent's do.
    pub fn start_with_hand(width: u16, height: u16, manager: WindowManager) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut xvnc = Command::new("Xvnc");
        xvnc.arg("-geometry")
            .arg(format!("{width}x{height}"))
            .args(["-depth", "24", "-desktop", "customer"])
            .args(["-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath"])
            .arg(folder.path().join(HAND_SOCKET));
        Self::start_server(&mut xvnc, Some(folder), manager)
            .context("Xvnc is needed: Debian's package tigervnc-standalone-server")
    }

    fn start_server(
        command: &mut Command,
        hand: Option<tempfile::TempDir>,
        manager: WindowManager,
    ) -> Result<Self> {
        command
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .stderr(Stdio::null());
        let (server, number, _) = Process::start_until_ready(command)?;
        let mut display = Self {
            name: format!(":{number}"),
            manager: None,
            server,
            hand,
        };
        if manager == WindowManager::Openbox {
            display.start_openbox()?;
        }
        Ok(display)
    }

    /// Returns the socket of the customer's hand, which speaks RFB without a password.
    pub fn hand_socket(&self) -> Option<PathBuf> {
        let folder = self.hand.as_ref()?;
        Some(folder.path().join(HAND_SOCKET))
    }

    /// Returns `:N`, the value of DISPLAY.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the X server, for a test that ends it.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// Starts openbox and waits until it manages windows.
    fn start_openbox(&mut self) -> Result<()> {
        let mut openbox = Command::new("openbox");
        openbox.arg("--sm-disable").env("DISPLAY", &self.name);
        openbox
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.manager = Some(
            Process::start(&mut openbox).context("openbox is needed: Debian's package openbox")?,
        );
        let end = Instant::now() + Duration::from_secs(10);
        let frames = FrameQuestion::new(&self.name)?;
        while !frames.is_answered()? {
            if Instant::now() > end {
                bail!("openbox did not come up on {}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Asks the window manager how wide a window's frame would be (EWMH, `_NET_REQUEST_FRAME_EXTENTS`),
/// which it answers once its event loop runs. A window that asks to be mapped before that, while
/// openbox sets its root properties, is sometimes never managed.
struct FrameQuestion {
    server: RustConnection,
    root: Window,
    window: Window,
    ask: Atom,
    answer: Atom,
}

impl FrameQuestion {
    fn new(display: &str) -> Result<Self> {
        let (server, screen) = x11rb::connect(Some(display))?;
        let root = server.setup().roots[screen].root;
        let window = server.generate_id()?;
        let (copy, unmapped) = (x11rb::COPY_FROM_PARENT, WindowClass::COPY_FROM_PARENT);
        let aux = CreateWindowAux::new();
        server.create_window(0, window, root, 0, 0, 1, 1, 0, unmapped, copy, &aux)?;
        let atom = |name| anyhow::Ok(server.intern_atom(false, name)?.reply()?.atom);
        let ask = atom(b"_NET_REQUEST_FRAME_EXTENTS")?;
        let answer = atom(b"_NET_FRAME_EXTENTS")?;
        Ok(Self {
            server,
            root,
            window,
            ask,
            answer,
        })
    }

    /// Asks, and returns whether an earlier question was answered.
    fn is_answered(&self) -> Result<bool> {
        let message = ClientMessageEvent::new(32, self.window, self.ask, [0; 5]);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.server.send_event(false, self.root, mask, message)?;
        let answer =
            self.server
                .get_property(false, self.window, self.answer, AtomEnum::CARDINAL, 0, 4)?;
        Ok(answer.reply()?.value_len == 4)
    }
}
