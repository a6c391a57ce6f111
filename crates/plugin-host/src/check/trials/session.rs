//! Trials of a session without a stream: probe, open, code, close.

use std::ffi::CString;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etatuki_backend_api::{raw, text};

use super::notifications::StateSample;
use super::{PROMPT_TIMEOUT, null_text, rounds, text_buffer};
use crate::check::attached_stream::AttachedStream;
use crate::check::captured_output::capture;
use crate::check::clock::with_own_timeout;
use crate::check::harness::{Harness, Library};
use crate::check::instance::{state_exists, state_name};
use crate::check::outcome::{Outcome, ensure, expect_status, failed, status_name};

pub(super) fn probe(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    let found = text::read_several(|[tool, version]| instance.probe(tool, version));
    match found {
        Ok([tool, version]) => {
            let found = format!("{} {}", *tool, *version).trim().to_owned();
            Ok(if found.is_empty() {
                "usable; it names no tool".into()
            } else {
                found
            })
        }
        Err(raw::E_UNUSABLE) => {
            let (_, name, message) = instance.failure();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure(!name.is_empty() && name.chars().all(plain), || {
                format!("last_error() has the name {name:?}, which isn't lower case with hyphens")
            })?;
            ensure(message.contains(' '), || {
                format!("last_error() has the text {message:?}, which isn't a sentence")
            })?;
            Ok(format!("can't be used here: {name}: {message}"))
        }
        Err(status) => failed(format!("probe() returned {}", status_name(status))),
    }
}

pub(super) fn probe_null(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    let status = instance.probe(null_mut(), null_mut());
    // A backend that can't be used here may return that first.
    ensure([raw::E_NULL, raw::E_UNUSABLE].contains(&status), || {
        format!(
            "probe(NULL, NULL) returned {}; it must be 101 (E_NULL)",
            status_name(status)
        )
    })?;
    Ok(status_name(status))
}

pub(super) fn probe_open(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    let (mut tool, mut version) = (null_text(), null_text());
    let status = instance.probe(&raw mut tool, &raw mut version);
    expect_status("probe() while WAITING", status, raw::E_STATE)?;
    instance.expect_state(raw::STATE_WAITING)?;
    Ok("while WAITING".into())
}

pub(super) fn exact_buffers(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    let code = instance.code()?;
    let needed = code.len() as u32;
    let mut buffer = vec![0x7f_u8; code.len() + 1];
    let mut whole = text_buffer(&mut buffer);
    expect_status(
        "session_code() into a buffer that just holds it",
        instance.session_code(&raw mut whole),
        raw::OK,
    )?;
    ensure(whole.length == needed, || {
        format!("length is {}, not {needed}", whole.length)
    })?;
    ensure(buffer.ends_with(&[0]), || {
        "there is no NUL at the end".into()
    })?;
    let mut small = vec![0x7f_u8; code.len()];
    let mut cut = text_buffer(&mut small);
    expect_status(
        "session_code() into one that is a byte too small",
        instance.session_code(&raw mut cut),
        raw::E_BUFFER,
    )?;
    ensure(cut.length == needed, || {
        format!(
            "length is {} then; it must say what is needed: {needed}",
            cut.length
        )
    })?;
    // With capacity 0 there is no room for the NUL either.
    ensure(small.first().is_none_or(|first| *first == 0), || {
        "data[0] isn't 0 then: a part of the text was written".into()
    })?;
    let mut length_query = null_text();
    expect_status(
        "session_code() with data NULL and capacity 0",
        instance.session_code(&raw mut length_query),
        raw::OK,
    )?;
    ensure(length_query.length == needed, || {
        format!("length is {}, not {needed}", length_query.length)
    })?;
    let mut null_data = raw::Text {
        capacity: 10,
        ..null_text()
    };
    expect_status(
        "session_code() with data NULL and capacity 10",
        instance.session_code(&raw mut null_data),
        raw::E_NULL,
    )?;
    Ok(format!("{} bytes, one fewer, none, and null", needed + 1))
}

pub(super) fn open(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    let started = Instant::now();
    instance.open_checked(&harness.code())?;
    // A state that open() itself returns with needs no notification.
    let sample = StateSample::now(&harness, &instance);
    instance.wait_for(raw::STATE_WAITING, "after open()")?;
    let elapsed = started.elapsed();
    instance.code()?;
    sample.check_notified(&harness, raw::STATE_WAITING)?;
    Ok(format!("WAITING after {} ms", elapsed.as_millis()))
}

pub(super) fn open_returns(library: &Library) -> Outcome {
    let library = library.clone();
    let advice = "what takes long belongs to a thread of the plugin's";
    with_own_timeout(PROMPT_TIMEOUT, advice, move |timer| {
        let harness = library.harness()?;
        let instance = harness.usable()?;
        let (_, elapsed) = timer.run("open()", || instance.open(harness.code().as_ptr()));
        Ok(format!("{} ms", elapsed.as_millis()))
    })
}

pub(super) fn open_null(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    expect_status("open(NULL)", instance.open(null()), raw::E_NULL)?;
    instance.expect_state(raw::STATE_CLOSED)?;
    Ok("open(NULL)".into())
}

pub(super) fn open_twice(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    let code = instance.code()?;
    let other = CString::new("000000000000").expect("digits");
    expect_status(
        "open() while WAITING",
        instance.open(other.as_ptr()),
        raw::E_STATE,
    )?;
    instance.expect_state(raw::STATE_WAITING)?;
    ensure(instance.code()? == code, || {
        "the code is another one afterwards".into()
    })?;
    Ok("while WAITING; state and code stay".into())
}

