//! Captured pixels equal those that the X server shows, whatever is drawn.

use std::time::Duration;

use etatuki_screen::{CancelToken, Capture, Rect, ScreenError, Size};
use etatuki_testkit::{Random, Xvfb};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::render::{ConnectionExt as _, PictType};
use x11rb::protocol::xproto::*;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// A program that draws, and a copy of the screen that captures keep up to date.
struct Fixture {
    x: Xvfb,
    painter: RustConnection,
    root: Window,
    capture: Capture,
    copy: Vec<u8>,
}

impl Fixture {
    fn new(screen: &str, more: &[&str]) -> Self {
        let x = Xvfb::start(screen, more);
        let (painter, number) =
            RustConnection::connect(Some(&x.display)).expect("the painter connects");
        let root = painter.setup().roots[number].root;
        let cancel = CancelToken::new().expect("a pipe");
        let mut capture =
            Capture::open(Some(&x.display), None, &cancel).expect("the capture opens");
        let copy = vec![0xee; capture.size().rect().area() as usize * 4];
        update_copy(&mut capture, &mut copy.clone());
        let mut fixture = Self {
            x,
            painter,
            root,
            capture,
            copy,
        };
        fixture.capture.mark_damaged(fixture.capture.size().rect());
        fixture
    }

    /// Waits until everything drawn is on the screen and reported, and brings the copy up to date.
    fn wait_until_captured(&mut self) {
        self.painter.sync().expect("sync");
        // A round trip: all reports of earlier drawing have arrived after it.
        self.capture.mark_damaged(Rect {
            x: 0,
            y: 0,
            w: 1,
            h: 1,
        });
        for _ in 0..2 {
            update_copy(&mut self.capture, &mut self.copy);
        }
    }

    /// Returns the screen's pixels as the server itself gives them, as BGRX.
    fn server_pixels(&self) -> Vec<u8> {
        let Size { width, height } = self.capture.size();
        let image = self
            .painter
            .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0)
            .expect("sent")
            .reply()
            .expect("an image");
        let mut data = image.data;
        data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        data
    }

    #[track_caller]
    fn check(&mut self) {
        self.wait_until_captured();
        let server_pixels = self.server_pixels();
        assert_eq!(self.copy.len(), server_pixels.len(), "size");
        let wrong = self
            .copy
            .iter()
            .zip(&server_pixels)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(wrong, 0, "bytes that differ, of {}", server_pixels.len());
    }
}

/// Brings a copy of the screen up to date with the damage reported so far.
fn update_copy(capture: &mut Capture, copy: &mut Vec<u8>) {
    loop {
        capture.pump().expect("the server lives");
        let size = capture.size();
        if capture.take_resized() {
            *copy = vec![0xee; size.rect().area() as usize * 4];
        }
        let Some(frame) = capture.grab(size.rect()).expect("a frame") else {
            if capture.damage().is_empty() {
                return;
            }
            continue;
        };
        let mut pixels = Vec::new();
        for piece in frame.rects() {
            pixels.clear();
            piece.append_bgrx(&mut pixels);
            assert_eq!(pixels.len() as u64, piece.rect.area() * 4);
            draw(copy, size, piece.rect, &pixels);
            let Rect { x, y, w, h } = piece.rect;
            let part = Rect {
                x: x + w / 3,
                y: y + h / 3,
                w: w - w / 3 - w / 4,
                h: h - h / 3 - h / 4,
            };
            pixels.clear();
            piece.inside(part).append_bgrx(&mut pixels);
            assert!(
                pixels == pixels_of(copy, size, part),
                "{part:?} of {:?}",
                piece.rect
            );
        }
    }
}

fn pixels_of(copy: &[u8], size: Size, rect: Rect) -> Vec<u8> {
    let rows = usize::from(rect.y)..usize::from(rect.y) + usize::from(rect.h);
    let start = |y: usize| (y * usize::from(size.width) + usize::from(rect.x)) * 4;
    rows.flat_map(|y| copy[start(y)..start(y) + usize::from(rect.w) * 4].to_vec())
        .collect()
}

