//! A clip as it is seen at the far end of a slow link.

use crate::clips::Clip;
use crate::codecs::{Result, Setting};
use crate::figures::{Errors, Psnr};

const SECONDS: f64 = 20.0;
const PER_SECOND: f64 = 30.0;

/// The clip as the viewer sees it.
pub(crate) struct Playback {
    /// Seconds until the first frame.
    pub(crate) first: f64,
    /// Frames per second after that.
    pub(crate) rate: f64,
    pub(crate) quality: Psnr,
}

/// Sends the clip's current frame whenever the link is idle. The link has no delay of its own, and
/// carries nothing else.
pub(crate) fn watch(clip: &Clip, setting: Setting, bits_per_second: f64) -> Result<Playback> {
    let mut codec = setting.codec(clip.width, clip.height)?;
    let (mut original, mut decoded) = (Vec::new(), vec![0; clip.width * clip.height * 4]);
    let (mut now, mut last, mut arrivals) = (0.0, None, Vec::new());
    let mut errors = Errors::default();
    while now < SECONDS {
        let at = (now * PER_SECOND) as usize;
        if last.replace(at) == Some(at) {
            now = (at + 1) as f64 / PER_SECOND + 1e-9;
            continue;
        }
        clip.draw(at, &mut original);
        now += codec.encode(&original)? as f64 * 8.0 / bits_per_second;
        let blue_first = codec.decode(&mut decoded)?;
        errors.add(&original, &decoded, blue_first);
        arrivals.push(now);
    }
    let first = arrivals[0];
    Ok(Playback {
        first,
        rate: (arrivals.len() - 1) as f64 / (now - first).max(1e-9),
        quality: errors.psnr(),
    })
}
