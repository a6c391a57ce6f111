//! What is tried: each trial is one rule of the contract, in the header's order. A trial begins with a fresh process and
//! needn't clean up.

use std::ffi::{CString, c_char};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::net::UnixStream;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etatuki_backend_api::raw;

use super::bench::{
    Bench, Host, Instance, Library, Outcome, Stop, ensure, failed, skipped, state_exists,
    state_name,
};

/// A trial that can be run by its name.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) run: fn(&Library) -> Outcome,
}

macro_rules! trials {
    ($($function:ident $name:literal $rule:literal)+) => {
        pub(super) const ALL: &[Known] = &[$(Known { name: $name, rule: $rule, run: $function }),+];
    };
}

trials! {
    symbol "symbol" "the library loads, and exports etatuki_backend_v1"
    quiet_load "quiet-load" "loading prints nothing"
    load_time "load-time" "loading takes less than half a second"
    descriptor "descriptor" "the descriptor's texts are there, short, UTF-8 and in their forms"
    capabilities "capabilities" "undefined bits and reserved fields are 0; the bits fit together"
    create "create" "create() makes an instance with all its functions"
    create_null "create-null" "create() refuses null pointers with E_NULL"
    create_short_host "create-short-host" "create() refuses a host whose struct is too short with E_ARGUMENT"
    create_newer_host "create-newer-host" "create() takes a host whose struct is longer than it knows"
    first_state "first-state" "a new instance is CLOSED, without code and failure"
    probe "probe" "probe() gives a tool and a version, or E_UNUSABLE with a name and a sentence"
    probe_null "probe-null" "probe() refuses null buffers with E_NULL"
    probe_leaves_nothing "probe-leaves-nothing" "probe() leaves no thread, handle or process behind"
    exact_buffers "exact-buffers" "a text is written whole into a buffer that just holds it, and not at all into a smaller one"
    open "open" "open() leads to WAITING, with a code and changed()"
    open_returns "open-returns" "open() returns at once"
    open_null "open-null" "open() refuses a null code with E_NULL and stays CLOSED"
    open_twice "open-twice" "open() is refused with E_STATE while something is open"
    code "code" "the code is the one that was given, or a text of one's own with OWN_CODE"
    code_is_secret "code-is-secret" "the code stands in no line of the log"
    close_closed "close-closed" "close() in CLOSED does nothing and returns 0"
    close_opening "close-opening" "close() right after open() leads to CLOSED"
    close_twice "close-twice" "close() twice is the same as once"
    reopen "reopen" "after CLOSED it can be opened again"
    attach "attach" "attach() leads to ATTACHED, and to WAITING again when the stream has ended"
    rfb "rfb" "on an attached socket the plugin speaks RFB, as the server, which speaks first"
    attach_again "attach-again" "another socket may come after the first one has ended"
    attach_early "attach-early" "attach() is refused with E_STATE in CLOSED, and the socket stays the host's"
    attach_rubbish "attach-rubbish" "attach() refuses what is no handle"
    close_attached "close-attached" "close() while somebody is attached ends the stream"
    permissions "permissions" "permissions() takes every set that exists"
    extension "extension" "an extension that doesn't exist is null"
    any_thread "any-thread" "state(), session_code() and last_error() may be called from eight threads at any time"
    destroy_null "destroy-null" "destroy() takes null"
    destroy_anywhere "destroy-anywhere" "destroy() returns from every state"
    silence "silence" "no function of the host is called after destroy() has returned"
    leaves_nothing "leaves-nothing" "after destroy() no thread and no process is left"
    hundred_opens "hundred-opens" "a hundred sessions leak no thread and no handle"
}

fn symbol(library: &Library) -> Outcome {
    let descriptor = library.load()?;
    Ok(format!(
        "the descriptor has {} bytes",
        descriptor.struct_size
    ))
}

fn quiet_load(library: &Library) -> Outcome {
    let printed = capture(|| library.load().map(|_| ()))?;
    ensure(printed.is_empty(), || {
        format!("it printed {:?} while it was loaded", printed.trim_end())
    })?;
    Ok(String::new())
}

