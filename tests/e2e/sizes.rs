//! Real windows on small screens with large type: whole on the screen, pixel by pixel. The table of
//! all pages is tried without a display in `src/window/layout/tests.rs`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::process::Process;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, ImageFormat, MapState, PropMode, Rectangle,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::testbed::{TIMEOUT, programs_folder, wait_until};

/// Background of a window, and of the bar while the agent controls, in BGR.
const PAGE: [u8; 3] = [0xf4, 0xf5, 0xf6];
const BAR: [u8; 3] = [0x0f, 0x30, 0xa3];
/// Face of a plain button.
const BUTTON: [u8; 3] = [0xff, 0xff, 0xff];

#[test]
fn windows_are_whole_on_small_screens_with_large_type() {
    let mut failed = Vec::new();
    for (width, height, dpi) in [(1024, 600, 96), (1366, 768, 144), (1366, 768, 192)] {
        let display = Display::start(width, height, WindowManager::Openbox).unwrap();
        let screen = Screen::open(&display, dpi);
        for page in ["code-stranger", "view-long", "controlling"] {
            let mut windows = Command::new(programs_folder().join("examples/windows"));
            windows.args([page, "sv"]).env("DISPLAY", display.name());
            let shown = Process::start(windows.stdin(Stdio::null())).unwrap();
            let background = match page {
                "controlling" => BAR,
                _ => PAGE,
            };
            let place = format!("{page} on {width}x{height} at {dpi} dpi");
            let deadline = Instant::now() + TIMEOUT;
            loop {
                match screen.check(background) {
                    Ok(()) => break,
                    Err(fault) if Instant::now() > deadline => {
                        failed.push(format!("{place}: {fault}"));
                        break;
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
            drop(shown);
            wait_until("the window to go", || {
                screen.windows().is_empty().then_some(())
            });
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The screen of a display, with a size of type.
struct Screen {
    server: RustConnection,
    root: u32,
    width: usize,
    height: usize,
    /// Pixels of a unit, in percent.
    scale: usize,
}

impl Screen {
    fn open(display: &Display, dpi: usize) -> Self {
        let (server, number) = x11rb::connect(Some(display.name())).unwrap();
        let screen = server.setup().roots[number].clone();
        let resources = format!("Xft.dpi:\t{dpi}\n");
        let (property, kind) = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
        let set = server.change_property8(
            PropMode::REPLACE,
            screen.root,
            property,
            kind,
            resources.as_bytes(),
        );
        set.unwrap().check().unwrap();
        Self {
            server,
            root: screen.root,
            width: screen.width_in_pixels.into(),
            height: screen.height_in_pixels.into(),
            scale: dpi * 100 / 96,
        }
    }

    /// Returns the places of the windows that are shown, with their frames.
    fn windows(&self) -> Vec<Rectangle> {
        let tree = self.server.query_tree(self.root).unwrap().reply().unwrap();
        let shown = tree.children.into_iter().filter_map(|window| {
            let attributes = self
                .server
                .get_window_attributes(window)
                .ok()?
                .reply()
                .ok()?;
            let place = self.server.get_geometry(window).ok()?.reply().ok()?;
            // A window manager has small windows of its own outside of the screen.
            let is_shown = attributes.map_state == MapState::VIEWABLE && place.width > 100;
            is_shown.then_some(Rectangle {
                x: place.x,
                y: place.y,
                width: place.width,
                height: place.height,
            })
        });
        shown.collect()
    }

    /// Checks that every window is whole on the screen, and that two buttons are whole in the one
    /// with this background.
    fn check(&self, background: [u8; 3]) -> Result<(), String> {
        for Rectangle {
            x,
            y,
            width,
            height,
        } in self.windows()
        {
            let right = usize::try_from(x).map(|x| x + usize::from(width));
            let bottom = usize::try_from(y).map(|y| y + usize::from(height));
            let is_inside = right.is_ok_and(|right| right <= self.width)
                && bottom.is_ok_and(|bottom| bottom <= self.height);
            if !is_inside {
                return Err(format!("a window of {width}x{height} is at {x},{y}"));
            }
        }
        let size = (self.width as u16, self.height as u16);
        let image =
            self.server
                .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, size.0, size.1, !0);
        let pixels = image.unwrap().reply().unwrap().data;
        let rows: Vec<&[u8]> = pixels.chunks_exact(self.width * 4).collect();
        let has = |row: &&[u8]| row.chunks_exact(4).any(|pixel| pixel[..3] == background);
        let last = rows.iter().rposition(has).ok_or("nothing is drawn")?;
        // Buttons are the last thing in a window, and nothing but their labels is on their faces.
        let near = 90 * self.scale / 100;
        let faces = rows[last.saturating_sub(near)..=last].iter();
        let most = faces.map(|row| self.faces(row)).max().unwrap_or(0);
        match most {
            2.. => Ok(()),
            fewer => Err(format!("{fewer} of 2 buttons are seen")),
        }
    }

    /// Returns how many buttons a row of pixels crosses.
    fn faces(&self, row: &[u8]) -> usize {
        let wide = 60 * self.scale / 100;
        let is_face: Vec<bool> = row
            .chunks_exact(4)
            .map(|pixel| pixel[..3] == BUTTON)
            .collect();
        is_face
            .chunk_by(|one, next| one == next)
            .filter(|run| run[0] && run.len() >= wide)
            .count()
    }
}
