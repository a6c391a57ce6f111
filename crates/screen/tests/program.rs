//! App sharing: no frame has a pixel of another program while windows of both come and go, and at
//! rest every visible pixel of the shared program is there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, Capture, Clipboard, Copied, Input, SharedApp};
use etatuki_testkit::{Random, Xvfb};
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
/// The shared program's colours have no red and no blue, the other program's no green.
const OURS: [u32; 4] = [0x00_ff00, 0x00_e000, 0x00_c000, 0x00_a000];
const THEIRS: [u32; 4] = [0xff_0000, 0xe0_0000, 0xc0_0000, 0xa0_0000];
const ROOT: u32 = 0x00_00ff;

fn is_ours(pixel: &[u8]) -> bool {
    matches!(pixel, [0, green, 0, 0] if *green >= 0xa0)
}

/// The program that a player's windows belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// Whether the screen's own picture can be compared once both programs rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtRest {
    Compared,
    Unknown,
}

/// Creates, moves, stacks, shows, hides and closes windows at random.
struct Player {
    server: RustConnection,
    root: Window,
    dice: Random,
    side: Side,
    windows: Vec<Window>,
    /// Windows without a background, drawn on Expose, and their colours.
    lazy: Vec<(Window, u32)>,
}

impl Player {
    fn new(display: &str, side: Side, seed: u64) -> Self {
        let (server, number) = RustConnection::connect(Some(display)).expect("connects");
        let root = server.setup().roots[number].root;
        Self {
            server,
            root,
            dice: Random::new(seed),
            side,
            windows: Vec::new(),
            lazy: Vec::new(),
        }
    }

    fn colour(&mut self) -> u32 {
        let n = self.dice.next_below(4) as usize;
        match self.side {
            Side::Ours => OURS[n],
            Side::Theirs => THEIRS[n],
        }
    }

    fn random_rect(&mut self) -> (i16, i16, u16, u16) {
        let (x, y) = (
            self.dice.next_below(360) as i16 - 60,
            self.dice.next_below(280) as i16 - 60,
        );
        (
            x,
            y,
            20 + self.dice.next_below(160) as u16,
            20 + self.dice.next_below(120) as u16,
        )
    }

