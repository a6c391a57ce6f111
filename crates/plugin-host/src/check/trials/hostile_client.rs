//! Trials with a hostile client. It presses no key and no button, and leaves the clipboard alone:
//! the screen may be a real one.

use etatuki_backend_api::raw;

use super::rounds;
use super::stream::{CALL_TIMEOUT, attachable};
use crate::check::attached_stream::AttachedStream;
use crate::check::clock::{poll_until, with_own_timeout};
use crate::check::harness::Library;
use crate::check::instance::{Instance, STATE_TIMEOUT};
use crate::check::outcome::{Outcome, context, ensure, failed};
use crate::check::rfb_client::RfbClient;

/// Kinds of rubbish that are sent in any case, whatever time they take.
const MIN_KINDS: usize = 6;

/// Returns rubbish to be sent in place of the handshake.
fn rubbish_for_handshake() -> Vec<Vec<u8>> {
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

/// Returns rubbish to be sent after the handshake.
fn rubbish_after_handshake() -> Vec<Vec<u8>> {
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

/// Returns pseudo-random bytes by a linear congruential generator: equal for equal seeds, and none
/// that begins a key, pointer, clipboard or QEMU message.
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

/// Part of a connection in which rubbish is sent.
#[derive(Clone, Copy)]
enum Phase {
    Handshake,
    Messages,
}

pub(super) fn rfb_rubbish(library: &Library) -> Outcome {
    let (harness, instance) = attachable(library)?;
    // Alternately, since there may be no time for all.
    let with = |phase| move |bytes| (phase, bytes);
    let mut before = rubbish_for_handshake()
        .into_iter()
        .map(with(Phase::Handshake));
    let mut after = rubbish_after_handshake()
        .into_iter()
        .map(with(Phase::Messages));
    let mut all = Vec::new();
    while before.len() + after.len() > 0 {
        all.extend(after.next());
        all.extend(before.next());
    }
    let mut sent = 0;
    for round in rounds(MIN_KINDS, all.len()) {
        let (phase, bytes) = &all[round];
        let place = match phase {
            Phase::Handshake => "in place of",
            Phase::Messages => "after",
        };
        let what = format!("rubbish {place} the handshake ({})", preview(bytes));
        context(&what, send_rubbish(&instance, *phase, bytes))?;
        if instance.state() == raw::STATE_FAILED {
            instance.close_to_closed()?;
            instance.open_to_waiting(&harness.code())?;
        }
        sent += 1;
    }
    drop(RfbClient::attach(&instance)?);
    Ok(format!(
        "{sent} of {} kinds, and a good client afterwards",
        all.len()
    ))
}

/// Returns the length and the first bytes, by which a plugin's author finds them.
fn preview(bytes: &[u8]) -> String {
    let first: Vec<_> = bytes
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} bytes: {}", bytes.len(), first.join(" "))
}

/// Sends the bytes, and closes the stream. If they killed a tool, the session may have failed with
/// it, and must say so.
fn send_rubbish(instance: &Instance, phase: Phase, bytes: &[u8]) -> Outcome<()> {
    let stream = match phase {
        Phase::Handshake => AttachedStream::attach(instance)?,
        Phase::Messages => RfbClient::attach(instance)?.into_stream(),
    };
    // A plugin may end the stream before it has all of the bytes.
    stream.send(bytes);
    drop(stream);
    let has_failed = poll_until(STATE_TIMEOUT, || match instance.state() {
        raw::STATE_FAILED => Some(true),
        raw::STATE_WAITING => Some(false),
        _ => None,
    });
    match has_failed {
        Some(false) => Ok(()),
        Some(true) => {
            let (status, name, _) = instance.failure();
            ensure(status >= raw::E_TOOL && !name.is_empty(), || {
                format!(
                    "the state is FAILED{}; WAITING was expected after the stream's end",
                    instance.failure_suffix()
                )
            })
        }
        None => instance.wait_for(raw::STATE_WAITING, "after the stream's end"),
    }
}

pub(super) fn never_reads(library: &Library) -> Outcome {
    let library = library.clone();
    with_own_timeout(
        CALL_TIMEOUT,
        "a client that doesn't read mustn't hold it up",
        move |timer| {
            let (_harness, instance) = attachable(&library)?;
            let client = RfbClient::attach(&instance)?;
            client.flood_requests()?;
            let view = raw::PERMISSION_VIEW;
            timer.run("permissions() while nobody reads the stream", || {
                instance.permissions(view)
            });
            timer.run("close() while nobody reads the stream", || instance.close());
            instance.wait_for(
                raw::STATE_CLOSED,
                "after close(), with a client that doesn't read",
            )?;
            if !client.into_stream().ends() {
                return failed("the stream is still open 5 s after CLOSED");
            }
            Ok("CLOSED, with the client in the middle of updates".into())
        },
    )
}

pub(super) fn peer_goes(library: &Library) -> Outcome {
    let (harness, instance) = attachable(library)?;
    // A host that isn't written in Rust has the default action.
    // SAFETY: the default action is no handler that could do anything wrong.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    for _ in 0..3 {
        let client = RfbClient::attach(&instance)?;
        client.flood_requests()?;
        drop(client);
        instance.wait_for(raw::STATE_WAITING, "after the peer has gone")?;
    }
    let client = RfbClient::attach(&instance)?;
    client.flood_requests()?;
    instance.close_to_closed()?;
    drop(client);
    instance.open_to_waiting(&harness.code())?;
    Ok("three in the middle of updates, and close() in the middle of one".into())
}
