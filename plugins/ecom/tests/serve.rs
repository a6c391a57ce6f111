//! A client of `serve` on a real X server: what it decodes is what the screen shows, and it can do no
//! more than it is allowed to.

#[path = "../../../crates/screen/tests/common/mod.rs"]
mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread::JoinHandle;

use common::Xvfb;
use etatuki_ecom::{ServeError, Share, serve};
use etatuki_rfb::encode::{client, fence_flags};
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, Rect, Rectangle, ServerMessage,
    ServerParser, encoding,
};
use etatuki_screen::{CancelToken, Clipboard};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// What the launcher asks for.
const ALL: [i32; 8] = [
    encoding::RAW,
    encoding::COPY_RECT,
    encoding::CURSOR,
    encoding::EXTENDED_DESKTOP_SIZE,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// An X server, a program that draws on it, and a share that is served to one client.
struct Stage {
    x: Xvfb,
    painter: RustConnection,
    root: Window,
    gc: Gcontext,
    share: Share,
    served: Option<JoinHandle<Result<(), ServeError>>>,
    viewer: Viewer,
}

impl Stage {
    fn new(screen: &str, encodings: &[i32]) -> Self {
        let x = Xvfb::start(screen, &[]);
        let (painter, number) =
            RustConnection::connect(Some(&x.display)).expect("the painter connects");
        let root = painter.setup().roots[number].root;
        let gc = painter.generate_id().expect("id");
        painter
            .create_gc(gc, root, &CreateGCAux::new())
            .expect("gc");
        let share = Share::new(Some(&x.display)).expect("a share");
        share.allow(true, false);
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let server = share.clone();
        let served = Some(std::thread::spawn(move || serve(&server, theirs)));
        let mut viewer = Viewer::connect(ours);
        viewer.say(&ClientMessage::SetEncodings(encodings.to_vec()));
        Self {
            x,
            painter,
            root,
            gc,
            share,
            served,
            viewer,
        }
    }

    fn fill(&self, colour: u32, rect: Rectangle_) {
        self.painter
            .change_gc(self.gc, &ChangeGCAux::new().foreground(colour))
            .expect("colour");
        self.painter
            .poly_fill_rectangle(self.root, self.gc, &[rect])
            .expect("fill");
        self.painter.sync().expect("sync");
    }

    fn truth(&self) -> Vec<u8> {
        let (width, height) = self.viewer.size;
        let image =
            self.painter
                .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        let mut data = image.expect("sent").reply().expect("an image").data;
        data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        data
    }

    /// Asks for updates until the picture is the screen's; the screen must be at rest.
    fn catch_up(&mut self) {
        // What is drawn by now has been reported before the answer to this is.
        for _ in 0..2 {
            self.viewer.request(false);
            self.viewer.until_update();
        }
    }

    #[track_caller]
    fn check(&mut self) {
        self.catch_up();
        let (got, truth) = (&self.viewer.pixels, self.truth());
        assert_eq!(got.len(), truth.len(), "size");
        assert!(*got == truth, "the picture isn't the screen's");
    }

    /// Hangs up and gives what `serve` said.
    fn end(mut self) -> Result<(), ServeError> {
        self.viewer
            .stream
            .shutdown(std::net::Shutdown::Both)
            .expect("hung up");
        self.outcome()
    }

    fn outcome(&mut self) -> Result<(), ServeError> {
        self.served
            .take()
            .expect("served")
            .join()
            .expect("no panic")
    }

    fn pointer(&self) -> (i16, i16, u16) {
        let at = self
            .painter
            .query_pointer(self.root)
            .expect("sent")
            .reply()
            .expect("a place");
        (at.root_x, at.root_y, at.mask.into())
    }
}

type Rectangle_ = x11rb::protocol::xproto::Rectangle;

/// A client with a framebuffer.
struct Viewer {
    stream: UnixStream,
    parser: ServerParser,
    size: (u16, u16),
    pixels: Vec<u8>,
    /// Where pixels came.
    raws: Vec<Rect>,
    cursors: usize,
    confirmed: Vec<i32>,
    /// Widths and answers, of all that were told.
    layouts: Vec<(u16, u16)>,
    /// The monitors that were told last.
    monitors: Vec<Rect>,
    /// Where others moved the pointer to.
    places: Vec<(u16, u16)>,
    updates: usize,
    fences: usize,
    ends: usize,
    answers_fences: bool,
}

impl Viewer {
    fn connect(mut stream: UnixStream) -> Self {
        let mut handshake = ClientHandshake::new(Limits::default());
        let init = loop {
            let step = handshake.step().expect("a handshake");
            stream.write_all(&handshake.output()).expect("sent");
            if let Some(init) = step {
                break init;
            }
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).expect("read");
            assert_ne!(read, 0, "the server hung up");
            handshake.push(&bytes[..read]);
        };
        assert_eq!(init.format, PixelFormat::BGRX);
        let mut parser = ServerParser::new(
            Limits::default(),
            PixelFormat::BGRX,
            init.width,
            init.height,
        );
        parser.push(&handshake.into_rest());
        let pixels = vec![0xee; usize::from(init.width) * usize::from(init.height) * 4];
        Self {
            stream,
            parser,
            size: (init.width, init.height),
            pixels,
            raws: Vec::new(),
            cursors: 0,
            confirmed: Vec::new(),
            layouts: Vec::new(),
            monitors: Vec::new(),
            places: Vec::new(),
            updates: 0,
            fences: 0,
            ends: 0,
            answers_fences: true,
        }
    }

    fn say(&mut self, message: &ClientMessage) {
        let mut out = Vec::new();
        client::message(&mut out, message, false);
        self.stream.write_all(&out).expect("sent");
    }

    fn request(&mut self, incremental: bool) {
        let rect = Rect::new(0, 0, self.size.0, self.size.1);
        self.say(&ClientMessage::UpdateRequest { incremental, rect });
    }

    /// The next message of the server.
    fn hear(&mut self) -> ServerMessage {
        loop {
            if let Some(message) = self.parser.next().expect("RFB") {
                return message;
            }
            let mut bytes = [0; 65536];
            let read = self.stream.read(&mut bytes).expect("read");
            assert_ne!(read, 0, "the server hung up");
            self.parser.push(&bytes[..read]);
        }
    }

    /// Takes in all that comes up to the end of the next update that has pixels.
    fn until_update(&mut self) {
        let mut has_pixels = false;
        loop {
            match self.hear() {
                ServerMessage::Rectangle(rectangle) => has_pixels |= self.take_in(rectangle),
                ServerMessage::UpdateEnd => {
                    self.updates += 1;
                    if has_pixels {
                        return;
                    }
                }
                other => self.note(other),
            }
        }
    }

    fn note(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Fence { flags, payload } => {
                self.fences += 1;
                assert_ne!(flags & fence_flags::REQUEST, 0);
                if self.answers_fences {
                    self.say(&ClientMessage::Fence {
                        flags: flags & !fence_flags::REQUEST,
                        payload,
                    });
                }
            }
            ServerMessage::EndOfContinuousUpdates => self.ends += 1,
            _ => {}
        }
    }

    fn take_in(&mut self, rectangle: Rectangle) -> bool {
        match rectangle {
            Rectangle::Raw { rect, pixels } => {
                let stride = usize::from(self.size.0) * 4;
                let rows = usize::from(rect.y)..;
                self.raws.push(rect);
                for (line, y) in pixels.chunks_exact(usize::from(rect.w) * 4).zip(rows) {
                    let at = y * stride + usize::from(rect.x) * 4;
                    self.pixels[at..at + line.len()].copy_from_slice(line);
                }
                return true;
            }
            Rectangle::Cursor(_) => self.cursors += 1,
            Rectangle::PointerPos { x, y } => self.places.push((x, y)),
            Rectangle::Supports { encoding } => self.confirmed.push(encoding),
            Rectangle::ExtendedDesktopSize {
                width,
                height,
                status,
                screens,
                ..
            } => {
                self.layouts.push((width, status));
                self.monitors = screens.iter().map(|screen| screen.rect).collect();
                if self.size != (width, height) {
                    self.size = (width, height);
                    self.pixels = vec![0xee; usize::from(width) * usize::from(height) * 4];
                }
            }
            other => panic!("not asked for: {other:?}"),
        }
        false
    }
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

