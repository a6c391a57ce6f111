//! The customer's screen: an X server in the customer's namespace, something to look at, and a
//! record of the keys that arrive and of those that are held down.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use etatuki_deployment::process::Process;
use etatuki_testkit::lab::{Host, Lab};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, Gcontext,
    ImageFormat, InputFocus, Rectangle, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// Width and height of the screen.
const SCREEN_SIZE: (u16, u16) = (800, 600);
/// Interval at which the record looks at the keyboard.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Time-out for the X server to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Display numbers above those that other programs take.
const FIRST_DISPLAY: u32 = 1000;

/// A screen with a window that has the keyboard.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) display: String,
    window: Window,
    gc: Gcontext,
    root: Window,
    conn: Arc<RustConnection>,
    keyboard: Arc<Keyboard>,
    watcher: Option<JoinHandle<()>>,
    _server: Process,
}

/// Record of a keyboard.
#[derive(Debug, Default)]
struct Keyboard {
    /// Keysym of each keycode, without modifiers.
    keysyms: BTreeMap<u8, u32>,
    record: Mutex<Record>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Record {
    presses: Vec<u32>,
    /// Each change of the set of keys that are down.
    held: Vec<Held>,
}

/// The keysyms that are down from a moment on.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) at: Instant,
    pub(crate) keysyms: Vec<u32>,
}

