//! H.264 beside JPEG for video: `video-codec [FILE WIDTH HEIGHT]`. For benchmarks.
//!
//! Printed are tables in Markdown. In the first one each clip goes frame by frame, as JPEG and as
//! H.264 of at least equal PSNR of brightness; CPU of one thread, with colour conversion, but only
//! planes from the decoder in Rust. In the second one only what a slow link carries. A file holds
//! frames in BGRX. OpenH264's output on stderr is no error.

#![allow(
    clippy::print_stdout,
    reason = "a program for the developer's own terminal"
)]

mod clips;
mod codecs;
mod figures;
mod slow_link;

use clips::Clip;
use codecs::{Result, Setting, Usage};
use figures::{Figures, Psnr, measure, memory, quantiser};

const FRAMES: usize = 60;
const SIZES: [(usize, usize); 2] = [(1920, 1080), (640, 360)];
const QUALITIES: [u8; 3] = [45, 60, 75];
const SLOW_LINKS: [(&str, f64); 2] = [("1 Mbit/s", 1e6), ("256 kbit/s", 256e3)];
/// Quantisers to which a slow link may come down.
const COARSE: [u8; 2] = [40, 48];

fn main() -> Result<()> {
    let clips = clips()?;
    memories(&clips[0])?;
    println!(
        "| film | codec | bytes | first frame | PSNR dB, colours | encode ms | decode ms | in Rust ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for clip in &clips {
        every_frame(clip)?;
    }
    println!("\n| film | line | codec | first frame s | fps | PSNR dB, colours |");
    println!("|---|---|---|---|---|---|");
    for clip in &clips {
        slow_links(clip)?;
    }
    Ok(())
}

fn clips() -> Result<Vec<Clip>> {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        let clips = SIZES.map(|(width, height)| Clip::all(width, height));
        return Ok(clips.into_iter().flatten().collect());
    };
    let mut number =
        || -> Result<usize> { Ok(arguments.next().ok_or("FILE WIDTH HEIGHT")?.parse()?) };
    let (width, height) = (number()?, number()?);
    Ok(vec![Clip::recorded(file.as_ref(), width, height)?])
}

fn memories(clip: &Clip) -> Result<()> {
    println!("| codec | encoder MB | decoder MB | in Rust MB |");
    println!("|---|---|---|---|");
    for setting in [Setting::Jpeg(QUALITIES[0]), camera(30)] {
        let [encoder, decoder, in_rust] = memory(clip, setting)?;
        println!(
            "| {} | {encoder:.1} | {decoder:.1} | {in_rust:.1} |",
            name(setting)
        );
    }
    println!();
    Ok(())
}

fn every_frame(clip: &Clip) -> Result<()> {
    for quality in QUALITIES {
        let jpeg = row(clip, Setting::Jpeg(quality))?;
        for setting in [camera, screen] {
            row(clip, setting(quantiser(clip, setting, jpeg)?))?;
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

/// Prints a row. Returns its PSNR of brightness.
fn row(clip: &Clip, setting: Setting) -> Result<f64> {
    let figures = measure(clip, setting, FRAMES)?;
    println!(
        "| {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
        title(clip),
        name(setting),
        figures.bytes,
        figures.first,
        decibels(figures.quality),
        figures.encode,
        figures.decode,
        in_rust(setting, &figures),
    );
    Ok(figures.quality.brightness)
}

fn slow_links(clip: &Clip) -> Result<()> {
    let jpeg = Setting::Jpeg(QUALITIES[0]);
    let psnr = measure(clip, jpeg, 6)?.quality.brightness;
    let equal = quantiser(clip, camera, psnr)?;
    let coarse = COARSE.into_iter().filter(|coarse| *coarse > equal);
    let settings = [equal].into_iter().chain(coarse).map(camera);
    for setting in [jpeg].into_iter().chain(settings) {
        for (link, bits_per_second) in SLOW_LINKS {
            let playback = slow_link::watch(clip, setting, bits_per_second)?;
            println!(
                "| {} | {link} | {} | {:.1} | {:.1} | {} |",
                title(clip),
                name(setting),
                playback.first,
                playback.rate,
                decibels(playback.quality),
            );
        }
    }
    Ok(())
}

fn title(clip: &Clip) -> String {
    format!("{}, {}×{}", clip.name, clip.width, clip.height)
}

fn name(setting: Setting) -> String {
    match setting {
        Setting::Jpeg(quality) => format!("JPEG {quality}"),
        Setting::H264(Usage::Camera, quantiser) => format!("H.264 camera, {quantiser}"),
        Setting::H264(Usage::Screen, quantiser) => format!("H.264 screen, {quantiser}"),
    }
}

fn decibels(quality: Psnr) -> String {
    format!("{:.1}, {:.1}", quality.brightness, quality.colours)
}

/// JPEG's decoder is in Rust anyway.
fn in_rust(setting: Setting, figures: &Figures) -> String {
    match setting {
        Setting::Jpeg(_) => "-".to_owned(),
        Setting::H264(..) => format!("{:.1}", figures.in_rust),
    }
}
