//! A display that can't be shared is found out before anybody is given a code: Wayland, and
//! connections with restricted rights.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_screen::{CancelToken, ScreenError, Size, check_display};
use etatuki_testkit::Xvfb;

/// A process that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(display: &str) -> Result<Size, ScreenError> {
    check_display(Some(display), &CancelToken::new().expect("a pipe"))
}

/// Returns the sentence about a display that can't be shared.
fn reason(display: &str) -> String {
    match check(display) {
        Err(error @ (ScreenError::Unsupported(_) | ScreenError::Wayland)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("etatuki-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_x_server_can_be_shared() {
    let x = Xvfb::start("640x480x24", &[]);
    let size = check(&x.display).expect("it can");
    assert_eq!((size.width, size.height), (640, 480));
    assert!(matches!(check(":4095"), Err(ScreenError::NoDisplay { .. })));
}

/// Xwayland is started by weston, which says the display's number in its log.
#[test]
fn a_wayland_desktop_is_unsupported() {
    let folder = Folder::new("weston");
    let log = folder.0.join("log");
    let mut weston = Command::new("weston");
    weston
        .args(["--backend=headless-backend.so", "--xwayland", "--no-config"])
        .args(["--socket=etatuki-test", "--idle-time=0"])
        .arg(format!("--log={}", log.display()))
        .env("XDG_RUNTIME_DIR", &folder.0)
        .env_remove("DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _weston = Running(weston.spawn().expect("weston is installed"));
    let end = Instant::now() + Duration::from_secs(30);
    let display = loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let number = said.split("xserver listening on display ").nth(1);
        if let Some(display) = number.and_then(|rest| rest.split_whitespace().next()) {
            break display.to_owned();
        }
        assert!(Instant::now() < end, "weston gave no display: {said}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(reason(&display).contains("Wayland"));
}

fn xauth(file: &Path, display: Option<&str>, command: &[&str]) {
    let mut xauth = Command::new("xauth");
    xauth
        .arg("-f")
        .arg(file)
        .args(command)
        .stdout(Stdio::null());
    if let Some(display) = display {
        xauth.env("DISPLAY", display).env("XAUTHORITY", file);
    }
    assert!(xauth.status().expect("xauth is installed").success());
}

/// Not a test by itself: checks the display of its environment, whose cookie is untrusted.
#[test]
fn a_check_with_the_environments_cookie() {
    if let Ok(display) = std::env::var("ETATUKI_TEST_DISPLAY") {
        assert!(reason(&display).contains("ssh -Y"));
    }
}

#[test]
fn an_untrusted_connection_is_unsupported() {
    let folder = Folder::new("untrusted");
    let (server, trusted) = (folder.0.join("server"), folder.0.join("trusted"));
    let untrusted = folder.0.join("untrusted");
    let cookie = "0123456789abcdef0123456789abcdef";
    xauth(&server, None, &["add", ":0", ".", cookie]);
    let auth = server.to_string_lossy().into_owned();
    let x = Xvfb::start("640x480x24", &["-auth", &auth]);
    xauth(&trusted, None, &["add", &x.display, ".", cookie]);
    std::fs::copy(&trusted, &untrusted).expect("copied");
    let generate = ["generate", &x.display, ".", "untrusted", "timeout", "600"];
    xauth(&untrusted, Some(&x.display), &generate);
    for (file, is_refused) in [(&trusted, false), (&untrusted, true)] {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["a_check_with_the_environments_cookie", "--exact"])
            .env("XAUTHORITY", file)
            .env("ETATUKI_TEST_DISPLAY", &x.display)
            .output()
            .expect("it starts");
        assert_eq!(child.status.success(), is_refused, "{child:?}");
    }
}