#[test]
fn the_picture_is_the_screen() {
    let mut stage = Stage::new("640x480x24", &ALL);
    stage.check();
    let mut dice = Dice(7);
    for round in 0..60 {
        for _ in 0..dice.roll(30) {
            let (x, y) = (dice.roll(700) as i16 - 30, dice.roll(540) as i16 - 30);
            let (width, height) = (1 + dice.roll(200) as u16, 1 + dice.roll(90) as u16);
            stage.fill(
                dice.roll(0x0100_0000),
                Rectangle_ {
                    x,
                    y,
                    width,
                    height,
                },
            );
        }
        if round % 10 == 0 {
            stage.check();
        }
    }
    stage.check();
    assert_eq!(stage.viewer.cursors, 1, "the pointer's shape comes once");
    assert_eq!(
        stage.viewer.confirmed,
        [
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS
        ]
    );
    stage.end().expect("a client that hangs up is no error");
}

#[test]
fn what_is_drawn_as_it_was_is_not_sent() {
    let mut stage = Stage::new("640x480x24", &ALL);
    let (whole, spot) = ((0, 0, 640, 480), (20, 20, 3, 3));
    let rect = |(x, y, width, height)| Rectangle_ {
        x,
        y,
        width,
        height,
    };
    stage.fill(0x33_4455, rect(whole));
    stage.check();
    stage.viewer.raws.clear();
    stage.fill(0x33_4455, rect(whole));
    stage.fill(0xff_0000, rect(spot));
    stage.viewer.request(true);
    stage.viewer.until_update();
    assert_eq!(stage.viewer.raws, [Rect::new(16, 16, 16, 16)]);
    assert!(stage.viewer.pixels == stage.truth());
    stage.end().expect("an end");
}

