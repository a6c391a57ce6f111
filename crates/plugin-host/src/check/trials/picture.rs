//! Trials of the picture, with a well-behaved client.

use std::time::Duration;

use etatuki_backend_api::raw;
use etatuki_rfb::{ClientMessage, PixelFormat, Rect, encoding};

use super::stream::attachable;
use crate::check::harness::{Harness, Library};
use crate::check::instance::{Instance, STATE_TIMEOUT};
use crate::check::outcome::{Outcome, context, ensure, failed};
use crate::check::rfb_client::RfbClient;

/// Largest columns and rows of the area in which formats are compared, since a large screen takes
/// long.
const MAX_COMPARED_SIDE: u16 = 512;
/// Silence after which the whole picture is requested, to see whether it has changed.
const FIRST_SILENCE: Duration = Duration::from_secs(1);
/// X11's keysym of the left Shift key, which does nothing by itself.
const SHIFT_KEYSYM: u32 = 0xffe1;

pub(super) fn rfb(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let init = RfbClient::attach(&instance)?.init;
    Ok(format!(
        "a screen of {}x{}, {} bits a pixel, by the name {:?}",
        init.width, init.height, init.format.bits_per_pixel, init.name
    ))
}

pub(super) fn rfb_picture(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let mut client = RfbClient::attach(&instance)?;
    client.set_format(PixelFormat::BGRX)?;
    let all = client.screen_rect();
    context("a request for the whole screen", client.request_full(all))?;
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
        context(&format!("a request {what}"), client.request_full(area))?;
    }
    // A request wholly outside the screen asks for nothing. Whether it is answered or not, the next
    // one is.
    let outside = ClientMessage::UpdateRequest {
        incremental: false,
        rect: Rect::new(all.w, all.h, 10, 10),
    };
    client.send(&outside)?;
    context(
        "a request after one that was wholly outside",
        client.request_full(all),
    )?;
    Ok("the whole screen, a pixel, a row, and beyond the edges".into())
}

/// Returns formats that a viewer may ask for, with their names; the last one is the launcher's own.
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
    let (_harness, instance) = attachable(library)?;
    let mut client = RfbClient::attach(&instance)?;
    let (w, h) = (client.init.width, client.init.height);
    let area = Rect::new(
        (w - w.min(MAX_COMPARED_SIDE)) / 2,
        (h - h.min(MAX_COMPARED_SIDE)) / 2,
        w.min(MAX_COMPARED_SIDE),
        h.min(MAX_COMPARED_SIDE),
    );
    let plain = "in 32 bits, little-endian";
    let mut coloured = Vec::new();
    for (name, format) in formats() {
        let before = context(plain, receive_in(&mut client, PixelFormat::BGRX, area))?;
        let what = format!("in {name}");
        let pixels = context(&what, receive_in(&mut client, format, area))?;
        let after = context(plain, receive_in(&mut client, PixelFormat::BGRX, area))?;
        let compared = compare([&before, &after], &pixels, &format);
        ensure(compared.different * 2 <= compared.coloured, || {
            let Comparison {
                different: other,
                coloured: colours,
            } = compared;
            format!("{what}: {other} of {colours} pixels in colour are another colour than {plain}")
        })?;
        coloured.push(compared.coloured);
    }
    let least = coloured.into_iter().min().unwrap_or_default();
    Ok(match least {
        0 => "8, 16 and 32 bits; there is no colour on the screen to compare them by".into(),
        least => format!("8, 16 and 32 bits, either endianness, by {least} pixels in colour"),
    })
}

fn receive_in(client: &mut RfbClient, format: PixelFormat, area: Rect) -> Outcome<Vec<u8>> {
    client.set_format(format)?;
    Ok(client.request_full(area)?.pixels)
}

/// Comparison of one picture in two pixel formats.
struct Comparison {
    /// Pixels that didn't change meanwhile, without black and white, which are equal in many
    /// formats.
    coloured: usize,
    /// Coloured pixels that differ in the other format, by more than rounding.
    different: usize,
}

/// Compares a picture with those before and after it in the launcher's format, since real screens
/// change.
fn compare([before, after]: [&[u8]; 2], pixels: &[u8], format: &PixelFormat) -> Comparison {
    let mut compared = Comparison {
        coloured: 0,
        different: 0,
    };
    let pixels = pixels.chunks_exact(format.bytes_per_pixel());
    let references = before
        .as_chunks::<4>()
        .0
        .iter()
        .zip(after.as_chunks::<4>().0);
    for (([b, g, r, _], [b1, g1, r1, _]), pixel) in references.zip(pixels) {
        let still = (b, g, r) == (b1, g1, r1);
        if !still
            || [b, g, r].iter().all(|part| **part == 0)
            || [b, g, r].iter().all(|part| **part == 255)
        {
            continue;
        }
        compared.coloured += 1;
        let value = pixel_value(pixel, format.big_endian);
        let matches = |channel: u8, max: u16, shift: u8| {
            let expected = (u32::from(channel) * u32::from(max) + 127) / 255;
            (value >> shift & u32::from(max)).abs_diff(expected) <= 1
        };
        let equal = matches(*r, format.red_max, format.red_shift)
            && matches(*g, format.green_max, format.green_shift)
            && matches(*b, format.blue_max, format.blue_shift);
        compared.different += usize::from(!equal);
    }
    compared
}

