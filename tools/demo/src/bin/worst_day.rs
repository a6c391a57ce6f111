//! Measures the launcher's window while a plugin misbehaves: `worst_day BIN [RUNS]`, with BIN the
//! folder of the programs. Prints for each plugin: the window's response times (milliseconds until
//! a pixel changes after the pointer enters a button, presses it, leaves it and releases it, and
//! after a covered part is exposed), when the customer is told, how long after closing the window
//! the session's last process ends, and how many processes are left.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::plugins;
use etatuki_deployment::process::Process;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, ImageFormat, MapState,
    Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const PLUGINS: [&str; 12] = [
    "well-behaved",
    "abort-in-open",
    "segfault-waiting",
    "hang-in-load",
    "hang-in-open",
    "hang-in-state",
    "hang-in-destroy",
    "floods",
    "endless-output",
    "fork-bomb",
    "allocates",
    "computes-in-open",
];

/// Time for which the window is watched after the connection is opened: twice what a hang takes.
const WATCH_TIME: Duration = Duration::from_secs(4);
/// Time-out for everything else.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let bin = PathBuf::from(args.next().context("usage: worst_day BIN [RUNS]")?).canonicalize()?;
    let runs: usize = args.next().map_or(Ok(1), |runs| runs.parse())?;
    print(&format!(
        "{:18}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>6}",
        "plugin", "answers", "p50", "p95", "max", "told", "gone", "left"
    ));
    for plugin in PLUGINS {
        let mut figures = Figures::default();
        for _ in 0..runs {
            figures
                .measure(&bin, plugin)
                .with_context(|| format!("{plugin} hurt the launcher"))?;
        }
        print(&figures.row(plugin));
    }
    Ok(())
}

fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The figures of one plugin: all response times, and the worst of all runs for the rest.
#[derive(Default)]
struct Figures {
    response_times: Vec<Duration>,
    told: Option<Duration>,
    gone: Duration,
    left: usize,
}

