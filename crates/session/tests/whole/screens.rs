//! Changes of the customer's screen while an agent sees it, over the whole chain.

use std::process::Command;
use std::time::{Duration, Instant};

use etatuki_protocol::Ask;
use etatuki_rfb::{ClientMessage, Rect};
use etatuki_screen::{CancelToken, Clipboard, Copied};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ConnectionExt, CreateWindowAux, EventMask, GrabMode, GrabStatus, WindowClass,
};
use x11rb::rust_connection::RustConnection;

use crate::display::{Display, TEST_TIMEOUT};
use crate::journeys::{controlling, viewing};
use crate::world::World;

const WHOLE: Rect = Rect::new(0, 0, 800, 600);

/// Runs a program of X.Org's that changes the display.
fn runs(display: &Display, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(["-display", &display.name]).args(arguments);
    let output = command.output().expect("it is installed");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_comes_and_goes() {
    let world = World::new().await;
    let display = &world.display;
    let (_customer, mut agent) = viewing(&world, "ecom").await;
    agent.sees_screens(&[WHOLE]).await;
    let made_up = |name, place, output| {
        runs(display, "xrandr", &["--setmonitor", name, place, output]);
    };
    made_up("left", "500/100x600/100+0+0", "screen");
    made_up("right", "300/100x600/100+500+0", "none");
    let (left, right) = (Rect::new(0, 0, 500, 600), Rect::new(500, 0, 300, 600));
    agent.sees_screens(&[left, right]).await;
    display.paint(0x0012_3456, 450, 100, 100, 100);
    agent.sees(|| display.picture()).await;
    runs(display, "xrandr", &["--delmonitor", "right"]);
    runs(display, "xrandr", &["--delmonitor", "left"]);
    agent.sees_screens(&[WHOLE]).await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desktop_becomes_smaller_and_larger() {
    let world = World::new().await;
    let display = &world.display;
    let (_customer, mut agent) = viewing(&world, "ecom").await;
    let xrandr = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        runs(display, "xrandr", &arguments);
    };
    xrandr("--newmode small 25.18 640 656 752 800 480 490 492 525");
    xrandr("--addmode screen small");
    xrandr("--output screen --mode small");
    agent.sees_screens(&[Rect::new(0, 0, 640, 480)]).await;
    xrandr("--output screen --mode 800x600");
    agent.sees_screens(&[WHOLE]).await;
    display.paint(0x0012_3456, 450, 100, 100, 100);
    agent.sees(|| display.picture()).await;
    agent.close().await;
}

/// A blanked X server: the customer's screen is black, and its pixels can be read as before. The
/// agent's picture stays right, and their input wakes the customer's screen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blanked_screen_is_seen_and_woken() {
    let world = World::new().await;
    let display = &world.display;
    let (_customer, mut agent) = controlling(&world, "ecom").await;
    for (round, how) in ["blank", "noblank"].into_iter().enumerate() {
        runs(display, "xset", &["s", how, "s", "activate"]);
        assert!(display.is_blanked(), "{how}");
        display.paint(0x00c0_ffee - round as u32, 10, 10, 300, 200);
        agent.sees(|| display.picture()).await;
        let (x, y) = (200 + round as u16, 200);
        let buttons = 0;
        agent.say(&[ClientMessage::Pointer { buttons, x, y }]).await;
        display.until("that it is awake", |display| !display.is_blanked());
        display.paint(0x0000_beef + round as u32, 10, 10, 300, 200);
        agent.sees(|| display.picture()).await;
    }
    agent.close().await;
}

/// A locker's window that covers everything and has grabbed keyboard and pointer: the agent sees
/// it, and their keys reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_screen_is_seen_and_can_be_typed_into() {
    let world = World::new().await;
    let display = &world.display;
    let (_customer, mut agent) = controlling(&world, "ecom").await;
    let locker = Locker::start(&display.name);
    agent
        .sees(|| Locker::COLOUR.to_le_bytes().repeat(800 * 600))
        .await;
    agent.press(u32::from('a')).await;
    locker.is_typed_into();
    display.nothing_typed();
    drop(locker);
    display.paint(0x0012_3456, 0, 0, 800, 600);
    agent.sees(|| display.picture()).await;
    agent.press(u32::from('b')).await;
    assert_eq!(display.typed(), u32::from('b'));
    agent.close().await;
}

/// A locker: a window over all others that has grabbed the keyboard and the pointer.
struct Locker(RustConnection);

impl Locker {
    const COLOUR: u32 = 0x0055_2211;

    fn start(display: &str) -> Self {
        let (connection, screen) = RustConnection::connect(Some(display)).expect("a display");
        let root = connection.setup().roots[screen].root;
        let window = connection.generate_id().expect("an id");
        let look = CreateWindowAux::new()
            .background_pixel(Self::COLOUR)
            .override_redirect(1)
            .event_mask(EventMask::KEY_PRESS);
        let class = WindowClass::INPUT_OUTPUT;
        connection
            .create_window(0, window, root, 0, 0, 800, 600, 0, class, 0, &look)
            .expect("sent");
        connection.map_window(window).expect("sent");
        let (mode, now) = (GrabMode::ASYNC, x11rb::CURRENT_TIME);
        let keyboard = connection.grab_keyboard(true, window, now, mode, mode);
        let keyboard = keyboard.expect("sent").reply().expect("an answer");
        let none = x11rb::NONE;
        let events = EventMask::BUTTON_PRESS;
        let pointer = connection.grab_pointer(true, window, events, mode, mode, none, none, now);
        let pointer = pointer.expect("sent").reply().expect("an answer");
        assert_eq!(keyboard.status, GrabStatus::SUCCESS);
        assert_eq!(pointer.status, GrabStatus::SUCCESS);
        Self(connection)
    }

    fn is_typed_into(&self) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            let event = self.0.poll_for_event().expect("the display lives");
            if matches!(event, Some(Event::KeyPress(_))) {
                return;
            }
            assert!(Instant::now() < deadline, "nothing was typed");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Clipboard text of any script, both ways, and none before control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clipboard_is_of_any_script() {
    let world = World::new().await;
    let display = &world.display;
    let (customer, mut agent) = viewing(&world, "ecom").await;
    let cancel = CancelToken::new().expect("a pipe");
    let mut desk = Clipboard::open(Some(&display.name), None, &cancel).expect("a clipboard");
    desk.offer("salaisuus").expect("offered");
    agent.copies("ei vielä").await;
    display.paint(0x0012_3456, 450, 100, 100, 100);
    agent.sees(|| display.picture()).await;
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    while !agent.told_of_control().await {}
    for text in ["Määrä 5 € – Ж 漢 😀", "toinen\r\nrivi"] {
        agent.copies(text).await;
        let text = text.replace('\r', "");
        assert_eq!(pasted(&mut desk), text);
        let text = format!("{text}, takaisin");
        desk.offer(&text).expect("offered");
        let heard = tokio::spawn(async move {
            let heard = agent.hears_copied().await;
            (heard, agent)
        });
        while !heard.is_finished() {
            desk.pump().expect("the display lives");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (copied, again) = heard.await.expect("no panic");
        assert_eq!(copied, text);
        agent = again;
    }
    agent.close().await;
}

fn pasted(desk: &mut Clipboard) -> String {
    let deadline = Instant::now() + TEST_TIMEOUT;
    loop {
        match desk.pump().expect("the display lives") {
            Some(Copied::Text(text)) => return text,
            Some(Copied::Untakable) => panic!("it is text"),
            None => {}
        }
        assert!(Instant::now() < deadline, "nothing was copied");
        std::thread::sleep(Duration::from_millis(2));
    }
}
