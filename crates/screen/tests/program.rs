//! Only one program is shared: not one pixel of another is in any frame while windows of both come and
//! go, and at rest all of its own that can be seen is there.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Xvfb;
use etatuki_screen::{Capture, Clipboard, Input, Program, Stop};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::shape::{ConnectionExt as _, SK, SO};
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const WIDTH: u16 = 320;
const HEIGHT: u16 = 240;
const GREY: [u8; 4] = [0x80, 0x80, 0x80, 0];
/// Every colour of the program's has no red and no blue in it, every one of the other's no green.
const OURS: [u32; 4] = [0x00_ff00, 0x00_e000, 0x00_c000, 0x00_a000];
const THEIRS: [u32; 4] = [0xff_0000, 0xe0_0000, 0xc0_0000, 0xa0_0000];
const ROOT: u32 = 0x00_00ff;

fn is_ours(pixel: &[u8]) -> bool {
    matches!(pixel, [0, green, 0, 0] if *green >= 0xa0)
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) % u64::from(sides)) as u32
    }
}

/// Whose windows somebody makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// Somebody who makes windows, moves, stacks, shows, hides and closes them as the dice fall.
struct Player {
    server: RustConnection,
    root: Window,
    dice: Dice,
    side: Side,
    windows: Vec<Window>,
    /// Windows without a background, which are drawn when the server asks for it, and their colours.
    lazy: Vec<(Window, u32)>,
}

impl Player {
    fn new(display: &str, side: Side, seed: u64) -> Self {
        let (server, number) = RustConnection::connect(Some(display)).expect("connects");
        let root = server.setup().roots[number].root;
        Self {
            server,
            root,
            dice: Dice(seed),
            side,
            windows: Vec::new(),
            lazy: Vec::new(),
        }
    }

    fn colour(&mut self) -> u32 {
        let n = self.dice.roll(4) as usize;
        match self.side {
            Side::Ours => OURS[n],
            Side::Theirs => THEIRS[n],
        }
    }

    fn place(&mut self) -> (i16, i16, u16, u16) {
        let (x, y) = (
            self.dice.roll(360) as i16 - 60,
            self.dice.roll(280) as i16 - 60,
        );
        (
            x,
            y,
            20 + self.dice.roll(160) as u16,
            20 + self.dice.roll(120) as u16,
        )
    }

    fn make(&mut self, parent: Window, (x, y, w, h): (i16, i16, u16, u16)) -> Window {
        let window = self.server.generate_id().expect("an id");
        let colour = self.colour();
        // Borders belong to what is around a window, and that isn't always the program's.
        let may_have_border = self.side == Side::Theirs || parent != self.root;
        let border = if may_have_border && self.dice.roll(3) == 0 {
            3
        } else {
            0
        };
        let border_colour = self.colour();
        let mut aux = CreateWindowAux::new()
            .override_redirect(1)
            .border_pixel(border_colour)
            .event_mask(EventMask::EXPOSURE);
        if self.dice.roll(2) == 0 {
            aux = aux.background_pixel(colour);
        } else {
            self.lazy.push((window, colour));
        }
        let class = WindowClass::INPUT_OUTPUT;
        self.server
            .create_window(0, window, parent, x, y, w, h, border, class, 0, &aux)
            .expect("sent");
        window
    }