impl Figures {
    fn measure(&mut self, bin: &Path, plugin: &str) -> Result<()> {
        let deployment = Deployment::start(bin, "Maija Virtanen", "Ecom")?;
        plugins::install_only(&deployment, plugin)?;
        let display = Display::start(1280, 800, WindowManager::None)?;
        let mut command = deployment.launcher(display.name());
        command.args(["--language", "fi", "open", plugin]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut launcher = Process::start(&mut command)?;
        let driver = WindowDriver::open(display.name())?;

        let before = driver.snapshot()?;
        let opened = Instant::now();
        driver.click()?;
        let mut told = None;
        while opened.elapsed() < WATCH_TIME {
            driver.measure_round(&mut self.response_times)?;
            if told.is_none() && driver.snapshot()?.has_other_heading(&before) {
                told = Some(opened.elapsed());
            }
        }

        let closed = Instant::now();
        if told.is_none() {
            driver.click()?;
            while !driver.snapshot()?.has_other_heading(&before) {
                driver.measure_round(&mut self.response_times)?;
                if closed.elapsed() > TIMEOUT {
                    bail!("it doesn't close");
                }
            }
        }
        driver.close_window()?;
        launcher.wait(TIMEOUT)?;
        while !deployment.processes().is_empty() && closed.elapsed() < TIMEOUT {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.told = self.told.max(told);
        self.gone = self.gone.max(closed.elapsed());
        self.left += deployment.processes().len();
        Ok(())
    }

    fn row(mut self, plugin: &str) -> String {
        self.response_times.sort();
        let count = self.response_times.len();
        let at = |share: usize| milliseconds(self.response_times[(count - 1) * share / 100]);
        let told = self
            .told
            .map_or("-".into(), |told| format!("{:.0}", milliseconds(told)));
        format!(
            "{plugin:18}{count:8}{:8.1}{:8.1}{:8.1}{told:>10}{:10.0}{:6}",
            at(50),
            at(95),
            at(100),
            milliseconds(self.gone),
            self.left,
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Drives the launcher's only window, and reads its pixels.
struct WindowDriver {
    server: RustConnection,
    root: Window,
    window: Window,
    /// A window that covers a part of the launcher's while it is mapped.
    cover: Window,
}

/// The parts of the window's image by which two pages differ.
#[derive(PartialEq, Eq)]
struct Snapshot {
    rect: WindowRect,
    /// The pixels of the heading.
    heading: Vec<u8>,
    /// The pixels of everything above the buttons.
    content: Vec<u8>,
}

impl Snapshot {
    /// Returns whether the heading is another one, and not just undrawn.
    fn has_other_heading(&self, before: &Self) -> bool {
        self.heading != before.heading && !is_plain(&self.heading)
    }
}

/// The window's position on the screen, and its height.
#[derive(Clone, Copy, PartialEq, Eq)]
struct WindowRect {
    x: i16,
    y: i16,
    height: u16,
}

/// The heading's rectangle (x, y, width, height) on the window, below the development registry's
/// banner.
const HEADING_RECT: (i16, i16, u16, u16) = (28, 58, 200, 34);
/// A point of the rightmost button without text: from the window's left, and from its bottom.
const BUTTON_POINT: (i16, i16) = (600, 47);
/// A point beside that button.
const OUTSIDE_POINT: (i16, i16) = (600, 8);
/// Width of the launcher's windows.
const WIDTH: u16 = 640;
/// Height of everything but the content: the banner with its margin, the buttons with theirs.
const NON_CONTENT_HEIGHT: u16 = 58 + 98;

// Event codes of XTEST's FakeInput.
const BUTTON_PRESS: u8 = 4;
const BUTTON_RELEASE: u8 = 5;
const MOTION_NOTIFY: u8 = 6;

impl WindowDriver {
    /// Waits for the window.
    fn open(display: &str) -> Result<Self> {
        let (server, screen) = x11rb::connect(Some(display))?;
        let (root, visual) = {
            let screen = &server.setup().roots[screen];
            (screen.root, screen.root_visual)
        };
        let cover = server.generate_id()?;
        let attributes = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0x00ff_00ff);
        let (x, y, width, height) = HEADING_RECT;
        let class = WindowClass::INPUT_OUTPUT;
        server.create_window(
            0,
            cover,
            root,
            x,
            y,
            width,
            height,
            0,
            class,
            visual,
            &attributes,
        )?;
        let started = Instant::now();
        loop {
            if let Some(window) = find_window(&server, root)? {
                let driver = Self {
                    server,
                    root,
                    window,
                    cover,
                };
                driver.wait_until_drawn()?;
                return Ok(driver);
            }
            if started.elapsed() > TIMEOUT {
                bail!("there is no window");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the window's button is drawn.
    fn wait_until_drawn(&self) -> Result<()> {
        let started = Instant::now();
        self.move_pointer(OUTSIDE_POINT)?;
        while self.pixel(self.rect()?, BUTTON_POINT)? == self.pixel(self.rect()?, OUTSIDE_POINT)? {
            if started.elapsed() > TIMEOUT {
                bail!("the window stays empty");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Measures each interaction that changes nothing but the button's look.
    fn measure_round(&self, times: &mut Vec<Duration>) -> Result<()> {
        self.move_pointer(OUTSIDE_POINT)?;
        let page = self.snapshot()?;
        times.push(self.measure_expose(&page)?);
        let background = self.pixel(page.rect, OUTSIDE_POINT)?;
        if self.pixel(page.rect, BUTTON_POINT)? != background {
            let entered = self.measure_change(&page, || self.move_pointer(BUTTON_POINT))?;
            let pressed = self.measure_change(&page, || self.send_button(BUTTON_PRESS))?;
            let left = self.measure_change(&page, || self.move_pointer(OUTSIDE_POINT))?;
            let released = self.measure_change(&page, || self.send_button(BUTTON_RELEASE))?;
            times.extend([entered, pressed, left, released]);
        }
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    }

    /// Returns the time from `interaction` until the button's pixel changes, or the whole page.
    fn measure_change(
        &self,
        page: &Snapshot,
        interaction: impl FnOnce() -> Result<()>,
    ) -> Result<Duration> {
        let before = self.pixel(page.rect, BUTTON_POINT)?;
        let started = Instant::now();
        interaction()?;
        let changed = || Ok(self.pixel(page.rect, BUTTON_POINT)? != before);
        self.wait(started, changed, || Ok(self.snapshot()? != *page))
    }

    /// Covers the heading and returns the time from uncovering it until it is drawn again.
    fn measure_expose(&self, page: &Snapshot) -> Result<Duration> {
        let above_heading = x11rb::protocol::xproto::ConfigureWindowAux::new()
            .x(i32::from(page.rect.x + HEADING_RECT.0))
            .y(i32::from(page.rect.y + HEADING_RECT.1))
            .stack_mode(x11rb::protocol::xproto::StackMode::ABOVE);
        self.server.configure_window(self.cover, &above_heading)?;
        self.server.map_window(self.cover)?;
        self.server.sync()?;
        let started = Instant::now();
        self.server.unmap_window(self.cover)?;
        self.server.sync()?;
        // Until it is drawn, the area has the cover's colour, then the background's.
        let drawn = || Ok(!is_plain(&self.heading(page.rect)?));
        self.wait(started, drawn, || Ok(self.rect()? != page.rect))
    }

    /// Waits until `done`, or until `lost` says that it can't happen any more; `lost` is asked less
    /// often.
    fn wait(
        &self,
        started: Instant,
        done: impl Fn() -> Result<bool>,
        lost: impl Fn() -> Result<bool>,
    ) -> Result<Duration> {
        while !done()? {
            let waited = started.elapsed();
            if waited > TIMEOUT {
                bail!("the window doesn't answer");
            }
            if waited > Duration::from_millis(5) && lost()? {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(started.elapsed())
    }

    /// Clicks the rightmost button.
    fn click(&self) -> Result<()> {
        self.move_pointer(BUTTON_POINT)?;
        self.send_button(BUTTON_PRESS)?;
        self.send_button(BUTTON_RELEASE)
    }

    /// Sends the message of the window's own close button, as a window manager does.
    fn close_window(&self) -> Result<()> {
        let atom = |name: &str| -> Result<u32> {
            Ok(self
                .server
                .intern_atom(false, name.as_bytes())?
                .reply()?
                .atom)
        };
        let data = [atom("WM_DELETE_WINDOW")?, 0, 0, 0, 0];
        let event = ClientMessageEvent::new(32, self.window, atom("WM_PROTOCOLS")?, data);
        self.server
            .send_event(false, self.window, EventMask::NO_EVENT, event)?;
        Ok(self.server.sync()?)
    }

    fn move_pointer(&self, point: (i16, i16)) -> Result<()> {
        let rect = self.rect()?;
        let (x, y) = on_screen(rect, point);
        self.server
            .xtest_fake_input(MOTION_NOTIFY, 0, 0, self.root, x, y, 0)?;
        Ok(self.server.sync()?)
    }

    fn send_button(&self, event: u8) -> Result<()> {
        self.server
            .xtest_fake_input(event, 1, 0, self.root, 0, 0, 0)?;
        Ok(self.server.sync()?)
    }

    /// Takes a snapshot of a window that doesn't move meanwhile.
    fn snapshot(&self) -> Result<Snapshot> {
        loop {
            let rect = self.rect()?;
            let (x, y, ..) = HEADING_RECT;
            let (width, height) = (
                WIDTH - 2 * x.unsigned_abs(),
                rect.height - NON_CONTENT_HEIGHT,
            );
            let snapshot = Snapshot {
                rect,
                heading: self.heading(rect)?,
                content: self.image(rect.x + x, rect.y + y, width, height)?,
            };
            if self.rect()? == rect {
                return Ok(snapshot);
            }
        }
    }

    fn rect(&self) -> Result<WindowRect> {
        let geometry = self.server.get_geometry(self.window)?.reply()?;
        let at = self
            .server
            .translate_coordinates(self.window, self.root, 0, 0)?
            .reply()?;
        Ok(WindowRect {
            x: at.dst_x,
            y: at.dst_y,
            height: geometry.height,
        })
    }

    fn heading(&self, rect: WindowRect) -> Result<Vec<u8>> {
        let (x, y, width, height) = HEADING_RECT;
        self.image(rect.x + x, rect.y + y, width, height)
    }

    fn pixel(&self, rect: WindowRect, point: (i16, i16)) -> Result<Vec<u8>> {
        let (x, y) = on_screen(rect, point);
        self.image(x, y, 1, 1)
    }

    fn image(&self, x: i16, y: i16, width: u16, height: u16) -> Result<Vec<u8>> {
        let format = ImageFormat::Z_PIXMAP;
        let image = self
            .server
            .get_image(format, self.root, x, y, width, height, !0)?;
        Ok(image.reply()?.data)
    }
}

fn on_screen(rect: WindowRect, (x, from_bottom): (i16, i16)) -> (i16, i16) {
    (rect.x + x, rect.y + rect.height.cast_signed() - from_bottom)
}

fn is_plain(pixels: &[u8]) -> bool {
    pixels.chunks_exact(4).all(|pixel| pixel == &pixels[..4])
}

/// Returns the launcher's window once it is mapped.
fn find_window(server: &RustConnection, root: Window) -> Result<Option<Window>> {
    for window in server.query_tree(root)?.reply()?.children {
        let shown = server.get_window_attributes(window)?.reply()?.map_state;
        let width = server.get_geometry(window)?.reply()?.width;
        if shown == MapState::VIEWABLE && width == WIDTH {
            return Ok(Some(window));
        }
    }
    Ok(None)
}
