//! What a friendly client sees on the stream.

use std::time::Duration;

use etatuki_backend_api::raw;
use etatuki_rfb::{ClientMessage, PixelFormat, Rect, encoding};

use super::stream::attachable;
use crate::check::bench::{Bench, Instance, Library, Outcome, PATIENCE, ensure, while_doing};
use crate::check::viewer::Viewer;

/// Columns and rows of the part of a screen in which formats are compared; a large screen takes its time.
const PART: u16 = 512;
/// How long nothing may come before the whole picture is asked for, to see whether anything has changed.
const SILENCE: Duration = Duration::from_secs(1);
/// X11's keysym of the left Shift, which does nothing by itself.
const SHIFT: u32 = 0xffe1;

pub(super) fn rfb(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let init = Viewer::attach(&instance)?.init;
    Ok(format!(
        "a screen of {}x{}, {} bits a pixel, by the name {:?}",
        init.width, init.height, init.format.bits_per_pixel, init.name
    ))
}

pub(super) fn rfb_picture(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let mut viewer = Viewer::attach(&instance)?;
    viewer.set_format(PixelFormat::BGRX)?;
    let all = viewer.all();
    while_doing("a request for the whole screen", viewer.ask(all))?;
    let (x, y) = (all.w / 2, all.h / 3);
    for (what, area) in [
        ("for one pixel", Rect::new(x, y, 1, 1)),
        ("for one row", Rect::new(0, y, all.w, 1)),
        (
            "that reaches beyond the right and lower edges",
            Rect::new(x, y, all.w, all.h),
        ),
        (
            "that reaches as far as numbers go",
            Rect::new(x, y, u16::MAX, u16::MAX),
        ),
    ] {
        while_doing(&format!("a request {what}"), viewer.ask(area))?;
    }
    // Of one wholly outside there is nothing to send; whatever the plugin does, the next one is answered.
    let outside = ClientMessage::UpdateRequest {
        incremental: false,
        rect: Rect::new(all.w, all.h, 10, 10),
    };
    viewer.say(&outside)?;
    while_doing(
        "a request after one that was wholly outside",
        viewer.ask(all),
    )?;
    Ok("the whole screen, a pixel, a row, and beyond the edges".into())
}

