//! The cost of a codec for a clip, and the quality that is left.

use rustix::time::{ClockId, clock_gettime};

use crate::clips::Clip;
use crate::codecs::{BlueFirst, Result, Setting};

/// Figures of one clip with one codec.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Bytes of the first frame, the only one that needs no other.
    pub(crate) first: usize,
    /// Mean bytes of the other frames.
    pub(crate) bytes: usize,
    /// Milliseconds of CPU, the median.
    pub(crate) encode: f64,
    pub(crate) decode: f64,
    pub(crate) in_rust: f64,
    pub(crate) quality: Psnr,
}

/// Peak signal-to-noise ratio in decibels: of brightness, by which codecs are compared, and of all
/// three colours, where it also counts how the decoders smooth the subsampled colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Psnr {
    pub(crate) brightness: f64,
    pub(crate) colours: f64,
}

/// Measures the first `frames` frames of a clip, every one.
pub(crate) fn measure(clip: &Clip, setting: Setting, frames: usize) -> Result<Figures> {
    let mut codec = setting.codec(clip.width, clip.height)?;
    let (mut original, mut decoded) = (Vec::new(), vec![0; clip.width * clip.height * 4]);
    let (mut bytes, mut errors) = (Vec::new(), Errors::default());
    let (mut encode, mut decode, mut in_rust) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..frames {
        clip.draw(at, &mut original);
        bytes.push(timed(&mut encode, || codec.encode(&original))?);
        let blue_first = timed(&mut decode, || codec.decode(&mut decoded))?;
        timed(&mut in_rust, || codec.decode_in_rust())?;
        errors.add(&original, &decoded, blue_first);
    }
    Ok(Figures {
        first: bytes[0],
        bytes: bytes[1..].iter().sum::<usize>() / (frames - 1),
        encode: median(encode),
        decode: median(decode),
        in_rust: median(in_rust),
        quality: errors.psnr(),
    })
}

/// Returns the coarsest quantiser that keeps this PSNR of the clip's brightness.
pub(crate) fn quantiser(clip: &Clip, setting: fn(u8) -> Setting, psnr: f64) -> Result<u8> {
    const FRAMES: usize = 6;
    let (mut good, mut bad) = (12, 52);
    while bad - good > 1 {
        let middle = (good + bad) / 2;
        if measure(clip, setting(middle), FRAMES)?.quality.brightness >= psnr {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(good)
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let start = now();
    let done = work();
    times.push(now() - start);
    done
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Sums of squared differences.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    brightness: f64,
    colours: f64,
    pixels: f64,
}

impl Errors {
    pub(crate) fn add(&mut self, original: &[u8], decoded: &[u8], blue_first: BlueFirst) {
        let order = if blue_first { [0, 1, 2] } else { [2, 1, 0] };
        let pairs = original
            .as_chunks::<4>()
            .0
            .iter()
            .zip(decoded.as_chunks::<4>().0);
        let (mut brightness, mut colours) = (0, 0);
        for (a, b) in pairs {
            let part = |at: usize| i64::from(a[at]) - i64::from(b[order[at]]);
            let [blue, green, red] = [0, 1, 2].map(part);
            colours += blue * blue + green * green + red * red;
            // ITU-R BT.601, in thousandths.
            brightness += (114 * blue + 587 * green + 299 * red).pow(2);
        }
        self.brightness += brightness as f64 / 1e6;
        self.colours += colours as f64;
        self.pixels += (original.len() / 4) as f64;
    }

    pub(crate) fn psnr(&self) -> Psnr {
        Psnr {
            brightness: decibels(self.brightness / self.pixels),
            colours: decibels(self.colours / self.pixels / 3.0),
        }
    }
}

fn decibels(error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / error.max(1e-9)).log10()
}

/// Returns the MB that an encoder, a decoder and the one in Rust hold after a few frames; correct
/// as long as nothing was freed before.
pub(crate) fn memory(clip: &Clip, setting: Setting) -> Result<[f64; 3]> {
    let mut frames = vec![Vec::new(); 3];
    for (at, frame) in frames.iter_mut().enumerate() {
        clip.draw(at, frame);
    }
    let mut decoded = vec![1; frames[0].len()];
    let mut codec = setting.codec(clip.width, clip.height)?;
    let (mut held, mut last) = ([0.0; 3], resident()?);
    let mut grown = |held: &mut f64| -> Result<()> {
        let now = resident()?;
        *held += now - std::mem::replace(&mut last, now);
        Ok(())
    };
    for frame in &frames {
        codec.encode(frame)?;
        grown(&mut held[0])?;
        codec.decode(&mut decoded)?;
        grown(&mut held[1])?;
        codec.decode_in_rust()?;
        grown(&mut held[2])?;
    }
    Ok(held)
}

/// Returns the resident set size of this process in MB.
fn resident() -> Result<f64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident: f64 = pages.split(' ').nth(1).ok_or("statm")?.parse()?;
    Ok(resident * rustix::param::page_size() as f64 / 1e6)
}