/// What goes to stdout and stderr meanwhile.
fn capture(work: impl FnOnce() -> Outcome<()>) -> Outcome<String> {
    let broken = |error: std::io::Error| Stop::Skipped(format!("nothing can be captured: {error}"));
    let (mut read, write) = std::io::pipe().map_err(broken)?;
    let before = std::io::stderr();
    let saved = rustix::io::dup(&before).map_err(|error| broken(error.into()))?;
    let both = |to: &dyn Fn() -> rustix::io::Result<()>| to().map_err(|error| broken(error.into()));
    both(&|| rustix::stdio::dup2_stdout(&write))?;
    both(&|| rustix::stdio::dup2_stderr(&write))?;
    drop(write);
    let done = work();
    both(&|| rustix::stdio::dup2_stdout(&saved))?;
    both(&|| rustix::stdio::dup2_stderr(&saved))?;
    done?;
    let mut printed = Vec::new();
    read.read_to_end(&mut printed).map_err(broken)?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

fn load_time(library: &Library) -> Outcome {
    let started = Instant::now();
    library.load()?;
    let took = started.elapsed();
    ensure(took < Duration::from_millis(500), || {
        format!(
            "it took {} ms; do what takes long in open()",
            took.as_millis()
        )
    })?;
    Ok(format!("{} ms", took.as_millis()))
}

fn descriptor(library: &Library) -> Outcome {
    let about = library.bench()?.about;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure(about.id.len() <= 40 && about.id.chars().all(plain), || {
        format!("the id {:?} isn't 1 to 40 of a-z, 0-9 and -", about.id)
    })?;
    let forms = ["remoteus", "ecom", "own"];
    ensure(forms.contains(&about.code_form.as_str()), || {
        format!("the code_form {:?} isn't one of {forms:?}", about.code_form)
    })?;
    Ok(format!(
        "{} {} by {}, id {}",
        about.name, about.version, about.vendor, about.id
    ))
}

fn capabilities(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let known = raw::CAP_INPUT
        | raw::CAP_CLIPBOARD
        | raw::CAP_RESIZE
        | raw::CAP_OWN_CODE
        | raw::CAP_OWN_TRANSPORT
        | raw::CAP_NETWORK;
    let bits = bench.about.capabilities;
    ensure(bits & !known == 0, || {
        format!("the bits {:#x} aren't defined", bits & !known)
    })?;
    let reserved = bench.descriptor.reserved;
    ensure(reserved == 0, || format!("reserved is {reserved}, not 0"))?;
    let own = bench.about.code_form == "own";
    ensure(!own || bench.has(raw::CAP_OWN_CODE), || {
        "the code_form is `own`, and OWN_CODE isn't set".into()
    })?;
    Ok(format!("{bits:#x}"))
}

fn create(library: &Library) -> Outcome {
    library.bench()?.create()?;
    Ok(String::new())
}

fn create_null(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let mut out = null();
    let without_host = bench.create_raw(null(), &raw mut out)?;
    is("create(NULL, out)", without_host, raw::E_NULL)?;
    ensure(out.is_null(), || {
        "create(NULL, out) gave an instance".into()
    })?;
    is(
        "create(host, NULL)",
        bench.create_raw(bench.host.as_raw(), null_mut())?,
        raw::E_NULL,
    )
}

fn create_short_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let short = Host::leak("null".into(), 16);
    let mut out = null();
    let status = bench.create_raw(short.as_raw(), &raw mut out)?;
    is("create() with a host of 16 bytes", status, raw::E_ARGUMENT)?;
    ensure(out.is_null(), || "it gave an instance all the same".into())?;
    Ok(String::new())
}

fn create_newer_host(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let newer = Host::leak("null".into(), size_of::<raw::Host>() as u32 + 64);
    let mut out = null();
    is(
        "create()",
        bench.create_raw(newer.as_raw(), &raw mut out)?,
        raw::OK,
    )
}

fn first_state(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let state = instance.state();
    ensure(state == raw::STATE_CLOSED, || {
        format!("it is {}", state_name(state))
    })?;
    let mut code = empty();
    is(
        "session_code() in CLOSED",
        instance.session_code(&raw mut code),
        raw::E_STATE,
    )?;
    let (status, name, words) = instance.error();
    ensure(
        status == raw::OK && name.is_empty() && words.is_empty(),
        || format!("last_error() says {status} {name:?} {words:?} before anything has failed"),
    )?;
    Ok(String::new())
}