    /// One thing happens.
    fn play(&mut self) {
        let known = self.windows.len() as u32;
        let some = (known > 0).then(|| self.windows[self.dice.roll(known.max(1)) as usize]);
        match (self.dice.roll(15), some) {
            (0, _) if known < 5 => self.open(),
            (_, None) => self.open(),
            (1, Some(window)) => {
                self.server.destroy_window(window).expect("sent");
                self.windows.retain(|w| *w != window);
                self.lazy.retain(|(w, _)| *w != window);
            }
            (2 | 3, Some(window)) => {
                self.server.unmap_window(window).expect("sent");
            }
            (4 | 5, Some(window)) => {
                self.server.map_window(window).expect("sent");
            }
            (6 | 7, Some(window)) => {
                let (x, y, w, h) = self.place();
                let mut aux = ConfigureWindowAux::new().x(i32::from(x)).y(i32::from(y));
                if self.dice.roll(3) == 0 {
                    aux = aux.width(u32::from(w)).height(u32::from(h));
                }
                self.server.configure_window(window, &aux).expect("sent");
            }
            (8, Some(window)) => {
                // There and back: what was covered for a moment only is another's all the same.
                for x in [-400, 20] {
                    let aux = ConfigureWindowAux::new().x(x).stack_mode(StackMode::ABOVE);
                    self.server.configure_window(window, &aux).expect("sent");
                }
            }
            (9 | 10, Some(window)) => {
                let up = self.dice.roll(2) == 0;
                let mode = if up {
                    StackMode::ABOVE
                } else {
                    StackMode::BELOW
                };
                let aux = ConfigureWindowAux::new().stack_mode(mode);
                self.server.configure_window(window, &aux).expect("sent");
            }
            // What lies under another's hole is grey too: that would be wrong in this test's eyes only.
            (11, Some(window)) if self.side == Side::Ours => self.shape(window),
            (12, Some(window)) => self.nest(window),
            (13, Some(window)) => self.scroll(window),
            (_, Some(_)) => {
                let direction = [Circulate::RAISE_LOWEST, Circulate::LOWER_HIGHEST];
                let direction = direction[self.dice.roll(2) as usize];
                self.server
                    .circulate_window(direction, self.root)
                    .expect("sent");
            }
        }
    }

    fn open(&mut self) {
        let place = self.place();
        let window = self.make(self.root, place);
        for _ in 0..self.dice.roll(3) {
            let (x, y, w, h) = self.place();
            let child = self.make(window, (x / 3, y / 3, w / 2, h / 2));
            self.server.map_window(child).expect("sent");
        }
        self.server.map_window(window).expect("sent");
        self.windows.push(window);
    }

    /// Windows inside of a window move.
    fn scroll(&mut self, window: Window) {
        let inside = self.server.query_tree(window).expect("sent").reply();
        let bits = !self.server.setup().resource_id_mask;
        for child in inside.map(|inside| inside.children).unwrap_or_default() {
            if child & bits == window & bits {
                let (x, y) = (
                    self.dice.roll(60) as i32 - 20,
                    self.dice.roll(60) as i32 - 20,
                );
                let aux = ConfigureWindowAux::new().x(x).y(y);
                self.server.configure_window(child, &aux).expect("sent");
            }
        }
    }

    fn shape(&mut self, window: Window) {
        let (x, y, width, height) = self.place();
        let hole = [Rectangle {
            x,
            y,
            width,
            height,
        }];
        if self.dice.roll(2) == 0 {
            let order = ClipOrdering::UNSORTED;
            self.server
                .shape_rectangles(SO::SET, SK::BOUNDING, order, window, 0, 0, &hole)
                .expect("sent");
        } else {
            self.server
                .shape_mask(SO::SET, SK::BOUNDING, window, 0, 0, x11rb::NONE)
                .expect("sent");
        }
    }

    /// A window manager's frame comes around one of ours; or another's window comes into one of ours.
    fn nest(&mut self, window: Window) {
        let bits = !self.server.setup().resource_id_mask;
        let all = self.server.query_tree(self.root).expect("sent");
        let Ok(all) = all.reply() else { return };
        let mut others = all.children.iter().filter(|w| **w & bits != window & bits);
        let Some(other) = others.next_back().copied() else {
            return;
        };
        let place = (self.dice.roll(40) as i16, self.dice.roll(40) as i16);
        match self.side {
            Side::Ours => {
                self.server
                    .reparent_window(window, other, place.0, place.1)
                    .expect("sent");
            }
            Side::Theirs => {
                let stranger = self.make(other, (place.0, place.1, 30, 30));
                self.server.map_window(stranger).expect("sent");
            }
        }
    }

