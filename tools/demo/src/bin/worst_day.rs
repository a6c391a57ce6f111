//! The launcher's window while a plugin has its worst day: `worst_day BIN [RUNS]`, with BIN the folder of the programs.
//! For each plugin: how long the window takes to answer a hand on it (milliseconds until a pixel changes: the pointer
//! comes onto a button, presses it, is drawn off it, lets go; and a part that was covered is uncovered), when the
//! customer is told, how long everything of the session takes to go after the window is closed, and what is left.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etatuki_demo::display::Display;
use etatuki_demo::plugins;
use etatuki_demo::process::Process;
use etatuki_demo::stage::Stage;
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

/// How long the window is watched after the customer opened the connection: twice what a hang takes.
const WATCHED: Duration = Duration::from_secs(4);
/// What takes longer never happens.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let bin = PathBuf::from(args.next().context("usage: worst_day BIN [RUNS]")?).canonicalize()?;
    let runs: usize = args.next().map_or(Ok(1), |runs| runs.parse())?;
    say(&format!(
        "{:18}{:>8}{:>8}{:>8}{:>8}{:>10}{:>10}{:>6}",
        "plugin", "answers", "p50", "p95", "max", "told", "gone", "left"
    ));
    for plugin in PLUGINS {
        let mut day = Day::default();
        for _ in 0..runs {
            day.watch(&bin, plugin)
                .with_context(|| format!("{plugin} hurt the launcher"))?;
        }
        say(&day.row(plugin));
    }
    Ok(())
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What was seen with one plugin; the worst of all runs but for the answers, which are kept.
#[derive(Default)]
struct Day {
    answers: Vec<Duration>,
    told: Option<Duration>,
    gone: Duration,
    left: usize,
}

