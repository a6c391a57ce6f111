//! The launcher's windows by real key presses, under a window manager. What they look like is kept in `target/e2e/`.

use std::process::{Command, Stdio};
use std::time::Duration;

use etatuki_demo::process::Process;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};

use crate::agent::Agent;
use crate::world::{LIMIT, World, all_gone, artefact, family, until};

/// Keyboard and eyes in front of a display.
pub(crate) struct Hands {
    display: String,
}

impl Hands {
    pub(crate) fn on(world: &World) -> Self {
        Self {
            display: world.display.name().to_owned(),
        }
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let done = Command::new("xdotool")
            .args(arguments)
            // In the C locale it finds no window with an umlaut in its name.
            .env("LC_ALL", "C.UTF-8")
            .env("DISPLAY", &self.display)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Presses a key, as `xdotool key` names it.
    pub(crate) fn key(&self, key: &str) {
        self.xdotool(&["key", key]);
    }

    /// Waits until the window of that title has the keyboard.
    pub(crate) fn at(&self, title: &str) {
        until(
            &format!("the window '{title}' to have the keyboard"),
            || {
                let active = self.xdotool(&["getactivewindow", "getwindowname"]);
                (active == title).then_some(())
            },
        );
    }

    /// Waits until another window has the keyboard.
    pub(crate) fn not_at(&self, title: &str) {
        until(&format!("'{title}' to lose the keyboard"), || {
            let active = self.xdotool(&["getactivewindow", "getwindowname"]);
            (active != title).then_some(())
        });
    }

    fn window(&self, title: &str) -> Option<String> {
        let exactly = format!("^{title}$");
        let found = self.xdotool(&["search", "--onlyvisible", "--name", &exactly]);
        found.lines().next().map(str::to_owned)
    }

    /// Waits until the window that has the keyboard is on the screen, all of it: one that comes back from the task bar
    /// is moved there in steps.
    fn is_whole(&self) {
        until("the whole window to be on the screen", || {
            let geometry = self.xdotool(&["getactivewindow", "getwindowgeometry", "--shell"]);
            let value = |name: &str| -> Option<i32> {
                let line = geometry.lines().find_map(|line| line.strip_prefix(name));
                line?.trim_start_matches('=').parse().ok()
            };
            let (x, y) = (value("X")?, value("Y")?);
            let (right, bottom) = (x + value("WIDTH")?, y + value("HEIGHT")?);
            (x >= 0 && y >= 0 && right <= 1024 && bottom <= 768).then_some(())
        });
    }

    /// The bar's width, if it is there. It has no name, for no window manager knows it: it is the window that no
    /// frame is around, at the top of the screen, as high as the bar with the strip of the development registry.
    fn bar(&self) -> Option<u32> {
        let done = Command::new("xwininfo")
            .args(["-root", "-children"])
            .env("DISPLAY", &self.display)
            .output()
            .unwrap();
        let windows = String::from_utf8_lossy(&done.stdout).into_owned();
        let widths = windows.lines().filter_map(|line| {
            let (size, place) = line.split_whitespace().rev().nth(1)?.split_once('+')?;
            let (width, height) = size.split_once('x')?;
            let at_top = place.ends_with("+0") && ["48", "68"].contains(&height);
            at_top.then(|| width.parse().ok())?
        });
        widths.max()
    }

    /// Waits until this answer has the keyboard: a question's buttons are as wide as no others, and the ring around
    /// the one with the keyboard has a colour that nothing else has.
    fn marked(&self, answer: Answer) {
        const RING: [u8; 3] = [0xe4, 0x84, 0x35];
        until(&format!("{answer:?} to have the keyboard"), || {
            let (pixels, width) = self.pixels();
            let ring = pixels.chunks_exact(4).enumerate();
            let ring = ring.filter(|(_, pixel)| pixel[..3] == RING);
            let columns: Vec<_> = ring.map(|(at, _)| at % width).collect();
            let (left, right) = (columns.iter().min()?, columns.iter().max()?);
            let found = if *left < width / 2 {
                Answer::Allow
            } else {
                Answer::Deny
            };
            ((240..320).contains(&(right - left)) && found == answer).then_some(())
        });
    }

    /// The whole screen, BGRX, and its width.
    fn pixels(&self) -> (Vec<u8>, usize) {
        let (server, screen) = x11rb::connect(Some(&self.display)).unwrap();
        let screen = &server.setup().roots[screen];
        let (width, height) = (screen.width_in_pixels, screen.height_in_pixels);
        let image = server.get_image(ImageFormat::Z_PIXMAP, screen.root, 0, 0, width, height, !0);
        (image.unwrap().reply().unwrap().data, width.into())
    }

    /// What stands on the whole screen.
    pub(crate) fn screenshot(&self, name: &str) {
        // The last frame is drawn when the window thread is idle again.
        std::thread::sleep(Duration::from_millis(300));
        let done = Command::new("import")
            .args(["-silent", "-window", "root"])
            .arg(artefact(name))
            .env("DISPLAY", &self.display)
            .status()
            .unwrap();
        assert!(done.success(), "no screenshot: ImageMagick's import failed");
    }

    /// What was copied.
    fn clipboard(&self) -> Option<String> {
        let done = Command::new("timeout")
            .args(["2", "xclip", "-o", "-selection", "clipboard"])
            .env("DISPLAY", &self.display)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The code, by its copy button.
    fn copied_code(&self) -> String {
        until("the code to be copied", || {
            self.key("alt+k");
            self.clipboard()
        })
    }
}

/// A launcher with its windows.
struct Launched(Process);

impl Launched {
    fn start(world: &World, arguments: &[&str]) -> (Self, Hands) {
        let mut command = world.stage.launcher(world.display.name());
        command.args(["--language", "fi"]).args(arguments);
        let process = Process::start(command.stdin(Stdio::null())).unwrap();
        (Self(process), Hands::on(world))
    }

    /// Ends well, and nothing of it is left.
    fn ended(mut self, family: &std::collections::BTreeSet<u32>) {
        assert!(self.0.wait(LIMIT).unwrap().success());
        all_gone(family);
    }

    fn family(&self) -> std::collections::BTreeSet<u32> {
        family(self.0.pid().as_raw_nonzero().get().unsigned_abs())
    }
}

/// The buttons of a question, from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allow,
    Deny,
}

const REMOTEUS: &str = "Remoteus.*2008.";
const REMOTEUS_TITLE: &str = "Remoteus etätuki (2008)";
const MENU: &str = "Etätuki";

#[test]
fn the_help_menu_by_keyboard() {
    let world = World::managed();
    let (launcher, hands) = Launched::start(&world, &[]);
    hands.at(MENU);
    hands.screenshot("window-0-menu.png");
    hands.key("alt+o");
    hands.screenshot("window-1-menu-open.png");
    // The first entry is marked as the menu opens, or by the first arrow: whichever it is, an entry opens.
    hands.key("Down");
    hands.key("Return");
    until("an entry's window", || {
        let active = hands.xdotool(&["getactivewindow", "getwindowname"]);
        (active != MENU && active.contains("tätuki")).then_some(())
    });
    hands.screenshot("window-2-picked.png");
    let family = launcher.family();
    hands.key("alt+F4");
    hands.at(MENU);
    hands.key("alt+F4");
    launcher.ended(&family);
}

#[test]
fn a_session_by_keyboard() {
    let world = World::managed();
    let (launcher, hands) = Launched::start(&world, &["open", "remoteus-2008"]);
    hands.at(REMOTEUS_TITLE);
    hands.screenshot("window-3-before.png");
    hands.key("Return");
    let code = hands.copied_code();
    assert_eq!(code.replace(' ', "").len(), 12, "{code}");
    hands.screenshot("window-4-code.png");

    let mut agent = Agent::join(&world, &[code], &[]);
    agent.expect_type("asking");
    hands.at(REMOTEUS_TITLE);
    hands.screenshot("window-5-view-asked.png");
    deny(&hands, &mut agent);
    until("the bar", || hands.bar());
    agent.say("ask-view");
    agent.expect_type("asking");
    allow(&hands, &mut agent, "view");
    until("the session's window to be out of the way", || {
        hands.window(REMOTEUS).is_none().then_some(())
    });
    hands.screenshot("window-6-viewing.png");
    let viewing = hands.bar().unwrap();

    agent.say("ask-control");
    agent.expect_type("asking");
    hands.at(REMOTEUS_TITLE);
    hands.screenshot("window-7-control-asked.png");
    hands.is_whole();
    allow(&hands, &mut agent, "control");
    until("the bar to have a button to take control back", || {
        hands.bar().filter(|width| *width > viewing)
    });
    let family = launcher.family();
    hands.screenshot("window-8-controlling.png");

    hands.xdotool(&["keydown", "Escape"]);
    agent.expect("control taken back", |line| {
        line["type"] == "permissions" && line["control"] == false
    });
    hands.xdotool(&["keyup", "Escape"]);
    until("the bar to have lost that button", || {
        hands.bar().filter(|width| *width == viewing)
    });

    agent.say("end");
    agent.expect_type("ended");
    hands.at(REMOTEUS_TITLE);
    hands.screenshot("window-9-receipt.png");
    hands.is_whole();
    assert_eq!(hands.bar(), None, "the bar is still there");
    hands.key("Return");
    launcher.ended(&family);
}

/// An entry of another kind: its tool brings its own transport, and the windows say so.
#[test]
fn a_tool_with_its_own_transport() {
    let world = World::managed();
    let entry = r#"
[[backend]]
id = "own"
label = { fi = "Vieras ohjelma", sv = "Ett annat program", en = "Another program" }
plugin = "libetatuki_own_tool.so"
plugin_id = "own-tool"
version = "*"
form = "own"
network = true
[backend.options]
tool = "x11vnc"
start = ["-display", "{display}", "-norc", "-nopw", "-localhost", "-forever", "-autoport", "5970"]
stop = ["-display", "{display}", "-R", "stop"]
code = { from = "output", pattern = "^PORT=(\\d+)$" }
connected = "Got connection from client"
left = "client_count: 0"
"#;
    let registry = world.stage.registry();
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, text + entry).unwrap();
    let (launcher, hands) = Launched::start(&world, &["open", "own"]);
    hands.at("Vieras ohjelma");
    hands.screenshot("window-11-own-before.png");
    hands.key("Return");
    let port: u16 = hands.copied_code().parse().unwrap();
    hands.screenshot("window-12-own-code.png");
    assert_eq!(hands.bar(), None);
    let mut somebody = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Read::read_exact(&mut somebody, &mut [0; 12]).unwrap();
    until("the bar", || hands.bar());
    hands.screenshot("window-13-own-connected.png");
    let family = launcher.family();
    std::io::Write::write_all(&mut somebody, b"RFB 003.008\n").unwrap();
    drop(somebody);
    until("the bar to go", || hands.bar().is_none().then_some(()));
    hands.at("Vieras ohjelma");
    hands.is_whole();
    hands.screenshot("window-14-own-again.png");
    hands.key("alt+F4");
    launcher.ended(&family);
}

#[test]
fn closing_the_window_ends_the_session() {
    let world = World::managed();
    let (launcher, hands) = Launched::start(&world, &["open", "ecom"]);
    hands.at("Ecom Etätuki");
    assert_eq!(hands.copied_code().replace(' ', "").len(), 9);
    hands.screenshot("window-10-ecom.png");
    let family = launcher.family();
    hands.key("alt+F4");
    launcher.ended(&family);
}

/// Waits until a question can be answered, which is when 'Älä salli' has the keyboard; then Enter says no.
fn deny(hands: &Hands, agent: &mut Agent) {
    hands.marked(Answer::Deny);
    hands.key("Return");
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer}");
}

/// From 'Älä salli' to the button beside it, and that one pressed.
fn allow(hands: &Hands, agent: &mut Agent, what: &str) {
    hands.marked(Answer::Deny);
    hands.key("Tab");
    hands.marked(Answer::Allow);
    hands.key("space");
    agent.expect(what, |line| {
        line["type"] == "permissions" && line[what] == true
    });
}