fn draw(copy: &mut [u8], size: Size, rect: Rect, pixels: &[u8]) {
    let stride = usize::from(size.width) * 4;
    for (line, row) in pixels
        .chunks_exact(usize::from(rect.w) * 4)
        .zip(usize::from(rect.y)..)
    {
        let at = row * stride + usize::from(rect.x) * 4;
        copy[at..at + line.len()].copy_from_slice(line);
    }
}

fn wait_readable(fd: &impl std::os::fd::AsFd) -> bool {
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&limit)).expect("poll") == 1
}

#[test]
fn random_drawing_is_captured_exactly() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    let mut dice = Random::new(1);
    let painter = RustConnection::connect(Some(&fixture.x.display))
        .expect("connects")
        .0;
    let gc = painter.generate_id().expect("id");
    let inferiors = CreateGCAux::new()
        .subwindow_mode(SubwindowMode::INCLUDE_INFERIORS)
        .graphics_exposures(0);
    painter.create_gc(gc, fixture.root, &inferiors).expect("gc");
    let mut windows = Vec::new();
    for round in 0..400 {
        let (x, y) = (
            dice.next_below(700) as i16 - 30,
            dice.next_below(540) as i16 - 30,
        );
        let (w, h) = (
            1 + dice.next_below(200) as u16,
            1 + dice.next_below(150) as u16,
        );
        match dice.next_below(6) {
            0..=2 => {
                let colour = dice.next_below(0x0100_0000);
                painter
                    .change_gc(gc, &ChangeGCAux::new().foreground(colour))
                    .expect("colour");
                painter
                    .poly_fill_rectangle(
                        fixture.root,
                        gc,
                        &[Rectangle {
                            x,
                            y,
                            width: w,
                            height: h,
                        }],
                    )
                    .expect("fill");
            }
            3 => {
                let (to_x, to_y) = (dice.next_below(640) as i16, dice.next_below(480) as i16);
                painter
                    .copy_area(fixture.root, fixture.root, gc, x, y, to_x, to_y, w, h)
                    .expect("copy");
            }
            4 => {
                let window = painter.generate_id().expect("id");
                let look = CreateWindowAux::new()
                    .background_pixel(dice.next_below(0x0100_0000))
                    .override_redirect(1);
                painter
                    .create_window(
                        0,
                        window,
                        fixture.root,
                        x,
                        y,
                        w,
                        h,
                        1,
                        WindowClass::INPUT_OUTPUT,
                        0,
                        &look,
                    )
                    .expect("window");
                painter.map_window(window).expect("map");
                windows.push(window);
            }
            _ => {
                if let Some(window) =
                    windows.get(dice.next_below(1 + windows.len() as u32) as usize)
                {
                    let moved = ConfigureWindowAux::new()
                        .x(i32::from(x))
                        .y(i32::from(y))
                        .stack_mode(StackMode::TOP_IF);
                    painter.configure_window(*window, &moved).expect("move");
                }
                if windows.len() > 6 {
                    painter.destroy_window(windows.remove(0)).expect("destroy");
                }
            }
        }
        painter.flush().expect("flush");
        if round % 3 == 0 {
            update_copy(&mut fixture.capture, &mut fixture.copy);
        }
        if round % 40 == 0 {
            painter.sync().expect("sync");
            fixture.check();
        }
    }
    painter.sync().expect("sync");
    fixture.check();
    assert!(
        fixture.capture.uses_shared_memory(),
        "a local display gives shared memory"
    );
}

#[test]
fn without_shared_memory_the_connection_carries_the_pixels() {
    let mut fixture = Fixture::new("640x480x24", &["-extension", "MIT-SHM"]);
    let gc = fixture.painter.generate_id().expect("id");
    fixture
        .painter
        .create_gc(gc, fixture.root, &CreateGCAux::new().foreground(0x12_3456))
        .expect("gc");
    let spot = Rectangle {
        x: 11,
        y: 13,
        width: 101,
        height: 57,
    };
    fixture
        .painter
        .poly_fill_rectangle(fixture.root, gc, &[spot])
        .expect("fill");
    fixture.check();
    assert!(!fixture.capture.uses_shared_memory());
}

