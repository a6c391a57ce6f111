//! What is tried: each trial is one rule of the contract, in the header's order. A trial begins with a fresh process and
//! needn't clean up.

mod leftovers;
mod library;
mod session;
mod stream;

use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::Duration;

use etatuki_backend_api::raw;

use super::bench::{Library, Outcome, ensure};

/// A trial that can be run by its name.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) run: fn(&Library) -> Outcome,
}

macro_rules! trials {
    ($($file:ident::$function:ident $name:literal $rule:literal)+) => {
        pub(super) const ALL: &[Known] = &[$(Known { name: $name, rule: $rule, run: $file::$function }),+];
    };
}

trials! {
    library::symbol "symbol" "the library loads, and exports etatuki_backend_v1"
    library::quiet_load "quiet-load" "loading prints nothing"
    library::load_time "load-time" "loading takes less than half a second of sleeping and computing"
    library::descriptor "descriptor" "the descriptor's texts are there, short, UTF-8 and in their forms"
    library::capabilities "capabilities" "undefined bits and reserved fields are 0; the bits fit together"
    library::network "network" "a plugin that needs the network has NETWORK, and the registry allows it"
    library::create "create" "create() makes an instance with all its functions"
    library::create_null "create-null" "create() refuses null pointers with E_NULL"
    library::create_short_host "create-short-host" "create() refuses a host whose struct is too short with E_ARGUMENT"
    library::create_newer_host "create-newer-host" "create() takes a host whose struct is longer than it knows"
    library::first_state "first-state" "a new instance is CLOSED, without code and failure"
    session::probe "probe" "probe() gives a tool and a version, or E_UNUSABLE with a name and a sentence"
    session::probe_null "probe-null" "probe() refuses null buffers with E_NULL"
    leftovers::probe_leaves_nothing "probe-leaves-nothing" "probe() leaves no thread, handle or process behind"
    session::exact_buffers "exact-buffers" "a text is written whole into a buffer that just holds it, and not at all into a smaller one"
    session::open "open" "open() leads to WAITING, with a code and changed()"
    session::open_returns "open-returns" "open() returns at once: it neither sleeps nor computes for half a second"
    session::open_null "open-null" "open() refuses a null code with E_NULL and stays CLOSED"
    session::open_twice "open-twice" "open() is refused with E_STATE while something is open"
    session::code "code" "the code is the one that was given, or a text of one's own with OWN_CODE"
    session::code_is_secret "code-is-secret" "the code stands in no line of the log"
    session::close_closed "close-closed" "close() in CLOSED does nothing and returns 0"
    session::close_opening "close-opening" "close() right after open() leads to CLOSED"
    session::close_twice "close-twice" "close() twice is the same as once"
    session::reopen "reopen" "after CLOSED it can be opened again"
    stream::attach "attach" "attach() leads to ATTACHED, and to WAITING again when the stream has ended"
    stream::rfb "rfb" "on an attached socket the plugin speaks RFB, as the server, which speaks first"
    stream::attach_again "attach-again" "another socket may come after the first one has ended"
    stream::attach_early "attach-early" "attach() is refused with E_STATE in CLOSED, and the socket stays the host's"
    stream::attach_rubbish "attach-rubbish" "attach() refuses what is no handle"
    stream::close_attached "close-attached" "close() while somebody is attached ends the stream"
    session::permissions "permissions" "permissions() takes every set that exists"
    library::extension "extension" "an extension that doesn't exist is null"
    session::any_thread "any-thread" "state(), session_code() and last_error() may be called from eight threads at any time"
    library::destroy_null "destroy-null" "destroy() takes null"
    stream::destroy_anywhere "destroy-anywhere" "destroy() returns from every state, after less than two seconds of sleeping and computing"
    leftovers::silence "silence" "no function of the host is called after destroy() has returned"
    leftovers::leaves_nothing "leaves-nothing" "after destroy() no thread and no process is left"
    leftovers::hundred_opens "hundred-opens" "a hundred sessions leak no thread and no handle"
}

/// What takes longer doesn't return at once. A call has two seconds ([call] in the header), on slow machines too.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The status must be this.
fn is(call: &str, status: i32, wanted: i32) -> Outcome {
    let name = match wanted {
        raw::OK => "OK",
        raw::E_NULL => "E_NULL",
        raw::E_STATE => "E_STATE",
        raw::E_BUFFER => "E_BUFFER",
        raw::E_ARGUMENT => "E_ARGUMENT",
        _ => "?",
    };
    ensure(status == wanted, || {
        format!("{call} returned {status}; it must be {wanted} ({name})")
    })?;
    Ok(String::new())
}

/// No buffer: asks for the length.
fn empty() -> raw::Text {
    raw::Text {
        data: null_mut(),
        capacity: 0,
        length: 0,
    }
}

/// A buffer for a text.
fn text_in(buffer: &mut [u8]) -> raw::Text {
    raw::Text {
        data: buffer.as_mut_ptr().cast::<c_char>(),
        capacity: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
        length: 0,
    }
}
