//! The rights of a customer's hand, on a display that has one: xdotool stands for a program that an
//! agent has started, or for the agent's own tool.

use std::process::Command;
use std::time::Duration;

use etatuki_testkit::Hand;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ButtonPressEvent, ConnectionExt as _, EventMask,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, KeyButMask,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::testbed::{Testbed, wait_until};
use crate::windows::{Launcher, Xdotool};

const REMOTEUS: &str = "Remoteus etätuki (2008)";
const RETURN: u32 = 0xff0d;
const TAB: u32 = 0xff09;
const ALT: u32 = 0xffe9;

/// A window's place on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: String,
    x: i32,
    y: i32,
    w: i32,
    h: i32,
}

impl Place {
    fn grip(&self) -> (u16, u16) {
        let at = |at: i32| u16::try_from(at + 6).unwrap();
        (at(self.x), at(self.y))
    }

    fn is_within(&self, (x, y, w, h): (i32, i32, i32, i32)) -> bool {
        self.x >= x && self.y >= y && self.x + self.w <= x + w && self.y + self.h <= y + h
    }
}

/// Returns the bar: the nameless window that is as high as a bar.
fn bar(testbed: &Testbed) -> Option<Place> {
    let done = Command::new("xwininfo")
        .args(["-root", "-children", "-display", testbed.display.name()])
        .output()
        .unwrap();
    let windows = String::from_utf8_lossy(&done.stdout).into_owned();
    windows.lines().find_map(|line| {
        let line = line.trim();
        if !line.contains("(has no name)") {
            return None;
        }
        let (size, _) = line.split_whitespace().rev().nth(1)?.split_once('+')?;
        let (w, h) = size.split_once('x')?;
        let at = line.split_whitespace().next_back()?;
        let (x, y) = at.strip_prefix('+')?.split_once('+')?;
        let place = Place {
            id: line.split_whitespace().next()?.to_owned(),
            x: x.parse().ok()?,
            y: y.parse().ok()?,
            w: w.parse().ok()?,
            h: h.parse().ok()?,
        };
        (place.w > 200 && [48, 68].contains(&place.h)).then_some(place)
    })
}

