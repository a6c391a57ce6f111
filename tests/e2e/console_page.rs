//! The console's page in Debian's Chromium, driven by `crates/console/web/e2e/page.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use etatuki_deployment::process::Process;
use serde_json::{Value, json};

use crate::desktop::Desktop;
use crate::testbed::{TIMEOUT, Testbed, screenshot_path, wait_until};

/// A browser that shows the console's page. Fields drop in order: the browser before the console.
pub(crate) struct ConsolePage {
    browser: Process,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    console: Process,
    pixels: PathBuf,
}

impl ConsolePage {
    /// Starts the console and a browser with its page.
    pub(crate) fn open(testbed: &Testbed) -> Self {
        Self::open_with(testbed, &[])
    }

    /// Starts the console with more arguments, and a browser with its page.
    pub(crate) fn open_with(testbed: &Testbed, more: &[&str]) -> Self {
        let (console, address) = start_console(testbed, more);
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
        let pixels = testbed.deployment.folder().join("canvas.rgba");
        let mut page = Self {
            browser,
            stdin,
            stdout,
            console,
            pixels,
        };
        assert_eq!(page.read_answer(), Ok(json!("ready")));
        page.run(&json!({"do": "open", "page": address}));
        page.expect_attribute("code", "aria-invalid", "false");
        page
    }

    fn read_answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let mut line: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the browser's script ended; is `npm ci` done? {line}"));
        match line["error"].take() {
            Value::Null => Ok(line["ok"].take()),
            error => Err(error.to_string()),
        }
    }

    /// Sends an order to the browser's script and returns its answer.
    pub(crate) fn run(&mut self, order: &Value) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "{order}").unwrap();
        match self.read_answer() {
            Ok(value) => value,
            Err(error) => {
                let last = screenshot_path("page-failed.png");
                let _ = writeln!(
                    self.stdin.as_mut().unwrap(),
                    "{}",
                    json!({"do": "screenshot", "into": last})
                );
                let _ = self.read_answer();
                panic!("{order}: {error}; the page: {}", last.display())
            }
        }
    }

    pub(crate) fn type_into(&mut self, into: &str, text: &str) {
        self.run(&json!({"do": "type", "into": into, "text": text}));
    }

    pub(crate) fn press(&mut self, button: &str) {
        self.run(&json!({"do": "press", "button": button}));
    }

    pub(crate) fn key(&mut self, what: &str, key: &str) {
        self.run(&json!({"do": what, "key": key}));
    }

    pub(crate) fn expect_attribute(&mut self, part: &str, attribute: &str, value: &str) {
        self.run(&json!({"do": "has", "part": part, "attribute": attribute, "value": value}));
    }

    /// Waits until that part of the page has that text, and returns all of its text.
    pub(crate) fn expect_text(&mut self, part: &str, text: &str) -> String {
        let said = self.run(&json!({"do": "says", "part": part, "text": text}));
        said.as_str().unwrap().to_owned()
    }

    pub(crate) fn paste(&mut self, into: &str, text: &str) {
        self.run(&json!({"do": "paste", "into": into, "text": text}));
    }

    pub(crate) fn value(&mut self, of: &str) -> String {
        let value = self.run(&json!({"do": "value", "of": of}));
        value.as_str().unwrap().to_owned()
    }

    /// Waits until this part of the page has the keyboard.
    pub(crate) fn expect_focus(&mut self, part: &str) {
        wait_until(&format!("{part} to have the keyboard"), || {
            (self.run(&json!({"do": "focus"})) == part).then_some(())
        });
    }

    /// Ends the session as the agent does, who is asked first.
    pub(crate) fn end(&mut self) {
        self.press("end");
        self.press("end-no");
        self.expect_attribute("state", "data-state", "connected");
        self.key("key", "Control+Alt+Shift+KeyE");
        self.expect_focus("end-yes");
        self.key("key", "Enter");
    }

    pub(crate) fn is_enabled(&mut self, button: &str) -> bool {
        self.run(&json!({"do": "enabled", "button": button})) == true
    }

    pub(crate) fn screenshot(&mut self, name: &str) {
        self.run(&json!({"do": "screenshot", "into": screenshot_path(name)}));
    }

    /// Waits until the canvas equals the real screen, pixel by pixel.
    pub(crate) fn expect_picture(&mut self, desktop: &Desktop) {
        let order = json!({"do": "pixels", "into": self.pixels});
        wait_until("the canvas to equal the real screen", || {
            let wanted = desktop.pixels();
            if self.run(&order).is_null() {
                return None;
            }
            let canvas = std::fs::read(&self.pixels).unwrap();
            is_same_picture(&canvas, &wanted).then_some(())
        });
    }

    /// Waits until the customer's pointer is shown at this position, in pixels of the desktop,
    /// within two pixels.
    pub(crate) fn expect_pointer(&mut self, x: i64, y: i64) {
        wait_until("the customer's pointer to be shown there", || {
            let at = self.run(&json!({"do": "pointer"}));
            let near =
                |name: &str, wanted: i64| (at[name].as_i64()? - wanted).abs().le(&2).then_some(());
            near("x", x).and(near("y", y))
        });
    }

    /// Moves the mouse to a position in the picture (0 to 1 from left and top), and waits until the
    /// customer's pointer has come to `expected`.
    pub(crate) fn move_mouse(
        &mut self,
        desktop: &Desktop,
        (x, y): (f64, f64),
        expected: (i16, i16),
    ) {
        self.run(&json!({"do": "aim", "x": x, "y": y}));
        wait_until(&format!("the pointer to come to {expected:?}"), || {
            let at = desktop.pointer();
            let near = |at: i16, wanted: i16| (at - wanted).abs() <= 2;
            (near(at.0, expected.0) && near(at.1, expected.1)).then_some(())
        });
    }

    /// Closes the browser, and the console with it.
    pub(crate) fn close(mut self) {
        let complaints = self.run(&json!({"do": "complaints"}));
        assert_eq!(complaints, json!([]), "the page complained");
        self.stdin = None;
        assert!(self.browser.wait(TIMEOUT).unwrap().success());
        assert!(self.console.is_running(), "the console ended by itself");
    }
}

pub(crate) fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/console/web")
}

/// Starts the console. Returns it with the address of its page.
pub(crate) fn start_console(testbed: &Testbed, more: &[&str]) -> (Process, String) {
    let arguments = [&["--no-open"], more].concat();
    let (console, ready, _) =
        Process::start_until_ready(&mut testbed.deployment.console(&arguments)).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    (console, ready["page"].as_str().unwrap().to_owned())
}

/// Returns whether the RGBA of the canvas shows the BGRX of the screen.
fn is_same_picture(canvas: &[u8], screen: &[u8]) -> bool {
    canvas.len() == screen.len()
        && canvas
            .chunks_exact(4)
            .zip(screen.chunks_exact(4))
            .all(|(c, s)| [c[0], c[1], c[2]] == [s[2], s[1], s[0]])
}
