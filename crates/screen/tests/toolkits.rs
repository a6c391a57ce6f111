//! App sharing with real programs, under a real window manager and a compositor: what is typed and
//! clicked arrives in the program and in its menus, and the desktop's shortcuts stay out of reach.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, Input, SharedApp};
use etatuki_testkit::Xvfb;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;

const XK_RETURN: u32 = 0xff0d;
const XK_DOWN: u32 = 0xff54;
const XK_RIGHT: u32 = 0xff53;
const XK_ALT_L: u32 = 0xffe9;
const XK_CONTROL_L: u32 = 0xffe3;
const XK_F4: u32 = 0xffc1;

/// Limit of each wait: it only ends a failed test.
const WAIT: Duration = Duration::from_secs(30);

/// A process that ends with its handle.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, x: &Xvfb) -> Self {
        let command = command.env("DISPLAY", &x.display).stdin(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Window manager and compositor: each a command line.
type Programs = &'static [&'static str];

const OPENBOX_AND_PICOM: Programs = &[
    "openbox --sm-disable",
    "picom --config /dev/null --backend xrender",
];
const XFWM4: Programs = &["xfwm4 --compositor=on --vblank=off"];

/// A desktop of window manager and compositor.
struct Desktop {
    server: RustConnection,
    root: Window,
    _programs: Vec<Running>,
    x: Xvfb,
}