    /// Draws what the server asks for, after a while.
    fn draw(&mut self) {
        while let Some(event) = self.server.poll_for_event().expect("the server lives") {
            let Event::Expose(e) = event else { continue };
            let Some((_, colour)) = self.lazy.iter().find(|(w, _)| *w == e.window) else {
                continue;
            };
            let gc = self.server.generate_id().expect("an id");
            let aux = CreateGCAux::new().foreground(*colour);
            self.server.create_gc(gc, e.window, &aux).expect("sent");
            let (x, y) = (e.x as i16, e.y as i16);
            let (width, height) = (e.width, e.height);
            let rect = Rectangle {
                x,
                y,
                width,
                height,
            };
            self.server
                .poly_fill_rectangle(e.window, gc, &[rect])
                .expect("sent");
            self.server.free_gc(gc).expect("sent");
        }
    }

    fn play_on(&mut self, go_on: impl Fn() -> bool) {
        while go_on() {
            for _ in 0..1 + self.dice.roll(3) {
                self.play();
            }
            self.server.sync().expect("sync");
            if self.dice.roll(3) > 0 {
                self.draw();
            }
            std::thread::sleep(Duration::from_micros(u64::from(self.dice.roll(1500))));
        }
    }

    /// Everything that is asked for is drawn.
    fn rest(&mut self) {
        for _ in 0..5 {
            self.server.sync().expect("sync");
            self.draw();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.server.sync().expect("sync");
    }
}

/// The other program, a process of its own: this test's executable once more.
struct Other {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
    window: Window,
}

const DISPLAY: &str = "ETATUKI_TEST_DISPLAY";
const SEED: &str = "ETATUKI_TEST_SEED";

impl Other {
    fn start(test: &str, display: &str, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(DISPLAY, display)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let mut other = Self {
            child,
            said,
            window: x11rb::NONE,
        };
        let begun = other.wait_for("begun");
        if let Some(Ok(window)) = begun.split_whitespace().last().map(str::parse) {
            other.window = window;
        }
        other
    }

    fn tell(&mut self, what: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{what}").expect("it reads");
    }

    fn wait_for(&mut self, what: &str) -> String {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            let n = self.said.read_line(&mut line).expect("it talks");
            assert!(n > 0, "it ended before it said {what}");
        }
        line
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the other program's window lies in the tests of input, over ours in part.
const OTHERS: (i16, i16, u16, u16) = (80, 20, 100, 100);
const OURS_AT: (i16, i16, u16, u16) = (20, 20, 100, 100);

fn window_with_input(server: &RustConnection, at: (i16, i16, u16, u16)) -> Window {
    let window = server.generate_id().expect("an id");
    let news = EventMask::KEY_PRESS
        | EventMask::KEY_RELEASE
        | EventMask::BUTTON_PRESS
        | EventMask::BUTTON_RELEASE
        | EventMask::POINTER_MOTION;
    let aux = CreateWindowAux::new().override_redirect(1).event_mask(news);
    let (root, class) = (server.setup().roots[0].root, WindowClass::INPUT_OUTPUT);
    let (x, y, w, h) = at;
    server
        .create_window(0, window, root, x, y, w, h, 0, class, 0, &aux)
        .expect("sent");
    server.map_window(window).expect("sent");
    server.sync().expect("sync");
    window
}

/// What came to a window, in a word each.
fn told(event: &Event) -> Option<String> {
    match event {
        Event::ButtonPress(e) => Some(format!("press {}", e.detail)),
        Event::ButtonRelease(e) => Some(format!("release {}", e.detail)),
        Event::KeyPress(_) => Some("key".into()),
        Event::KeyRelease(_) => Some("key up".into()),
        Event::MotionNotify(_) => Some("move".into()),
        _ => None,
    }
}

/// Not a test by itself: the other program, which says what comes to its window.
#[test]
fn the_other_program_listens() {
    let Ok(display) = std::env::var(DISPLAY) else {
        return;
    };
    let (server, _) = RustConnection::connect(Some(&display)).expect("connects");
    let window = window_with_input(&server, OTHERS);
    println!("\nbegun {window}");
    loop {
        let Ok(event) = server.wait_for_event() else {
            std::process::exit(0);
        };
        if let Some(told) = told(&event) {
            println!("\ngot {told}");
        }
    }
}

/// Not a test by itself: the other program, which copies a text.
#[test]
fn the_other_program_copies() {
    let Ok(display) = std::env::var(DISPLAY) else {
        return;
    };
    let stop = Stop::new().expect("a pipe");
    let mut clipboard = Clipboard::open(Some(&display), &stop).expect("it opens");
    println!("\nbegun");
    for _line in std::io::stdin().lines() {
        clipboard.offer("a secret".into()).expect("offered");
        println!("\ncopied");
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        for _ in 0..5 {
            poll(&mut [PollFd::new(&clipboard, PollFlags::IN)], Some(&limit)).expect("poll");
            clipboard.pump().expect("the server lives");
        }
        println!("\nanswered");
    }
    std::process::exit(0);
}

/// Not a test by itself: the other program, when it was started as such. Each line makes it rest or play.
#[test]
fn the_other_program_plays() {
    let (Ok(display), Ok(seed)) = (std::env::var(DISPLAY), std::env::var(SEED)) else {
        return;
    };
    let mut player = Player::new(&display, Side::Theirs, seed.parse().expect("a number"));
    println!("\nbegun");
    let playing = AtomicBool::new(true);
    let told = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _line in std::io::stdin().lines() {
                let was = playing.load(Ordering::SeqCst);
                playing.store(!was, Ordering::SeqCst);
                told.0.send(()).expect("the player is there");
            }
            std::process::exit(0);
        });
        loop {
            player.play_on(|| playing.load(Ordering::SeqCst));
            told.1.recv().expect("told");
            player.rest();
            println!("\nresting");
            told.1.recv().expect("told");
        }
    });
}

