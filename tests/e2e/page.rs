//! The console's page in Debian's Chromium: the code typed in, the picture compared, control, switching, the end.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use etatuki_demo::process::Process;
use serde_json::{Value, json};

use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::world::{AGENT, LIMIT, World, all_gone, artefact, family, until};

/// A browser that shows the console's page. Fields drop in order: the browser before the console.
struct Page {
    browser: Process,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    console: Process,
    pixels: PathBuf,
}

impl Page {
    /// Starts the console and a browser with its page.
    fn open(world: &World) -> Self {
        let (console, ready, _) =
            Process::start_ready(&mut world.stage.console(&["--no-open"])).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let mut browser = Process::start(
            Command::new("node")
                .arg(web().join("e2e/page.mjs"))
                .env_remove("DISPLAY")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )
        .unwrap();
        let stdin = browser.child().stdin.take();
        let stdout = BufReader::new(browser.child().stdout.take().unwrap());
        let pixels = world.stage.folder().join("canvas.rgba");
        let mut page = Self {
            browser,
            stdin,
            stdout,
            console,
            pixels,
        };
        assert_eq!(page.answer(), Ok(json!("ready")));
        page.does(&json!({"do": "open", "page": ready["page"]}));
        page.has("state", "data-state", "ready");
        page
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let mut line: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the browser's script ended; is `npm ci` done? {line}"));
        match line["error"].take() {
            Value::Null => Ok(line["ok"].take()),
            error => Err(error.to_string()),
        }
    }

    fn does(&mut self, order: &Value) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "{order}").unwrap();
        match self.answer() {
            Ok(value) => value,
            Err(error) => {
                let last = artefact("page-failed.png");
                let _ = writeln!(
                    self.stdin.as_mut().unwrap(),
                    "{}",
                    json!({"do": "screenshot", "into": last})
                );
                let _ = self.answer();
                panic!("{order}: {error}; the page: {}", last.display())
            }
        }
    }

    fn types(&mut self, into: &str, text: &str) {
        self.does(&json!({"do": "type", "into": into, "text": text}));
    }

    fn press(&mut self, button: &str) {
        self.does(&json!({"do": "press", "button": button}));
    }

    fn key(&mut self, what: &str, key: &str) {
        self.does(&json!({"do": what, "key": key}));
    }

    fn has(&mut self, part: &str, attribute: &str, value: &str) {
        self.does(&json!({"do": "has", "part": part, "attribute": attribute, "value": value}));
    }

    /// Waits until that part of the page says so.
    fn says(&mut self, part: &str, text: &str) -> String {
        let said = self.does(&json!({"do": "says", "part": part, "text": text}));
        said.as_str().unwrap().to_owned()
    }

    fn enabled(&mut self, button: &str) -> bool {
        self.does(&json!({"do": "enabled", "button": button})) == true
    }

    fn screenshot(&mut self, name: &str) {
        self.does(&json!({"do": "screenshot", "into": artefact(name)}));
    }

    /// Waits until the canvas equals the real screen, pixel by pixel.
    fn shows(&mut self, desktop: &Desktop) {
        let order = json!({"do": "pixels", "into": self.pixels});
        until("the canvas to equal the real screen", || {
            let wanted = desktop.pixels();
            if self.does(&order).is_null() {
                return None;
            }
            let canvas = std::fs::read(&self.pixels).unwrap();
            same_picture(&canvas, &wanted).then_some(())
        });
    }

    /// Waits until the customer's pointer is shown there, in pixels of the desktop, give or take what scaling rounds.
    fn points_at(&mut self, x: i64, y: i64) {
        until("the customer's pointer to be shown there", || {
            let at = self.does(&json!({"do": "pointer"}));
            let near =
                |name: &str, wanted: i64| (at[name].as_i64()? - wanted).abs().le(&2).then_some(());
            near("x", x).and(near("y", y))
        });
    }

    /// Moves the mouse to a place in what is shown (0 to 1 from left and top), and waits until the customer's pointer
    /// has come to where it must.
    fn aims(&mut self, desktop: &Desktop, (x, y): (f64, f64), wanted: (i16, i16)) {
        self.does(&json!({"do": "aim", "x": x, "y": y}));
        until(&format!("the pointer to come to {wanted:?}"), || {
            let at = desktop.pointer();
            let near = |at: i16, wanted: i16| (at - wanted).abs() <= 2;
            (near(at.0, wanted.0) && near(at.1, wanted.1)).then_some(())
        });
    }

    /// Closes the browser, and the console with it.
    fn close(mut self) {
        let complaints = self.does(&json!({"do": "complaints"}));
        assert_eq!(complaints, json!([]), "the page complained");
        self.stdin = None;
        assert!(self.browser.wait(LIMIT).unwrap().success());
        assert!(self.console.is_running(), "the console ended by itself");
    }
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/console/web")
}

/// RGBA of the canvas against BGRX of the screen.
fn same_picture(canvas: &[u8], screen: &[u8]) -> bool {
    canvas.len() == screen.len()
        && canvas
            .chunks_exact(4)
            .zip(screen.chunks_exact(4))
            .all(|(c, s)| [c[0], c[1], c[2]] == [s[2], s[1], s[0]])
}

/// The same digits with the last one wrong.
fn mistyped(digits: &str) -> String {
    let last = digits.chars().last().unwrap().to_digit(10).unwrap();
    format!("{}{}", &digits[..digits.len() - 1], (last + 1) % 10)
}

/// The code typed in as it is heard, after one mistake.
fn type_code(page: &mut Page, code: &[String]) {
    page.types("code", &mistyped(&code[0]));
    let hint = page.says("hint", "a digit is wrong");
    assert!(!page.enabled("connect"), "{hint}");
    page.screenshot("page-1-wrong-digit.png");
    page.key("key", "Backspace");
    page.types("code", &code[0][code[0].len() - 1..]);
    page.says("hint", "Now the password");
    page.types("password", &code[1]);
    page.says("hint", "Press Enter");
    page.screenshot("page-2-code.png");
}

