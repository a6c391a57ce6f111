//! Cost of a video frame: classification and JPEG encoding. For benchmarks.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the developer's own terminal"
)]

use std::hint::black_box;
use std::time::Instant;

use etatuki_picture::{JpegEncoder, looks_like_a_photo};
use etatuki_rfb::Rect;

use etatuki_testkit::Scene;

fn main() {
    let video = Scene::video(1920, 1080, 1.0, 2.5);
    let mut table = Scene::new(1920, 1080, |_, _| [255.0; 3]);
    table.write(1.3, [0.0; 3], 2);
    for (name, scene) in [("film", &video), ("text", &table)] {
        let photo = |block: &Rect| looks_like_a_photo(&scene.pixels, scene.stride(), *block);
        let cost = best(|| {
            black_box(scene.blocks(64).filter(photo).count());
        });
        let share = scene.blocks(64).filter(photo).count() * 100 / scene.blocks(64).count();
        println!("{name}: {share} % of its blocks look like a photo, {cost:.2} ms");
    }
    let mut encoder = JpegEncoder::default();
    let rect = Rect::new(0, 0, 1920, 1080);
    for quality in [40, 60, 75, 85, 90] {
        let mut length = 0;
        let cost = best(|| {
            let file = encoder.encode(&video.pixels, video.stride(), rect, quality);
            length = file.unwrap().len();
        });
        println!("JPEG, quality {quality}: {length} bytes, {cost:.2} ms");
    }
}

/// Returns the milliseconds of the fastest of many runs.
fn best(mut work: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1000.0
    };
    (0..100).map(once).fold(f64::INFINITY, f64::min)
}