fn probe(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let found =
        etatuki_backend_api::text::read_several(|[tool, version]| instance.probe(tool, version));
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

fn probe_null(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let status = instance.probe(null_mut(), null_mut());
    // One that can't be used here may say that first.
    ensure([raw::E_NULL, raw::E_UNUSABLE].contains(&status), || {
        format!("probe(NULL, NULL) returned {status}; it must be 101 (E_NULL)")
    })?;
    Ok(String::new())
}

fn probe_leaves_nothing(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let _ =
        etatuki_backend_api::text::read_several(|[tool, version]| instance.probe(tool, version));
    let before = Count::now();
    for _ in 0..5 {
        let _ = etatuki_backend_api::text::read_several(|[tool, version]| {
            instance.probe(tool, version)
        });
    }
    settle(|| Count::now().exceeds(&before))
}

fn exact_buffers(library: &Library) -> Outcome {
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

fn open(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let before = bench.host.changes();
    let started = Instant::now();
    instance.open_to_waiting(&bench.code())?;
    let took = started.elapsed();
    instance.code()?;
    let told = bench.host.changes() > before
        || instance.state() == raw::STATE_WAITING && took < Duration::from_millis(5);
    ensure(told, || {
        "the state changed, and changed() was never called".into()
    })?;
    Ok(format!("WAITING after {} ms", took.as_millis()))
}

fn open_returns(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    let started = Instant::now();
    instance.open(bench.code().as_ptr());
    let took = started.elapsed();
    ensure(took < Duration::from_millis(500), || {
        format!(
            "it took {} ms; what takes long belongs to a thread of the plugin's",
            took.as_millis()
        )
    })?;
    Ok(format!("{} ms", took.as_millis()))
}

fn open_null(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    is("open(NULL)", instance.open(null()), raw::E_NULL)?;
    let state = instance.state();
    ensure(state == raw::STATE_CLOSED, || {
        format!("it is {} afterwards", state_name(state))
    })?;
    Ok(String::new())
}

fn open_twice(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    let code = instance.code()?;
    let other = CString::new("000000000000").expect("digits");
    is(
        "open() while WAITING",
        instance.open(other.as_ptr()),
        raw::E_STATE,
    )?;
    let state = instance.state();
    ensure(state == raw::STATE_WAITING, || {
        format!("it is {} afterwards", state_name(state))
    })?;
    ensure(instance.code()? == code, || {
        "the code is another one afterwards".into()
    })?;
    Ok(String::new())
}

fn code(library: &Library) -> Outcome {
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

fn code_is_secret(library: &Library) -> Outcome {
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

fn close_closed(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    is("close() in CLOSED", instance.close(), raw::OK)?;
    let state = instance.state();
    ensure(state == raw::STATE_CLOSED, || {
        format!("it is {} afterwards", state_name(state))
    })?;
    Ok(String::new())
}

fn close_opening(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.usable()?;
    instance.open(bench.code().as_ptr());
    instance.close_to_closed()?;
    Ok(String::new())
}

fn close_twice(library: &Library) -> Outcome {
    let instance = library.bench()?.waiting()?;
    instance.close();
    instance.close_to_closed()?;
    is("close() once more", instance.close(), raw::OK)
}

fn reopen(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    instance.open_to_waiting(&bench.code())?;
    instance.code()?;
    Ok(String::new())
}

/// Attaches a socket; gives its other end.
fn attached(instance: &Instance) -> Outcome<UnixStream> {
    let broken = |error: std::io::Error| Stop::Skipped(format!("no socket pair: {error}"));
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let limit = Some(Duration::from_secs(5));
    ours.set_read_timeout(limit).map_err(broken)?;
    let status = instance.attach(theirs.as_raw_fd() as isize);
    ensure(status == raw::OK, || {
        format!("attach() returned {status}: {}", instance.error().2)
    })?;
    // It is the plugin's now.
    let _ = theirs.into_raw_fd();
    Ok(ours)
}

/// Attaches a socket, and reads the beginning of RFB from its other end.
fn greeted(instance: &Instance) -> Outcome<UnixStream> {
    let mut stream = attached(instance)?;
    let mut greeting = [0; 12];
    let read = stream.read_exact(&mut greeting);
    ensure(read.is_ok(), || {
        "nothing came on the socket within 5 s; the server speaks first in RFB".into()
    })?;
    ensure(greeting.starts_with(b"RFB 003."), || {
        format!(
            "it doesn't begin as RFB does: {:?}",
            String::from_utf8_lossy(&greeting)
        )
    })?;
    Ok(stream)
}

fn attachable(library: &Library) -> Outcome<(Bench, Instance)> {
    let bench = library.bench()?;
    if bench.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    let instance = bench.waiting()?;
    Ok((bench, instance))
}

fn attach(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let stream = attached(&instance)?;
    let state = instance.state();
    ensure(state == raw::STATE_ATTACHED, || {
        format!("it is {} meanwhile", state_name(state))
    })?;
    drop(stream);
    instance.until(raw::STATE_WAITING)?;
    Ok(String::new())
}

fn rfb(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    greeted(&instance)?;
    Ok(String::new())
}

fn attach_again(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    for _ in 0..2 {
        drop(attached(&instance)?);
        instance.until(raw::STATE_WAITING)?;
    }
    Ok(String::new())
}

fn attach_early(library: &Library) -> Outcome {
    let bench = library.bench()?;
    if bench.has(raw::CAP_OWN_TRANSPORT) {
        return skipped("it brings its own transport");
    }
    let instance = bench.create()?;
    let pair =
        UnixStream::pair().map_err(|error| Stop::Skipped(format!("no socket pair: {error}")));
    let (mut ours, theirs) = pair?;
    is(
        "attach() in CLOSED",
        instance.attach(theirs.as_raw_fd() as isize),
        raw::E_STATE,
    )?;
    let alive = ours.write_all(b"x").is_ok() && (&theirs).read_exact(&mut [0]).is_ok();
    ensure(alive, || {
        "the socket was touched: it is still the host's".into()
    })?;
    Ok(String::new())
}

fn attach_rubbish(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let status = instance.attach(-1);
    ensure(status != raw::OK, || "attach(-1) returned 0".into())?;
    let state = instance.state();
    ensure(state_exists(state), || {
        format!("state() gave {state} afterwards")
    })?;
    Ok(format!("{status}"))
}

fn close_attached(library: &Library) -> Outcome {
    let (_bench, instance) = attachable(library)?;
    let mut stream = attached(&instance)?;
    instance.close_to_closed()?;
    let ended = stream.read_to_end(&mut Vec::new());
    ensure(ended.is_ok(), || {
        "the stream is still open 5 s after CLOSED".into()
    })?;
    Ok(String::new())
}

fn permissions(library: &Library) -> Outcome {
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

fn extension(library: &Library) -> Outcome {
    let instance = library.bench()?.create()?;
    let name = c"etatuki.no-such-extension/1";
    ensure(instance.extension(name.as_ptr()).is_null(), || {
        "extension() gave something for a name that nobody has defined".into()
    })?;
    ensure(instance.extension(null()).is_null(), || {
        "extension(NULL) gave something".into()
    })?;
    Ok(String::new())
}

fn any_thread(library: &Library) -> Outcome {
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

fn destroy_null(library: &Library) -> Outcome {
    library.bench()?.create()?.destroy_null();
    Ok(String::new())
}

fn destroy_anywhere(library: &Library) -> Outcome {
    let bench = library.bench()?;
    timed("CLOSED", &bench.create()?)?;
    let opening = bench.usable()?;
    opening.open(bench.code().as_ptr());
    timed("OPENING", &opening)?;
    timed("WAITING", &bench.waiting()?)?;
    if !bench.has(raw::CAP_OWN_TRANSPORT) {
        let serving = bench.waiting()?;
        let _stream = attached(&serving)?;
        timed("ATTACHED", &serving)?;
    }
    Ok(String::new())
}

fn timed(state: &str, instance: &Instance) -> Outcome<()> {
    let started = Instant::now();
    instance.destroy();
    let took = started.elapsed();
    ensure(took < Duration::from_secs(2), || {
        format!(
            "destroy() in {state} took {} ms; more than 2 s is a hang",
            took.as_millis()
        )
    })
}

fn silence(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close();
    instance.destroy();
    bench.host.is_over();
    std::thread::sleep(Duration::from_millis(300));
    let late = bench.host.late();
    ensure(late == 0, || format!("{late} calls came afterwards"))?;
    Ok(String::new())
}

fn leaves_nothing(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let before = Count::now();
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    instance.destroy();
    settle(|| Count::now().exceeds(&before))
}

fn hundred_opens(library: &Library) -> Outcome {
    let bench = library.bench()?;
    let instance = bench.waiting()?;
    instance.close_to_closed()?;
    let before = Count::now();
    for _ in 0..100 {
        instance.open_to_waiting(&bench.code())?;
        instance.close_to_closed()?;
    }
    settle(|| Count::now().exceeds(&before))
}

/// What this process holds.
struct Count {
    threads: usize,
    handles: usize,
    children: usize,
}

impl Count {
    fn now() -> Self {
        let entries = |folder: &str| std::fs::read_dir(folder).map_or(0, Iterator::count);
        let task = std::fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten();
        let children = task
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
            .map(|children| children.split_whitespace().count());
        Self {
            threads: entries("/proc/self/task"),
            handles: entries("/proc/self/fd"),
            children: children.sum(),
        }
    }

    /// What is more than it was.
    fn exceeds(&self, before: &Self) -> Option<String> {
        let more = |what: &str, now: usize, then: usize| {
            (now > then).then(|| format!("{} more {what}", now - then))
        };
        more("threads", self.threads, before.threads)
            .or_else(|| more("open handles", self.handles, before.handles))
            .or_else(|| more("processes", self.children, before.children))
    }
}

/// Things may take a moment to go; then they have to be gone.
fn settle(left: impl Fn() -> Option<String>) -> Outcome {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        match left() {
            None => return Ok(String::new()),
            Some(left) if Instant::now() > end => {
                return failed(format!("two seconds later there are {left} than before"));
            }
            Some(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

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

fn empty() -> raw::Text {
    raw::Text {
        data: null_mut(),
        capacity: 0,
        length: 0,
    }
}

fn text_in(buffer: &mut [u8]) -> raw::Text {
    raw::Text {
        data: buffer.as_mut_ptr().cast::<c_char>(),
        capacity: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
        length: 0,
    }
}
