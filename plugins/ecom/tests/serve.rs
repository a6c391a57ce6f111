//! A client of `serve` on a real X server: its picture equals the screen, and it can do no more
//! than it is permitted to.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread::JoinHandle;

use etatuki_ecom::{Permissions, ServeError, Share, serve};
use etatuki_rfb::encode::{client, fence_flags};
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, Rect, Rectangle,
    ServerMessage, encoding,
};
use etatuki_screen::{CancelToken, Clipboard, Copied};
use etatuki_testkit::{Random, RfbClient, Xvfb};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// The launcher's encodings.
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
struct Fixture {
    x: Xvfb,
    painter: RustConnection,
    root: Window,
    gc: Gcontext,
    share: Share,
    served: Option<JoinHandle<Result<(), ServeError>>>,
    viewer: Viewer,
}

impl Fixture {
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
        share.set_permissions(Permissions::VIEW);
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let server = share.clone();
        let served = Some(std::thread::spawn(move || serve(&server, theirs)));
        let mut viewer = Viewer::connect(ours);
        viewer.send(&ClientMessage::SetEncodings(encodings.to_vec()));
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

    fn fill(&self, colour: u32, rect: XRectangle) {
        self.painter
            .change_gc(self.gc, &ChangeGCAux::new().foreground(colour))
            .expect("colour");
        self.painter
            .poly_fill_rectangle(self.root, self.gc, &[rect])
            .expect("fill");
        self.painter.sync().expect("sync");
    }

    fn screen_pixels(&self) -> Vec<u8> {
        let (width, height) = (self.viewer.client.width, self.viewer.client.height);
        let image =
            self.painter
                .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        let mut data = image.expect("sent").reply().expect("an image").data;
        data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        data
    }

    /// Requests updates until the picture equals the screen, which must be at rest.
    fn catch_up(&mut self) {
        // Damage of everything drawn by now is reported before the reply.
        for _ in 0..2 {
            self.viewer.request(false);
            self.viewer.until_update();
        }
    }

    #[track_caller]
    fn check(&mut self) {
        self.catch_up();
        assert!(
            self.viewer.client.shows(&self.screen_pixels()),
            "the picture isn't the screen's"
        );
    }

    /// Hangs up and returns the result of `serve`.
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

type XRectangle = x11rb::protocol::xproto::Rectangle;

/// A client at a socket.
struct Viewer {
    stream: UnixStream,
    client: RfbClient,
    /// Fences that the server has requested so far.
    fences: usize,
    answers_fences: bool,
}

impl Viewer {
    fn connect(mut stream: UnixStream) -> Self {
        let mut handshake = ClientHandshake::new(Limits::default());
        let init = loop {
            let step = handshake.step().expect("a handshake");
            stream.write_all(&handshake.take_output()).expect("sent");
            if let Some(init) = step {
                break init;
            }
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).expect("read");
            assert_ne!(read, 0, "the server hung up");
            handshake.push(&bytes[..read]);
        };
        assert_eq!(init.format, PixelFormat::BGRX);
        let mut client = RfbClient::new(init.width, init.height);
        client.push(&handshake.into_rest());
        Self {
            stream,
            client,
            fences: 0,
            answers_fences: true,
        }
    }

    fn send(&mut self, message: &ClientMessage) {
        let mut out = Vec::new();
        client::message(&mut out, message, PointerFormat::Standard);
        self.stream.write_all(&out).expect("sent");
    }

    fn request(&mut self, incremental: bool) {
        let rect = self.client.bounds();
        self.send(&ClientMessage::UpdateRequest { incremental, rect });
    }

