//! Keys and pointer events arrive in a real program, whatever the layout, and nothing stays
//! pressed.

mod borrowed;
mod dead_keys;
mod desk;
mod keypad;
mod pointer;
mod settings;
mod shortcuts;

use std::process::{Command, Stdio};

use desk::*;
use etatuki_screen::{CancelToken, Input};
use etatuki_testkit::Xvfb;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::*;

/// Types a text under a layout and reads it in xev.
#[track_caller]
fn check_text(layout: &str, text: &str) {
    let mut fixture = Fixture::new(layout);
    let calm = fixture.pressed();
    let xev = Xev::start(&mut fixture);
    fixture.type_text(text);
    let pressed = xev.end(&mut fixture);
    let got: String = pressed.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(got, text, "under {layout}: {pressed:x?}");
    fixture.input.release_all().expect("released");
    fixture.wait_until_done();
    assert_eq!(fixture.pressed(), calm, "something stayed pressed");
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 !\"#%&/()=?+-.,:;_*'<>|{}[]\\~^`@$";

#[test]
fn every_character_under_every_layout() {
    for layout in ["us", "fi", "se", "de", "fr"] {
        check_text(layout, LETTERS);
        check_text(layout, "åäöÅÄÖ é ü ß € £ § ½ µ ☃ 漢 Ж 😀");
    }
}

#[test]
fn modifiers_that_are_held_are_put_right_and_put_back() {
    let mut fixture = Fixture::new("fi");
    let xev = Xev::start(&mut fixture);
    fixture.input.send_keysym(SHIFT, true).expect("pressed");
    fixture.tap(keysym_of('@')); // AltGr+2 here, without Shift
    fixture.tap(keysym_of('A'));
    fixture.tap(keysym_of('b')); // the peer's Caps Lock, perhaps
    fixture.input.send_keysym(SHIFT, false).expect("let go of");
    fixture.input.send_keysym(ALT_GR, true).expect("pressed");
    fixture.tap(keysym_of('@'));
    fixture.input.send_keysym(ALT_GR, false).expect("let go of");
    fixture.tap(keysym_of('c'));
    let text = xev.end_text(&mut fixture);
    assert_eq!(text, "@Ab@c");
}

#[test]
fn caps_lock_is_reckoned_with() {
    let mut fixture = Fixture::new("us");
    let xev = Xev::start(&mut fixture);
    fixture.tap(CAPS_LOCK);
    fixture.type_text("aB1!");
    fixture.tap(CAPS_LOCK);
    fixture.type_text("aB");
    let text = xev.end_text(&mut fixture);
    assert_eq!(text, "aB1!aB");
}

#[test]
fn shortcuts_keep_their_modifiers() {
    let mut fixture = Fixture::new("us");
    let xev = Xev::start(&mut fixture);
    fixture.input.send_keysym(CONTROL, true).expect("pressed");
    fixture.tap(keysym_of('c'));
    fixture
        .input
        .send_keysym(CONTROL, false)
        .expect("let go of");
    fixture.input.send_keysym(SHIFT, true).expect("pressed");
    fixture.tap(TAB);
    fixture.input.send_keysym(SHIFT, false).expect("let go of");
    let pressed = xev.end(&mut fixture);
    let find = |keysym: u32| pressed.iter().find(|p| p.keysym == keysym).map(|p| p.state);
    assert_eq!(find(0x63), Some(u32::from(u16::from(ModMask::CONTROL))));
    assert_eq!(find(LEFT_TAB), Some(u32::from(u16::from(ModMask::SHIFT))));
}

#[test]
fn a_new_layout_is_noticed() {
    let mut fixture = Fixture::new("us");
    let mut xev = Xev::start(&mut fixture);
    fixture.type_text("z@☃");
    fixture.input.flush().expect("flushed");
    xev.wait_for_presses(0x0100_2603, 1);
    set_layout(&fixture.x, "de");
    fixture.type_text("z@ö☃");
    let text = xev.end_text(&mut fixture);
    assert_eq!(text, "z@ö☃");
}

#[test]
fn physical_keys_count_where_they_type_the_same() {
    let mut fixture = Fixture::new("de");
    let xev = Xev::start(&mut fixture);
    let mut strike = |scancode, keysym| {
        fixture
            .input
            .send_scancode(scancode, keysym, true)
            .expect("pressed");
        fixture
            .input
            .send_scancode(scancode, keysym, false)
            .expect("let go of");
    };
    strike(0x1e, keysym_of('a')); // the same place on both
    strike(0x15, keysym_of('y')); // the peer has a us layout: here this place is z
    strike(0xc7, 0xff50); // Home
    strike(0x4f, 0xffb1); // KP_1: this place is KP_End here, Num Lock being off
    strike(0x3b, 0); // F1, which the peer has no keysym for
    let pressed = xev.end(&mut fixture);
    let keysyms: Vec<u32> = pressed
        .iter()
        .map(|p| p.keysym)
        .filter(|k| !(0xffe1..=0xffee).contains(k))
        .collect();
    assert_eq!(keysyms, [0x61, 0x79, 0xff50, 0x31, 0xffbe]);
}

/// The way a viewer sends AltGr: the key itself, then the other key's scancode with the keysym of
/// both.
#[test]
fn alt_gr_and_a_place_type_what_they_type_here() {
    const ALT_GR_SCANCODE: u32 = 0xb8;
    const ON_DIGITS: [(u32, char); 6] = [
        (0x03, '@'),
        (0x04, '£'),
        (0x08, '{'),
        (0x09, '['),
        (0x0a, ']'),
        (0x0b, '}'),
    ];
    for layout in ["fi", "se"] {
        let mut fixture = Fixture::new(layout);
        let calm = fixture.pressed();
        let xev = Xev::start(&mut fixture);
        let mut put = |scancode, keysym, down| {
            let done = fixture.input.send_scancode(scancode, keysym, down);
            done.expect("given");
        };
        for (place, typed) in ON_DIGITS {
            put(ALT_GR_SCANCODE, ALT_GR, true);
            put(place, keysym_of(typed), true);
            put(place, keysym_of(typed), false);
            put(ALT_GR_SCANCODE, ALT_GR, false);
        }
        put(0x12, keysym_of('e'), true);
        put(0x12, keysym_of('e'), false);
        let text = xev.end_text(&mut fixture);
        assert_eq!(text, "@£{[]}e", "under {layout}");
        assert_eq!(fixture.pressed(), calm, "something stayed pressed");
    }
}

#[test]
fn a_held_key_types_what_was_meant_when_the_layout_changes() {
    let mut fixture = Fixture::new("fi");
    let calm = fixture.pressed();
    let mut xev = Xev::start(&mut fixture);
    for layout in ["fi", "us"] {
        set_layout(&fixture.x, layout);
        let repeated = fixture.input.send_scancode(0x28, keysym_of('ä'), true);
        repeated.expect("given");
        fixture.input.flush().expect("flushed");
        xev.wait_for_presses(0xe4, 1);
    }
    let released = fixture.input.send_scancode(0x28, keysym_of('ä'), false);
    released.expect("given");
    fixture.wait_until_done();
    assert_eq!(fixture.pressed(), calm, "something stayed pressed");
}

/// Two layouts at once, as many desktops have them, and the customer switches to the second.
#[test]
fn the_layout_in_use_counts() {
    let mut fixture = Fixture::new("fi,ru");
    fixture
        .watcher
        .xkb_use_extension(1, 0)
        .expect("sent")
        .reply()
        .expect("xkb");
    let xev = Xev::start(&mut fixture);
    fixture.type_text("ö@Ж");
    let (none, core) = (ModMask::from(0u16), 0x100);
    fixture
        .watcher
        .xkb_latch_lock_state(core, none, none, true, 1u8.into(), none, false, 0)
        .expect("sent")
        .check()
        .expect("switched");
    fixture.type_text("Жц ö@");
    let text = xev.end_text(&mut fixture);
    assert_eq!(text, "ö@ЖЖц ö@");
}

#[test]
fn what_is_held_is_let_go_of() {
    let mut fixture = Fixture::new("us");
    let calm = fixture.pressed();
    for keysym in [SHIFT, CONTROL, keysym_of('a'), keysym_of('☃'), 0xff0d] {
        fixture.input.send_keysym(keysym, true).expect("pressed");
    }
    fixture
        .input
        .send_pointer(100, 100, 0b1_0000_0101)
        .expect("pressed");
    fixture.wait_until_done();
    let (keys, state) = fixture.pressed();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(
        state,
        u16::from(
            KeyButMask::SHIFT | KeyButMask::CONTROL | KeyButMask::BUTTON1 | KeyButMask::BUTTON3
        )
    );
    let cancel = CancelToken::new().expect("a pipe");
    let other = Input::open(Some(&fixture.x.display), None, &cancel).expect("the input opens");
    drop(std::mem::replace(&mut fixture.input, other));
    assert_eq!(fixture.pressed(), calm);
}

/// Gives input in a separate process until it is killed; see the test below.
#[test]
fn the_input_that_is_killed() {
    let Ok(display) = std::env::var("ETATUKI_TEST_DISPLAY") else {
        return;
    };
    let cancel = CancelToken::new().expect("a pipe");
    let mut input = Input::open(Some(&display), None, &cancel).expect("the input opens");
    for keysym in [CONTROL, keysym_of('☃'), keysym_of('漢')] {
        input.send_keysym(keysym, true).expect("pressed");
    }
    input.send_pointer(100, 100, 0b101).expect("pressed");
    input.flush().expect("flushed");
    std::thread::sleep(std::time::Duration::from_secs(100));
}

#[test]
fn what_a_killed_one_left_is_put_right() {
    let Fixture {
        x,
        watcher,
        root,
        input,
    } = Fixture::new("fi");
    drop(input);
    let cancel = CancelToken::new().expect("a pipe");
    // A key that another program fakes, and a living input, are left alone.
    let mut fixture = Fixture {
        input: Input::open(Some(&x.display), None, &cancel).expect("the input opens"),
        x,
        watcher,
        root,
    };
    let (calm, symbols) = (fixture.pressed(), fixture.keysyms());
    fixture.input.send_keysym(SHIFT, true).expect("pressed");
    fixture.wait_until_done();
    let held = fixture.pressed();
    etatuki_screen::release_stale_input(Some(&fixture.x.display), &cancel).expect("looked");
    assert_eq!(fixture.pressed(), held, "nobody was killed");
    let Fixture {
        x,
        watcher,
        root,
        input,
    } = fixture;
    drop(input);

    let mut killed = Command::new(std::env::current_exe().expect("this test"))
        .args(["the_input_that_is_killed", "--exact"])
        .env("ETATUKI_TEST_DISPLAY", &x.display)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let buttons = u16::from(KeyButMask::BUTTON1 | KeyButMask::BUTTON3);
    loop {
        let state = watcher.query_pointer(root).expect("sent").reply();
        if u16::from(state.expect("state").mask) & buttons == buttons {
            break;
        }
        std::thread::yield_now();
    }
    killed.kill().expect("killed");
    killed.wait().expect("it ends");
    let display = x.display.clone();
    // The server may notice the death later.
    while !etatuki_screen::release_stale_input(Some(&display), &cancel).expect("looked") {
        std::thread::yield_now();
    }
    let input = Input::open(Some(&display), None, &cancel).expect("the input opens");
    let mut fixture = Fixture {
        x,
        watcher,
        root,
        input,
    };
    assert_eq!(fixture.pressed(), calm, "something stayed pressed");
    fixture.close_input();
    let start = std::time::Instant::now();
    while fixture.keysyms() != symbols {
        assert!(
            start.elapsed().as_secs() < 30,
            "the layout is not as it was"
        );
        std::thread::yield_now();
    }
}

#[test]
fn also_when_stopped() {
    let mut fixture = Fixture::new("us");
    let calm = fixture.pressed();
    let cancel = CancelToken::new().expect("a pipe");
    fixture.input = Input::open(Some(&fixture.x.display), None, &cancel).expect("the input opens");
    fixture.input.send_keysym(SHIFT, true).expect("pressed");
    fixture.input.flush().expect("flushed");
    cancel.cancel();
    assert_eq!(
        fixture
            .input
            .send_keysym(CONTROL, true)
            .expect_err("stopped")
            .name(),
        "stopped"
    );
    fixture.input.release_all().expect("released");
    assert_eq!(fixture.pressed(), calm);
}

#[test]
fn let_go_under_another_name() {
    let mut fixture = Fixture::new("us");
    let calm = fixture.pressed();
    fixture
        .input
        .send_keysym(keysym_of('a'), true)
        .expect("pressed");
    fixture.input.send_keysym(SHIFT, true).expect("pressed");
    fixture
        .input
        .send_keysym(keysym_of('A'), false)
        .expect("let go of");
    fixture.input.send_keysym(SHIFT, false).expect("let go of");
    fixture.wait_until_done();
    assert_eq!(fixture.pressed(), calm);
}

#[test]
fn a_display_without_xtest_or_without_life_is_an_error() {
    let cancel = CancelToken::new().expect("a pipe");
    let bare = Xvfb::start("640x480x24", &["-extension", "XTEST"]);
    let error = Input::open(Some(&bare.display), None, &cancel).expect_err("refused");
    assert_eq!(error.name(), "display-unsupported");
    let mut fixture = Fixture::new("us");
    fixture.x.kill();
    let error = fixture
        .input
        .send_keysym(0x61, true)
        .expect_err("it is gone");
    assert_eq!(error.name(), "display-lost");
}

#[test]
fn nonsense_is_ignored() {
    let mut fixture = Fixture::new("us");
    let calm = fixture.pressed();
    for keysym in [0, 1, 0x0200_0000, u32::MAX] {
        fixture.tap(keysym);
    }
    for scancode in [0, 0x55, 0xff, u32::MAX] {
        fixture
            .input
            .send_scancode(scancode, 0, true)
            .expect("ignored");
        fixture
            .input
            .send_scancode(scancode, 0, false)
            .expect("ignored");
    }
    fixture.wait_until_done();
    assert_eq!(fixture.pressed(), calm);
}
