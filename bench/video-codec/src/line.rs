//! What is seen of a film at the far end of a slow line.

use crate::codecs::{Result, Setting};
use crate::figures::{Errors, Psnr};
use crate::films::Film;

const SECONDS: f64 = 20.0;
const PER_SECOND: f64 = 30.0;

pub(crate) struct Seen {
    /// When the first frame is there, in seconds.
    pub(crate) first: f64,
    /// Frames a second after that.
    pub(crate) rate: f64,
    pub(crate) kept: Psnr,
}

/// Whenever the line is free, the frame goes off that the film is at; the line has no delay of its own, and carries nothing else.
pub(crate) fn watch(film: &Film, setting: Setting, bits: f64) -> Result<Seen> {
    let mut codec = setting.codec(film.width, film.height)?;
    let (mut shown, mut seen) = (Vec::new(), vec![0; film.width * film.height * 4]);
    let (mut now, mut last, mut arrivals) = (0.0, None, Vec::new());
    let mut errors = Errors::default();
    while now < SECONDS {
        let at = (now * PER_SECOND) as usize;
        if last.replace(at) == Some(at) {
            now = (at + 1) as f64 / PER_SECOND + 1e-9;
            continue;
        }
        film.draw(at, &mut shown);
        now += codec.encode(&shown)? as f64 * 8.0 / bits;
        let blue_first = codec.decode(&mut seen)?;
        errors.add(&shown, &seen, blue_first);
        arrivals.push(now);
    }
    let first = arrivals[0];
    Ok(Seen {
        first,
        rate: (arrivals.len() - 1) as f64 / (now - first).max(1e-9),
        kept: errors.psnr(),
    })
}