/// The picture as the agent gets it.
struct Watcher {
    capture: Capture,
    copy: Vec<u8>,
    frames: u32,
    own_pixels: u64,
}

impl Watcher {
    fn new(display: &str) -> Self {
        let stop = Stop::new().expect("a pipe");
        let program = Program::of(&[std::process::id()]);
        let capture = Capture::of_program(Some(display), &program, &stop).expect("it opens");
        let copy = vec![0xee; usize::from(WIDTH) * usize::from(HEIGHT) * 4];
        Self {
            capture,
            copy,
            frames: 0,
            own_pixels: 0,
        }
    }

    /// Takes one frame in; says whether there was one. No pixel of it may be another's.
    fn look(&mut self) -> bool {
        self.capture.pump().expect("the server lives");
        let whole = self.capture.size().rect();
        let Some(frame) = self.capture.grab(whole).expect("a frame") else {
            return false;
        };
        self.frames += 1;
        let mut pixels = Vec::new();
        for piece in frame.pieces() {
            pixels.clear();
            piece.append_bgrx(&mut pixels);
            assert_eq!(pixels.len() as u64, piece.rect.area() * 4);
            for pixel in pixels.chunks_exact(4) {
                let ours = is_ours(pixel);
                self.own_pixels += u64::from(ours);
                assert!(
                    ours || pixel == GREY,
                    "a pixel {pixel:?} of another's in {:?}",
                    piece.rect
                );
            }
            let width = usize::from(piece.rect.w) * 4;
            for (row, y) in pixels.chunks_exact(width).zip(usize::from(piece.rect.y)..) {
                let at = (y * usize::from(WIDTH) + usize::from(piece.rect.x)) * 4;
                self.copy[at..at + width].copy_from_slice(row);
            }
        }
        true
    }

    /// What is wrong now, compared with the screen: its own pixels shall be there, and grey for all others.
    fn wrong(&self, server: &RustConnection, root: Window) -> usize {
        let format = ImageFormat::Z_PIXMAP;
        let image = server.get_image(format, root, 0, 0, WIDTH, HEIGHT, !0);
        let truth = image.expect("sent").reply().expect("an image").data;
        let expected = truth.chunks_exact(4).map(|p| {
            let pixel = [p[0], p[1], p[2], 0];
            if is_ours(&pixel) { pixel } else { GREY }
        });
        let mut boxes = Vec::new();
        strangers(server, root, (0, 0), false, &mut boxes);
        let may_be_grey = |at: usize| {
            let (x, y) = (
                (at % usize::from(WIDTH)) as i32,
                (at / usize::from(WIDTH)) as i32,
            );
            boxes.iter().any(|(left, top, right, bottom)| {
                (*left..*right).contains(&x) && (*top..*bottom).contains(&y)
            })
        };
        let shown = self.copy.chunks_exact(4).zip(expected).enumerate();
        shown
            .filter(|(at, (a, b))| a != b && !(*a == GREY && may_be_grey(*at)))
            .count()
    }
}

