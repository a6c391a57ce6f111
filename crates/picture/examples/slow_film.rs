//! What a film in full HD costs the customer's processor when the line is too slow for it: `slow_film [KB_A_SECOND]...`.
//! Five seconds of it, and five of what is left to send; the line is made up, the time that an update takes is not.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the developer's own terminal"
)]

use std::time::{Duration, Instant};

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Limits, PixelFormat, Rect, ServerMessage, ServerParser, encoding};

use etatuki_testkit::Scene;

const WHOLE: Rect = Rect::new(0, 0, 1920, 1080);
const FRAME: Duration = Duration::from_millis(33);
/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(2);
/// What pixels are compressed to.
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
    let film = Scene::film(2000, 1080, 1.0, 2.5);
    for rate in rates {
        let (updates, seconds) = watch(&film, rate * 1000.0);
        let each = seconds * 1000.0 / f64::from(updates);
        println!("{rate} kB/s: {updates} blocks, {seconds:.2} s of CPU in 10 s, {each:.2} ms each");
    }
}

/// Blocks that were sent, and seconds that they took to make.
fn watch(film: &Scene, bytes_a_second: f64) -> (u32, f64) {
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
    let begun = Duration::from_secs(1);
    let (mut now, mut line_free, mut next_frame) = (begun, begun, begun);
    let mut answers: Vec<(Duration, u32, Vec<u8>)> = Vec::new();
    let (mut frames, mut updates, mut seconds) = (0, 0, 0.0);
    while now < begun + Duration::from_secs(10) {
        if now >= next_frame && now < begun + Duration::from_secs(5) {
            let pan = frames % 9 * 9 * 4;
            framebuffer
                .draw(WHOLE, &film.pixels[pan..], film.stride())
                .unwrap();
            (frames, next_frame) = (frames + 1, next_frame + FRAME);
        }
        let (come, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.0 <= now);
        answers = waiting;
        for (_, flags, payload) in come {
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
        line_free = line_free.max(now) + Duration::from_secs_f64(wire as f64 / bytes_a_second);
        parser.push(&chunk);
        while let Some(message) = parser.next().unwrap() {
            if let ServerMessage::Fence { flags, payload } = message {
                // The answer is the same without its highest bit.
                answers.push((line_free + ROUND_TRIP, flags & !(1 << 31), payload));
            }
        }
    }
    (updates, seconds)
}
