//! A virtual display, with a window manager if wanted.

use std::io::{BufRead, BufReader};
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
}

impl Display {
    /// Starts Xvfb on a free display number, and the window manager on it.
    pub fn start(width: u16, height: u16, manager: WindowManager) -> Result<Self> {
        let (server, number, _) = Process::start_until_ready(
            Command::new("Xvfb")
                .args([
                    "-displayfd",
                    "1",
                    "-nolisten",
                    "tcp",
                    "-noreset",
                    "-screen",
                    "0",
                ])
                .arg(format!("{width}x{height}x24"))
                .stderr(Stdio::null()),
        )
        .context("Xvfb is needed: Debian's package xvfb")?;
        let mut display = Self {
            name: format!(":{number}"),
            manager: None,
            server,
        };
        if manager == WindowManager::Openbox {
            display.start_openbox()?;
        }
        Ok(display)
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