/// Formats that a viewer may ask for, beside the launcher's own.
fn formats() -> [(&'static str, PixelFormat); 6] {
    let own = PixelFormat::BGRX;
    let of_16 = PixelFormat {
        bits_per_pixel: 16,
        depth: 16,
        red_max: 31,
        green_max: 63,
        blue_max: 31,
        red_shift: 11,
        green_shift: 5,
        ..own
    };
    let of_8 = PixelFormat {
        bits_per_pixel: 8,
        depth: 8,
        red_max: 7,
        green_max: 7,
        blue_max: 3,
        red_shift: 0,
        green_shift: 3,
        blue_shift: 6,
        ..own
    };
    let big = |format| PixelFormat {
        big_endian: true,
        ..format
    };
    let swapped = PixelFormat {
        red_shift: 0,
        blue_shift: 16,
        ..own
    };
    [
        ("32 bits, big-endian", big(own)),
        ("32 bits, red and blue exchanged", swapped),
        ("16 bits, little-endian", of_16),
        ("16 bits, big-endian", big(of_16)),
        ("8 bits", of_8),
        ("32 bits, little-endian, once more", own),
    ]
}

pub(super) fn rfb_formats(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let mut viewer = Viewer::attach(&instance)?;
    let (w, h) = (viewer.init.width, viewer.init.height);
    let area = Rect::new(
        (w - w.min(PART)) / 2,
        (h - h.min(PART)) / 2,
        w.min(PART),
        h.min(PART),
    );
    let plain = "in 32 bits, little-endian";
    let mut seen = Vec::new();
    for (name, format) in formats() {
        let before = while_doing(plain, see(&mut viewer, PixelFormat::BGRX, area))?;
        let doing = format!("in {name}");
        let pixels = while_doing(&doing, see(&mut viewer, format, area))?;
        let after = while_doing(plain, see(&mut viewer, PixelFormat::BGRX, area))?;
        let compared = compare([&before, &after], &pixels, &format);
        ensure(compared.other * 2 <= compared.colours, || {
            let Compared { other, colours } = compared;
            format!(
                "{doing}: {other} of {colours} pixels in colour are another colour than {plain}"
            )
        })?;
        seen.push(compared.colours);
    }
    let least = seen.into_iter().min().unwrap_or_default();
    Ok(match least {
        0 => "8, 16 and 32 bits; there is no colour on the screen to compare them by".into(),
        least => format!("8, 16 and 32 bits, either endianness, by {least} pixels in colour"),
    })
}

fn see(viewer: &mut Viewer, format: PixelFormat, area: Rect) -> Outcome<Vec<u8>> {
    viewer.set_format(format)?;
    Ok(viewer.ask(area)?.pixels)
}

struct Compared {
    /// Pixels that didn't change meanwhile and are neither black nor white, which look the same in many formats.
    colours: usize,
    /// Those of them that are another colour in the other format, by more than rounding.
    other: usize,
}

/// Compares a picture with what was there before and after it in the launcher's format: real screens change.
fn compare([before, after]: [&[u8]; 2], pixels: &[u8], format: &PixelFormat) -> Compared {
    let mut compared = Compared {
        colours: 0,
        other: 0,
    };
    let pixels = pixels.chunks_exact(format.bytes_per_pixel());
    let known = before
        .as_chunks::<4>()
        .0
        .iter()
        .zip(after.as_chunks::<4>().0);
    for (([b, g, r, _], [b1, g1, r1, _]), pixel) in known.zip(pixels) {
        let still = (b, g, r) == (b1, g1, r1);
        if !still
            || [b, g, r].iter().all(|part| **part == 0)
            || [b, g, r].iter().all(|part| **part == 255)
        {
            continue;
        }
        compared.colours += 1;
        let number = number(pixel, format.big_endian);
        let near = |value: u8, max: u16, shift: u8| {
            let wanted = (u32::from(value) * u32::from(max) + 127) / 255;
            (number >> shift & u32::from(max)).abs_diff(wanted) <= 1
        };
        let same = near(*r, format.red_max, format.red_shift)
            && near(*g, format.green_max, format.green_shift)
            && near(*b, format.blue_max, format.blue_shift);
        compared.other += usize::from(!same);
    }
    compared
}

fn number(pixel: &[u8], big_endian: bool) -> u32 {
    let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
    if big_endian {
        pixel.iter().fold(0, add)
    } else {
        pixel.iter().rev().fold(0, add)
    }
}

pub(super) fn rfb_skips(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let mut viewer = Viewer::attach(&instance)?;
    viewer.set_format(PixelFormat::BGRX)?;
    let pixel = Rect::new(0, 0, 1, 1);
    let list = |wanted: &[i32]| ClientMessage::SetEncodings(wanted.to_vec());
    let text = |length: usize| ClientMessage::CutText(vec![b'e'; length]);
    for (what, message) in [
        ("an empty SetEncodings", list(&[])),
        ("SetEncodings with Raw", list(&[encoding::RAW])),
        (
            "SetEncodings with 300 that nobody has defined",
            list(&[0x0e7a_7001; 300]),
        ),
        ("an empty cut text", text(0)),
        ("a cut text of 7 bytes", text(7)),
        ("a cut text of 100,000 bytes", text(100_000)),
    ] {
        viewer.say(&message)?;
        while_doing(&format!("a request after {what}"), viewer.ask(pixel))?;
    }
    Ok("SetEncodings with 0, 1 and 300 encodings, cut text of up to 100,000 bytes".into())
}

/// Something happens that may change the picture, and does no harm on a real screen.
fn poke(bench: &Bench, instance: &Instance, viewer: &Viewer, times: u16) -> Outcome<()> {
    if !bench.has(raw::CAP_INPUT) {
        return Ok(());
    }
    instance.permissions(raw::PERMISSION_VIEW | raw::PERMISSION_CONTROL);
    for down in [true, false] {
        viewer.say(&ClientMessage::Key {
            down,
            keysym: SHIFT,
        })?;
    }
    viewer.say(&ClientMessage::Pointer {
        buttons: 0,
        x: viewer.init.width / 2 + times,
        y: viewer.init.height / 2,
    })
}

/// Silence is right while nothing changes, and real screens do change: so what is wrong is silence while the picture, by a
/// full request, has become another one. Twice, for it may have done so at the last moment.
pub(super) fn rfb_incremental(library: &Library) -> Outcome {
    let (bench, instance) = attachable(library)?;
    let mut viewer = Viewer::attach(&instance)?;
    viewer.set_format(PixelFormat::BGRX)?;
    let all = viewer.all();
    let mut before = viewer.ask(all)?.pixels;
    for (times, limit) in [(1, SILENCE), (2, PATIENCE)] {
        viewer.ask_for_changes()?;
        poke(&bench, &instance, &viewer, times)?;
        if viewer.is_updated(limit)? {
            let new = viewer.cut_out(all) != before;
            while_doing("a full request after it", viewer.ask(all))?;
            return Ok(match new {
                true => "one was answered with a change".into(),
                false => "one was answered, though nothing had changed".into(),
            });
        }
        let now = while_doing("a full request after an incremental one", viewer.ask(all))?.pixels;
        if now == before {
            return Ok("nothing has changed, and nothing came".into());
        }
        before = now;
    }
    crate::check::bench::failed(
        "the picture changed, and an incremental request that waited for that got no answer",
    )
}

pub(super) fn fresh_stream(library: &Library) -> Outcome {
    let (bench, instance) = attachable(library)?;
    let mut first = Viewer::attach(&instance)?;
    let [.., (_, small), _] = formats();
    first.set_format(small)?;
    let all = first.all();
    first.ask(all)?;
    // It is waited for, and never answered.
    first.ask_for_changes()?;
    let init = first.init.clone();
    drop(first);
    instance.until(raw::STATE_WAITING, "after the stream's end")?;
    let mut second = Viewer::attach(&instance)?;
    ensure(second.init.format == init.format, || {
        "its ServerInit has another pixel format than that of the first stream".into()
    })?;
    poke(&bench, &instance, &second, 3)?;
    let mut strays = 0;
    for at in [0, 1, 2, 3] {
        let pixel = Rect::new(at % second.init.width, at % second.init.height, 1, 1);
        let doing = "a request on the second stream, in the format of its ServerInit";
        strays += while_doing(doing, second.ask(pixel))?.strays;
    }
    ensure(strays == 0, || {
        "an update came that nobody had asked for on this stream; it may be the first stream's"
            .into()
    })?;
    Ok("pixel format and requests of the first one are forgotten".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a screen of these pixels (blue, green, red) gives when it comes in `sent` and is taken for `asked`.
    fn check(
        screen: &[[u8; 3]],
        sent: &PixelFormat,
        asked: &PixelFormat,
        expected: (usize, usize),
    ) {
        let own: Vec<u8> = screen
            .iter()
            .flat_map(|[b, g, r]| [*b, *g, *r, 0])
            .collect();
        let mut pixels = Vec::new();
        etatuki_rfb::convert_pixels(&own, sent, &mut pixels);
        let compared = compare([&own, &own], &pixels, asked);
        assert_eq!(
            (compared.colours, compared.other),
            expected,
            "{sent:?} as {asked:?}"
        );
    }

    #[test]
    fn a_format_is_told_from_another_by_its_colours() {
        let colours = [[0, 0, 255], [0, 255, 0], [90, 60, 30], [17, 3, 99]];
        for (_, format) in formats() {
            check(&colours, &format, &format, (4, 0));
            check(&[[0, 0, 0], [255, 255, 255]], &format, &format, (0, 0));
        }
        let [
            (_, big),
            (_, swapped),
            (_, little_16),
            (_, big_16),
            _,
            (_, own),
        ] = formats();
        check(&colours, &own, &big, (4, 4));
        check(&colours, &big_16, &little_16, (4, 4));
        check(&colours, &own, &swapped, (4, 3));
    }

    #[test]
    fn what_changes_meanwhile_is_not_judged() {
        let (before, after) = ([1, 2, 3, 0], [4, 5, 6, 0]);
        let compared = compare([&before, &after], &[200, 200, 200, 0], &PixelFormat::BGRX);
        assert_eq!(compared.colours, 0);
    }
}