impl Desk {
    /// Starts an X server on the customer's host, and opens the window.
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        let (server, display, conn) = start_server(lab)?;
        let conn = Arc::new(conn);
        let root = conn.setup().roots[0].root;
        let window = conn.generate_id()?;
        let gc = conn.generate_id()?;
        let aux = CreateWindowAux::new()
            .background_pixel(0x20_4060)
            .event_mask(EventMask::KEY_PRESS)
            .override_redirect(1);
        let class = WindowClass::INPUT_OUTPUT;
        conn.create_window(24, window, root, 20, 150, 600, 400, 0, class, 0, &aux)?;
        conn.create_gc(gc, window, &CreateGCAux::new())?;
        conn.map_window(window)?;
        conn.sync()?;
        let keyboard = Arc::new(Keyboard {
            keysyms: read_keymap(&conn)?,
            ..Keyboard::default()
        });
        let (watched, watching) = (Arc::clone(&keyboard), Arc::clone(&conn));
        let watcher = std::thread::spawn(move || watched.watch(&watching));
        Ok(Self {
            display,
            window,
            gc,
            root,
            conn,
            keyboard,
            watcher: Some(watcher),
            _server: server,
        })
    }

    /// Gives the keyboard to the window.
    pub(crate) fn focus(&self) -> Result<()> {
        let now = x11rb::CURRENT_TIME;
        self.conn
            .set_input_focus(InputFocus::PARENT, self.window, now)?;
        Ok(self.conn.sync()?)
    }

    /// Draws rectangles that depend on `seed`.
    pub(crate) fn draw(&self, seed: u32) -> Result<()> {
        for n in 0..60u32 {
            let value = (seed * 977 + n).wrapping_mul(0x9E37_79B9);
            let aux = ChangeGCAux::new().foreground(value & 0xff_ffff);
            self.conn.change_gc(self.gc, &aux)?;
            let bits = |shift: u32, modulus: u32| {
                i16::try_from((value >> shift) % modulus).unwrap_or_default()
            };
            let rectangle = Rectangle {
                x: bits(3, 560),
                y: bits(11, 380),
                width: 37,
                height: 13,
            };
            self.conn
                .poly_fill_rectangle(self.window, self.gc, &[rectangle])?;
        }
        Ok(self.conn.sync()?)
    }

    /// Returns the whole screen in BGRX.
    pub(crate) fn pixels(&self) -> Result<Vec<u8>> {
        let (w, h) = SCREEN_SIZE;
        let format = ImageFormat::Z_PIXMAP;
        let image = self.conn.get_image(format, self.root, 0, 0, w, h, !0)?;
        Ok(image.reply()?.data)
    }

    /// Returns how often a key was pressed so far.
    pub(crate) fn presses(&self, keysym: u32) -> usize {
        let record = self.keyboard.record();
        record.presses.iter().filter(|key| **key == keysym).count()
    }

    /// Returns the keysyms that are down now.
    pub(crate) fn held(&self) -> Vec<u32> {
        let record = self.keyboard.record();
        record
            .held
            .last()
            .map_or_else(Vec::new, |held| held.keysyms.clone())
    }

    /// Returns the changes since a moment of what is held, beginning with what was held then.
    pub(crate) fn held_since(&self, moment: Instant) -> Vec<Held> {
        let record = self.keyboard.record();
        let first_later = record.held.partition_point(|held| held.at <= moment);
        record.held[first_later.saturating_sub(1)..].to_vec()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.keyboard.is_over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

impl Keyboard {
    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the record until the desk is dropped or its server ends.
    fn watch(&self, conn: &RustConnection) {
        while !self.is_over.load(Ordering::Relaxed) && self.look(conn).is_ok() {
            std::thread::sleep(WATCH_INTERVAL);
        }
    }

    fn look(&self, conn: &RustConnection) -> Result<()> {
        let map = conn.query_keymap()?.reply()?.keys;
        let at = Instant::now();
        let is_down = |code: u8| map[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        let down = self.keysyms.iter().filter(|(code, _)| is_down(**code));
        let keysyms: Vec<u32> = down.map(|(_, keysym)| *keysym).collect();
        let mut record = self.record();
        if record
            .held
            .last()
            .is_none_or(|last| last.keysyms != keysyms)
        {
            record.held.push(Held { at, keysyms });
        }
        while let Some(event) = conn.poll_for_event()? {
            if let Event::KeyPress(key) = event
                && let Some(keysym) = self.keysyms.get(&key.detail)
            {
                record.presses.push(*keysym);
            }
        }
        Ok(())
    }
}

/// Returns the first keysym of each keycode; 0 where there is none.
fn read_keymap(conn: &RustConnection) -> Result<BTreeMap<u8, u32>> {
    let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let map = conn
        .get_keyboard_mapping(first, last - first + 1)?
        .reply()?;
    let per_key = usize::from(map.keysyms_per_keycode);
    Ok((first..=last)
        .zip(map.keysyms.chunks(per_key))
        .map(|(code, keysyms)| (code, keysyms[0]))
        .collect())
}

/// Starts Xvfb in the customer's namespace, so that it ends with the lab. A display's number is
/// taken by file, which all namespaces share, so this looks for a free one itself: `-displayfd` goes
/// by abstract sockets, which are each namespace's own.
fn start_server(lab: &Lab) -> Result<(Process, String, RustConnection)> {
    static DISPLAYS: AtomicU32 = AtomicU32::new(0);
    for _ in 0..100 {
        let number = FIRST_DISPLAY
            + std::process::id() % 400 * 100
            + DISPLAYS.fetch_add(1, Ordering::Relaxed) % 100;
        if Path::new(&format!("/tmp/.X{number}-lock")).exists() {
            continue;
        }
        let display = format!(":{number}");
        let (width, height) = SCREEN_SIZE;
        let mut xvfb = Command::new("Xvfb");
        xvfb.args([&display, "-nolisten", "tcp", "-noreset", "-screen", "0"])
            .arg(format!("{width}x{height}x24"));
        let mut command = lab.command(Host::Customer, &xvfb);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Process::start(command.stderr(Stdio::null()))
            .context("Xvfb is needed: Debian's package xvfb")?;
        let end = Instant::now() + START_TIMEOUT;
        while server.is_running() {
            if let Ok((conn, _)) = x11rb::connect(Some(&display)) {
                return Ok((server, display, conn));
            }
            if Instant::now() > end {
                bail!("Xvfb doesn't accept connections on {display}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    bail!("Xvfb doesn't start")
}