/// The boxes of the other's windows inside of windows of ours that have a shape: all of a box is grey, also where the
/// shape leaves nothing of the stranger to be seen.
fn strangers(
    server: &RustConnection,
    window: Window,
    (x, y): (i32, i32),
    shaped: bool,
    boxes: &mut Vec<(i32, i32, i32, i32)>,
) {
    let setup = server.setup();
    let tree = server.query_tree(window).expect("sent").reply();
    for child in tree.map(|tree| tree.children).unwrap_or_default() {
        let place = server.get_geometry(child).expect("sent").reply();
        let shape = server.shape_query_extents(child).expect("sent").reply();
        let (Ok(place), Ok(shape)) = (place, shape) else {
            continue;
        };
        let (left, top) = (x + i32::from(place.x), y + i32::from(place.y));
        let border = i32::from(place.border_width);
        let (w, h) = (i32::from(place.width), i32::from(place.height));
        let is_ours = child & !setup.resource_id_mask == setup.resource_id_base;
        if shaped && !is_ours {
            boxes.push((left, top, left + w + 2 * border, top + h + 2 * border));
        } else {
            let shaped = shaped || is_ours && shape.bounding_shaped;
            strangers(server, child, (left + border, top + border), shaped, boxes);
        }
    }
}

/// Ends the playing also when a check fails, or nobody would ever learn of that.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn play(seed: u64, rounds: u32) {
    let x = Xvfb::start(&format!("{WIDTH}x{HEIGHT}x24"), &[]);
    let mut own = Player::new(&x.display, Side::Ours, seed);
    let blue = ChangeWindowAttributesAux::new().background_pixel(ROOT);
    own.server
        .change_window_attributes(own.root, &blue)
        .expect("sent");
    own.server
        .clear_area(false, own.root, 0, 0, 0, 0)
        .expect("sent");
    own.server.sync().expect("sync");
    let mut other = Other::start("the_other_program_plays", &x.display, !seed);
    let mut watcher = Watcher::new(&x.display);
    for round in 0..rounds {
        let playing = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let player = scope.spawn(|| {
                own.play_on(|| playing.load(Ordering::SeqCst));
            });
            let _end = AtTheEnd(&playing);
            let until = watcher.frames + 100;
            while watcher.frames < until && !player.is_finished() {
                watcher.look();
            }
        });
        // First all that ours did is done: what it uncovers of a window of the other one's that has no background shows our
        // own old pixels until that one has drawn, and at rest it doesn't.
        own.server.sync().expect("sync");
        other.tell("rest");
        other.wait_for("resting");
        // What the watcher asks for is drawn, and seen; never by a clock, but within reason.
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            while watcher.look() {}
            own.rest();
            if !watcher.look() && watcher.wrong(&own.server, own.root) == 0 {
                break;
            }
            let wrong = watcher.wrong(&own.server, own.root);
            let late = Instant::now() > limit;
            assert!(
                !late,
                "seed {seed}, round {round}: {wrong} pixels are wrong at rest"
            );
        }
        other.tell("play");
    }
    assert!(watcher.own_pixels > 0, "nothing was ever shown");
}