impl Day {
    fn watch(&mut self, bin: &Path, plugin: &str) -> Result<()> {
        let stage = Stage::set_up(bin, "Maija Virtanen", "Ecom")?;
        plugins::only(&stage, plugin)?;
        let display = Display::start(1280, 800, false)?;
        let mut command = stage.launcher(display.name());
        command.args(["--language", "fi", "open", plugin]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut launcher = Process::start(&mut command)?;
        let hand = Hand::on(display.name())?;

        let before = hand.page()?;
        let opened = Instant::now();
        hand.click()?;
        let mut told = None;
        while opened.elapsed() < WATCHED {
            hand.round(&mut self.answers)?;
            if told.is_none() && hand.page()?.says_other(&before) {
                told = Some(opened.elapsed());
            }
        }

        let closed = Instant::now();
        if told.is_none() {
            hand.click()?;
            while !hand.page()?.says_other(&before) {
                hand.round(&mut self.answers)?;
                if closed.elapsed() > LIMIT {
                    bail!("it doesn't close");
                }
            }
        }
        hand.close()?;
        launcher.wait(LIMIT)?;
        while !stage.processes().is_empty() && closed.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.told = self.told.max(told);
        self.gone = self.gone.max(closed.elapsed());
        self.left += stage.processes().len();
        Ok(())
    }

    fn row(mut self, plugin: &str) -> String {
        self.answers.sort();
        let count = self.answers.len();
        let at = |share: usize| milliseconds(self.answers[(count - 1) * share / 100]);
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

/// A hand on the launcher's one window, and an eye.
struct Hand {
    server: RustConnection,
    root: Window,
    window: Window,
    /// Lies over a part of the window, or doesn't.
    cover: Window,
}

/// What the window looks like, as far as pages tell themselves apart by it.
#[derive(PartialEq, Eq)]
struct Page {
    place: Place,
    /// The pixels of its heading.
    heading: Vec<u8>,
    /// Those of all that stands above its buttons.
    words: Vec<u8>,
}

impl Page {
    /// Whether there is another heading, and not just none that is drawn yet.
    fn says_other(&self, before: &Self) -> bool {
        self.heading != before.heading && !is_plain(&self.heading)
    }
}

/// Where the window is on the screen.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    x: i16,
    y: i16,
    height: u16,
}

/// The heading's place on the window, below the strip of the development registry.
const HEADING: (i16, i16, u16, u16) = (28, 58, 200, 34);
/// A point of the rightmost button that no letter is on: from the window's left, and from its bottom.
const BUTTON: (i16, i16) = (600, 47);
/// A point beside it.
const BESIDE: (i16, i16) = (600, 8);
const WIDTH: u16 = 640;
/// What of the window's height isn't words: the strip with the edge above them, the buttons with theirs below.
const BELOW: u16 = 58 + 98;

const PRESS: u8 = 4;
const RELEASE: u8 = 5;
const MOTION: u8 = 6;

impl Hand {
    /// Waits for the window.
    fn on(display: &str) -> Result<Self> {
        let (server, screen) = x11rb::connect(Some(display))?;
        let (root, visual) = {
            let screen = &server.setup().roots[screen];
            (screen.root, screen.root_visual)
        };
        let cover = server.generate_id()?;
        let look = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0x00ff_00ff);
        let (x, y, width, height) = HEADING;
        let class = WindowClass::INPUT_OUTPUT;
        server.create_window(0, cover, root, x, y, width, height, 0, class, visual, &look)?;
        let started = Instant::now();
        loop {
            if let Some(window) = find(&server, root)? {
                let hand = Self {
                    server,
                    root,
                    window,
                    cover,
                };
                hand.drawn()?;
                return Ok(hand);
            }
            if started.elapsed() > LIMIT {
                bail!("there is no window");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the window's button is there.
    fn drawn(&self) -> Result<()> {
        let started = Instant::now();
        self.point(BESIDE)?;
        while self.pixel(self.place()?, BUTTON)? == self.pixel(self.place()?, BESIDE)? {
            if started.elapsed() > LIMIT {
                bail!("the window stays empty");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// One of each that a hand can do to a window without changing anything.
    fn round(&self, answers: &mut Vec<Duration>) -> Result<()> {
        self.point(BESIDE)?;
        let page = self.page()?;
        answers.push(self.uncovered(&page)?);
        let ground = self.pixel(page.place, BESIDE)?;
        if self.pixel(page.place, BUTTON)? != ground {
            let over = self.until_changed(&page, || self.point(BUTTON))?;
            let pressed = self.until_changed(&page, || self.button(PRESS))?;
            let off = self.until_changed(&page, || self.point(BESIDE))?;
            let released = self.until_changed(&page, || self.button(RELEASE))?;
            answers.extend([over, pressed, off, released]);
        }
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    }

    /// Does something, and waits until the button's pixel is another one. Another page is an answer too.
    fn until_changed(&self, page: &Page, act: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let before = self.pixel(page.place, BUTTON)?;
        let started = Instant::now();
        act()?;
        let changed = || Ok(self.pixel(page.place, BUTTON)? != before);
        self.wait(started, changed, || Ok(self.page()? != *page))
    }

    /// Covers the heading, takes the cover away, and waits until there is a heading again.
    fn uncovered(&self, page: &Page) -> Result<Duration> {
        let place = x11rb::protocol::xproto::ConfigureWindowAux::new()
            .x(i32::from(page.place.x + HEADING.0))
            .y(i32::from(page.place.y + HEADING.1))
            .stack_mode(x11rb::protocol::xproto::StackMode::ABOVE);
        self.server.configure_window(self.cover, &place)?;
        self.server.map_window(self.cover)?;
        self.server.sync()?;
        let started = Instant::now();
        self.server.unmap_window(self.cover)?;
        self.server.sync()?;
        // The server fills the gap with the ground's colour, and before that it is the cover's.
        let drawn = || Ok(!is_plain(&self.heading(page.place)?));
        self.wait(started, drawn, || Ok(self.place()? != page.place))
    }

    /// Waits until it is done, or can't happen any more, which is looked at less often.
    fn wait(
        &self,
        started: Instant,
        done: impl Fn() -> Result<bool>,
        lost: impl Fn() -> Result<bool>,
    ) -> Result<Duration> {
        while !done()? {
            let waited = started.elapsed();
            if waited > LIMIT {
                bail!("the window doesn't answer");
            }
            if waited > Duration::from_millis(5) && lost()? {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(started.elapsed())
    }

    /// Presses the rightmost button, really.
    fn click(&self) -> Result<()> {
        self.point(BUTTON)?;
        self.button(PRESS)?;
        self.button(RELEASE)
    }

    /// The window's own close button, as a window manager tells it.
    fn close(&self) -> Result<()> {
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

    fn point(&self, at: (i16, i16)) -> Result<()> {
        let place = self.place()?;
        let (x, y) = on_screen(place, at);
        self.server
            .xtest_fake_input(MOTION, 0, 0, self.root, x, y, 0)?;
        Ok(self.server.sync()?)
    }

    fn button(&self, what: u8) -> Result<()> {
        self.server
            .xtest_fake_input(what, 1, 0, self.root, 0, 0, 0)?;
        Ok(self.server.sync()?)
    }

    /// The page, from a window that stood still meanwhile.
    fn page(&self) -> Result<Page> {
        loop {
            let place = self.place()?;
            let (x, y, ..) = HEADING;
            let (width, height) = (WIDTH - 2 * x.unsigned_abs(), place.height - BELOW);
            let page = Page {
                place,
                heading: self.heading(place)?,
                words: self.image(place.x + x, place.y + y, width, height)?,
            };
            if self.place()? == place {
                return Ok(page);
            }
        }
    }

    fn place(&self) -> Result<Place> {
        let geometry = self.server.get_geometry(self.window)?.reply()?;
        let at = self
            .server
            .translate_coordinates(self.window, self.root, 0, 0)?
            .reply()?;
        Ok(Place {
            x: at.dst_x,
            y: at.dst_y,
            height: geometry.height,
        })
    }

    fn heading(&self, place: Place) -> Result<Vec<u8>> {
        let (x, y, width, height) = HEADING;
        self.image(place.x + x, place.y + y, width, height)
    }

    fn pixel(&self, place: Place, at: (i16, i16)) -> Result<Vec<u8>> {
        let (x, y) = on_screen(place, at);
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

fn on_screen(place: Place, (x, from_bottom): (i16, i16)) -> (i16, i16) {
    (
        place.x + x,
        place.y + place.height.cast_signed() - from_bottom,
    )
}

fn is_plain(pixels: &[u8]) -> bool {
    pixels.chunks_exact(4).all(|pixel| pixel == &pixels[..4])
}

/// The launcher's window, once it is mapped.
fn find(server: &RustConnection, root: Window) -> Result<Option<Window>> {
    for window in server.query_tree(root)?.reply()?.children {
        let shown = server.get_window_attributes(window)?.reply()?.map_state;
        let width = server.get_geometry(window)?.reply()?.width;
        if shown == MapState::VIEWABLE && width == WIDTH {
            return Ok(Some(window));
        }
    }
    Ok(None)
}