#[test]
fn page() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&world, "ecom", &["--app-version", "4.13"]);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut page = Page::open(&world);
    page.screenshot("page-0-ready.png");

    type_code(&mut page, &code);
    page.key("key", "Enter");
    let question = customer.question("view");
    page.says("wait", "Waiting for the customer's permission");
    page.screenshot("page-3-waiting.png");
    customer.answers(question, true);
    page.has("state", "data-permission", "view");
    page.shows(&desktop);
    desktop.draw(2);
    page.shows(&desktop);
    page.screenshot("page-4-viewing.png");

    control(&mut page, &mut customer, &desktop);
    switch(&mut page, &mut customer, &world);

    page.close();
}

/// Two monitors: the agent looks at either alone, points where he means to, and sees where the customer points.
#[test]
fn screens() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&world, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut page = Page::open(&world);
    page.types("code", &code[0]);
    page.types("password", &code[1]);
    page.key("key", "Enter");
    customer.answer("view", true);
    page.has("state", "data-permission", "view");
    page.shows(&desktop);
    page.has("screens", "hidden", "");

    monitors(
        &world,
        &["--setmonitor", "l", "600/100x768/100+0+0", "screen"],
    );
    monitors(
        &world,
        &["--setmonitor", "r", "424/100x500/100+600+200", "none"],
    );
    page.says("screens", "Screen 2");
    page.has("picture", "data-screen", "all");
    desktop.point(700, 300);
    page.points_at(700, 300);
    page.screenshot("page-screens-1-all.png");
    page.press("screen-2");
    page.has("picture", "data-screen", "2");
    page.points_at(700, 300);
    page.screenshot("page-screens-2-right.png");
    page.shows(&desktop);

    page.press("ask-control");
    customer.answer("control", true);
    page.has("state", "data-permission", "control");
    page.aims(&desktop, (0.5, 0.5), (812, 450));
    page.aims(&desktop, (0.02, 0.98), (608, 690));
    page.key("key", "Control+Alt+Shift+Digit1");
    page.has("picture", "data-screen", "1");
    page.aims(&desktop, (0.5, 0.5), (300, 384));
    page.press("scale-exact");
    page.aims(&desktop, (0.25, 0.25), (150, 192));
    page.screenshot("page-screens-3-left-exact.png");
    desktop.point(20, 30);
    page.points_at(20, 30);
    page.press("screen-0");
    page.has("picture", "data-screen", "all");
    page.aims(&desktop, (0.5, 0.5), (512, 384));
    page.press("scale-fit");
    page.press("screen-1");

    // What the choice meant is gone, and so is the choice.
    monitors(&world, &["--delmonitor", "l"]);
    monitors(&world, &["--delmonitor", "r"]);
    page.has("screens", "hidden", "");
    page.has("picture", "data-screen", "all");
    page.shows(&desktop);
    page.press("end");
    customer.expect_type("closed");
    assert!(customer.ended().success());
    page.close();
}

/// The customer's desktop is told how many monitors there are.
fn monitors(world: &World, arguments: &[&str]) {
    let mut xrandr = Command::new("xrandr");
    xrandr.args(["-display", world.display.name()]);
    let output = xrandr.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A key reaches the real window once the customer has allowed it, and not before.
fn control(page: &mut Page, customer: &mut Customer, desktop: &Desktop) {
    desktop.focus();
    desktop.keys();
    page.key("key", "a");
    page.press("ask-control");
    let question = customer.question("control");
    page.says("question", "may use the mouse and keyboard");
    page.key("key", "a");
    page.screenshot("page-5-control-asked.png");
    desktop.draw(3);
    page.shows(desktop);
    assert_eq!(desktop.keys(), [], "a key came through without control");
    customer.answers(question, true);
    page.has("state", "data-permission", "control");
    desktop.focus();
    page.key("down", "a");
    desktop.expect_press();
    page.key("up", "a");
    until("the key to be released", || {
        desktop.held().0.is_empty().then_some(())
    });
    page.screenshot("page-6-control.png");
}

/// The session ends, the customer's next one has a code of the other kind, and that one opens the other tool.
fn switch(page: &mut Page, customer: &mut Customer, world: &World) {
    let first = family(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    page.press("ask-switch-remoteus-2008");
    let question = customer.question("switch");
    page.says("question", "switch to Remoteus");
    page.screenshot("page-7-switch-asked.png");
    customer.answers(question, true);
    let closed = customer.expect_type("closed");
    let next = closed["receipt"]["switch_to"].as_str().unwrap().to_owned();
    assert_eq!(next, "remoteus-2008");
    assert_eq!(closed["receipt"]["agent"]["name"], AGENT);
    assert!(customer.ended().success());
    all_gone(&first);
    page.has("state", "data-state", "ended");
    page.screenshot("page-8-ended.png");

    // What an integrator does with `switch_to`.
    let mut customer = Customer::start(world, &next, &[]);
    let code = customer.code();
    let [code] = code.as_slice() else {
        panic!("a session code is one field")
    };
    customer.expect_state("waiting");
    page.types("code", code);
    page.press("connect");
    customer.answer("view", true);
    page.has("state", "data-permission", "view");
    let desktop = Desktop::open(world.display.name());
    desktop.draw(4);
    page.shows(&desktop);
    page.screenshot("page-9-switched.png");

    let second = family(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    page.press("end");
    customer.expect_type("closed");
    assert!(customer.ended().success());
    all_gone(&second);
    page.has("state", "data-state", "ended");
}
