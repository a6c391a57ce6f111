//! What an unfriendly client does. None of it presses a key, a button or touches the clipboard: there may be a real screen.

use etatuki_backend_api::raw;

use super::rounds;
use super::stream::{CALL, attachable};
use crate::check::bench::{Instance, Library, Outcome, PATIENCE, ensure, failed, while_doing};
use crate::check::clock::{patiently, within};
use crate::check::viewer::{Viewer, Wire};

/// How many hostile texts are sent in any case.
const FIRST: usize = 6;

/// Bytes in place of the handshake.
fn in_place_of_a_handshake() -> Vec<Vec<u8>> {
    let hello = b"RFB 003.008\n";
    vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        Vec::new(),
        b"RFB".to_vec(),
        b"RFB 999.999\n".to_vec(),
        [&hello[..], &[2]].concat(),
        [&hello[..], &[0]].concat(),
        [&hello[..], &[1]].concat(),
    ]
}

/// Bytes after it.
fn after_a_handshake() -> Vec<Vec<u8>> {
    let format = |bytes: [u8; 16]| [&[0; 4][..], &bytes].concat();
    let cut_text = |length: u32| [&[6, 0, 0, 0][..], &length.to_be_bytes()].concat();
    let mut all = vec![
        vec![1; 64],
        vec![0xfe; 4096],
        format([24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]),
        format([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 255, 255, 255, 0, 0, 0]),
        format([8, 8, 0, 1, 255, 255, 255, 255, 255, 255, 0, 3, 6, 0, 0, 0]),
        format([0; 16]),
        format([8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0]),
        [&[2, 0, 0xff, 0xff][..], &[0; 100]].concat(),
        cut_text(u32::MAX),
        cut_text(1 << 31),
        [3, 0].into_iter().chain([0xff; 8]).collect(),
        vec![3, 0, 0],
    ];
    all.extend((1..=4).map(noise));
    all
}

/// The same bytes each time, and none that begins a key, pointer, clipboard or QEMU message.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match (state >> 24) as u8 {
            4..=6 | 255 => 7,
            byte => byte,
        }
    };
    (0..2000).map(|_| byte()).collect()
}

pub(super) fn rfb_rubbish(library: &Library) -> Outcome {
    let (bench, instance) = attachable(library)?;
    // The first of each kind first: there may be no time for all.
    let early = in_place_of_a_handshake()
        .into_iter()
        .map(|bytes| (false, bytes));
    let late = after_a_handshake().into_iter().map(|bytes| (true, bytes));
    let (mut early, mut late) = (early, late);
    let mut all = Vec::new();
    while early.len() + late.len() > 0 {
        all.extend(late.next());
        all.extend(early.next());
    }
    let mut sent = 0;
    for round in rounds(FIRST, all.len()) {
        let (shaken, bytes) = &all[round];
        let place = if *shaken { "after" } else { "in place of" };
        let doing = format!("rubbish {place} the handshake ({})", shown(bytes));
        while_doing(&doing, throw(&instance, *shaken, bytes))?;
        if instance.state() == raw::STATE_FAILED {
            instance.close_to_closed()?;
            instance.open_to_waiting(&bench.code())?;
        }
        sent += 1;
    }
    drop(Viewer::attach(&instance)?);
    Ok(format!(
        "{sent} of {} kinds, and a good client afterwards",
        all.len()
    ))
}

/// Its beginning, for those who look for it.
fn shown(bytes: &[u8]) -> String {
    let begin: Vec<_> = bytes
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} bytes: {}", bytes.len(), begin.join(" "))
}

/// Sends it and leaves. The stream is over then; a tool that it killed may have taken the session with it, if it says so.
fn throw(instance: &Instance, shaken: bool, bytes: &[u8]) -> Outcome<()> {
    let wire = match shaken {
        true => Viewer::attach(instance)?.into_wire(),
        false => Wire::attach(instance)?,
    };
    // A plugin may end the stream before it has all.
    wire.send(bytes);
    drop(wire);
    let over = patiently(PATIENCE, || match instance.state() {
        raw::STATE_FAILED => Some(true),
        raw::STATE_WAITING => Some(false),
        _ => None,
    });
    match over {
        Some(false) => Ok(()),
        Some(true) => {
            let (status, name, _) = instance.error();
            ensure(status >= raw::E_TOOL && !name.is_empty(), || {
                format!(
                    "the state is FAILED{}; WAITING was expected after the stream's end",
                    instance.last_words()
                )
            })
        }
        None => instance.until(raw::STATE_WAITING, "after the stream's end"),
    }
}

pub(super) fn never_reads(library: &Library) -> Outcome {
    let library = library.clone();
    within(
        CALL,
        "a client that doesn't read mustn't hold it up",
        move |watch| {
            let (_bench, instance) = attachable(&library)?;
            let viewer = Viewer::attach(&instance)?;
            viewer.flood()?;
            let view = raw::PERMISSION_VIEW;
            watch.during("permissions() while nobody reads the stream", || {
                instance.permissions(view)
            });
            watch.during("close() while nobody reads the stream", || instance.close());
            instance.until(
                raw::STATE_CLOSED,
                "after close(), with a client that doesn't read",
            )?;
            if !viewer.into_wire().ends() {
                return failed("the stream is still open 5 s after CLOSED");
            }
            Ok("CLOSED, with the client in the middle of updates".into())
        },
    )
}

pub(super) fn peer_goes(library: &Library) -> Outcome {
    let (bench, instance) = attachable(library)?;
    // As it is in a host that isn't written in Rust.
    // SAFETY: the default action is no handler that could do anything wrong.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    for _ in 0..3 {
        let viewer = Viewer::attach(&instance)?;
        viewer.flood()?;
        drop(viewer);
        instance.until(raw::STATE_WAITING, "after the peer has gone")?;
    }
    let viewer = Viewer::attach(&instance)?;
    viewer.flood()?;
    instance.close_to_closed()?;
    drop(viewer);
    instance.open_to_waiting(&bench.code())?;
    Ok("three in the middle of updates, and close() in the middle of one".into())
}