    /// Applies the server's next message, and returns it.
    fn receive(&mut self) -> ServerMessage {
        let message = loop {
            if let Some(message) = self.client.next_message() {
                break message;
            }
            let mut bytes = [0; 65536];
            let read = self.stream.read(&mut bytes).expect("read");
            assert_ne!(read, 0, "the server hung up");
            self.client.push(&bytes[..read]);
        };
        if let ServerMessage::Rectangle(rectangle) = &message {
            assert!(
                !matches!(
                    rectangle,
                    Rectangle::CopyRect { .. }
                        | Rectangle::Jpeg { .. }
                        | Rectangle::DesktopSize { .. }
                ),
                "not asked for: {rectangle:?}"
            );
        }
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            self.fences += 1;
            if self.answers_fences {
                self.send(&ClientMessage::Fence { flags, payload });
            }
        }
        message
    }

    /// Receives up to the end of the next update with pixels.
    fn until_update(&mut self) {
        let mut has_pixels = false;
        loop {
            match self.receive() {
                ServerMessage::Rectangle(Rectangle::Raw { .. }) => has_pixels = true,
                ServerMessage::UpdateEnd if has_pixels => return,
                ServerMessage::Fence { flags, .. } => assert_ne!(flags & fence_flags::REQUEST, 0),
                _ => {}
            }
        }
    }

    /// Receives up to the first rectangle of pixels.
    fn until_pixels(&mut self) {
        while !matches!(
            self.receive(),
            ServerMessage::Rectangle(Rectangle::Raw { .. })
        ) {}
    }
}

#[test]
fn the_picture_is_the_screen() {
    let mut fixture = Fixture::new("640x480x24", &ALL);
    fixture.check();
    let mut random = Random::new(7);
    for round in 0..60 {
        for _ in 0..random.next_below(30) {
            let (x, y) = (
                random.next_below(700) as i16 - 30,
                random.next_below(540) as i16 - 30,
            );
            let (width, height) = (
                1 + random.next_below(200) as u16,
                1 + random.next_below(90) as u16,
            );
            fixture.fill(
                random.next_below(0x0100_0000),
                XRectangle {
                    x,
                    y,
                    width,
                    height,
                },
            );
        }
        if round % 10 == 0 {
            fixture.check();
        }
    }
    fixture.check();
    assert_eq!(
        fixture.viewer.client.cursors, 1,
        "the pointer's shape comes once"
    );
    assert_eq!(
        fixture.viewer.client.confirmed,
        [
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS
        ]
    );
    fixture.end().expect("a client that hangs up is no error");
}

#[test]
fn what_is_drawn_as_it_was_is_not_sent() {
    let mut fixture = Fixture::new("640x480x24", &ALL);
    let (whole, spot) = ((0, 0, 640, 480), (20, 20, 3, 3));
    let rect = |(x, y, width, height)| XRectangle {
        x,
        y,
        width,
        height,
    };
    fixture.fill(0x33_4455, rect(whole));
    fixture.check();
    fixture.viewer.client.last_rects.clear();
    fixture.fill(0x33_4455, rect(whole));
    fixture.fill(0xff_0000, rect(spot));
    fixture.viewer.request(true);
    fixture.viewer.until_update();
    assert_eq!(
        fixture.viewer.client.last_rects,
        [Rect::new(16, 16, 16, 16)]
    );
    assert!(fixture.viewer.client.shows(&fixture.screen_pixels()));
    fixture.end().expect("an end");
}

