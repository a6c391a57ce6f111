//! A virtual display, with a window manager if wanted, and with a customer's hand if wanted.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

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
        while !self.root_has("_NET_SUPPORTING_WM_CHECK")? {
            if Instant::now() > end {
                bail!("openbox did not come up on {}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn root_has(&self, property: &str) -> Result<bool> {
        let mut xprop = Command::new("xprop");
        xprop
            .args(["-display", &self.name, "-root", property])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let out = xprop
            .output()
            .context("xprop is needed: Debian's package x11-utils")?;
        Ok(BufReader::new(&out.stdout[..])
            .lines()
            .next()
            .is_some_and(|line| line.is_ok_and(|l| l.contains("window id"))))
    }
}
