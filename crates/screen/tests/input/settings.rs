//! The customer's keyboard settings: they stay, and they don't count for the agent's keys.

use etatuki_screen::{CancelToken, Input};
use x11rb::protocol::xkb::{AXOption, BoolCtrl, ConnectionExt as _, Control, VMod};
use x11rb::protocol::xproto::ModMask;

use crate::desk::*;

/// The keycode of A, as Linux numbers it.
const KEYCODE_A: u8 = 38;

impl Fixture {
    /// Returns whether held keys repeat on a keyboard.
    fn repeats(&self, device: u16) -> bool {
        self.controls(device) & u32::from(BoolCtrl::REPEAT_KEYS) != 0
    }

    /// Turns controls on for all keyboards, as a desktop's settings do.
    fn turn_on(&self, controls: u32) {
        self.controls(CORE_KEYBOARD);
        let (mods, vmods, options) = (ModMask::from(0u16), VMod::from(0u16), AXOption::from(0u16));
        let (wanted, none) = (BoolCtrl::from(controls), BoolCtrl::from(0u32));
        self.watcher
            .xkb_set_controls(
                CORE_KEYBOARD,
                mods,
                mods,
                mods,
                mods,
                vmods,
                vmods,
                vmods,
                vmods,
                0,
                0,
                options,
                wanted,
                wanted,
                Control::from(0u32),
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                none,
                none,
                options,
                options,
                &[0; 32],
            )
            .expect("sent")
            .check()
            .expect("set");
    }
}

#[test]
fn a_held_key_repeats_only_when_told_however_often_control_was_given() {
    let mut fixture = Fixture::new("us");
    for round in 0..3 {
        let mut xev = Xev::start(&mut fixture);
        assert!(
            !fixture.repeats(XTEST_KEYBOARD) && !fixture.repeats(CORE_KEYBOARD),
            "{round}"
        );
        for _ in 0..3 {
            fixture
                .input
                .send_keysym(keysym_of('a'), true)
                .expect("pressed");
        }
        fixture
            .input
            .send_keysym(keysym_of('a'), false)
            .expect("let go of");
        fixture.input.flush().expect("flushed");
        // The customer's own key repeats as ever, in the middle of it.
        xev.wait_for_presses(0x61, 3);
        fixture.customer_key(KEYCODE_A, true);
        xev.wait_for_presses(0x61, 3);
        fixture.customer_key(KEYCODE_A, false);
        fixture.tap(keysym_of('b'));
        fixture.wait_until_done();
        assert!(!fixture.repeats(CORE_KEYBOARD), "{round}");
        let pressed = xev.end(&mut fixture);
        assert_eq!(pressed.iter().filter(|p| p.keysym == 0x62).count(), 1);
        // The last key was the agent's.
        fixture = fixture.reopen();
        assert!(fixture.repeats(CORE_KEYBOARD), "given back");
        assert!(fixture.repeats(OWN_KEYBOARD));
    }
}

/// Other programs fake keys too, on-screen keyboards among them: theirs repeat again afterwards.
#[test]
fn keys_that_others_fake_repeat_again_afterwards() {
    let fixture = Fixture::new("us");
    assert!(!fixture.repeats(XTEST_KEYBOARD));
    let Fixture {
        x,
        watcher,
        root,
        input,
    } = fixture;
    drop(input);
    let cancel = CancelToken::new().expect("a pipe");
    let other = etatuki_testkit::Xvfb::start("64x64x24", &[]);
    let input = Input::open(Some(&other.display), None, &cancel).expect("the input opens");
    let fixture = Fixture {
        x,
        watcher,
        root,
        input,
    };
    assert!(fixture.repeats(XTEST_KEYBOARD) && fixture.repeats(CORE_KEYBOARD));
}

#[test]
fn sticky_slow_and_bouncing_keys_change_nothing_and_stay_on() {
    let settings = [
        BoolCtrl::STICKY_KEYS,
        BoolCtrl::SLOW_KEYS,
        BoolCtrl::BOUNCE_KEYS,
        BoolCtrl::MOUSE_KEYS,
        BoolCtrl::ACCESS_X_KEYS,
    ];
    let settings = settings.into_iter().fold(0, |bits, s| bits | u32::from(s));
    let mut fixture = Fixture::new("us");
    let mut xev = Xev::start(&mut fixture);
    for when in ["while control is given", "before control was given"] {
        fixture.turn_on(settings);
        if when.starts_with("before") {
            fixture = fixture.reopen();
        }
        fixture.wait_until_done();
        let steps = "t:a t:A t:b t:b d:0xffe1 u:0xffe1 t:a q:0x4b:0xff96 q:0x1e:a q:0x1e:a d:0xffe3 t:c u:0xffe3 t:d \
                     t:0xffe1 t:0xffe1 t:0xffe1 t:0xffe1 t:0xffe1 t:0xffe1 t:e";
        fixture.play(steps);
        let pressed = xev.end_without_modifiers(&mut fixture);
        let got: Vec<_> = pressed.iter().map(|p| p.keysym).collect();
        let expected = [
            0x61, 0x41, 0x62, 0x62, 0x61, 0xff96, 0x61, 0x61, 0x63, 0x64, 0x65,
        ];
        assert_eq!(got, expected, "{when}");
        let state = pressed.last().expect("a press").state;
        assert_eq!(state, 0, "a modifier stuck, {when}");
        assert_eq!(
            fixture.controls(OWN_KEYBOARD) & settings,
            settings,
            "{when}"
        );
        fixture = fixture.reopen();
        assert_eq!(
            fixture.controls(CORE_KEYBOARD) & settings,
            settings,
            "{when}"
        );
        xev = Xev::start(&mut fixture);
    }
    drop(xev);
}

/// Turning sticky keys off would clear the locks.
#[test]
fn the_locks_stay_as_the_customer_has_them() {
    let mut fixture = Fixture::new("us");
    fixture.turn_on(BoolCtrl::STICKY_KEYS.into());
    fixture.tap(0xff7f);
    fixture.wait_until_done();
    let locked = fixture.pressed();
    assert_eq!(locked.1 & 0x10, 0x10, "Num Lock");
    for _ in 0..2 {
        fixture = fixture.reopen();
        fixture.tap(keysym_of('a'));
        fixture.wait_until_done();
        assert_eq!(fixture.pressed(), locked);
    }
}
