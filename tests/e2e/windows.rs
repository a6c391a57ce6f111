//! The launcher's windows, driven by key presses under a window manager. Screenshots of them are
//! kept in `target/e2e/`.

use std::process::{Command, Stdio};
use std::time::Duration;

use etatuki_deployment::process::Process;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat};

use crate::agent::Agent;
use crate::testbed::{
    TIMEOUT, Testbed, expect_all_gone, process_tree, screenshot_path, wait_until,
};

/// The keyboard and the screen of a display: xdotool, and what its windows show.
pub(crate) struct Xdotool {
    display: String,
}

impl Xdotool {
    pub(crate) fn on(testbed: &Testbed) -> Self {
        Self {
            display: testbed.display.name().to_owned(),
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let done = Command::new("xdotool")
            .args(arguments)
            // In the C locale xdotool finds no window with an umlaut in its name.
            .env("LC_ALL", "C.UTF-8")
            .env("DISPLAY", &self.display)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Presses a key, as `xdotool key` names it.
    pub(crate) fn key(&self, key: &str) {
        self.run(&["key", key]);
    }

    /// Waits until the window with that title has the keyboard focus.
    pub(crate) fn expect_focus(&self, title: &str) {
        let mut before = None;
        wait_until(
            &format!("the window '{title}' to have the keyboard"),
            || {
                let active = self.run(&["getactivewindow", "getwindowname"]);
                let is_there = active == title;
                // Printed if the test fails.
                if before.as_ref() != Some(&active) {
                    let shown = self.run(&["search", "--onlyvisible", "--name", "tuki"]);
                    eprintln!("the keyboard is with '{active}'; windows: {shown:?}");
                    before = Some(active);
                }
                is_there.then_some(())
            },
        );
    }

    /// Closes a window as its title bar's button does. Alt+F4 is the window manager's own key, for
    /// whichever window it takes for the active one, and for a moment after a change there is none.
    pub(crate) fn close(&self, title: &str) {
        let id = wait_until(title, || {
            let id = self.run(&["getactivewindow"]);
            (self.run(&["getwindowname", &id]) == title).then(|| id.parse().unwrap())
        });
        let (server, screen) = x11rb::connect(Some(&self.display)).unwrap();
        let root = server.setup().roots[screen].root;
        let close = server.intern_atom(false, b"_NET_CLOSE_WINDOW").unwrap();
        let close = close.reply().unwrap().atom;
        let message = ClientMessageEvent::new(32, id, close, [0; 5]);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        let sent = server.send_event(false, root, mask, message).unwrap();
        sent.check().unwrap();
    }

    /// Waits until another window has the keyboard focus.
    pub(crate) fn expect_no_focus(&self, title: &str) {
        wait_until(&format!("'{title}' to lose the keyboard"), || {
            let active = self.run(&["getactivewindow", "getwindowname"]);
            (active != title).then_some(())
        });
    }

    pub(crate) fn window(&self, title: &str) -> Option<String> {
        let exactly = format!("^{title}$");
        let found = self.run(&["search", "--onlyvisible", "--name", &exactly]);
        found.lines().next().map(str::to_owned)
    }

    /// Waits until the whole window with the focus is on the screen: one that is deiconified is
    /// moved there in steps.
    fn expect_whole_window(&self) {
        let mut before = String::new();
        wait_until("the whole window to be on the screen", || {
            let geometry = self.run(&["getactivewindow", "getwindowgeometry", "--shell"]);
            if geometry != before {
                // Printed if the test fails.
                eprintln!("the window is at {}", geometry.replace('\n', " "));
                before = geometry.clone();
            }
            let value = |name: &str| -> Option<i32> {
                let line = geometry.lines().find_map(|line| line.strip_prefix(name));
                line?.trim_start_matches('=').parse().ok()
            };
            let (x, y) = (value("X")?, value("Y")?);
            let (right, bottom) = (x + value("WIDTH")?, y + value("HEIGHT")?);
            (x >= 0 && y >= 0 && right <= 1024 && bottom <= 768).then_some(())
        });
    }

    /// Waits until the window with the focus is below the bar and its banner, with its title.
    fn expect_below_the_bar(&self) {
        wait_until("the question to be below the bar", || {
            let geometry = self.run(&["getactivewindow", "getwindowgeometry", "--shell"]);
            let top = geometry.lines().find_map(|line| line.strip_prefix("Y="))?;
            (top.parse::<i32>().ok()? > 68).then_some(())
        });
    }

    /// Returns the bar's width, if it is shown. It has no name, for no window manager knows it: it
    /// is the window without a frame at the top of the screen, as high as the bar, with or without
    /// the development registry's banner.
    fn bar_width(&self) -> Option<u32> {
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

    /// Waits until a question has the keyboard, on 'Älä salli'.
    pub(crate) fn expect_question(&self) {
        wait_until("'Älä salli' to have the keyboard", || self.focused_deny());
    }

    /// Waits until an answered question is gone: the next one looks the same.
    pub(crate) fn expect_no_question(&self) {
        wait_until("the question to go", || match self.focused_deny() {
            None => Some(()),
            Some(_) => None,
        });
    }

    /// Returns the centre of 'Älä salli' if it has the keyboard: a question's buttons have a width
    /// of their own, and the focus ring a colour of its own.
    pub(crate) fn focused_deny(&self) -> Option<(u16, u16)> {
        const RING: [u8; 3] = [0xb4, 0x5f, 0x1a];
        let (pixels, width) = self.pixels();
        let ring = pixels.chunks_exact(4).enumerate();
        let ring = ring.filter(|(_, pixel)| pixel[..3] == RING);
        let (columns, rows): (Vec<_>, Vec<_>) =
            ring.map(|(at, _)| (at % width, at / width)).unzip();
        let (left, right) = (columns.iter().min()?, columns.iter().max()?);
        let (top, bottom) = (rows.iter().min()?, rows.iter().max()?);
        let centre = |from: &usize, to: &usize| u16::try_from(from.midpoint(*to)).unwrap();
        let is_deny = *left >= width / 2 && (240..320).contains(&(right - left));
        is_deny.then(|| (centre(left, right), centre(top, bottom)))
    }

    /// Returns the place and the size of the window with the keyboard focus: x, y, width, height.
    pub(crate) fn active_window(&self) -> (i32, i32, i32, i32) {
        // While the focus moves from one window to another, none is active.
        wait_until("an active window", || {
            let geometry = self.run(&["getactivewindow", "getwindowgeometry", "--shell"]);
            let value = |name: &str| -> Option<i32> {
                let line = geometry.lines().find_map(|line| line.strip_prefix(name));
                line?.trim_start_matches('=').parse().ok()
            };
            Some((value("X")?, value("Y")?, value("WIDTH")?, value("HEIGHT")?))
        })
    }

    /// Returns the whole screen in BGRX, and its width.
    pub(crate) fn pixels(&self) -> (Vec<u8>, usize) {
        let (server, screen) = x11rb::connect(Some(&self.display)).unwrap();
        let screen = &server.setup().roots[screen];
        let (width, height) = (screen.width_in_pixels, screen.height_in_pixels);
        let image = server.get_image(ImageFormat::Z_PIXMAP, screen.root, 0, 0, width, height, !0);
        (image.unwrap().reply().unwrap().data, width.into())
    }

    /// Saves a screenshot of the whole screen.
    pub(crate) fn screenshot(&self, name: &str) {
        // The last frame is drawn when the window thread is idle again.
        std::thread::sleep(Duration::from_millis(300));
        let done = Command::new("import")
            .args(["-silent", "-window", "root"])
            .arg(screenshot_path(name))
            .env("DISPLAY", &self.display)
            .status()
            .unwrap();
        assert!(done.success(), "no screenshot: ImageMagick's import failed");
    }

    /// Returns the text in the clipboard.
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

    /// Presses Ctrl+C until the page's text that is copied has these words.
    fn expect_copied(&self, words: &str) {
        wait_until(&format!("a page that says '{words}'"), || {
            self.key("ctrl+c");
            self.clipboard().filter(|text| text.contains(words))
        });
    }

    /// Presses the code's copy button and returns the code.
    pub(crate) fn copied_code(&self) -> String {
        wait_until("the code to be copied", || {
            self.key("alt+k");
            self.clipboard()
        })
    }
}

/// A running launcher with its windows.
pub(crate) struct Launcher(pub(crate) Process);

impl Launcher {
    pub(crate) fn start(testbed: &Testbed, arguments: &[&str]) -> (Self, Xdotool) {
        let mut command = testbed.deployment.launcher(testbed.display.name());
        command.args(["--language", "fi"]).args(arguments);
        let process = Process::start(command.stdin(Stdio::null())).unwrap();
        (Self(process), Xdotool::on(testbed))
    }

    /// Waits until it has exited, and returns its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.0.wait(TIMEOUT).unwrap().code()
    }

    /// Waits until it has exited normally and none of `processes` is left.
    fn expect_exit(mut self, processes: &std::collections::BTreeSet<u32>) {
        assert!(self.0.wait(TIMEOUT).unwrap().success());
        expect_all_gone(processes);
    }

    pub(crate) fn process_tree(&self) -> std::collections::BTreeSet<u32> {
        process_tree(self.0.pid().as_raw_nonzero().get().unsigned_abs())
    }
}

/// The keysym of Esc.
const ESCAPE: u32 = 0xff1b;

const REMOTEUS: &str = "Remoteus.*2008.";
const REMOTEUS_TITLE: &str = "Remoteus etätuki (2008)";
const MENU: &str = "Etätuki";

#[test]
fn the_help_menu_by_keyboard() {
    let testbed = Testbed::with_window_manager();
    let (launcher, xdotool) = Launcher::start(&testbed, &[]);
    xdotool.expect_focus(MENU);
    xdotool.screenshot("window-0-menu.png");
    // F10 opens the menu, a letter picks in it; Esc leads back to the entries and doesn't end the
    // program.
    xdotool.key("F10");
    xdotool.key("t");
    xdotool.expect_copied("Kieli: suomi");
    xdotool.screenshot("window-0-about.png");
    xdotool.key("Escape");
    xdotool.expect_copied("Valitse etätuki");
    xdotool.key("Escape");
    xdotool.expect_copied("Valitse etätuki");
    xdotool.key("alt+o");
    xdotool.screenshot("window-1-menu-open.png");
    // The first entry is selected as the menu opens, or by the first arrow: an entry opens either
    // way.
    xdotool.key("Down");
    xdotool.key("Return");
    let entry = wait_until("an entry's window", || {
        let active = xdotool.run(&["getactivewindow", "getwindowname"]);
        (active != MENU && active.contains("tätuki")).then_some(active)
    });
    xdotool.screenshot("window-2-picked.png");
    let processes = launcher.process_tree();
    xdotool.close(&entry);
    xdotool.expect_focus(MENU);
    xdotool.close(MENU);
    launcher.expect_exit(&processes);
}

#[test]
fn a_session_by_keyboard() {
    let (testbed, mut hand) = Testbed::with_hand();
    let (launcher, xdotool) = Launcher::start(&testbed, &["open", "remoteus-2008"]);
    xdotool.expect_focus(REMOTEUS_TITLE);
    xdotool.screenshot("window-3-before.png");
    xdotool.key("Return");
    let code = xdotool.copied_code();
    assert_eq!(code.replace(' ', "").len(), 12, "{code}");
    xdotool.screenshot("window-4-code.png");

    let mut agent = Agent::join(&testbed, &[code], &[]);
    agent.expect_type("asking");
    xdotool.expect_focus(REMOTEUS_TITLE);
    xdotool.expect_below_the_bar();
    xdotool.screenshot("window-5-view-asked.png");
    deny(&xdotool, &mut agent);
    wait_until("the bar", || xdotool.bar_width());
    agent.send("ask-view");
    agent.expect_type("asking");
    allow(&xdotool, &mut agent, "view");
    wait_until("the session's window to be out of the way", || {
        xdotool.window(REMOTEUS).is_none().then_some(())
    });
    xdotool.screenshot("window-6-viewing.png");
    let (mut again, _) = Launcher::start(&testbed, &["open", "ecom"]);
    assert_eq!(again.exit_code(), Some(0), "another start during a session");
    xdotool.expect_focus(REMOTEUS_TITLE);
    let viewing = xdotool.bar_width().unwrap();

    agent.send("ask-control");
    agent.expect_type("asking");
    xdotool.expect_focus(REMOTEUS_TITLE);
    xdotool.screenshot("window-7-control-asked.png");
    xdotool.expect_whole_window();
    allow(&xdotool, &mut agent, "control");
    wait_until("the bar to have a button to take control back", || {
        xdotool.bar_width().filter(|width| *width > viewing)
    });
    let processes = launcher.process_tree();
    xdotool.screenshot("window-8-controlling.png");

    hand.key(ESCAPE, true);
    agent.expect("control taken back", |line| {
        line["type"] == "permissions" && line["control"] == false
    });
    hand.key(ESCAPE, false);
    wait_until("the bar to have lost that button", || {
        xdotool.bar_width().filter(|width| *width == viewing)
    });

    agent.send("end");
    agent.expect_type("ended");
    xdotool.expect_focus(REMOTEUS_TITLE);
    xdotool.screenshot("window-9-receipt.png");
    xdotool.expect_whole_window();
    assert_eq!(xdotool.bar_width(), None, "the bar is still there");
    xdotool.key("Return");
    launcher.expect_exit(&processes);
}

/// An entry whose tool brings its own transport, which the windows say.
#[test]
fn a_tool_with_its_own_transport() {
    let testbed = Testbed::with_window_manager();
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
    let registry = testbed.deployment.registry();
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, text + entry).unwrap();
    let (launcher, xdotool) = Launcher::start(&testbed, &["open", "own"]);
    xdotool.expect_focus("Vieras ohjelma");
    xdotool.screenshot("window-11-own-before.png");
    xdotool.key("Return");
    let port: u16 = xdotool.copied_code().parse().unwrap();
    xdotool.screenshot("window-12-own-code.png");
    assert_eq!(xdotool.bar_width(), None);
    let mut somebody = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Read::read_exact(&mut somebody, &mut [0; 12]).unwrap();
    wait_until("the bar", || xdotool.bar_width());
    xdotool.screenshot("window-13-own-connected.png");
    let processes = launcher.process_tree();
    std::io::Write::write_all(&mut somebody, b"RFB 003.008\n").unwrap();
    drop(somebody);
    wait_until("the bar to go", || {
        xdotool.bar_width().is_none().then_some(())
    });
    xdotool.expect_focus("Vieras ohjelma");
    xdotool.expect_whole_window();
    xdotool.screenshot("window-14-own-again.png");
    xdotool.close("Vieras ohjelma");
    launcher.expect_exit(&processes);
}

#[test]
fn closing_the_window_ends_the_session() {
    let testbed = Testbed::with_window_manager();
    let (launcher, xdotool) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus("Ecom Etätuki");
    assert_eq!(xdotool.copied_code().replace(' ', "").len(), 15);
    xdotool.screenshot("window-10-ecom.png");
    let processes = launcher.process_tree();
    xdotool.close("Ecom Etätuki");
    launcher.expect_exit(&processes);
}

/// Waits until a question can be answered, which is when 'Älä salli' has the focus; then denies
/// with Enter.
fn deny(xdotool: &Xdotool, agent: &mut Agent) {
    xdotool.expect_question();
    xdotool.key("Return");
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer}");
    xdotool.expect_no_question();
}

/// Presses Alt with the letter of 'Salli', which is the only way by keyboard.
fn allow(xdotool: &Xdotool, agent: &mut Agent, what: &str) {
    xdotool.expect_question();
    xdotool.key("alt+a");
    agent.expect(what, |line| {
        line["type"] == "permissions" && line[what] == true
    });
    xdotool.expect_no_question();
}
