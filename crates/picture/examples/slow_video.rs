//! CPU cost of a full HD video for the customer when the link is too slow for it: `slow_video
//! [KB_PER_SECOND]...`. Five seconds of video, and five of what is left to send. The link is
//! simulated; the time that an update takes is real.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the developer's own terminal"
)]

use std::time::{Duration, Instant};

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Limits, PixelFormat, Rect, ServerMessage, ServerParser, encoding};
use etatuki_testkit::{Scene, SlowLine};

const WHOLE: Rect = Rect::new(0, 0, 1920, 1080);
const FRAME: Duration = Duration::from_millis(33);
/// Round trip time of the simulated link.
const ROUND_TRIP: Duration = Duration::from_millis(2);
/// Compression ratio of Raw pixels.
const RATIO: usize = 8;

fn main() {
    let given: Vec<f64> = std::env::args()
        .skip(1)
        .map(|word| word.parse().unwrap())
        .collect();
    let rates = if given.is_empty() {
        vec![20_000.0, 4000.0, 1000.0, 300.0]
    } else {
        given
    };
    let video = Scene::video(2000, 1080, 1.0, 2.5);
    for rate in rates {
        let (updates, seconds) = watch(&video, rate * 1000.0);
        let each = seconds * 1000.0 / f64::from(updates);
        println!("{rate} kB/s: {updates} blocks, {seconds:.2} s of CPU in 10 s, {each:.2} ms each");
    }
}

/// Returns the number of chunks sent, and the seconds that they took to make.
fn watch(video: &Scene, bytes_per_second: f64) -> (u32, f64) {
    let mut framebuffer = Framebuffer::new(WHOLE.w, WHOLE.h);
    let mut updater = Updater::new(WHOLE.w, WHOLE.h);
    updater.set_encodings(&[
        encoding::COPY_RECT,
        encoding::TIGHT,
        encoding::FENCE,
        encoding::CONTINUOUS_UPDATES,
    ]);
    updater.enable_continuous_updates(true, WHOLE);
    let parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, WHOLE.w, WHOLE.h);
    let mut parser = parser.with_jpeg();
    let started_at = Duration::from_secs(1);
    let mut line = SlowLine::new(bytes_per_second, ROUND_TRIP);
    let (mut now, mut next_frame) = (started_at, started_at);
    let mut acks: Vec<(Duration, u32, Vec<u8>)> = Vec::new();
    let (mut frames, mut updates, mut seconds) = (0, 0, 0.0);
    while now < started_at + Duration::from_secs(10) {
        if now >= next_frame && now < started_at + Duration::from_secs(5) {
            let pan = frames % 9 * 9 * 4;
            framebuffer
                .draw(WHOLE, &video.pixels[pan..], video.stride())
                .unwrap();
            (frames, next_frame) = (frames + 1, next_frame + FRAME);
        }
        let (arrived, waiting): (Vec<_>, Vec<_>) = acks.into_iter().partition(|a| a.0 <= now);
        acks = waiting;
        for (_, flags, payload) in arrived {
            updater.on_fence(flags, &payload, now).unwrap();
        }
        let started = Instant::now();
        let chunk = updater.next_chunk(&mut framebuffer, now);
        let took = started.elapsed();
        let Some(chunk) = chunk else {
            now += Duration::from_micros(200);
            continue;
        };
        now += took;
        (updates, seconds) = (updates + 1, seconds + took.as_secs_f64());
        let wire = chunk.len() - chunk.incompressible_from + chunk.incompressible_from / RATIO;
        updater.on_written(wire, Some(ROUND_TRIP), now);
        let acked_at = line.send(wire, now);
        parser.push(&chunk);
        while let Some(message) = parser.next().unwrap() {
            if let ServerMessage::Fence { flags, payload } = message {
                // The answer is the same without its highest bit.
                acks.push((acked_at, flags & !(1 << 31), payload));
            }
        }
    }
    (updates, seconds)
}