pub(super) fn code(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let code = harness.waiting()?.code()?;
    if harness.has(raw::CAP_OWN_CODE) {
        let may_be_empty = harness.has(raw::CAP_OWN_TRANSPORT);
        ensure(
            code.len() <= 64 && (may_be_empty || !code.is_empty()),
            || format!("the code has {} bytes", code.len()),
        )?;
        return Ok(match code.len() {
            0 => "none: its own window shows it".into(),
            _ => "its own".into(),
        });
    }
    ensure(code.as_bytes() == harness.code().as_bytes(), || {
        "session_code() gives another code than open() was given, and OWN_CODE isn't set".into()
    })?;
    Ok("the one that was given".into())
}

pub(super) fn code_is_secret(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let codes = session_codes(&harness)?;
    let logged = harness.host.log();
    ensure(!contains_code(&logged, &codes), || {
        "the log has the session code in it".into()
    })?;
    Ok(format!("the log has {} lines", logged.lines().count()))
}

pub(super) fn code_not_printed(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let (codes, printed) = capture(|| session_codes(&harness))?;
    ensure(!contains_code(&printed, &codes), || {
        "it printed the session code, to stdout or stderr".into()
    })?;
    Ok(format!("it printed {} bytes", printed.len()))
}

/// Opens and closes a session; returns the code that the plugin had, and the one that it was given.
fn session_codes(harness: &Harness) -> Outcome<[String; 2]> {
    let instance = harness.waiting()?;
    let given = harness.code().to_string_lossy().into_owned();
    let codes = [instance.code()?, given];
    if !harness.has(raw::CAP_OWN_TRANSPORT) {
        drop(AttachedStream::attach(&instance)?);
        instance.wait_for(raw::STATE_WAITING, "after the stream's end")?;
    }
    instance.close_to_closed()?;
    Ok(codes)
}

fn contains_code(text: &str, codes: &[String]) -> bool {
    // Every text contains an empty code, which a tool with its own window may have.
    codes
        .iter()
        .any(|code| !code.is_empty() && text.contains(code.as_str()))
}

/// Samples a state that may end between two calls; what wasn't sampled in CLOSING isn't judged.
pub(super) fn code_gone(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    let (mut closing_samples, mut closes) = (0, 0);
    for _ in rounds(3, 20) {
        instance.open_to_waiting(&harness.code())?;
        let stream = match harness.has(raw::CAP_OWN_TRANSPORT) {
            true => None,
            false => Some(AttachedStream::attach(&instance)?),
        };
        instance.close();
        let (before, mut code) = (instance.state(), null_text());
        let status = instance.session_code(&raw mut code);
        if (before, instance.state()) == (raw::STATE_CLOSING, raw::STATE_CLOSING) {
            expect_status("session_code() in CLOSING", status, raw::E_STATE)?;
            closing_samples += 1;
        }
        instance.wait_for(raw::STATE_CLOSED, "after close()")?;
        let status = instance.session_code(&raw mut code);
        expect_status("session_code() in CLOSED", status, raw::E_STATE)?;
        drop(stream);
        closes += 1;
    }
    Ok(format!(
        "CLOSED; CLOSING, seen in {closing_samples} of {closes} closes"
    ))
}

pub(super) fn close_closed(library: &Library) -> Outcome {
    let instance = library.harness()?.create()?;
    expect_status("close() in CLOSED", instance.close(), raw::OK)?;
    instance.expect_state(raw::STATE_CLOSED)?;
    Ok("close() in CLOSED".into())
}

pub(super) fn close_opening(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    instance.open(harness.code().as_ptr());
    let from = state_name(instance.state());
    instance.close_to_closed()?;
    Ok(format!("from {from} to CLOSED"))
}

pub(super) fn close_twice(library: &Library) -> Outcome {
    let instance = library.harness()?.waiting()?;
    instance.close();
    instance.close_to_closed()?;
    expect_status("close() once more", instance.close(), raw::OK)?;
    Ok("twice at once, and once more in CLOSED".into())
}

pub(super) fn reopen(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.waiting()?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&harness.code())?;
    instance.code()?;
    Ok("WAITING again, with a code".into())
}

pub(super) fn permissions(library: &Library) -> Outcome {
    let instance = library.harness()?.waiting()?;
    let view = raw::PERMISSION_VIEW;
    for set in [0, view, view | raw::PERMISSION_CONTROL, view, 0] {
        expect_status(
            &format!("permissions({set})"),
            instance.permissions(set),
            raw::OK,
        )?;
    }
    // The plugin's own threads have a moment to act on it, and to crash.
    std::thread::sleep(Duration::from_millis(100));
    Ok("nothing, VIEW, VIEW and CONTROL, and back".into())
}

pub(super) fn any_thread(library: &Library) -> Outcome {
    let harness = library.harness()?;
    let instance = harness.usable()?;
    let stopped = AtomicBool::new(false);
    let (sessions, finding) = std::thread::scope(|scope| {
        let query = || {
            let mut finding = None;
            while !stopped.load(Ordering::SeqCst) {
                let state = instance.state();
                if !state_exists(state) {
                    finding = Some(format!("state() gave {state}"));
                }
                let mut code = null_text();
                instance.session_code(&raw mut code);
                instance.failure();
            }
            finding
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(query)).collect();
        let mut done = Ok(0);
        for round in rounds(3, 20) {
            done = instance
                .open_to_waiting(&harness.code())
                .and_then(|()| instance.close_to_closed())
                .map(|()| round + 1);
            if done.is_err() {
                break;
            }
        }
        stopped.store(true, Ordering::SeqCst);
        let finding = threads
            .into_iter()
            .filter_map(|thread| thread.join().ok().flatten())
            .next();
        done.map(|sessions| (sessions, finding))
    })?;
    finding.map_or_else(|| Ok(format!("over {sessions} sessions")), failed)
}
