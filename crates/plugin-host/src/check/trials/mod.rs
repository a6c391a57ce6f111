//! The trials, one for each rule of the contract, in the header's order. A trial runs in a process
//! of its own, and needn't clean up.

mod hostile_client;
mod leaks;
mod library;
mod notifications;
mod picture;
mod session;
mod stream;

use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use etatuki_backend_api::raw;

use super::harness::Library;
use super::outcome::Outcome;

/// A trial and its name.
pub(super) struct TrialDefinition {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) run: fn(&Library) -> Outcome,
}

macro_rules! trials {
    ($($file:ident::$function:ident $name:literal $rule:literal)+) => {
        pub(super) const ALL: &[TrialDefinition] = &[$(TrialDefinition { name: $name, rule: $rule, run: $file::$function }),+];
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
    session::probe_open "probe-open" "probe() is refused with E_STATE while something is open"
    leaks::probe_leaves_nothing "probe-leaves-nothing" "probe() leaves no thread, handle or process behind"
    session::exact_buffers "exact-buffers" "a text is written whole into a buffer that just holds it, and not at all into a smaller one"
    session::open "open" "open() leads to WAITING, with a code and changed()"
    session::open_returns "open-returns" "open() returns at once: it neither sleeps nor computes for half a second"
    session::open_null "open-null" "open() refuses a null code with E_NULL and stays CLOSED"
    session::open_twice "open-twice" "open() is refused with E_STATE while something is open"
    session::code "code" "the code is the one that was given, or a text of one's own with OWN_CODE"
    session::code_is_secret "code-is-secret" "the code stands in no line of the log"
    session::code_not_printed "code-not-printed" "the code is printed neither to stdout nor to stderr"
    session::code_gone "code-gone" "session_code() is refused with E_STATE when the session is CLOSING or CLOSED"
    session::close_closed "close-closed" "close() in CLOSED does nothing and returns 0"
    session::close_opening "close-opening" "close() right after open() leads to CLOSED"
    session::close_twice "close-twice" "close() twice is the same as once"
    session::reopen "reopen" "after CLOSED it can be opened again"
    stream::attach "attach" "attach() leads to ATTACHED, and to WAITING again when the stream has ended"
    stream::attach_again "attach-again" "another socket may come after the first one has ended"
    stream::attach_early "attach-early" "attach() is refused with E_STATE in CLOSED, and the socket stays the host's"
    stream::attach_twice "attach-twice" "attach() is refused with E_STATE while ATTACHED, and the socket stays the host's"
    stream::attach_rubbish "attach-rubbish" "attach() refuses what is no handle"
    stream::refused_handle "refused-handle" "a handle that attach() refuses stays open"
    stream::reopen_after_stream "reopen-after-stream" "it can be closed and opened again after a stream, and in the middle of one"
    stream::close_attached "close-attached" "close() while somebody is attached ends the stream"
    stream::any_while_attached "any-while-attached" "no [any] function blocks while ATTACHED, also when nobody reads the stream"
    notifications::changed_each_time "changed-each-time" "changed() is called after each change of state that no call has finished"
    notifications::changed_unlocked "changed-unlocked" "changed() is called with no lock held that an [any] function needs"
    picture::rfb "rfb" "the plugin speaks RFB as the server, which speaks first: a version, security None, its screen"
    picture::rfb_picture "rfb-picture" "a full request brings all that was asked for and lies on the screen"
    picture::rfb_formats "rfb-formats" "pixels come in the format that was asked for"
    picture::rfb_skips "rfb-skips" "SetEncodings and cut text are read to their ends"
    picture::rfb_incremental "rfb-incremental" "an incremental request is answered when the picture changes"
    picture::fresh_stream "fresh-stream" "nothing of one stream is left on the next"
    hostile_client::rfb_rubbish "rfb-rubbish" "a client that sends rubbish ends its stream, and nothing else"
    hostile_client::never_reads "never-reads" "close() ends a stream that nobody reads"
    hostile_client::peer_goes "peer-goes" "a peer that goes in the middle of an update ends its stream, and raises no SIGPIPE"
    session::permissions "permissions" "permissions() takes every set that exists"
    library::extension "extension" "an extension that doesn't exist is null"
    session::any_thread "any-thread" "state(), session_code() and last_error() may be called from eight threads at any time"
    library::destroy_null "destroy-null" "destroy() takes null"
    stream::destroy_anywhere "destroy-anywhere" "destroy() returns from every state, after less than two seconds of sleeping and computing"
    leaks::silence "silence" "no function of the host is called after destroy() has returned"
    leaks::leaves_nothing "leaves-nothing" "after destroy() no thread and no process is left"
    leaks::hundred_opens "hundred-opens" "sessions leak no thread and no handle: a hundred of them, or as many as two seconds allow"
    leaks::hundred_attaches "hundred-attaches" "streams leak no thread and no handle: a hundred of them, or as many as two seconds allow"
}

/// Time-out, in own time, of a call that must return at once. Any call has two seconds (`[call]` in
/// the header).
const PROMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// Time after which a repeated trial stops, once it has done its least number of rounds.
const ROUNDS_TIME: Duration = Duration::from_secs(2);

/// Returns up to `most` rounds, but only `least` when they take long, since a tool may be started
/// in each. The verdict doesn't depend on their number.
fn rounds(least: usize, most: usize) -> impl Iterator<Item = usize> {
    let started = Instant::now();
    (0..most).take_while(move |round| *round < least || started.elapsed() < ROUNDS_TIME)
}

/// Returns a text without a buffer, which asks for the length alone.
fn null_text() -> raw::Text {
    raw::Text {
        data: null_mut(),
        capacity: 0,
        length: 0,
    }
}

/// Returns a text in this buffer.
fn text_buffer(buffer: &mut [u8]) -> raw::Text {
    raw::Text {
        data: buffer.as_mut_ptr().cast::<c_char>(),
        capacity: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
        length: 0,
    }
}