#[test]
fn through_a_hole_in_the_programs_window_its_other_one_shows() {
    let x = Xvfb::start(&format!("{WIDTH}x{HEIGHT}x24"), &[]);
    let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    let (root, class) = (server.setup().roots[0].root, WindowClass::INPUT_OUTPUT);
    let show = |colour: u32, (x, y, w, h): (i16, i16, u16, u16)| {
        let window = server.generate_id().expect("an id");
        let aux = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(colour);
        server
            .create_window(0, window, root, x, y, w, h, 0, class, 0, &aux)
            .expect("sent");
        server.map_window(window).expect("sent");
        window
    };
    show(OURS[0], (20, 20, 200, 150));
    let upper = show(OURS[3], (50, 40, 100, 80));
    let left_half = [Rectangle {
        x: 0,
        y: 0,
        width: 50,
        height: 80,
    }];
    let order = ClipOrdering::UNSORTED;
    server
        .shape_rectangles(SO::SET, SK::BOUNDING, order, upper, 0, 0, &left_half)
        .expect("sent");
    server.sync().expect("sync");
    let mut watcher = Watcher::new(&x.display);
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        watcher.look();
        server.sync().expect("sync");
        let wrong = watcher.wrong(&server, root);
        if wrong == 0 {
            break;
        }
        assert!(Instant::now() < limit, "{wrong} pixels are wrong");
    }
    let at = (usize::from(WIDTH) * 80 + 120) * 4;
    assert_eq!(watcher.copy[at..at + 4], OURS[0].to_le_bytes());
}

#[test]
fn no_pixel_of_another_program_is_shown() {
    for seed in 1..=4 {
        play(seed, 6);
    }
}

/// A display with a window of ours and one of another's, which lies over it in part; and our input.
struct Desk {
    x: Xvfb,
    server: RustConnection,
    window: Window,
    other: Other,
    input: Input,
}

impl Desk {
    fn new() -> Self {
        let x = Xvfb::start("640x480x24", &[]);
        let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
        let window = window_with_input(&server, OURS_AT);
        let other = Other::start("the_other_program_listens", &x.display, 0);
        let program = Program::of(&[std::process::id()]);
        let stop = Stop::new().expect("a pipe");
        let input = Input::of_program(Some(&x.display), &program, &stop).expect("it opens");
        Self {
            x,
            server,
            window,
            other,
            input,
        }
    }

    fn point(&mut self, x: u16, y: u16, buttons: u16) {
        self.input.pointer(x, y, buttons).expect("pointed");
    }

    fn tap(&mut self, keysym: u32) {
        self.input.key(keysym, true).expect("pressed");
        self.input.key(keysym, false).expect("let go of");
        self.input.flush().expect("flushed");
    }

    fn focus(&self, window: Window) {
        let now = x11rb::CURRENT_TIME;
        self.server
            .set_input_focus(InputFocus::PARENT, window, now)
            .expect("sent")
            .check()
            .expect("focused");
    }

    /// What our window was told since this was asked last.
    fn told(&mut self) -> Vec<String> {
        self.input.flush().expect("flushed");
        // An answer comes after all that was asked for before.
        self.input.key(0xffed, true).expect("pressed");
        self.input.key(0xffed, false).expect("let go of");
        // No key, and so nothing but the wait for the server: else the release may come after the focus has moved on.
        self.input.scancode(0, 0, true).expect("ignored");
        self.server.sync().expect("sync");
        let mut all = Vec::new();
        while let Some(event) = self.server.poll_for_event().expect("the server lives") {
            all.extend(told(&event));
        }
        // A pointer that is put where it is moves too.
        all.retain(|told| told != "move");
        all
    }

    fn pointer(&self) -> (i16, i16) {
        let root = self.server.setup().roots[0].root;
        let at = self.server.query_pointer(root).expect("sent").reply();
        let at = at.expect("an answer");
        (at.root_x, at.root_y)
    }

    /// The first thing that the other program was ever told, after something that surely reaches it.
    #[track_caller]
    fn check_other_was_told_nothing(&mut self) {
        let stop = Stop::new().expect("a pipe");
        let mut free = Input::open(Some(&self.x.display), &stop).expect("it opens");
        free.pointer(150, 100, 4).expect("pointed");
        free.release_all().expect("let go of");
        let first = self.other.wait_for("got");
        assert_eq!(first.trim(), "got move");
        assert_eq!(self.other.wait_for("got").trim(), "got press 3");
    }
}

