//! A session without anybody on its stream: found, opened, its code, closed.

use std::ffi::CString;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etatuki_backend_api::{raw, text};

use super::{AT_ONCE, empty, is, text_in};
use crate::check::bench::{Library, Outcome, ensure, failed, state_exists};
use crate::check::clock::within;

pub(super) fn probe(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let found = text::read_several(|[tool, version]| instance.probe(tool, version));
    match found {
        Ok([tool, version]) => Ok(format!("{} {}", *tool, *version).trim().to_owned()),
        Err(raw::E_UNUSABLE) => {
            let (_, name, words) = instance.error();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure(!name.is_empty() && name.chars().all(plain), || {
                format!("last_error() has the name {name:?}, which isn't lower case with hyphens")
            })?;
            ensure(words.contains(' '), || {
                format!("last_error() has the text {words:?}, which isn't a sentence")
            })?;
            Ok(format!("can't be used here: {name}: {words}"))
        }
        Err(status) => failed(format!("probe() returned {status}")),
    }
}

pub(super) fn probe_null(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let status = instance.probe(null_mut(), null_mut());
    // One that can't be used here may say that first.
    ensure([raw::E_NULL, raw::E_UNUSABLE].contains(&status), || {
        format!("probe(NULL, NULL) returned {status}; it must be 101 (E_NULL)")
    })?;
    Ok(String::new())
}

pub(super) fn exact_buffers(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    let code = instance.code()?;
    let needed = code.len() as u32;
    let mut buffer = vec![0x7f_u8; code.len() + 1];
    let mut whole = text_in(&mut buffer);
    is(
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
    let mut cut = text_in(&mut small);
    is(
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
    ensure(small[0] == 0, || {
        "data[0] isn't 0 then: a part of the text was written".into()
    })?;
    let mut asks = empty();
    is(
        "session_code() with data NULL and capacity 0",
        instance.session_code(&raw mut asks),
        raw::OK,
    )?;
    ensure(asks.length == needed, || {
        format!("length is {}, not {needed}", asks.length)
    })?;
    let mut lies = raw::Text {
        capacity: 10,
        ..empty()
    };
    is(
        "session_code() with data NULL and capacity 10",
        instance.session_code(&raw mut lies),
        raw::E_NULL,
    )
}

pub(super) fn open(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let before = bench.host.changes();
    let started = Instant::now();
    instance.open_well(&bench.code())?;
    // Nobody needs to be told of what open() itself returns with.
    let at_once = instance.state() == raw::STATE_WAITING;
    instance.until(raw::STATE_WAITING)?;
    let took = started.elapsed();
    instance.code()?;
    ensure(at_once || bench.host.is_told(before), || {
        "the state changed, and changed() was never called".into()
    })?;
    Ok(format!("WAITING after {} ms", took.as_millis()))
}

pub(super) fn open_returns(library: &Library) -> Outcome {
    let library = library.clone();
    let advice = "what takes long belongs to a thread of the plugin's";
    within(AT_ONCE, advice, move |watch| {
        let bench = library.bench()?;
        let instance = bench.usable()?;
        let (_, took) = watch.during("open()", || instance.open(bench.code().as_ptr()));
        Ok(format!("{} ms", took.as_millis()))
    })
}

pub(super) fn open_null(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    is("open(NULL)", instance.open(null()), raw::E_NULL)?;
    instance.is_in(raw::STATE_CLOSED)
}

pub(super) fn open_twice(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    let code = instance.code()?;
    let other = CString::new("000000000000").expect("digits");
    is(
        "open() while WAITING",
        instance.open(other.as_ptr()),
        raw::E_STATE,
    )?;
    instance.is_in(raw::STATE_WAITING)?;
    ensure(instance.code()? == code, || {
        "the code is another one afterwards".into()
    })?;
    Ok(String::new())
}

pub(super) fn code(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let code = bench.waiting()?.code()?;
    if bench.has(raw::CAP_OWN_CODE) {
        ensure(!code.is_empty() && code.len() <= 64, || {
            format!("the code has {} bytes", code.len())
        })?;
        return Ok("its own".into());
    }
    ensure(code.as_bytes() == bench.code().as_bytes(), || {
        "session_code() gives another code than open() was given, and OWN_CODE isn't set".into()
    })?;
    Ok("the one that was given".into())
}

pub(super) fn code_is_secret(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    let given = bench.code();
    let codes = [instance.code()?, given.to_string_lossy().into_owned()];
    instance.close_to_closed()?;
    let logged = bench.host.logged();
    ensure(!codes.iter().any(|code| logged.contains(code)), || {
        "the log has the session code in it".into()
    })?;
    Ok(String::new())
}

pub(super) fn close_closed(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    is("close() in CLOSED", instance.close(), raw::OK)?;
    instance.is_in(raw::STATE_CLOSED)
}

pub(super) fn close_opening(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    instance.open(bench.code().as_ptr());
    instance.close_to_closed()?;
    Ok(String::new())
}

pub(super) fn close_twice(library: &Library) -> Outcome {
    let instance = library.bench()?.waiting()?;
    instance.close();
    instance.close_to_closed()?;
    is("close() once more", instance.close(), raw::OK)
}

pub(super) fn reopen(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&bench.code())?;
    instance.code()?;
    Ok(String::new())
}

pub(super) fn permissions(library: &Library) -> Outcome {
    let instance = library.bench()?.waiting()?;
    let view = raw::PERMISSION_VIEW;
    for set in [0, view, view | raw::PERMISSION_CONTROL, view, 0] {
        let status = instance.permissions(set);
        ensure(status == raw::OK || status >= raw::E_PLUGIN, || {
            format!("permissions({set}) returned {status}")
        })?;
    }
    // What it does about it on threads of its own has a moment to go wrong.
    std::thread::sleep(Duration::from_millis(100));
    Ok(String::new())
}

pub(super) fn any_thread(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let over = AtomicBool::new(false);
    let odd = std::thread::scope(|scope| {
        let look = || {
            let mut odd = None;
            while !over.load(Ordering::SeqCst) {
                let state = instance.state();
                if !state_exists(state) {
                    odd = Some(format!("state() gave {state}"));
                }
                let mut code = empty();
                instance.session_code(&raw mut code);
                instance.error();
            }
            odd
        };
        let lookers: Vec<_> = (0..8).map(|_| scope.spawn(look)).collect();
        let mut done = Ok(());
        for _ in 0..20 {
            done = instance
                .open_to_waiting(&bench.code())
                .and_then(|()| instance.close_to_closed());
            if done.is_err() {
                break;
            }
        }
        over.store(true, Ordering::SeqCst);
        let odd = lookers
            .into_iter()
            .filter_map(|looker| looker.join().ok().flatten())
            .next();
        done.map(|()| odd)
    })?;
    odd.map_or_else(|| Ok(String::new()), failed)
}