#[test]
fn changes_come_by_themselves_once_asked_for() {
    let mut stage = Stage::new("640x480x24", &[]);
    stage.check();
    for colour in 1..50 {
        stage.viewer.request(true);
        stage.fill(
            colour,
            Rectangle_ {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        stage.viewer.until_update();
        let at = (20 * 640 + 10) * 4;
        assert_eq!(stage.viewer.pixels[at..at + 4], colour.to_le_bytes());
    }
}

#[test]
fn changes_add_up_while_nobody_asks() {
    let mut stage = Stage::new("640x480x24", &[]);
    stage.check();
    let updates = stage.viewer.updates;
    for colour in 1..20 {
        stage.fill(
            colour,
            Rectangle_ {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
    }
    stage.viewer.request(true);
    stage.viewer.until_update();
    assert_eq!(stage.viewer.updates, updates + 1);
    let at = (20 * 640 + 10) * 4;
    assert_eq!(stage.viewer.pixels[at], 19, "the latest state wins");
}

#[test]
fn continuous_updates_are_paced_by_fences() {
    let mut stage = Stage::new("640x480x24", &ALL);
    stage.check();
    assert_eq!(
        (stage.viewer.fences, stage.viewer.ends),
        (1, 1),
        "both are announced"
    );
    let rect = Rect::new(0, 0, 640, 480);
    stage
        .viewer
        .say(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    for colour in 1..50 {
        stage.fill(
            colour,
            Rectangle_ {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        stage.viewer.until_update();
    }
    let last_fence = stage.viewer.hear();
    stage.viewer.note(last_fence);
    // Unanswered fences hold the flow up after the second update; one answer lets it go on.
    stage.viewer.answers_fences = false;
    for colour in [50, 51] {
        stage.fill(
            colour,
            Rectangle_ {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        stage.viewer.until_update();
    }
    stage.fill(
        52,
        Rectangle_ {
            x: 10,
            y: 20,
            width: 30,
            height: 40,
        },
    );
    stage.viewer.say(&ClientMessage::EnableContinuousUpdates {
        enable: false,
        rect,
    });
    let updates = stage.viewer.updates;
    while stage.viewer.ends < 2 {
        match stage.viewer.hear() {
            ServerMessage::Rectangle(_) | ServerMessage::UpdateStart => {
                panic!("an update without credit")
            }
            other => stage.viewer.note(other),
        }
    }
    assert_eq!(stage.viewer.updates, updates);
    stage.check();
}

#[test]
fn a_fence_is_answered_in_order() {
    let mut stage = Stage::new("640x480x24", &[encoding::RAW]);
    let payload = b"anything".to_vec();
    stage.viewer.request(false);
    stage.viewer.say(&ClientMessage::Fence {
        flags: fence_flags::REQUEST | 1 | 0x100,
        payload: payload.clone(),
    });
    loop {
        if let ServerMessage::Fence {
            flags,
            payload: back,
        } = stage.viewer.hear()
        {
            assert_eq!((flags, back), (1, payload));
            return;
        }
    }
}

#[test]
fn a_new_size_is_told_before_its_picture() {
    let mut stage = Stage::new("800x600x24", &ALL);
    stage.check();
    for (width, height) in [(640, 480), (800, 600), (320, 200)] {
        resize(&stage.painter, stage.root, width, height);
        stage.check();
        assert_eq!(stage.viewer.size, (width, height));
    }
    stage.viewer.say(&ClientMessage::SetDesktopSize {
        width: 640,
        height: 480,
        screens: Vec::new(),
    });
    stage.check();
    assert_eq!(
        stage.viewer.layouts.last(),
        Some(&(320, 1)),
        "a client may not set it"
    );
}

#[test]
fn monitors_are_told_and_followed() {
    let mut stage = Stage::new("800x600x24", &ALL);
    stage.check();
    let whole = Rect::new(0, 0, 800, 600);
    let (left, right) = (Rect::new(0, 0, 500, 600), Rect::new(500, 0, 300, 600));
    assert_eq!(stage.viewer.monitors, [whole], "at first");
    let xrandr = |stage: &Stage, arguments: &[&str]| {
        let mut xrandr = Command::new("xrandr");
        xrandr.args(["-display", &stage.x.display]).args(arguments);
        assert!(
            xrandr
                .output()
                .expect("xrandr is installed")
                .status
                .success()
        );
    };
    // Nothing is drawn, and still it is told.
    let until = |stage: &mut Stage, wanted: &[Rect]| {
        while stage.viewer.monitors != wanted {
            stage.viewer.request(true);
            let message = stage.viewer.hear();
            if let ServerMessage::Rectangle(rectangle) = message {
                stage.viewer.take_in(rectangle);
            }
        }
    };
    xrandr(
        &stage,
        &["--setmonitor", "a", "500/100x600/100+0+0", "screen"],
    );
    until(&mut stage, &[left]);
    xrandr(
        &stage,
        &["--setmonitor", "b", "300/100x600/100+500+0", "none"],
    );
    until(&mut stage, &[left, right]);
    xrandr(&stage, &["--delmonitor", "a"]);
    xrandr(&stage, &["--delmonitor", "b"]);
    until(&mut stage, &[whole]);
    stage.check();
}

fn resize(connection: &RustConnection, root: Window, width: u16, height: u16) {
    connection
        .randr_query_version(1, 5)
        .expect("sent")
        .reply()
        .expect("a version");
    let outputs = connection
        .randr_get_screen_resources(root)
        .expect("sent")
        .reply()
        .expect("outputs");
    for crtc in outputs.crtcs {
        let (now, stamp) = (x11rb::CURRENT_TIME, outputs.config_timestamp);
        let off = connection.randr_set_crtc_config(
            crtc,
            now,
            stamp,
            0,
            0,
            x11rb::NONE,
            Rotation::ROTATE0,
            &[],
        );
        off.expect("sent").reply().expect("switched off");
    }
    connection
        .randr_set_screen_size(root, width, height, 100, 100)
        .expect("sent")
        .check()
        .expect("resized");
}

#[test]
fn a_client_that_knows_no_sizes_keeps_its_own() {
    let mut stage = Stage::new("800x600x24", &[encoding::RAW]);
    stage.check();
    resize(&stage.painter, stage.root, 640, 480);
    stage.catch_up();
    assert_eq!(stage.viewer.size, (800, 600));
    resize(&stage.painter, stage.root, 800, 600);
    stage.check();
}

#[test]
fn without_view_there_is_no_picture() {
    let mut stage = Stage::new("640x480x24", &[encoding::FENCE]);
    stage.check();
    stage.share.allow(false, false);
    stage.viewer.request(false);
    stage.viewer.say(&ClientMessage::Fence {
        flags: fence_flags::REQUEST,
        payload: b"now".to_vec(),
    });
    loop {
        match stage.viewer.hear() {
            ServerMessage::Fence { payload, .. } if payload == b"now" => break,
            ServerMessage::Fence { .. } => {}
            other => panic!("not allowed: {other:?}"),
        }
    }
    stage.share.allow(true, false);
    stage.viewer.until_update();
}

#[test]
fn without_control_there_is_no_input() {
    let mut stage = Stage::new("640x480x24", &[]);
    let before = stage.pointer();
    stage.viewer.say(&ClientMessage::Pointer {
        buttons: 1,
        x: 11,
        y: 22,
    });
    stage.viewer.say(&ClientMessage::Key {
        down: true,
        keysym: 0xffe1,
    });
    stage.check();
    assert_eq!(stage.pointer(), before);
    stage.share.allow(true, true);
    stage.viewer.say(&ClientMessage::Pointer {
        buttons: 1,
        x: 11,
        y: 22,
    });
    stage.viewer.say(&ClientMessage::QemuKey {
        down: true,
        keysym: 0xffe1,
        keycode: 0x2a,
    });
    // Nothing but the X server's state tells that it is done.
    let pressed = u16::from(KeyButMask::BUTTON1 | KeyButMask::SHIFT);
    while stage.pointer() != (11, 22, pressed) {
        std::thread::yield_now();
    }
    stage.share.allow(true, false);
    while stage.pointer() != (11, 22, 0) {
        std::thread::yield_now();
    }
}

#[test]
fn the_clipboard_goes_both_ways_with_control_only() {
    clipboard(&[], b"h\xe4r", "här", b"d\xe4r ?");
    let utf8 = [encoding::UTF8_CUT_TEXT];
    clipboard(&utf8, "Ж 漢 €".as_bytes(), "Ж 漢 €", "där €".as_bytes());
}

/// For a client with these encodings: what it sends, what is pasted then, and what it hears of "där €".
fn clipboard(encodings: &[i32], sent: &[u8], expected: &str, heard: &[u8]) {
    let mut stage = Stage::new("640x480x24", encodings);
    let stop = CancelToken::new().expect("a pipe");
    let mut desk = Clipboard::open(Some(&stage.x.display), &stop).expect("a clipboard");
    stage
        .viewer
        .say(&ClientMessage::CutText(b"not allowed".to_vec()));
    desk.offer("private".into()).expect("offered");
    stage.check();
    stage.share.allow(true, true);
    // What was copied before stays private; what is copied from now on is told.
    stage.viewer.say(&ClientMessage::CutText(sent.to_vec()));
    let pasted = loop {
        if let Some(text) = desk.pump().expect("the server lives") {
            break text;
        }
        std::thread::yield_now();
    };
    assert_eq!(pasted, expected);
    desk.offer("där €".into()).expect("offered");
    let copied = std::thread::spawn(move || {
        loop {
            if let ServerMessage::CutText(text) = stage.viewer.hear() {
                return (text, stage);
            }
        }
    });
    while !copied.is_finished() {
        desk.pump().expect("the server lives");
        std::thread::yield_now();
    }
    assert_eq!(copied.join().expect("no panic").0, heard);
}

#[test]
fn the_pointers_place_is_told_when_others_move_it() {
    let mut stage = Stage::new("640x480x24", &[encoding::POINTER_POS]);
    stage.share.allow(true, true);
    stage.viewer.request(true);
    let until = |stage: &mut Stage, place: (u16, u16)| {
        while stage.viewer.places.last() != Some(&place) {
            match stage.viewer.hear() {
                ServerMessage::Rectangle(rectangle) => drop(stage.viewer.take_in(rectangle)),
                ServerMessage::UpdateEnd => stage.viewer.request(true),
                _ => {}
            }
        }
    };
    until(&mut stage, (320, 240));
    let moves = |stage: &Stage, x: i16, y: i16| {
        let painter = &stage.painter;
        let moved = painter.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, stage.root, x, y, 0);
        moved.expect("sent").check().expect("moved");
    };
    moves(&stage, 10, 20);
    until(&mut stage, (10, 20));
    // What the client does itself it knows.
    let (buttons, x, y) = (0, 300, 200);
    stage.viewer.say(&ClientMessage::Pointer { buttons, x, y });
    while stage.pointer() != (300, 200, 0) {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    // However fast it moves, few of the places are told, and the last one is.
    for x in 0..400 {
        moves(&stage, x, 30);
    }
    until(&mut stage, (399, 30));
    assert!(!stage.viewer.places.contains(&(300, 200)));
    assert!(stage.viewer.places.len() < 100);
}

#[test]
fn nothing_stays_pressed_when_the_client_hangs_up() {
    let mut stage = Stage::new("640x480x24", &[]);
    stage.share.allow(true, true);
    stage.viewer.say(&ClientMessage::Pointer {
        buttons: 4,
        x: 1,
        y: 2,
    });
    stage.viewer.say(&ClientMessage::Key {
        down: true,
        keysym: 0xffe3,
    });
    let pressed = u16::from(KeyButMask::BUTTON3 | KeyButMask::CONTROL);
    while stage.pointer() != (1, 2, pressed) {
        std::thread::yield_now();
    }
    stage
        .viewer
        .stream
        .shutdown(std::net::Shutdown::Both)
        .expect("hung up");
    stage.outcome().expect("no error");
    assert_eq!(stage.pointer(), (1, 2, 0));
}

#[test]
fn nor_when_it_is_stopped() {
    let mut stage = Stage::new("640x480x24", &[]);
    stage.share.allow(true, true);
    stage.viewer.say(&ClientMessage::Key {
        down: true,
        keysym: 0xffe3,
    });
    while stage.pointer().2 == 0 {
        std::thread::yield_now();
    }
    stage.share.stop();
    stage.outcome().expect("no error");
    assert_eq!(stage.pointer().2, 0);
}

#[test]
fn an_x_server_that_dies_is_a_named_error() {
    let mut stage = Stage::new("640x480x24", &ALL);
    stage.check();
    stage.x.kill();
    assert_eq!(
        stage.outcome().expect_err("it is gone").name(),
        "display-lost"
    );
}

#[test]
fn a_missing_display_is_a_named_error() {
    let mut gone = Xvfb::start("640x480x24", &[]);
    gone.kill();
    let share = Share::new(Some(&gone.display)).expect("a share");
    let (_ours, theirs) = UnixStream::pair().expect("a socket pair");
    assert_eq!(
        serve(&share, theirs).expect_err("refused").name(),
        "display-missing"
    );
}

#[test]
fn nonsense_is_a_protocol_error() {
    let mut stage = Stage::new("640x480x24", &ALL);
    stage.viewer.stream.write_all(&[99; 40]).expect("sent");
    assert_eq!(stage.outcome().expect_err("refused").name(), "protocol");
}

#[test]
fn what_is_lost_while_an_update_is_on_its_way_comes_with_the_next() {
    let mut stage = Stage::new("1920x1080x24", &ALL);
    stage.viewer.request(false);
    // The rest of it doesn't fit into the socket.
    while !matches!(
        stage.viewer.hear(),
        ServerMessage::Rectangle(Rectangle::Raw { .. })
    ) {}
    stage.viewer.pixels.fill(0);
    stage.viewer.request(false);
    for update in ["the first", "the second"] {
        stage.viewer.raws.clear();
        stage.viewer.until_update();
        let area: usize = stage.viewer.raws.iter().map(Rect::area).sum();
        assert!(area > 1920 * 1000, "{update} is whole");
        assert!(stage.viewer.pixels == stage.truth(), "{update}");
    }
    stage.end().expect("no error");
}

#[test]
fn an_update_on_its_way_is_not_changed_when_the_screen_grows() {
    let mut stage = Stage::new("1920x1080x24", &ALL);
    resize(&stage.painter, stage.root, 800, 600);
    let whole = Rectangle_ {
        x: 0,
        y: 0,
        width: 800,
        height: 600,
    };
    stage.fill(0x33_4455, whole);
    stage.check();
    let small = stage.truth();
    stage.viewer.request(false);
    while !matches!(
        stage.viewer.hear(),
        ServerMessage::Rectangle(Rectangle::Raw { .. })
    ) {}
    stage.viewer.pixels.clone_from(&small);
    resize(&stage.painter, stage.root, 1920, 1080);
    stage.painter.sync().expect("sync");
    stage.viewer.until_update();
    assert_eq!(stage.viewer.size, (800, 600));
    assert!(stage.viewer.pixels == small);
    stage.check();
    assert_eq!(stage.viewer.size, (1920, 1080));
    stage.end().expect("no error");
}

#[test]
fn motion_flows_on_while_updates_are_large() {
    let mut stage = Stage::new("1920x1080x24", &ALL);
    let rect = Rect::new(0, 0, 1920, 1080);
    stage.viewer.request(false);
    stage
        .viewer
        .say(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    let (display, root) = (stage.x.display.clone(), stage.root);
    let animator = std::thread::spawn(move || {
        let x = RustConnection::connect(Some(&display)).expect("connects").0;
        let gc = x.generate_id().expect("id");
        x.create_gc(gc, root, &CreateGCAux::new()).expect("gc");
        let whole = Rectangle_ {
            x: 0,
            y: 0,
            width: 1920,
            height: 1080,
        };
        for colour in 1..=300 {
            x.change_gc(gc, &ChangeGCAux::new().foreground(colour))
                .expect("colour");
            x.poly_fill_rectangle(root, gc, &[whole]).expect("fill");
            x.sync().expect("sync");
        }
    });
    // Every stall on the way to the last colour would be for good.
    while stage.viewer.pixels[..2] != 300_u16.to_le_bytes() {
        stage.viewer.until_update();
    }
    animator.join().expect("no panic");
}

#[test]
fn a_client_that_never_reads_does_no_harm() {
    let mut stage = Stage::new("640x480x24", &ALL);
    let rect = Rect::new(0, 0, 640, 480);
    stage
        .viewer
        .say(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    stage.viewer.stream.set_nonblocking(true).expect("set");
    let mut flood = Vec::new();
    for _ in 0..200 {
        client::message(
            &mut flood,
            &ClientMessage::UpdateRequest {
                incremental: false,
                rect,
            },
            false,
        );
        let fence = ClientMessage::Fence {
            flags: fence_flags::REQUEST,
            payload: vec![7; 64],
        };
        client::message(&mut flood, &fence, false);
    }
    // Until the server no longer listens, for it isn't listened to.
    while stage.viewer.stream.write_all(&flood).is_ok() {}
    stage.share.stop();
    stage.outcome().expect("it stops all the same");
}