#[test]
fn only_what_changed_is_grabbed() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.check();
    let gc = fixture.painter.generate_id().expect("id");
    fixture
        .painter
        .create_gc(gc, fixture.root, &CreateGCAux::new().foreground(0xff_0000))
        .expect("gc");
    let spot = Rectangle {
        x: 100,
        y: 200,
        width: 30,
        height: 20,
    };
    fixture
        .painter
        .poly_fill_rectangle(fixture.root, gc, &[spot])
        .expect("fill");
    fixture.painter.flush().expect("flush");
    assert!(wait_readable(&fixture.capture), "the change is reported");
    fixture.capture.pump().expect("the server lives");
    assert_eq!(
        fixture.capture.damage().rects(),
        [Rect {
            x: 100,
            y: 200,
            w: 30,
            h: 20
        }]
    );
    let elsewhere = Rect {
        x: 0,
        y: 0,
        w: 50,
        h: 50,
    };
    assert!(fixture.capture.grab(elsewhere).expect("no frame").is_none());
    assert!(
        !fixture.capture.damage().is_empty(),
        "what was not asked for still counts as changed"
    );
    fixture.check();
}

#[test]
fn the_screen_may_change_its_size() {
    let mut fixture = Fixture::new("800x600x24", &[]);
    fixture.check();
    for (width, height) in [(640, 480), (800, 600), (320, 240)] {
        resize(&fixture.painter, fixture.root, width, height);
        fixture.wait_until_captured();
        assert_eq!(fixture.capture.size(), Size { width, height });
        fixture.check();
    }
}

/// Switches the outputs off, so that the screen may have any size.
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
    let (mm_width, mm_height) = (u32::from(width) / 4, u32::from(height) / 4);
    connection
        .randr_set_screen_size(root, width, height, mm_width, mm_height)
        .expect("sent")
        .check()
        .expect("resized");
}

#[test]
fn the_pointers_shape_is_told() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.capture.take_cursor().expect("a shape");
    assert_eq!(
        fixture.capture.take_cursor().expect("none"),
        None,
        "told once only"
    );
    set_cursor(&fixture.painter, fixture.root);
    assert!(wait_readable(&fixture.capture), "the change is reported");
    fixture.wait_until_captured();
    let shape = fixture
        .capture
        .take_cursor()
        .expect("a shape")
        .expect("a new one");
    assert_eq!(
        (shape.width, shape.height, shape.hot_x, shape.hot_y),
        (3, 2, 2, 1)
    );
    assert_eq!(shape.mask, [0b1010_0000, 0b0100_0000]);
    assert_eq!(
        shape.pixels[..12],
        [0, 0, 0xff, 0, 0, 0, 0, 0, 0xff, 0, 0, 0]
    );
    assert_eq!(shape.pixels[12..], [0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0]);
}