#[test]
fn changes_come_by_themselves_once_asked_for() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.check();
    for colour in 1..50 {
        fixture.viewer.request(true);
        fixture.fill(
            colour,
            XRectangle {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        fixture.viewer.until_update();
        let at = 20 * 640 + 10;
        assert_eq!(fixture.viewer.client.pixels[at], Some(colour.to_le_bytes()));
    }
}

#[test]
fn changes_add_up_while_nobody_asks() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.check();
    let updates = fixture.viewer.client.updates;
    for colour in 1..20 {
        fixture.fill(
            colour,
            XRectangle {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
    }
    fixture.viewer.request(true);
    fixture.viewer.until_update();
    assert_eq!(fixture.viewer.client.updates, updates + 1);
    let at = 20 * 640 + 10;
    let latest = Some(19_u32.to_le_bytes());
    assert_eq!(
        fixture.viewer.client.pixels[at], latest,
        "the latest state wins"
    );
}

#[test]
fn continuous_updates_are_paced_by_fences() {
    let mut fixture = Fixture::new("640x480x24", &ALL);
    fixture.check();
    assert_eq!(
        (fixture.viewer.fences, fixture.viewer.client.continuous_ends),
        (1, 1),
        "both are announced"
    );
    let rect = Rect::new(0, 0, 640, 480);
    fixture
        .viewer
        .send(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    for colour in 1..50 {
        fixture.fill(
            colour,
            XRectangle {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        fixture.viewer.until_update();
    }
    let last = fixture.viewer.receive();
    assert!(matches!(last, ServerMessage::Fence { .. }), "{last:?}");
    // Unanswered fences stop the updates after the second one; one answer continues them.
    fixture.viewer.answers_fences = false;
    for colour in [50, 51] {
        fixture.fill(
            colour,
            XRectangle {
                x: 10,
                y: 20,
                width: 30,
                height: 40,
            },
        );
        fixture.viewer.until_update();
    }
    fixture.fill(
        52,
        XRectangle {
            x: 10,
            y: 20,
            width: 30,
            height: 40,
        },
    );
    fixture
        .viewer
        .send(&ClientMessage::EnableContinuousUpdates {
            enable: false,
            rect,
        });
    let updates = fixture.viewer.client.updates;
    while fixture.viewer.client.continuous_ends < 2 {
        let message = fixture.viewer.receive();
        let is_update = matches!(
            message,
            ServerMessage::Rectangle(_) | ServerMessage::UpdateStart
        );
        assert!(!is_update, "an update without credit");
    }
    assert_eq!(fixture.viewer.client.updates, updates);
    fixture.check();
}

#[test]
fn a_fence_is_answered_in_order() {
    let mut fixture = Fixture::new("640x480x24", &[encoding::RAW]);
    let payload = b"anything".to_vec();
    fixture.viewer.request(false);
    fixture.viewer.send(&ClientMessage::Fence {
        flags: fence_flags::REQUEST | 1 | 0x100,
        payload: payload.clone(),
    });
    loop {
        if let ServerMessage::Fence {
            flags,
            payload: back,
        } = fixture.viewer.receive()
        {
            assert_eq!((flags, back), (1, payload));
            return;
        }
    }
}

#[test]
fn a_new_size_is_told_before_its_picture() {
    let mut fixture = Fixture::new("800x600x24", &ALL);
    fixture.check();
    for (width, height) in [(640, 480), (800, 600), (320, 200)] {
        resize(&fixture.painter, fixture.root, width, height);
        fixture.check();
        assert_eq!(
            fixture.viewer.client.bounds(),
            Rect::new(0, 0, width, height)
        );
    }
    fixture.viewer.send(&ClientMessage::SetDesktopSize {
        width: 640,
        height: 480,
        screens: Vec::new(),
    });
    fixture.check();
    let [_, status, width, _] = fixture.viewer.client.sizes.last().expect("an answer");
    assert_eq!((*width, *status), (320, 1), "a client may not set it");
}

#[test]
fn monitors_are_told_and_followed() {
    let mut fixture = Fixture::new("800x600x24", &ALL);
    fixture.check();
    let whole = Rect::new(0, 0, 800, 600);
    let (left, right) = (Rect::new(0, 0, 500, 600), Rect::new(500, 0, 300, 600));
    let monitors = |fixture: &Fixture| {
        let monitors = fixture.viewer.client.screens.iter();
        monitors.map(|screen| screen.rect).collect::<Vec<_>>()
    };
    assert_eq!(monitors(&fixture), [whole], "at first");
    let xrandr = |fixture: &Fixture, arguments: &[&str]| {
        let mut xrandr = Command::new("xrandr");
        xrandr
            .args(["-display", &fixture.x.display])
            .args(arguments);
        assert!(
            xrandr
                .output()
                .expect("xrandr is installed")
                .status
                .success()
        );
    };
    // Nothing is drawn, and the client is sent it all the same.
    let until = |fixture: &mut Fixture, wanted: &[Rect]| {
        while monitors(fixture) != wanted {
            fixture.viewer.request(true);
            fixture.viewer.receive();
        }
    };
    xrandr(
        &fixture,
        &["--setmonitor", "a", "500/100x600/100+0+0", "screen"],
    );
    until(&mut fixture, &[left]);
    xrandr(
        &fixture,
        &["--setmonitor", "b", "300/100x600/100+500+0", "none"],
    );
    until(&mut fixture, &[left, right]);
    xrandr(&fixture, &["--delmonitor", "a"]);
    xrandr(&fixture, &["--delmonitor", "b"]);
    until(&mut fixture, &[whole]);
    fixture.check();
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
    let mut fixture = Fixture::new("800x600x24", &[encoding::RAW]);
    fixture.check();
    resize(&fixture.painter, fixture.root, 640, 480);
    fixture.catch_up();
    assert_eq!(fixture.viewer.client.bounds(), Rect::new(0, 0, 800, 600));
    resize(&fixture.painter, fixture.root, 800, 600);
    fixture.check();
}

#[test]
fn without_view_there_is_no_picture() {
    let mut fixture = Fixture::new("640x480x24", &[encoding::FENCE]);
    fixture.check();
    fixture.share.set_permissions(Permissions::NONE);
    fixture.viewer.request(false);
    fixture.viewer.send(&ClientMessage::Fence {
        flags: fence_flags::REQUEST,
        payload: b"now".to_vec(),
    });
    loop {
        match fixture.viewer.receive() {
            ServerMessage::Fence { payload, .. } if payload == b"now" => break,
            ServerMessage::Fence { .. } => {}
            other => panic!("not allowed: {other:?}"),
        }
    }
    fixture.share.set_permissions(Permissions::VIEW);
    fixture.viewer.until_update();
}

#[test]
fn without_control_there_is_no_input() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    let before = fixture.pointer();
    fixture.viewer.send(&ClientMessage::Pointer {
        buttons: 1,
        x: 11,
        y: 22,
    });
    fixture.viewer.send(&ClientMessage::Key {
        down: true,
        keysym: 0xffe1,
    });
    fixture.check();
    assert_eq!(fixture.pointer(), before);
    fixture.share.set_permissions(Permissions::CONTROL);
    fixture.viewer.send(&ClientMessage::Pointer {
        buttons: 1,
        x: 11,
        y: 22,
    });
    fixture.viewer.send(&ClientMessage::QemuKey {
        down: true,
        keysym: 0xffe1,
        keycode: 0x2a,
    });
    // Only the X server's state shows that it is done.
    let pressed = u16::from(KeyButMask::BUTTON1 | KeyButMask::SHIFT);
    while fixture.pointer() != (11, 22, pressed) {
        std::thread::yield_now();
    }
    fixture.share.set_permissions(Permissions::VIEW);
    while fixture.pointer() != (11, 22, 0) {
        std::thread::yield_now();
    }
}

#[test]
fn the_clipboard_goes_both_ways_with_control_only() {
    clipboard(&[], b"h\xe4r", "här", b"d\xe4r ?");
    let utf8 = [encoding::UTF8_CUT_TEXT];
    clipboard(&utf8, "Ж 漢 €".as_bytes(), "Ж 漢 €", "där €".as_bytes());
}

/// For a client with these encodings: the text that it sends, the text pasted then, and the bytes
/// that it gets for "där €".
fn clipboard(encodings: &[i32], sent: &[u8], expected: &str, heard: &[u8]) {
    let mut fixture = Fixture::new("640x480x24", encodings);
    let stop = CancelToken::new().expect("a pipe");
    let mut desk = Clipboard::open(Some(&fixture.x.display), None, &stop).expect("a clipboard");
    fixture
        .viewer
        .send(&ClientMessage::CutText(b"not allowed".to_vec()));
    desk.offer("private").expect("offered");
    fixture.check();
    fixture.share.set_permissions(Permissions::CONTROL);
    // Text that was copied before stays private; text copied from now on is sent.
    fixture.viewer.send(&ClientMessage::CutText(sent.to_vec()));
    let pasted = loop {
        if let Some(text) = desk.pump().expect("the server lives") {
            break text;
        }
        std::thread::yield_now();
    };
    assert_eq!(pasted, Copied::Text(expected.into()));
    desk.offer("där €").expect("offered");
    let copied = std::thread::spawn(move || {
        loop {
            if let ServerMessage::CutText(text) = fixture.viewer.receive() {
                return (text, fixture);
            }
        }
    });
    while !copied.is_finished() {
        desk.pump().expect("the server lives");
        std::thread::yield_now();
    }
    let (told, mut fixture) = copied.join().expect("no panic");
    assert_eq!(told, heard);
    outlives_control(&mut fixture, encodings, sent, expected);
}

/// The client's last text can be pasted after control has ended, and what the customer copies then
/// stays private.
fn outlives_control(fixture: &mut Fixture, encodings: &[i32], sent: &[u8], expected: &str) {
    fixture.viewer.send(&ClientMessage::CutText(sent.to_vec()));
    fixture.check();
    fixture.share.set_permissions(Permissions::VIEW);
    fixture.check();
    let paste = Command::new("xclip")
        .args(["-display", &fixture.x.display, "-selection", "clipboard"])
        .args(["-out", "-target", "UTF8_STRING"])
        .output()
        .expect("xclip is installed");
    assert_eq!(
        String::from_utf8(paste.stdout).expect("text"),
        expected,
        "{encodings:?}"
    );
}

#[test]
fn the_pointers_place_is_told_when_others_move_it() {
    let mut fixture = Fixture::new("640x480x24", &[encoding::POINTER_POS]);
    fixture.share.set_permissions(Permissions::CONTROL);
    fixture.viewer.request(true);
    let until = |fixture: &mut Fixture, place: (u16, u16)| {
        while fixture.viewer.client.pointer_positions.last() != Some(&place) {
            if fixture.viewer.receive() == ServerMessage::UpdateEnd {
                fixture.viewer.request(true);
            }
        }
    };
    until(&mut fixture, (320, 240));
    let moves = |fixture: &Fixture, x: i16, y: i16| {
        let painter = &fixture.painter;
        let moved = painter.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, fixture.root, x, y, 0);
        moved.expect("sent").check().expect("moved");
    };
    moves(&fixture, 10, 20);
    until(&mut fixture, (10, 20));
    // The client knows its own moves.
    let (buttons, x, y) = (0, 300, 200);
    fixture
        .viewer
        .send(&ClientMessage::Pointer { buttons, x, y });
    while fixture.pointer() != (300, 200, 0) {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    // However fast it moves, few positions are sent, and the last one is.
    for x in 0..400 {
        moves(&fixture, x, 30);
    }
    until(&mut fixture, (399, 30));
    assert!(
        !fixture
            .viewer
            .client
            .pointer_positions
            .contains(&(300, 200))
    );
    assert!(fixture.viewer.client.pointer_positions.len() < 100);
}

#[test]
fn nothing_stays_pressed_when_the_client_hangs_up() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.share.set_permissions(Permissions::CONTROL);
    fixture.viewer.send(&ClientMessage::Pointer {
        buttons: 4,
        x: 1,
        y: 2,
    });
    fixture.viewer.send(&ClientMessage::Key {
        down: true,
        keysym: 0xffe3,
    });
    let pressed = u16::from(KeyButMask::BUTTON3 | KeyButMask::CONTROL);
    while fixture.pointer() != (1, 2, pressed) {
        std::thread::yield_now();
    }
    fixture
        .viewer
        .stream
        .shutdown(std::net::Shutdown::Both)
        .expect("hung up");
    fixture.outcome().expect("no error");
    assert_eq!(fixture.pointer(), (1, 2, 0));
}

#[test]
fn nor_when_it_is_stopped() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.share.set_permissions(Permissions::CONTROL);
    fixture.viewer.send(&ClientMessage::Key {
        down: true,
        keysym: 0xffe3,
    });
    while fixture.pointer().2 == 0 {
        std::thread::yield_now();
    }
    fixture.share.stop();
    fixture.outcome().expect("no error");
    assert_eq!(fixture.pointer().2, 0);
}

#[test]
fn an_x_server_that_dies_is_a_named_error() {
    let mut fixture = Fixture::new("640x480x24", &ALL);
    fixture.check();
    fixture.x.kill();
    assert_eq!(
        fixture.outcome().expect_err("it is gone").name(),
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
    let mut fixture = Fixture::new("640x480x24", &ALL);
    fixture.viewer.stream.write_all(&[99; 40]).expect("sent");
    assert_eq!(fixture.outcome().expect_err("refused").name(), "protocol");
}

#[test]
fn what_is_lost_while_an_update_is_on_its_way_comes_with_the_next() {
    let mut fixture = Fixture::new("1920x1080x24", &ALL);
    fixture.viewer.request(false);
    // The rest of the update doesn't fit into the socket.
    fixture.viewer.until_pixels();
    fixture.viewer.request(false);
    for update in ["the first", "the second"] {
        fixture.viewer.until_update();
        let screen_pixels = fixture.screen_pixels();
        let client = &mut fixture.viewer.client;
        let area: usize = client.last_rects.iter().map(Rect::area).sum();
        assert!(area >= 1920 * 1080, "{update} is whole");
        assert!(client.shows(&screen_pixels), "{update}");
        client.invalidate(client.bounds());
        client.last_rects.clear();
    }
    fixture.end().expect("no error");
}

#[test]
fn an_update_on_its_way_is_not_changed_when_the_screen_grows() {
    let mut fixture = Fixture::new("1920x1080x24", &ALL);
    resize(&fixture.painter, fixture.root, 800, 600);
    let whole = XRectangle {
        x: 0,
        y: 0,
        width: 800,
        height: 600,
    };
    fixture.fill(0x33_4455, whole);
    fixture.check();
    let small = fixture.screen_pixels();
    let whole = fixture.viewer.client.bounds();
    fixture.viewer.client.invalidate(whole);
    fixture.viewer.request(false);
    fixture.viewer.until_pixels();
    resize(&fixture.painter, fixture.root, 1920, 1080);
    fixture.painter.sync().expect("sync");
    fixture.viewer.until_update();
    assert_eq!(fixture.viewer.client.bounds(), Rect::new(0, 0, 800, 600));
    assert!(fixture.viewer.client.shows(&small));
    fixture.check();
    assert_eq!(fixture.viewer.client.bounds(), Rect::new(0, 0, 1920, 1080));
    fixture.end().expect("no error");
}

#[test]
fn motion_flows_on_while_updates_are_large() {
    let mut fixture = Fixture::new("1920x1080x24", &ALL);
    let rect = Rect::new(0, 0, 1920, 1080);
    fixture.viewer.request(false);
    fixture
        .viewer
        .send(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    let (display, root) = (fixture.x.display.clone(), fixture.root);
    let animator = std::thread::spawn(move || {
        let x = RustConnection::connect(Some(&display)).expect("connects").0;
        let gc = x.generate_id().expect("id");
        x.create_gc(gc, root, &CreateGCAux::new()).expect("gc");
        let whole = XRectangle {
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
    // A stall before the last colour would last for ever.
    while fixture.viewer.client.pixels[0] != Some(300_u32.to_le_bytes()) {
        fixture.viewer.until_update();
    }
    animator.join().expect("no panic");
}

#[test]
fn a_client_that_never_reads_does_no_harm() {
    let mut fixture = Fixture::new("640x480x24", &ALL);
    let rect = Rect::new(0, 0, 640, 480);
    fixture
        .viewer
        .send(&ClientMessage::EnableContinuousUpdates { enable: true, rect });
    fixture.viewer.stream.set_nonblocking(true).expect("set");
    let mut flood = Vec::new();
    for _ in 0..200 {
        client::message(
            &mut flood,
            &ClientMessage::UpdateRequest {
                incremental: false,
                rect,
            },
            PointerFormat::Standard,
        );
        let fence = ClientMessage::Fence {
            flags: fence_flags::REQUEST,
            payload: vec![7; 64],
        };
        client::message(&mut flood, &fence, PointerFormat::Standard);
    }
    // Until the server no longer reads.
    while fixture.viewer.stream.write_all(&flood).is_ok() {}
    fixture.share.stop();
    fixture.outcome().expect("it stops all the same");
}