    fn make(&mut self, parent: Window, (x, y, w, h): (i16, i16, u16, u16)) -> Window {
        let window = self.server.generate_id().expect("an id");
        let colour = self.colour();
        // A border belongs to the parent, which isn't always the program's.
        let may_have_border = self.side == Side::Theirs || parent != self.root;
        let border = if may_have_border && self.dice.next_below(3) == 0 {
            3
        } else {
            0
        };
        let border_colour = self.colour();
        let mut aux = CreateWindowAux::new()
            .override_redirect(1)
            .border_pixel(border_colour)
            .event_mask(EventMask::EXPOSURE);
        if self.dice.next_below(2) == 0 {
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

    /// Makes one random change.
    fn play(&mut self) {
        let known = self.windows.len() as u32;
        let some = (known > 0).then(|| self.windows[self.dice.next_below(known.max(1)) as usize]);
        match (self.dice.next_below(15), some) {
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
                let (x, y, w, h) = self.random_rect();
                let mut aux = ConfigureWindowAux::new().x(i32::from(x)).y(i32::from(y));
                if self.dice.next_below(3) == 0 {
                    aux = aux.width(u32::from(w)).height(u32::from(h));
                }
                self.server.configure_window(window, &aux).expect("sent");
            }
            (8, Some(window)) => {
                // There and back: pixels that were covered for a moment are the other program's all
                // the same.
                for x in [-400, 20] {
                    let aux = ConfigureWindowAux::new().x(x).stack_mode(StackMode::ABOVE);
                    self.server.configure_window(window, &aux).expect("sent");
                }
            }
            (9 | 10, Some(window)) => {
                let up = self.dice.next_below(2) == 0;
                let mode = if up {
                    StackMode::ABOVE
                } else {
                    StackMode::BELOW
                };
                let aux = ConfigureWindowAux::new().stack_mode(mode);
                self.server.configure_window(window, &aux).expect("sent");
            }
            // Pixels under another program's hole are grey too; only this test would call that
            // wrong.
            (11, Some(window)) if self.side == Side::Ours => self.shape(window),
            (12, Some(window)) => self.nest(window),
            (13, Some(window)) => self.scroll(window),
            (_, Some(_)) => {
                let direction = [Circulate::RAISE_LOWEST, Circulate::LOWER_HIGHEST];
                let direction = direction[self.dice.next_below(2) as usize];
                self.server
                    .circulate_window(direction, self.root)
                    .expect("sent");
            }
        }
    }

    fn open(&mut self) {
        let place = self.random_rect();
        let window = self.make(self.root, place);
        for _ in 0..self.dice.next_below(3) {
            let (x, y, w, h) = self.random_rect();
            let child = self.make(window, (x / 3, y / 3, w / 2, h / 2));
            self.server.map_window(child).expect("sent");
        }
        self.server.map_window(window).expect("sent");
        self.windows.push(window);
    }

    /// Moves the windows inside of a window.
    fn scroll(&mut self, window: Window) {
        let inside = self.server.query_tree(window).expect("sent").reply();
        let bits = !self.server.setup().resource_id_mask;
        for child in inside.map(|inside| inside.children).unwrap_or_default() {
            if child & bits == window & bits {
                let (x, y) = (
                    self.dice.next_below(60) as i32 - 20,
                    self.dice.next_below(60) as i32 - 20,
                );
                let aux = ConfigureWindowAux::new().x(x).y(y);
                self.server.configure_window(child, &aux).expect("sent");
            }
        }
    }

    fn shape(&mut self, window: Window) {
        let (x, y, width, height) = self.random_rect();
        let hole = [Rectangle {
            x,
            y,
            width,
            height,
        }];
        if self.dice.next_below(2) == 0 {
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

    /// Puts a window manager's frame around one of ours, or another program's window into one of
    /// ours.
    fn nest(&mut self, window: Window) {
        let bits = !self.server.setup().resource_id_mask;
        let all = self.server.query_tree(self.root).expect("sent");
        let Ok(all) = all.reply() else { return };
        let mut others = all.children.iter().filter(|w| **w & bits != window & bits);
        let Some(other) = others.next_back().copied() else {
            return;
        };
        let place = (
            self.dice.next_below(40) as i16,
            self.dice.next_below(40) as i16,
        );
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

    /// Draws exposed windows, after a while.
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

    fn play_while(&mut self, go_on: impl Fn() -> bool) {
        while go_on() {
            for _ in 0..1 + self.dice.next_below(3) {
                self.play();
            }
            self.server.sync().expect("sync");
            if self.dice.next_below(3) > 0 {
                self.draw();
            }
            std::thread::sleep(Duration::from_micros(u64::from(self.dice.next_below(1500))));
        }
    }

    /// Draws everything exposed.
    fn rest(&mut self) {
        for _ in 0..5 {
            self.server.sync().expect("sync");
            self.draw();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.server.sync().expect("sync");
    }
}

/// The other program, a separate process: this test's executable once more.
struct OtherProgram {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
    window: Window,
}

const DISPLAY: &str = "ETATUKI_TEST_DISPLAY";
const SEED: &str = "ETATUKI_TEST_SEED";

impl OtherProgram {
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

    fn send_line(&mut self, what: &str) {
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

impl Drop for OtherProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other program's window in the tests of input: it covers a part of ours.
const OTHER_WINDOW: (i16, i16, u16, u16) = (80, 20, 100, 100);
const OUR_WINDOW: (i16, i16, u16, u16) = (20, 20, 100, 100);

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

/// Returns one word for an event that came to a window.
fn event_word(event: &Event) -> Option<String> {
    match event {
        Event::ButtonPress(e) => Some(format!("press {}", e.detail)),
        Event::ButtonRelease(e) => Some(format!("release {}", e.detail)),
        Event::KeyPress(_) => Some("key".into()),
        Event::KeyRelease(_) => Some("key up".into()),
        Event::MotionNotify(_) => Some("move".into()),
        _ => None,
    }
}

/// Not a test by itself: the other program, which prints its window's events.
#[test]
fn the_other_program_listens() {
    let Ok(display) = std::env::var(DISPLAY) else {
        return;
    };
    let (server, _) = RustConnection::connect(Some(&display)).expect("connects");
    let window = window_with_input(&server, OTHER_WINDOW);
    println!("\nbegun {window}");
    loop {
        let Ok(event) = server.wait_for_event() else {
            std::process::exit(0);
        };
        if let Some(told) = event_word(&event) {
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
    let cancel = CancelToken::new().expect("a pipe");
    let mut clipboard = Clipboard::open(Some(&display), None, &cancel).expect("it opens");
    println!("\nbegun");
    for _line in std::io::stdin().lines() {
        clipboard.offer("a secret").expect("offered");
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

/// Not a test by itself: the other program. Each line on its stdin makes it rest or play.
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
            player.play_while(|| playing.load(Ordering::SeqCst));
            told.1.recv().expect("told");
            player.rest();
            println!("\nresting");
            told.1.recv().expect("told");
        }
    });
}

/// The picture that the agent gets.
struct Watcher {
    capture: Capture,
    copy: Vec<u8>,
    frames: u32,
    own_pixels: u64,
    /// Whether the program's windows have memory of their own, black where nothing was drawn yet.
    may_be_blank: bool,
}

impl Watcher {
    fn new(display: &str) -> Self {
        let cancel = CancelToken::new().expect("a pipe");
        let app = SharedApp::from_pids(&[std::process::id()]);
        let capture = Capture::open(Some(display), Some(&app), &cancel).expect("it opens");
        let copy = vec![0xee; usize::from(WIDTH) * usize::from(HEIGHT) * 4];
        Self {
            capture,
            copy,
            frames: 0,
            own_pixels: 0,
            may_be_blank: false,
        }
    }

    /// Captures one frame, none of whose pixels may be another program's. Returns whether there was
    /// one.
    fn grab_frame(&mut self) -> bool {
        self.capture.pump().expect("the server lives");
        let whole = self.capture.size().rect();
        let Some(frame) = self.capture.grab(whole).expect("a frame") else {
            return false;
        };
        self.frames += 1;
        let mut pixels = Vec::new();
        for piece in frame.rects() {
            pixels.clear();
            piece.append_bgrx(&mut pixels);
            assert_eq!(pixels.len() as u64, piece.rect.area() * 4);
            for pixel in pixels.chunks_exact(4) {
                let ours = is_ours(pixel);
                self.own_pixels += u64::from(ours);
                let blank = self.may_be_blank && pixel == [0; 4];
                assert!(
                    ours || blank || pixel == GREY,
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

    /// Counts the pixels that differ from the screen: the program's own must be there, all others
    /// grey.
    fn count_wrong_pixels(&self, server: &RustConnection, root: Window) -> usize {
        let format = ImageFormat::Z_PIXMAP;
        let image = server.get_image(format, root, 0, 0, WIDTH, HEIGHT, !0);
        let truth = image.expect("sent").reply().expect("an image").data;
        let expected = truth.chunks_exact(4).map(|p| {
            let pixel = [p[0], p[1], p[2], 0];
            if is_ours(&pixel) { pixel } else { GREY }
        });
        let mut boxes = Vec::new();
        foreign_boxes(server, root, (0, 0), false, &mut boxes);
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

/// Returns the boxes of the other program's windows inside of shaped windows of ours: a box is grey
/// as a whole, also where the shape hides the other's window.
fn foreign_boxes(
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
            foreign_boxes(server, child, (left + border, top + border), shaped, boxes);
        }
    }
}

/// Ends the playing on drop: also when a check fails, or the test would never end.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Has both programs play while the watcher looks. At rest the screen is compared, if it can be.
fn play(x: &Xvfb, seed: u64, rounds: u32, at_rest: AtRest) {
    let mut own = Player::new(&x.display, Side::Ours, seed);
    let blue = ChangeWindowAttributesAux::new().background_pixel(ROOT);
    own.server
        .change_window_attributes(own.root, &blue)
        .expect("sent");
    own.server
        .clear_area(false, own.root, 0, 0, 0, 0)
        .expect("sent");
    own.server.sync().expect("sync");
    let mut other = OtherProgram::start("the_other_program_plays", &x.display, !seed);
    let mut watcher = Watcher::new(&x.display);
    watcher.may_be_blank = at_rest == AtRest::Unknown;
    for round in 0..rounds {
        let playing = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let player = scope.spawn(|| {
                own.play_while(|| playing.load(Ordering::SeqCst));
            });
            let _end = StopOnDrop(&playing);
            let until = watcher.frames + 100;
            while watcher.frames < until && !player.is_finished() {
                watcher.grab_frame();
            }
        });
        // First wait until all of ours is done: an uncovered window of the other program without
        // background shows our old pixels until that program has drawn, and at rest it doesn't
        // draw.
        own.server.sync().expect("sync");
        other.send_line("rest");
        other.wait_for("resting");
        // What the watcher exposes is drawn and captured; the limit only ends a failed test.
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            while watcher.grab_frame() {}
            own.rest();
            if at_rest == AtRest::Unknown {
                break;
            }
            if !watcher.grab_frame() && watcher.count_wrong_pixels(&own.server, own.root) == 0 {
                break;
            }
            let wrong = watcher.count_wrong_pixels(&own.server, own.root);
            let late = Instant::now() > limit;
            assert!(
                !late,
                "seed {seed}, round {round}: {wrong} pixels are wrong at rest"
            );
        }
        other.send_line("play");
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
        watcher.grab_frame();
        server.sync().expect("sync");
        let wrong = watcher.count_wrong_pixels(&server, root);
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
        let x = Xvfb::start(&format!("{WIDTH}x{HEIGHT}x24"), &[]);
        play(&x, seed, 6, AtRest::Compared);
    }
}

/// A compositor draws all windows into one of its own, so programs' pixels are kept elsewhere. It
/// may be behind, so the screen isn't compared.
#[test]
fn no_pixel_of_another_program_is_shown_under_a_compositor() {
    for line in [
        "picom --config /dev/null --backend xrender",
        "xfwm4 --compositor=on --vblank=off",
    ] {
        let x = Xvfb::start(&format!("{WIDTH}x{HEIGHT}x24"), &[]);
        let mut compositor = Compositor::start(&x, line);
        play(&x, 5, 2, AtRest::Unknown);
        let ended = compositor.0.try_wait().expect("a child");
        assert!(ended.is_none(), "{line} died");
    }
}

/// A compositor, which ends with its handle.
struct Compositor(Child);

impl Compositor {
    fn start(x: &Xvfb, line: &str) -> Self {
        let mut words = line.split(' ');
        let mut program = Command::new(words.next().expect("a program"));
        program
            .args(words)
            .env("DISPLAY", &x.display)
            .stdin(Stdio::null());
        let child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let compositor = Self(child.expect("it is installed"));
        let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
        let atom = server.intern_atom(false, b"_NET_WM_CM_S0").expect("sent");
        let atom = atom.reply().expect("an atom").atom;
        let owner = || {
            let owner = server.get_selection_owner(atom).expect("sent").reply();
            owner.expect("an answer").owner
        };
        let limit = Instant::now() + Duration::from_secs(20);
        while owner() == x11rb::NONE {
            assert!(Instant::now() < limit, "{line} didn't begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        compositor
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A display with a window of ours, one of another program that covers a part of it, and our input.
struct Fixture {
    x: Xvfb,
    server: RustConnection,
    window: Window,
    other: OtherProgram,
    input: Input,
}

impl Fixture {
    fn new() -> Self {
        let x = Xvfb::start("640x480x24", &[]);
        let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
        let window = window_with_input(&server, OUR_WINDOW);
        let other = OtherProgram::start("the_other_program_listens", &x.display, 0);
        let app = SharedApp::from_pids(&[std::process::id()]);
        let cancel = CancelToken::new().expect("a pipe");
        let input = Input::open(Some(&x.display), Some(&app), &cancel).expect("it opens");
        Self {
            x,
            server,
            window,
            other,
            input,
        }
    }

    fn point(&mut self, x: u16, y: u16, buttons: u16) {
        self.input.send_pointer(x, y, buttons).expect("pointed");
    }

    fn tap(&mut self, keysym: u32) {
        self.input.send_keysym(keysym, true).expect("pressed");
        self.input.send_keysym(keysym, false).expect("let go of");
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

    /// Returns our window's events since the last call.
    fn take_events(&mut self) -> Vec<String> {
        self.input.flush().expect("flushed");
        // The server replies after all earlier requests.
        self.input.send_keysym(0xffed, true).expect("pressed");
        self.input.send_keysym(0xffed, false).expect("let go of");
        // 0 is no key: this only waits for the server. Else the release may come after the focus
        // has moved.
        self.input.send_scancode(0, 0, true).expect("ignored");
        self.server.sync().expect("sync");
        let mut all = Vec::new();
        while let Some(event) = self.server.poll_for_event().expect("the server lives") {
            all.extend(event_word(&event));
        }
        // A pointer moved to its own position sends an event too.
        all.retain(|told| told != "move");
        all
    }

    fn pointer(&self) -> (i16, i16) {
        let root = self.server.setup().roots[0].root;
        let at = self.server.query_pointer(root).expect("sent").reply();
        let at = at.expect("an answer");
        (at.root_x, at.root_y)
    }

    /// Checks that the first event the other program ever got is one that surely reaches it.
    #[track_caller]
    fn check_other_was_told_nothing(&mut self) {
        let cancel = CancelToken::new().expect("a pipe");
        let mut free = Input::open(Some(&self.x.display), None, &cancel).expect("it opens");
        free.send_pointer(150, 100, 4).expect("pointed");
        free.release_all().expect("let go of");
        let first = self.other.wait_for("got");
        assert_eq!(first.trim(), "got move");
        assert_eq!(self.other.wait_for("got").trim(), "got press 3");
    }
}

#[test]
fn clicks_reach_the_program_alone() {
    let mut fixture = Fixture::new();
    fixture.focus(fixture.other.window);
    fixture.point(50, 50, 0);
    fixture.point(50, 50, 1);
    fixture.point(50, 50, 0);
    assert_eq!(fixture.take_events(), ["press 1", "release 1"]);
    // The other's window, the part of it that covers ours, and the bare desktop.
    for (x, y) in [(150, 50), (100, 50), (400, 300)] {
        fixture.point(x, y, 0);
        fixture.point(x, y, 1);
        fixture.point(x, y, 0);
    }
    assert_eq!(fixture.take_events(), [""; 0]);
    assert_eq!(fixture.pointer(), (50, 50));
    // Pressed outside and dragged in: not a press.
    fixture.point(150, 50, 1);
    fixture.point(60, 60, 1);
    fixture.point(60, 60, 0);
    assert_eq!(fixture.take_events(), [""; 0]);
    assert_eq!(fixture.pointer(), (60, 60));
    // Pressed inside and dragged out: released, and the pointer stays.
    fixture.point(60, 60, 1);
    fixture.point(150, 50, 1);
    fixture.point(150, 50, 0);
    assert_eq!(fixture.take_events(), ["press 1", "release 1"]);
    assert_eq!(fixture.pointer(), (60, 60));
    // Our window is closed.
    fixture.server.unmap_window(fixture.window).expect("sent");
    fixture.server.sync().expect("sync");
    fixture.point(50, 50, 1);
    fixture.point(50, 50, 0);
    fixture.check_other_was_told_nothing();
}

#[test]
fn the_pointers_place_is_told_over_the_program_alone() {
    let fixture = Fixture::new();
    let mut watcher = Watcher::new(&fixture.x.display);
    let cancel = CancelToken::new().expect("a pipe");
    let mut free = Input::open(Some(&fixture.x.display), None, &cancel).expect("it opens");
    let whole = watcher.capture.size().rect();
    let monitors = watcher.capture.monitors();
    assert_eq!(monitors.iter().map(|m| m.rect).collect::<Vec<_>>(), [whole]);
    // Ours; the other's window, the part of it that covers ours, and the bare desktop.
    for (place, told) in [
        ((50, 50), true),
        ((150, 50), false),
        ((100, 50), false),
        ((400, 300), false),
    ] {
        free.send_pointer(place.0, place.1, 0).expect("moved");
        free.flush().expect("flushed");
        while fixture.pointer() != (place.0 as i16, place.1 as i16) {
            std::thread::yield_now();
        }
        let seen = watcher.capture.query_pointer().expect("an answer");
        assert_eq!(seen, told.then_some(place));
    }
}

#[test]
fn keys_reach_the_program_alone() {
    let mut fixture = Fixture::new();
    fixture.focus(fixture.other.window);
    fixture.tap(u32::from('a'));
    fixture
        .input
        .send_scancode(0x1e, u32::from('a'), true)
        .expect("pressed");
    fixture
        .input
        .send_scancode(0x1e, u32::from('a'), false)
        .expect("let go of");
    assert_eq!(fixture.take_events(), [""; 0]);
    fixture.focus(fixture.window);
    fixture.tap(u32::from('a'));
    assert_eq!(fixture.take_events()[..2], ["key", "key up"]);
    // The focus follows the pointer.
    fixture.focus(1);
    fixture.point(50, 50, 0);
    fixture.tap(u32::from('b'));
    assert_eq!(fixture.take_events()[..2], ["key", "key up"]);
    fixture.focus(fixture.other.window);
    fixture.check_other_was_told_nothing();
}

#[test]
fn what_the_program_copies_is_taken_and_no_more() {
    let x = Xvfb::start("640x480x24", &[]);
    let cancel = CancelToken::new().expect("a pipe");
    let app = SharedApp::from_pids(&[std::process::id()]);
    let mut watched = Clipboard::open(Some(&x.display), Some(&app), &cancel).expect("it opens");
    let mut own = Clipboard::open(Some(&x.display), None, &cancel).expect("it opens");
    let mut other = OtherProgram::start("the_other_program_copies", &x.display, 0);
    other.send_line("copy");
    other.wait_for("copied");
    assert_eq!(watched.pump().expect("the server lives"), None);
    other.wait_for("answered");
    assert_eq!(watched.pump().expect("the server lives"), None);
    own.offer("ours").expect("offered");
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
    assert_eq!(copied, Copied::Text("ours".into()));
}