/// A 3x2 pointer for the root window: red, nothing, blue; nothing, green, nothing.
fn set_cursor(connection: &RustConnection, root: Window) {
    let id = || connection.generate_id().expect("id");
    let formats = connection
        .render_query_pict_formats()
        .expect("sent")
        .reply()
        .expect("formats");
    let argb = |f: &&x11rb::protocol::render::Pictforminfo| {
        f.type_ == PictType::DIRECT
            && f.depth == 32
            && f.direct.alpha_shift == 24
            && f.direct.red_shift == 16
    };
    let format = formats
        .formats
        .iter()
        .find(argb)
        .expect("an ARGB format")
        .id;
    let (pixmap, gc, picture, cursor) = (id(), id(), id(), id());
    connection
        .create_pixmap(32, pixmap, root, 3, 2)
        .expect("pixmap");
    connection
        .create_gc(gc, pixmap, &CreateGCAux::new())
        .expect("gc");
    let words: [u32; 6] = [0xffff_0000, 0, 0xff00_00ff, 0, 0xff00_ff00, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    connection
        .put_image(ImageFormat::Z_PIXMAP, pixmap, gc, 3, 2, 0, 0, 0, 32, &bytes)
        .expect("image");
    connection
        .render_create_picture(picture, pixmap, format, &Default::default())
        .expect("picture");
    connection
        .render_create_cursor(cursor, picture, 2, 1)
        .expect("cursor");
    connection
        .change_window_attributes(root, &ChangeWindowAttributesAux::new().cursor(cursor))
        .expect("set");
    connection.sync().expect("sync");
}

#[test]
fn sixteen_bit_screens_are_converted() {
    let mut fixture = Fixture::new("321x200x16", &[]);
    let gc = fixture.painter.generate_id().expect("id");
    fixture
        .painter
        .create_gc(gc, fixture.root, &CreateGCAux::new().foreground(0xf81f))
        .expect("gc");
    let spot = Rectangle {
        x: 3,
        y: 2,
        width: 7,
        height: 5,
    };
    fixture
        .painter
        .poly_fill_rectangle(fixture.root, gc, &[spot])
        .expect("fill");
    fixture.wait_until_captured();
    let pixel = |x: usize, y: usize| &fixture.copy[(y * 321 + x) * 4..][..4];
    assert_eq!(pixel(3, 2), [255, 0, 255, 0]);
    assert_eq!(pixel(9, 6), [255, 0, 255, 0]);
    assert_eq!(pixel(10, 6), [0; 4]);
}

#[test]
fn what_cannot_be_shared_is_refused_by_name() {
    let cancel = CancelToken::new().expect("a pipe");
    let name = |display: &str| {
        Capture::open(Some(display), None, &cancel)
            .expect_err("refused")
            .name()
    };
    let pale = Xvfb::start("640x480x8", &[]);
    assert_eq!(name(&pale.display), "display-unsupported");
    let blind = Xvfb::start("640x480x24", &["-extension", "DAMAGE"]);
    assert_eq!(name(&blind.display), "display-unsupported");
    let mut gone = Xvfb::start("640x480x24", &[]);
    gone.kill();
    assert_eq!(name(&gone.display), "display-missing");
    assert_eq!(name("no display at all"), "display-missing");
}

#[test]
fn a_server_that_dies_is_an_error() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    fixture.x.kill();
    assert!(wait_readable(&fixture.capture));
    let error = fixture.capture.pump().expect_err("it is gone");
    assert_eq!(error.name(), "display-lost");
    fixture.capture.mark_damaged(Rect {
        x: 0,
        y: 0,
        w: 9,
        h: 9,
    });
    let error = fixture
        .capture
        .grab(Rect {
            x: 0,
            y: 0,
            w: 9,
            h: 9,
        })
        .expect_err("it is gone");
    assert_eq!(error.name(), "display-lost");
}

#[test]
fn a_wait_for_a_silent_server_can_be_stopped() {
    let x = Xvfb::start("640x480x24", &[]);
    let cancel = CancelToken::new().expect("a pipe");
    let mut capture = Capture::open(Some(&x.display), None, &cancel).expect("opens");
    let holder = RustConnection::connect(Some(&x.display))
        .expect("connects")
        .0;
    holder
        .grab_server()
        .expect("sent")
        .check()
        .expect("grabbed");
    let other = cancel.clone();
    let waiting = std::thread::spawn(move || {
        let all = capture.size().rect();
        capture.grab(all).map(|_| ())
    });
    std::thread::sleep(Duration::from_millis(100));
    other.cancel();
    let result = waiting.join().expect("no panic");
    assert!(matches!(result, Err(ScreenError::Cancelled)), "{result:?}");
}

/// Defines the monitors, as the customer's desktop does by whatever tool.
fn xrandr(x: &Xvfb, arguments: &[&str]) {
    let mut xrandr = std::process::Command::new("xrandr");
    let done = xrandr.args(["-display", &x.display]).args(arguments);
    let output = done.output().expect("xrandr is installed");
    assert!(output.status.success());
}