fn pixel_value(pixel: &[u8], big_endian: bool) -> u32 {
    let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
    if big_endian {
        pixel.iter().fold(0, add)
    } else {
        pixel.iter().rev().fold(0, add)
    }
}

pub(super) fn rfb_skips(library: &Library) -> Outcome {
    let (_harness, instance) = attachable(library)?;
    let mut client = RfbClient::attach(&instance)?;
    client.set_format(PixelFormat::BGRX)?;
    let pixel = Rect::new(0, 0, 1, 1);
    let list = |encodings: &[i32]| ClientMessage::SetEncodings(encodings.to_vec());
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
        client.send(&message)?;
        context(
            &format!("a request after {what}"),
            client.request_full(pixel),
        )?;
    }
    Ok("SetEncodings with 0, 1 and 300 encodings, cut text of up to 100,000 bytes".into())
}

/// Sends harmless input that may change the picture.
fn send_input(
    harness: &Harness,
    instance: &Instance,
    client: &RfbClient,
    times: u16,
) -> Outcome<()> {
    if !harness.has(raw::CAP_INPUT) {
        return Ok(());
    }
    instance.permissions(raw::PERMISSION_VIEW | raw::PERMISSION_CONTROL);
    for down in [true, false] {
        client.send(&ClientMessage::Key {
            down,
            keysym: SHIFT_KEYSYM,
        })?;
    }
    client.send(&ClientMessage::Pointer {
        buttons: 0,
        x: client.init.width / 2 + times,
        y: client.init.height / 2,
    })
}

/// Checks that incremental requests bring changes. Silence is right while nothing changes. The
/// fault is silence although a full request brings another picture; it is tried twice, since a real
/// screen may change at the last moment.
pub(super) fn rfb_incremental(library: &Library) -> Outcome {
    let (harness, instance) = attachable(library)?;
    let mut client = RfbClient::attach(&instance)?;
    client.set_format(PixelFormat::BGRX)?;
    let all = client.screen_rect();
    let mut before = client.request_full(all)?.pixels;
    for (times, limit) in [(1, FIRST_SILENCE), (2, STATE_TIMEOUT)] {
        client.request_changes()?;
        send_input(&harness, &instance, &client, times)?;
        if client.receives_update(limit)? {
            let new = client.copy_area(all) != before;
            context("a full request after it", client.request_full(all))?;
            return Ok(match new {
                true => "one was answered with a change".into(),
                false => "one was answered, though nothing had changed".into(),
            });
        }
        let now = context(
            "a full request after an incremental one",
            client.request_full(all),
        )?
        .pixels;
        if now == before {
            return Ok("nothing has changed, and nothing came".into());
        }
        before = now;
    }
    failed("the picture changed, and an incremental request that waited for that got no answer")
}

pub(super) fn fresh_stream(library: &Library) -> Outcome {
    let (harness, instance) = attachable(library)?;
    let mut first = RfbClient::attach(&instance)?;
    let [.., (_, small), _] = formats();
    first.set_format(small)?;
    let all = first.screen_rect();
    first.request_full(all)?;
    // This request is still open when the stream ends.
    first.request_changes()?;
    let init = first.init.clone();
    drop(first);
    instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    let mut second = RfbClient::attach(&instance)?;
    ensure(second.init.format == init.format, || {
        "its ServerInit has another pixel format than that of the first stream".into()
    })?;
    send_input(&harness, &instance, &second, 3)?;
    let mut unrequested = 0;
    for at in [0, 1, 2, 3] {
        let pixel = Rect::new(at % second.init.width, at % second.init.height, 1, 1);
        let what = "a request on the second stream, in the format of its ServerInit";
        unrequested += context(what, second.request_full(pixel))?.unrequested;
    }
    ensure(unrequested == 0, || {
        "an update came that nobody had asked for on this stream; it may be the first stream's"
            .into()
    })?;
    Ok("pixel format and requests of the first one are forgotten".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the comparison (coloured, different) of a screen of these pixels (blue, green, red)
    /// that comes in the format `sent` and is read in the format `asked`.
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
            (compared.coloured, compared.different),
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
        assert_eq!(compared.coloured, 0);
    }
}
