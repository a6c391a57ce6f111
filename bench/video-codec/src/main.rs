//! H.264 beside JPEG, for what moves like a film: `video-codec [FILE WIDTH HEIGHT]`, for benchmarks.
//!
//! Printed are tables in Markdown. In the first each film goes frame by frame, as JPEG and as H.264 of at least the same PSNR of
//! brightness; one thread's CPU, with the change of colours, but planes only from the decoder in Rust. In the second only what
//! a slow line can carry. A file holds frames in BGRX. What OpenH264 writes to stderr is not an error.

#![allow(
    clippy::print_stdout,
    reason = "a program for the developer's own terminal"
)]

mod codecs;
mod figures;
mod films;
mod line;


use codecs::{Result, Setting, Usage};
use figures::{Figures, Psnr, measure, memory, quantiser};
use films::Film;

const FRAMES: usize = 60;
const SIZES: [(usize, usize); 2] = [(1920, 1080), (640, 360)];
const QUALITIES: [u8; 3] = [45, 60, 75];
const LINES: [(&str, f64); 2] = [("1 Mbit/s", 1e6), ("256 kbit/s", 256e3)];
/// Quantisers that a slow line may come down to.
const COARSE: [u8; 2] = [40, 48];

fn main() -> Result<()> {
    let films = films()?;
    memories(&films[0])?;
    println!(
        "| film | codec | bytes | first frame | PSNR dB, colours | encode ms | decode ms | in Rust ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for film in &films {
        every_frame(film)?;
    }
    println!("\n| film | line | codec | first frame s | fps | PSNR dB, colours |");
    println!("|---|---|---|---|---|---|");
    for film in &films {
        slow_lines(film)?;
    }
    Ok(())
}

fn films() -> Result<Vec<Film>> {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        let films = SIZES.map(|(width, height)| Film::all(width, height));
        return Ok(films.into_iter().flatten().collect());
    };
    let mut number =
        || -> Result<usize> { Ok(arguments.next().ok_or("FILE WIDTH HEIGHT")?.parse()?) };
    let (width, height) = (number()?, number()?);
    Ok(vec![Film::recorded(file.as_ref(), width, height)?])
}

fn memories(film: &Film) -> Result<()> {
    println!("| codec | encoder MB | decoder MB | in Rust MB |");
    println!("|---|---|---|---|");
    for setting in [Setting::Jpeg(QUALITIES[0]), camera(30)] {
        let [encoder, decoder, in_rust] = memory(film, setting)?;
        println!(
            "| {} | {encoder:.1} | {decoder:.1} | {in_rust:.1} |",
            name(setting)
        );
    }
    println!();
    Ok(())
}

fn every_frame(film: &Film) -> Result<()> {
    for quality in QUALITIES {
        let jpeg = row(film, Setting::Jpeg(quality))?;
        for setting in [camera, screen] {
            row(film, setting(quantiser(film, setting, jpeg)?))?;
        }
    }
    Ok(())
}

fn camera(quantiser: u8) -> Setting {
    Setting::H264(Usage::Camera, quantiser)
}

fn screen(quantiser: u8) -> Setting {
    Setting::H264(Usage::Screen, quantiser)
}

/// Prints one, and says its PSNR of brightness.
fn row(film: &Film, setting: Setting) -> Result<f64> {
    let figures = measure(film, setting, FRAMES)?;
    println!(
        "| {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
        title(film),
        name(setting),
        figures.bytes,
        figures.first,
        decibels(figures.kept),
        figures.encode,
        figures.decode,
        in_rust(setting, &figures),
    );
    Ok(figures.kept.brightness)
}

fn slow_lines(film: &Film) -> Result<()> {
    let jpeg = Setting::Jpeg(QUALITIES[0]);
    let psnr = measure(film, jpeg, 6)?.kept.brightness;
    let equal = quantiser(film, camera, psnr)?;
    let coarse = COARSE.into_iter().filter(|coarse| *coarse > equal);
    let settings = [equal].into_iter().chain(coarse).map(camera);
    for setting in [jpeg].into_iter().chain(settings) {
        for (line, bits) in LINES {
            let seen = line::watch(film, setting, bits)?;
            println!(
                "| {} | {line} | {} | {:.1} | {:.1} | {} |",
                title(film),
                name(setting),
                seen.first,
                seen.rate,
                decibels(seen.kept),
            );
        }
    }
    Ok(())
}

fn title(film: &Film) -> String {
    format!("{}, {}×{}", film.name, film.width, film.height)
}

fn name(setting: Setting) -> String {
    match setting {
        Setting::Jpeg(quality) => format!("JPEG {quality}"),
        Setting::H264(Usage::Camera, quantiser) => format!("H.264 camera, {quantiser}"),
        Setting::H264(Usage::Screen, quantiser) => format!("H.264 screen, {quantiser}"),
    }
}

fn decibels(kept: Psnr) -> String {
    format!("{:.1}, {:.1}", kept.brightness, kept.colours)
}

/// JPEG's decoder is in Rust anyway.
fn in_rust(setting: Setting, figures: &Figures) -> String {
    match setting {
        Setting::Jpeg(_) => "-".to_owned(),
        Setting::H264(..) => format!("{:.1}", figures.in_rust),
    }
}