#[test]
fn monitors_are_told_and_followed() {
    let mut fixture = Fixture::new("800x600x24", &[]);
    let whole = fixture.capture.size().rect();
    let rects = |fixture: &mut Fixture| -> Vec<Rect> {
        fixture.capture.pump().expect("the server lives");
        let mut rects: Vec<_> = fixture.capture.monitors().iter().map(|m| m.rect).collect();
        rects.sort_by_key(|rect| rect.x);
        rects
    };
    // The event comes by itself: nothing is drawn or requested.
    let until = |fixture: &mut Fixture, wanted: &[Rect]| {
        while rects(fixture) != wanted {
            assert!(
                wait_readable(&fixture.capture),
                "still {:?}",
                rects(fixture)
            );
        }
    };
    until(&mut fixture, &[whole]);
    let output = ["--setmonitor", "left", "500/100x600/100+0+0", "screen"];
    xrandr(&fixture.x, &output);
    xrandr(
        &fixture.x,
        &["--setmonitor", "right", "300/100x400/100+500+200", "none"],
    );
    let left = Rect { w: 500, ..whole };
    let right = Rect {
        x: 500,
        y: 200,
        w: 300,
        h: 400,
    };
    until(&mut fixture, &[left, right]);
    let ids: Vec<_> = fixture.capture.monitors().iter().map(|m| m.id).collect();
    assert_ne!(ids[0], ids[1]);
    xrandr(&fixture.x, &["--delmonitor", "right"]);
    until(&mut fixture, &[left]);
    assert!(
        ids.contains(&fixture.capture.monitors()[0].id),
        "it is the same one"
    );
    xrandr(&fixture.x, &["--delmonitor", "left"]);
    until(&mut fixture, &[whole]);
    fixture.check();
}

#[test]
fn the_pointers_place_is_known_whoever_moves_it() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    let capture = &mut fixture.capture;
    assert!(capture.has_pointer_moved(), "nobody knows it at first");
    capture.query_pointer().expect("the server lives");
    capture.pump().expect("the server lives");
    assert!(!capture.has_pointer_moved());
    for place in [(12, 34), (600, 400)] {
        let (x, y) = (place.0 as i16, place.1 as i16);
        fixture
            .painter
            .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, fixture.root, x, y, 0)
            .expect("sent");
        fixture.painter.sync().expect("sync");
        while !fixture.capture.has_pointer_moved() {
            assert!(wait_readable(&fixture.capture), "nothing is told");
            fixture.capture.pump().expect("the server lives");
        }
        let now = fixture.capture.query_pointer().expect("the server lives");
        assert_eq!(now, Some(place));
    }
}

#[test]
fn without_randr_there_is_one_monitor() {
    let fixture = Fixture::new("640x480x24", &["-extension", "RANDR"]);
    let rects: Vec<_> = fixture.capture.monitors().iter().map(|m| m.rect).collect();
    assert_eq!(rects, [fixture.capture.size().rect()]);
}

/// The X server reports a drawing around a window in several rectangles.
#[test]
fn a_frame_behind_a_bar_is_never_seen_in_parts() {
    let mut fixture = Fixture::new("640x480x24", &[]);
    let window = |x, y, width, height| {
        let window = fixture.painter.generate_id().expect("id");
        let look = CreateWindowAux::new().override_redirect(1);
        let (root, kind) = (fixture.root, WindowClass::INPUT_OUTPUT);
        let painter = &fixture.painter;
        painter
            .create_window(0, window, root, x, y, width, height, 0, kind, 0, &look)
            .expect("window");
        painter.map_window(window).expect("map");
        window
    };
    let player = window(0, 0, 640, 480);
    window(200, 0, 240, 40);
    let gc = fixture.painter.generate_id().expect("id");
    let plain = CreateGCAux::new();
    fixture.painter.create_gc(gc, player, &plain).expect("gc");
    fixture.wait_until_captured();
    let whole = Rectangle {
        x: 0,
        y: 0,
        width: 640,
        height: 480,
    };
    for frame in 1..=300 {
        let colour = ChangeGCAux::new().foreground(frame);
        fixture.painter.change_gc(gc, &colour).expect("colour");
        let fill = fixture.painter.poly_fill_rectangle(player, gc, &[whole]);
        fill.expect("fill");
        fixture.painter.flush().expect("flush");
        assert!(wait_readable(&fixture.capture), "nothing of frame {frame}");
        fixture.capture.pump().expect("the server lives");
        let told = fixture.capture.damage().bounds();
        assert_eq!(told, fixture.capture.size().rect(), "frame {frame}");
        update_copy(&mut fixture.capture, &mut fixture.copy);
    }
}
