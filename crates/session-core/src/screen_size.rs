//! The largest screen that can be shared: one answer before a code is made, instead of each backend's
//! own after the consent.

use etatuki_rfb::Limits;

use crate::failure::{Failure, FailureName};

/// Checks that a screen isn't larger than the launcher's framebuffer may be.
///
/// # Errors
/// [`FailureName::DisplayTooLarge`], with the sizes.
pub fn check_screen_size(width: u16, height: u16) -> Result<(), Failure> {
    let limits = Limits::default();
    if limits.allows_size(width, height) {
        return Ok(());
    }
    let Limits {
        max_width,
        max_height,
        max_pixels,
        ..
    } = limits;
    let detail = format!(
        "the screen has {width}x{height} pixels; at most {max_width}x{max_height}, and {max_pixels} \
         pixels in all, can be shared: use fewer monitors, or a lower resolution"
    );
    Err(Failure::new(FailureName::DisplayTooLarge, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_beyond_the_framebuffers_limits_is_too_large() {
        for (width, height, fits) in [
            (1024, 600, true),
            (7680, 4320, true),
            (11_520, 4320, false),
            (16_385, 100, false),
        ] {
            let checked = check_screen_size(width, height);
            let name = checked.err().map(|failure| failure.name);
            let expected = (!fits).then_some(FailureName::DisplayTooLarge);
            assert_eq!(name, expected, "{width}x{height}");
        }
    }
}