/// Returns whether a window is on the screen: listed is also one that isn't.
fn is_viewable(testbed: &Testbed, place: &Place) -> bool {
    let done = Command::new("xwininfo")
        .args(["-id", &place.id, "-display", testbed.display.name()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&done.stdout).contains("IsViewable")
}

fn expect_bar(testbed: &Testbed, what: &str, holds: impl Fn(&Place) -> bool) -> Place {
    let mut before = None;
    wait_until(what, || {
        let place = bar(testbed);
        // Printed if the test fails.
        if place != before {
            eprintln!("the bar is at {place:?}");
            before = place.clone();
        }
        place.filter(|place| holds(place) && is_viewable(testbed, place))
    })
}

/// Drags the bar until it is in its place: its words may change meanwhile, and it moves then.
fn drag_bar(
    testbed: &Testbed,
    hand: &mut Hand,
    to: (u16, u16),
    holds: impl Fn(&Place) -> bool,
) -> Place {
    wait_until("the bar to follow the hand", || {
        let place = bar(testbed)?;
        if holds(&place) {
            return Some(place);
        }
        drag(hand, place.grip(), to);
        None
    })
}

fn drag(hand: &mut Hand, from: (u16, u16), to: (u16, u16)) {
    hand.point(from.0, from.1, 0);
    hand.point(from.0, from.1, 1);
    for step in 1..=10 {
        let between = |a: u16, b: u16| {
            let (a, b) = (i32::from(a), i32::from(b));
            u16::try_from(a + (b - a) * step / 10).unwrap()
        };
        hand.point(between(from.0, to.0), between(from.1, to.1), 1);
    }
    hand.point(to.0, to.1, 0);
}

fn xrandr(testbed: &Testbed, arguments: &[&str]) {
    let done = Command::new("xrandr")
        .args(["-display", testbed.display.name()])
        .args(arguments)
        .status()
        .unwrap();
    assert!(done.success(), "xrandr {arguments:?}");
}

/// Sends a window events that no device and no XTEST made (SendEvent).
fn forge(testbed: &Testbed, window: &str, kinds: [u8; 2], detail: u8, at: (u16, u16)) {
    let (x, _) = RustConnection::connect(Some(testbed.display.name())).unwrap();
    let root = x.setup().roots[0].root;
    let window = window.parse().unwrap();
    let to_root = |at: u16| i16::try_from(at).unwrap();
    let (root_x, root_y) = (to_root(at.0), to_root(at.1));
    let inside = x.translate_coordinates(root, window, root_x, root_y);
    let inside = inside.unwrap().reply().unwrap();
    let state = match kinds {
        [KEY_PRESS_EVENT, _] => KeyButMask::MOD1,
        _ => KeyButMask::default(),
    };
    for kind in kinds {
        // Keys and buttons have events of one shape.
        let event = ButtonPressEvent {
            response_type: kind,
            detail,
            sequence: 0,
            time: x11rb::CURRENT_TIME,
            root,
            event: window,
            child: x11rb::NONE,
            root_x,
            root_y,
            event_x: inside.dst_x,
            event_y: inside.dst_y,
            state,
            same_screen: true,
        };
        x.send_event(false, window, EventMask::NO_EVENT, event)
            .unwrap();
    }
    x.sync().unwrap();
}

/// Returns the key that gives a letter.
fn keycode(testbed: &Testbed, letter: char) -> u8 {
    let (x, _) = RustConnection::connect(Some(testbed.display.name())).unwrap();
    let (first, last) = (x.setup().min_keycode, x.setup().max_keycode);
    let map = x.get_keyboard_mapping(first, last - first + 1).unwrap();
    let map = map.reply().unwrap();
    let mut keys = map.keysyms.chunks(map.keysyms_per_keycode.into());
    let at = keys.position(|keysyms| keysyms.contains(&letter.into()));
    first + u8::try_from(at.unwrap()).unwrap()
}

#[test]
fn the_bar_lies_whole_on_a_monitor_whoever_moves_it() {
    let (testbed, mut hand) = Testbed::with_hand();
    let xdotool = Xdotool::on(&testbed);
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let code = customer.code();
    let mut agent = Agent::join(&testbed, &code, &[]);
    let in_middle = |place: &Place| place.y == 0 && (place.x + place.w / 2 - 512).abs() <= 1;
    customer.allow("view");
    customer.expect_type("permissions");
    expect_bar(&testbed, "the bar", in_middle);

    // The customer drags it into the corner, and as far as it goes.
    let whole = (0, 0, 1024, 768);
    let corner = |place: &Place| place.x + place.w == 1024 && place.y + place.h == 768;
    let first = drag_bar(&testbed, &mut hand, (1023, 767), corner);
    assert!(first.is_within(whole));
    // Another program moves, shrinks and unmaps it.
    let id = first.id.clone();
    xdotool.run(&["windowmove", &id, "3000", "3000"]);
    xdotool.run(&["windowsize", &id, "1", "1"]);
    xdotool.run(&["windowunmap", &id]);
    expect_bar(&testbed, "the bar to be back", corner);
    // The screen shrinks, and grows into two monitors of unequal height.
    xrandr(
        &testbed,
        &["--fb", "800x600", "--output", "VNC-0", "--mode", "800x600"],
    );
    expect_bar(&testbed, "the bar on the smaller screen", |place| {
        place.is_within((0, 0, 800, 600))
    });
    xrandr(&testbed, &["--output", "VNC-0", "--mode", "1024x768"]);
    xrandr(
        &testbed,
        &["--setmonitor", "left", "600/160x768/200+0+0", "VNC-0"],
    );
    xrandr(
        &testbed,
        &["--setmonitor", "right", "424/110x400/100+600+0", "none"],
    );
    drag_bar(&testbed, &mut hand, (900, 760), |place| {
        place.y > 300 && (place.is_within((0, 0, 600, 768)) || place.is_within((600, 0, 424, 400)))
    });
    xrandr(&testbed, &["--delmonitor", "right"]);
    xrandr(&testbed, &["--delmonitor", "left"]);

    // Under control nobody drags it by injected input, and then it is in the middle again.
    agent.send("ask-control");
    customer.allow("control");
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    let red = expect_bar(&testbed, "the wider bar", |place| place.w > first.w);
    let (x, y) = red.grip();
    let (x, y) = (x.to_string(), y.to_string());
    xdotool.run(&[
        "mousemove",
        &x,
        &y,
        "mousedown",
        "1",
        "mousemove",
        "100",
        "200",
    ]);
    xdotool.run(&["mousemove", "120", "220", "mouseup", "1"]);
    // The hand can, and begins where the bar was before.
    drag(&mut hand, red.grip(), (300, 500));
    let moved = expect_bar(&testbed, "the bar to follow the hand", |place| {
        (place.y - 494).abs() <= 6
    });
    assert!(
        (moved.x - 294).abs() <= 6 || moved.x == 0 || moved.x + moved.w == 1024,
        "{moved:?}"
    );
    customer.send(serde_json::json!({"type": "take-back"}));
    expect_bar(&testbed, "the bar in the middle again", in_middle);
}

#[test]
fn under_control_injected_input_answers_nothing() {
    let (testbed, mut hand) = Testbed::with_hand();
    let (_launcher, xdotool) = Launcher::start(&testbed, &["open", "remoteus-2008"]);
    xdotool.expect_focus(REMOTEUS);
    xdotool.key("Return");
    let code = xdotool.copied_code();
    let mut agent = Agent::join(&testbed, &[code], &[]);
    agent.expect_type("asking");
    // Outside of control, input that a program injects counts: on-screen keyboards work.
    xdotool.expect_question();
    xdotool.key("alt+a");
    agent.expect("view", |line| {
        line["type"] == "permissions" && line["view"] == true
    });
    xdotool.expect_no_question();

    // A customer who goes on typing answers nothing, neither yes nor no.
    agent.send("ask-control");
    agent.expect_type("asking");
    for (pause, keys) in [(100, 30), (250, 10)] {
        for key in ['1'.into(), '2'.into(), TAB, '3'.into(), RETURN]
            .iter()
            .cycle()
            .take(keys)
        {
            hand.tap(*key);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    xdotool.expect_question();
    xdotool.screenshot("window-16-question-below-the-bar.png");
    let place = xdotool.active_window();
    let bar = bar(&testbed).expect("the bar");
    assert!(place.1 >= bar.y + bar.h, "{place:?} lies under {bar:?}");
    hand.key(ALT, true);
    hand.tap('a'.into());
    hand.key(ALT, false);
    agent.expect("control, and no answer before", |line| {
        assert!(
            line["type"] != "answer" || line["allowed"] == true,
            "{line}"
        );
        line["type"] == "permissions" && line["control"] == true
    });
    xdotool.expect_no_question();

    // What the agent's tool or a planted program injects doesn't count now.
    agent.send("ask-switch ecom");
    agent.expect_type("asking");
    let deny = wait_until("the question", || xdotool.focused_deny());
    // The buttons are as wide as one another, at the same distance from the window's middle.
    let (x, _, w, _) = xdotool.active_window();
    let allow = u16::try_from(2 * x + w - i32::from(deny.0)).unwrap();
    let at = [allow, deny.1].map(|at| at.to_string());
    xdotool.run(&["mousemove", &at[0], &at[1], "click", "1"]);
    xdotool.key("alt+a");
    xdotool.key("Return");
    // Nor what is sent to the window alone, beside a hand's own click or key; nor a hand's letter
    // with an Alt that a program holds.
    let second = Duration::from_millis(1200);
    let window = xdotool.run(&["getactivewindow"]);
    std::thread::sleep(second);
    hand.click(5, 600);
    let kinds = [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT];
    forge(&testbed, &window, kinds, 1, (allow, deny.1));
    let letter = keycode(&testbed, 'a');
    std::thread::sleep(second);
    hand.tap('a'.into());
    let kinds = [KEY_PRESS_EVENT, KEY_RELEASE_EVENT];
    forge(&testbed, &window, kinds, letter, (allow, deny.1));
    xdotool.run(&["windowactivate", "--sync", &window]);
    xdotool.run(&["keydown", "alt"]);
    std::thread::sleep(second);
    hand.tap('a'.into());
    std::thread::sleep(Duration::from_millis(300));
    xdotool.run(&["keyup", "alt"]);
    // A hand's click beside injected input is doubtful for a second; after that it counts.
    wait_until("the hand's answer", || {
        hand.click(deny.0, deny.1);
        std::thread::sleep(Duration::from_millis(300));
        agent.poll("answer")
    });
    let answer = agent
        .received
        .iter()
        .rfind(|line| line["type"] == "answer")
        .unwrap();
    assert!(answer["ask"]["switch"].is_object(), "{answer}");
    assert_eq!(answer["allowed"], false, "{answer}");
}