#[test]
fn clicks_reach_the_program_alone() {
    let mut desk = Desk::new();
    desk.focus(desk.other.window);
    desk.point(50, 50, 0);
    desk.point(50, 50, 1);
    desk.point(50, 50, 0);
    assert_eq!(desk.told(), ["press 1", "release 1"]);
    // The other's window, the part of it that lies over ours, and the bare desktop.
    for (x, y) in [(150, 50), (100, 50), (400, 300)] {
        desk.point(x, y, 0);
        desk.point(x, y, 1);
        desk.point(x, y, 0);
    }
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.pointer(), (50, 50));
    // Pressed outside and dragged in: not a press.
    desk.point(150, 50, 1);
    desk.point(60, 60, 1);
    desk.point(60, 60, 0);
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.pointer(), (60, 60));
    // Pressed inside and dragged out: let go of, and the pointer stays.
    desk.point(60, 60, 1);
    desk.point(150, 50, 1);
    desk.point(150, 50, 0);
    assert_eq!(desk.told(), ["press 1", "release 1"]);
    assert_eq!(desk.pointer(), (60, 60));
    // Closed, ours is there no more.
    desk.server.unmap_window(desk.window).expect("sent");
    desk.server.sync().expect("sync");
    desk.point(50, 50, 1);
    desk.point(50, 50, 0);
    desk.check_other_was_told_nothing();
}

#[test]
fn the_pointers_place_is_told_over_the_program_alone() {
    let desk = Desk::new();
    let mut watcher = Watcher::new(&desk.x.display);
    let stop = Stop::new().expect("a pipe");
    let mut free = Input::open(Some(&desk.x.display), &stop).expect("it opens");
    let whole = watcher.capture.size().rect();
    let monitors = watcher.capture.monitors();
    assert_eq!(monitors.iter().map(|m| m.rect).collect::<Vec<_>>(), [whole]);
    // Ours; the other's window, the part of it that lies over ours, and the bare desktop.
    for (place, told) in [
        ((50, 50), true),
        ((150, 50), false),
        ((100, 50), false),
        ((400, 300), false),
    ] {
        free.pointer(place.0, place.1, 0).expect("moved");
        free.flush().expect("flushed");
        while desk.pointer() != (place.0 as i16, place.1 as i16) {
            std::thread::yield_now();
        }
        let seen = watcher.capture.look_at_pointer().expect("an answer");
        assert_eq!(seen, told.then_some(place));
    }
}

#[test]
fn keys_reach_the_program_alone() {
    let mut desk = Desk::new();
    desk.focus(desk.other.window);
    desk.tap(u32::from('a'));
    desk.input
        .scancode(0x1e, u32::from('a'), true)
        .expect("pressed");
    desk.input
        .scancode(0x1e, u32::from('a'), false)
        .expect("let go of");
    assert_eq!(desk.told(), [""; 0]);
    desk.focus(desk.window);
    desk.tap(u32::from('a'));
    assert_eq!(desk.told()[..2], ["key", "key up"]);
    // Where the focus follows the pointer.
    desk.focus(1);
    desk.point(50, 50, 0);
    desk.tap(u32::from('b'));
    assert_eq!(desk.told()[..2], ["key", "key up"]);
    desk.focus(desk.other.window);
    desk.check_other_was_told_nothing();
}

#[test]
fn what_the_program_copies_is_taken_and_no_more() {
    let x = Xvfb::start("640x480x24", &[]);
    let stop = Stop::new().expect("a pipe");
    let program = Program::of(&[std::process::id()]);
    let mut watched = Clipboard::of_program(Some(&x.display), &program, &stop).expect("it opens");
    let mut own = Clipboard::open(Some(&x.display), &stop).expect("it opens");
    let mut other = Other::start("the_other_program_copies", &x.display, 0);
    other.tell("copy");
    other.wait_for("copied");
    assert_eq!(watched.pump().expect("the server lives"), None);
    other.wait_for("answered");
    assert_eq!(watched.pump().expect("the server lives"), None);
    own.offer("ours".into()).expect("offered");
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    let copied = loop {
        let mut fds = [
            PollFd::new(&watched, PollFlags::IN),
            PollFd::new(&own, PollFlags::IN),
        ];
        assert!(
            poll(&mut fds, Some(&limit)).expect("poll") > 0,
            "nothing was copied"
        );
        own.pump().expect("the server lives");
        if let Some(copied) = watched.pump().expect("the server lives") {
            break copied;
        }
    };
    assert_eq!(copied, "ours");
}