impl Desktop {
    fn new(programs: Programs) -> Self {
        let x = Xvfb::start("800x600x24", &[]);
        let (server, _) = RustConnection::connect(Some(&x.display)).expect("connects");
        let root = server.setup().roots[0].root;
        let start = |line: &&str| {
            let mut words = line.split(' ');
            let mut command = Command::new(words.next().expect("a program"));
            Running::start(command.args(words).stdout(Stdio::null()), &x)
        };
        let desktop = Self {
            root,
            _programs: programs.iter().map(start).collect(),
            server,
            x,
        };
        desktop.wait("the window manager", |desktop| {
            desktop.cardinal("_NET_CURRENT_DESKTOP").is_some()
        });
        desktop.wait("the compositor", |desktop| {
            let atom = desktop.atom("_NET_WM_CM_S0");
            let owner = desktop
                .server
                .get_selection_owner(atom)
                .expect("sent")
                .reply();
            owner.expect("an answer").owner != x11rb::NONE
        });
        desktop
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let end = Instant::now() + WAIT;
        while !is_there(self) {
            assert!(Instant::now() < end, "{what} didn't come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn atom(&self, name: &str) -> Atom {
        let atom = self
            .server
            .intern_atom(false, name.as_bytes())
            .expect("sent");
        atom.reply().expect("an atom").atom
    }

    fn cardinal(&self, property: &str) -> Option<u32> {
        let (root, property) = (self.root, self.atom(property));
        let query = self
            .server
            .get_property(false, root, property, AtomEnum::CARDINAL, 0, 1);
        query
            .expect("sent")
            .reply()
            .expect("an answer")
            .value32()?
            .next()
    }
}

/// A real program, which says on its stdout what is done in it; and the agent's input into it.
struct Program {
    child: Running,
    said: BufReader<ChildStdout>,
    input: Input,
}

impl Program {
    fn start(desktop: &Desktop, script: &str) -> Self {
        let path = format!("{}/tests/programs/{script}", env!("CARGO_MANIFEST_DIR"));
        // Not a Python of the user's own, which lacks Debian's modules.
        let mut python = Command::new("/usr/bin/python3");
        python.arg(path).stdout(Stdio::piped());
        // The menus open at once, and no service of the user's session is asked for.
        python
            .env("NO_AT_BRIDGE", "1")
            .env("GTK_IM_MODULE", "gtk-im-context-simple");
        let mut child = Running::start(&mut python, &desktop.x);
        let said = BufReader::new(child.0.stdout.take().expect("piped"));
        let app = SharedApp::from_pids(&[child.0.id()]);
        let cancel = CancelToken::new().expect("a pipe");
        let input =
            Input::open(Some(&desktop.x.display), Some(&app), &cancel).expect("the input opens");
        Self { child, said, input }
    }

    /// Waits for a line that begins like this, and does meanwhile what the server's loop does.
    fn wait_for(&mut self, what: &str) -> String {
        self.input.flush().expect("flushed");
        let end = Instant::now() + WAIT;
        loop {
            self.input.pump().expect("the server lives");
            let is_ready = !self.said.buffer().is_empty() || {
                let mut fds = [
                    PollFd::new(self.said.get_ref(), PollFlags::IN),
                    PollFd::from_borrowed_fd(self.input.as_fd(), PollFlags::IN),
                ];
                let limit = Timespec {
                    tv_sec: 1,
                    tv_nsec: 0,
                };
                poll(&mut fds, Some(&limit)).expect("poll");
                !fds[0].revents().is_empty()
            };
            if is_ready {
                let mut line = String::new();
                let n = self.said.read_line(&mut line).expect("it talks");
                assert!(n > 0, "{:?} ended before it said {what}", self.child.0);
                if line.starts_with(what) {
                    return line.trim().to_owned();
                }
            }
            assert!(Instant::now() < end, "it never said {what}");
        }
    }

    fn tap(&mut self, keysym: u32) {
        self.input.send_keysym(keysym, true).expect("pressed");
        self.input.send_keysym(keysym, false).expect("let go of");
    }

    fn tap_with(&mut self, modifiers: &[u32], keysyms: &[u32]) {
        for key in modifiers {
            self.input.send_keysym(*key, true).expect("pressed");
        }
        keysyms.iter().for_each(|keysym| self.tap(*keysym));
        for key in modifiers.iter().rev() {
            self.input.send_keysym(*key, false).expect("let go of");
        }
    }

    fn type_line(&mut self, text: &str) {
        let keysym = |c: char| match u32::from(c) {
            code @ (0x20..=0x7e | 0xa0..=0xff) => code,
            code => 0x0100_0000 | code,
        };
        text.chars().for_each(|c| self.tap(keysym(c)));
        self.tap(XK_RETURN);
    }

    fn click(&mut self, x: u16, y: u16) {
        for buttons in [0, 1, 0] {
            self.input.send_pointer(x, y, buttons).expect("pointed");
        }
    }
}

fn work_in(script: &str, programs: Programs) {
    let desktop = Desktop::new(programs);
    let mut program = Program::start(&desktop, script);
    let place = program.wait_for("place list");
    let place: Vec<u16> = place
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    program.type_line("Älä 12,50 €");
    assert_eq!(program.wait_for("text"), "text Älä 12,50 €");
    // The desktop's shortcuts: another desktop, and the window's end. Then, with Alt still held, the
    // menu, which grabs keyboard and pointer.
    program.tap_with(&[XK_CONTROL_L, XK_ALT_L], &[XK_RIGHT]);
    program.tap_with(&[XK_ALT_L], &[XK_F4, u32::from('f')]);
    program.wait_for("menu");
    program.tap(u32::from('s'));
    program.wait_for("saved");
    // The list, opened by a click and chosen from by keys.
    program.click(place[0], place[1]);
    program.wait_for("list");
    program.tap(XK_DOWN);
    program.tap(XK_RETURN);
    assert_eq!(program.wait_for("chose"), "chose two");
    assert_eq!(desktop.cardinal("_NET_CURRENT_DESKTOP"), Some(0));
}

#[test]
fn a_gtk_programs_menus_work_and_the_desktops_shortcuts_dont() {
    work_in("gtk.py", OPENBOX_AND_PICOM);
}

#[test]
fn a_qt_programs_menus_work_and_the_desktops_shortcuts_dont() {
    work_in("qt.py", OPENBOX_AND_PICOM);
}

/// Its compositor is the window manager itself.
#[test]
fn menus_work_and_shortcuts_dont_under_xfwm4_too() {
    work_in("gtk.py", XFWM4);
    work_in("qt.py", XFWM4);
}
