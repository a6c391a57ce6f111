//! Benchmarks of the hot functions of `picture`, `protocol` and `rfb`, and of the console's JPEG
//! decoding: `cargo bench`, and behind `--` a part of a name for some of them.
//!
//! All are called through their public interface, with frames in full HD: video, and text in a font
//! of ten digits.

#![allow(clippy::unwrap_used, reason = "a benchmark may end with a panic")]

mod blocks;
mod picture;
mod rfb;
mod viewer;

use std::time::Duration;

use criterion::Criterion;
use etatuki_rfb::Rect;
use etatuki_testkit::Scene;

const WIDTH: u16 = 1920;
const HEIGHT: u16 = 1080;
const BOUNDS: Rect = Rect::new(0, 0, WIDTH, HEIGHT);
const STRIDE: usize = WIDTH as usize * 4;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    // The scene is higher than a frame, which is cut out at varying heights.
    let video = Scene::video(WIDTH.into(), 1120, 1.0, 2.5);
    let mut text = Scene::new(WIDTH.into(), 2880, |_, _| [255.0; 3]);
    text.write(1.3, [0.0; 3], 2);
    picture::framebuffer(&mut criterion, &video);
    picture::photo(&mut criterion, "film", &video);
    picture::photo(&mut criterion, "text", &text);
    picture::jpeg(&mut criterion, &video);
    picture::key(&mut criterion, &text);
    picture::scroll(&mut criterion, &text);
    picture::video(&mut criterion, &video);
    rfb::server(&mut criterion, &video);
    rfb::client(&mut criterion);
    blocks::small_updates(&mut criterion, &text);
    blocks::first_picture(&mut criterion, &text);
    criterion.final_summary();
}

/// Returns a frame's pixels, from row `top` of a scene on.
fn frame(scene: &Scene, top: usize) -> &[u8] {
    &scene.pixels[top * STRIDE..][..BOUNDS.area() * 4]
}
