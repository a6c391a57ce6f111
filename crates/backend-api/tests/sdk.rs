//! The SDK, called through the C interface as a host would, in this process. Hangs and crashes,
//! which need a process of their own, are tested in `plugin-host`.

#![allow(clippy::unwrap_used)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Fault, Host, LogLevel, Permissions,
    Probe, State, Unusable, raw, text,
};

/// A backend whose options choose its behaviour.
struct Test {
    host: Host,
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Backend for Test {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "test",
        name: "Täst",
        vendor: "Us",
        version: "1.0.0",
        code_form: CodeForm::SingleCode,
        capabilities: Capabilities::RESIZE,
    };

    fn new(host: Host) -> Self {
        assert!(host.options()["new"] != "panic", "told to panic in new");
        Test { host }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        match self.host.options()["probe"].as_str() {
            Some("panic") => panic!("told to panic in probe"),
            Some(why) => Err(Unusable {
                name: "tool-missing",
                text: why.to_owned(),
            }),
            None => Ok(Probe {
                tool: Some("t".repeat(300)),
                version: None,
            }),
        }
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        match self.host.options()["open"].as_str() {
            Some("panic") => panic!("told to panic in open"),
            Some("fail") => Err(Failure::tool("tool-died", "told to fail")),
            Some("wait, then linger") => {
                self.host.waiting(code);
                while !self.host.is_closing() {
                    std::thread::yield_now();
                }
                Ok(())
            }
            Some("wait for close") => {
                while !self.host.is_closing() {
                    std::thread::yield_now();
                }
                assert!(!self.host.waiting(code), "too late to be waiting");
                Ok(())
            }
            _ => {
                self.host.waiting(code);
                Ok(())
            }
        }
    }

    fn close(&self) {
        self.host.log(LogLevel::Info, "close\0d");
        assert!(
            self.host.options()["close"] != "panic",
            "told to panic in close"
        );
    }

    fn attach(&self, mut stream: UnixStream) -> Result<(), Failure> {
        if self.host.options()["attach"] == "end" {
            self.host.closed();
        }
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|length| length == 1) {
            assert!(byte != *b"p", "told to panic in attach");
            let _ = stream.write_all(&byte);
        }
        Ok(())
    }

    fn permissions(&self, permissions: Permissions) {
        let Permissions { view, control } = permissions;
        self.host.log(LogLevel::Debug, &format!("{view} {control}"));
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

etatuki_backend_api::export_backend!(Test);

/// A host as a C program would have it.
struct TestHost {
    table: Box<raw::Host>,
    options: CString,
    events: Mutex<Sender<String>>,
}

unsafe extern "C" fn changed(host: *const raw::Host) {
    record_event(host, "changed".into());
}

unsafe extern "C" fn log(host: *const raw::Host, level: u32, message: *const c_char) {
    // SAFETY: the SDK's C string.
    let message = unsafe { CStr::from_ptr(message) }.to_str().unwrap();
    record_event(host, format!("{level} {message}"));
}

fn record_event(host: *const raw::Host, event: String) {
    // SAFETY: `start` set it to the test host.
    let host = unsafe { &*(*host).host_data.cast::<TestHost>() };
    let _ = host.events.lock().unwrap().send(event);
}

unsafe extern "C" fn options(host: *const raw::Host, out: *mut raw::Text) -> i32 {
    // SAFETY: as above.
    let host = unsafe { &*(*host).host_data.cast::<TestHost>() };
    // SAFETY: the SDK's buffer.
    unsafe { text::write(out, host.options.to_str().unwrap()) }
}

unsafe extern "C" fn language(_host: *const raw::Host, out: *mut raw::Text) -> i32 {
    // SAFETY: the SDK's buffer.
    unsafe { text::write(out, "fi") }
}

unsafe extern "C" fn extension(_host: *const raw::Host, _name: *const c_char) -> *const c_void {
    std::ptr::null()
}

/// An instance with its functions as methods.
struct Instance {
    raw: *const raw::Instance,
    events: Receiver<String>,
    _host: Box<TestHost>,
}

// SAFETY: state, code and error may be read from any thread; nothing else is in these tests.
unsafe impl Sync for Instance {}

macro_rules! call {
    ($instance:expr, $function:ident $(, $argument:expr)*) => {
        // SAFETY: the table is complete, the instance is alive, and the arguments are what the
        // header asks for.
        unsafe { ((*$instance.raw).$function.unwrap())($instance.raw $(, $argument)*) }
    };
}

impl Instance {
    fn try_start(options: &str) -> Result<Self, i32> {
        let (sender, events) = channel();
        let mut host = Box::new(TestHost {
            table: Box::new(raw::Host {
                struct_size: size_of::<raw::Host>() as u32,
                reserved: 0,
                host_data: std::ptr::null_mut(),
                changed: Some(changed),
                log: Some(log),
                options: Some(self::options),
                language: Some(language),
                extension: Some(extension),
            }),
            options: CString::new(options).unwrap(),
            events: Mutex::new(sender),
        });
        host.table.host_data = (&raw mut *host).cast();
        let mut instance = std::ptr::null();
        let descriptor = etatuki_backend_api::__descriptor::<Test>();
        // SAFETY: the header's terms.
        match unsafe { (descriptor.create.unwrap())(&raw const *host.table, &raw mut instance) } {
            raw::OK => Ok(Self {
                raw: instance,
                events,
                _host: host,
            }),
            status => {
                assert!(instance.is_null());
                Err(status)
            }
        }
    }

    fn start(options: &str) -> Self {
        Self::try_start(options).unwrap()
    }

    fn open(&self) -> i32 {
        call!(self, open, c"123456789012".as_ptr())
    }

    fn attach(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(call!(self, attach, theirs.into_raw_fd() as isize), raw::OK);
        ours
    }

    fn state(&self) -> State {
        State::from_raw(call!(self, state)).unwrap()
    }

    fn wait_for(&self, state: State) {
        while self.state() != state {
            self.events
                .recv_timeout(Duration::from_secs(20))
                .expect("an event before long");
        }
    }

    fn error(&self) -> (Option<Fault>, String, String) {
        let mut status = -1;
        let mut empty = raw::Text {
            data: std::ptr::null_mut(),
            capacity: 0,
            length: 0,
        };
        let name = text::read(|out| call!(self, last_error, &raw mut status, out, &raw mut empty))
            .unwrap();
        let words =
            text::read(|out| call!(self, last_error, std::ptr::null_mut(), &raw mut empty, out))
                .unwrap();
        (
            Fault::from_status(status),
            name.to_string(),
            words.to_string(),
        )
    }

    fn code(&self) -> Result<String, i32> {
        text::read(|out| call!(self, session_code, out)).map(|code| code.to_string())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        call!(self, destroy);
    }
}

#[test]
fn a_session_from_open_to_closed_twice() {
    let instance = Instance::start("null");
    for _ in 0..2 {
        assert_eq!(
            (instance.state(), instance.code()),
            (State::Closed, Err(raw::E_STATE))
        );
        assert_eq!(instance.open(), raw::OK);
        instance.wait_for(State::Waiting);
        assert_eq!(instance.code().as_deref(), Ok("123456789012"));
        assert_eq!(instance.open(), raw::E_STATE);
        for _ in 0..2 {
            let mut stream = instance.attach();
            assert_eq!(instance.state(), State::Attached);
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            drop(stream);
            instance.wait_for(State::Waiting);
        }
        assert_eq!(call!(instance, close), raw::OK);
        assert_eq!(call!(instance, close), raw::OK);
        instance.wait_for(State::Closed);
    }
}

#[test]
fn an_attached_socket_is_the_hosts_unless_ok_was_returned() {
    let instance = Instance::start("null");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = theirs.into_raw_fd();
    assert_eq!(call!(instance, attach, theirs as isize), raw::E_STATE);
    assert_eq!(call!(instance, attach, -1), raw::E_ARGUMENT);
    assert_eq!(instance.open(), raw::OK);
    instance.wait_for(State::Waiting);
    assert_eq!(call!(instance, attach, theirs as isize), raw::OK);
    assert_eq!(call!(instance, attach, theirs as isize), raw::E_STATE);
    (&ours).write_all(b"x").unwrap();
    (&ours).read_exact(&mut [0]).unwrap();
}

#[test]
fn close_ends_the_attached_stream() {
    let instance = Instance::start("null");
    instance.open();
    instance.wait_for(State::Waiting);
    let mut stream = instance.attach();
    assert_eq!(call!(instance, close), raw::OK);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    instance.wait_for(State::Closed);
}

#[test]
fn close_while_opening_gives_the_open_up() {
    let instance = Instance::start(r#"{"open": "wait for close"}"#);
    assert_eq!(instance.open(), raw::OK);
    assert_eq!(instance.state(), State::Opening);
    assert_eq!(call!(instance, close), raw::OK);
    instance.wait_for(State::Closed);
}

#[test]
fn a_backend_may_end_by_itself() {
    let instance = Instance::start(r#"{"attach": "end"}"#);
    instance.open();
    instance.wait_for(State::Waiting);
    let mut stream = instance.attach();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    instance.wait_for(State::Closed);
    assert_eq!(instance.error().0, None);
}

/// Checks that this ends in `failed`, with this fault, name and text.
fn check_failure(options: &str, provoke: impl Fn(&Instance), expected: (Fault, &str, &str)) {
    let instance = Instance::start(options);
    assert_eq!(instance.open(), raw::OK);
    provoke(&instance);
    instance.wait_for(State::Failed);
    let (fault, name, words) = instance.error();
    assert_eq!(
        (fault, name.as_str(), words.as_str()),
        (Some(expected.0), expected.1, expected.2)
    );
    assert_eq!(instance.code(), Err(raw::E_STATE));
    assert_eq!(instance.open(), raw::E_STATE);
    call!(instance, close);
    instance.wait_for(State::Closed);
}

#[test]
fn failures_and_panics_become_the_state_failed() {
    check_failure(
        r#"{"open":"fail"}"#,
        |_| {},
        (Fault::Tool, "tool-died", "told to fail"),
    );
    let panicked = "the plugin panicked: told to panic in open";
    check_failure(
        r#"{"open":"panic"}"#,
        |_| {},
        (Fault::Plugin, "plugin-failed", panicked),
    );
    let attach = |instance: &Instance| {
        instance.wait_for(State::Waiting);
        instance.attach().write_all(b"p").unwrap();
    };
    check_failure(
        "null",
        attach,
        (
            Fault::Plugin,
            "plugin-failed",
            "the plugin panicked: told to panic in attach",
        ),
    );
}

#[test]
fn a_panic_in_close_still_closes() {
    let instance = Instance::start(r#"{"close":"panic"}"#);
    instance.open();
    instance.wait_for(State::Waiting);
    call!(instance, close);
    instance.wait_for(State::Closed);
    assert_eq!(
        instance.error().2,
        "the plugin panicked: told to panic in close"
    );
}

#[test]
fn a_panic_in_new_is_a_status() {
    assert_eq!(
        Instance::try_start(r#"{"new":"panic"}"#).err(),
        Some(raw::E_INTERNAL)
    );
}

#[test]
fn probe_answers_or_says_why_not() {
    let mut short = raw::Text {
        data: std::ptr::null_mut(),
        capacity: 0,
        length: 0,
    };
    let instance = Instance::start("null");
    let tool = text::read(|out| call!(instance, probe, out, &raw mut short)).unwrap();
    assert_eq!((tool.len(), short.length), (300, 0));
    instance.open();
    assert_eq!(
        call!(instance, probe, &raw mut short, &raw mut short),
        raw::E_STATE
    );

    let instance = Instance::start(r#"{"probe":"nothing there"}"#);
    assert_eq!(
        call!(instance, probe, &raw mut short, &raw mut short),
        raw::E_UNUSABLE
    );
    assert_eq!(
        instance.error(),
        (
            Some(Fault::Tool),
            "tool-missing".into(),
            "nothing there".into()
        )
    );

    let instance = Instance::start(r#"{"probe":"panic"}"#);
    assert_eq!(
        call!(instance, probe, &raw mut short, &raw mut short),
        raw::E_INTERNAL
    );
    assert_eq!(instance.error().0, Some(Fault::Plugin));
}

#[test]
fn null_is_an_error_and_never_a_crash() {
    let instance = Instance::start("null");
    let nobody = Nobody {
        raw: std::ptr::null(),
    };
    // SAFETY: null is what is tested; the table is the live instance's.
    let table = unsafe { &*instance.raw };
    let null = std::ptr::null_mut();
    // SAFETY: the header allows null here and wants an error back.
    unsafe {
        assert_eq!((table.probe.unwrap())(nobody.raw, null, null), raw::E_NULL);
        assert_eq!(
            (table.open.unwrap())(nobody.raw, std::ptr::null()),
            raw::E_NULL
        );
        assert_eq!((table.close.unwrap())(nobody.raw), raw::E_NULL);
        assert_eq!((table.state.unwrap())(nobody.raw), raw::STATE_FAILED);
        assert_eq!((table.session_code.unwrap())(nobody.raw, null), raw::E_NULL);
        assert_eq!(
            (table.last_error.unwrap())(nobody.raw, std::ptr::null_mut(), null, null),
            raw::E_NULL
        );
        assert_eq!((table.attach.unwrap())(nobody.raw, 0), raw::E_NULL);
        assert_eq!((table.permissions.unwrap())(nobody.raw, 0), raw::E_NULL);
        assert!((table.extension.unwrap())(nobody.raw, std::ptr::null()).is_null());
        (table.destroy.unwrap())(nobody.raw);
    }
    assert_eq!(call!(instance, probe, null, null), raw::E_NULL);
    assert_eq!(call!(instance, open, std::ptr::null()), raw::E_NULL);
    assert_eq!(call!(instance, open, c"\xff".as_ptr()), raw::E_ARGUMENT);
    assert_eq!(
        call!(instance, last_error, std::ptr::null_mut(), null, null),
        raw::E_NULL
    );
    instance.open();
    instance.wait_for(State::Waiting);
    assert_eq!(call!(instance, session_code, null), raw::E_NULL);

    let create = etatuki_backend_api::__descriptor::<Test>().create.unwrap();
    let mut out = std::ptr::null();
    let short = raw::Host {
        struct_size: 8,
        ..*instance._host.table
    };
    // SAFETY: as above.
    unsafe {
        assert_eq!(create(std::ptr::null(), &raw mut out), raw::E_NULL);
        assert_eq!(create(&raw const short, std::ptr::null_mut()), raw::E_NULL);
        assert_eq!(create(&raw const short, &raw mut out), raw::E_ARGUMENT);
    }
}

struct Nobody {
    raw: *const raw::Instance,
}

#[test]
fn state_may_be_read_from_eight_threads_while_a_session_runs() {
    let instance = Instance::start("null");
    let start = Barrier::new(9);
    let raw = instance.raw.expose_provenance();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let start = &start;
            scope.spawn(move || {
                let nobody = Nobody {
                    raw: std::ptr::with_exposed_provenance(raw),
                };
                start.wait();
                for _ in 0..2000 {
                    assert!(State::from_raw(call!(nobody, state)).is_some());
                }
            });
        }
        start.wait();
        for _ in 0..20 {
            assert_eq!(instance.open(), raw::OK);
            instance.wait_for(State::Waiting);
            call!(instance, close);
            instance.wait_for(State::Closed);
        }
    });
}

/// The agent's first key may come right after the call.
#[test]
fn permissions_are_in_force_when_the_call_returns() {
    let instance = Instance::start(r#"{"open":"wait, then linger"}"#);
    instance.open();
    instance.wait_for(State::Waiting);
    // The worker is in `open` until the end.
    for (set, told) in [
        (raw::PERMISSION_VIEW, "4 true false"),
        (
            raw::PERMISSION_VIEW | raw::PERMISSION_CONTROL,
            "4 true true",
        ),
        (0, "4 false false"),
    ] {
        assert_eq!(call!(instance, permissions, set), raw::OK);
        let events: Vec<_> = instance.events.try_iter().collect();
        assert!(events.iter().any(|event| event == told), "{events:?}");
    }
}

#[test]
fn permissions_that_come_while_it_opens_are_told_afterwards() {
    let instance = Instance::start(r#"{"open":"wait for close"}"#);
    instance.open();
    let set = raw::PERMISSION_VIEW;
    assert_eq!(call!(instance, permissions, set), raw::OK);
    call!(instance, close);
    let told = || instance.events.recv_timeout(Duration::from_secs(20));
    while told().expect("it is told") != "4 true false" {}
}

#[test]
fn destroy_closes_drops_and_calls_nobody_afterwards() {
    let before = DROPPED.load(Ordering::SeqCst);
    let instance = Instance::start("null");
    instance.open();
    instance.wait_for(State::Waiting);
    let mut stream = instance.attach();
    call!(
        instance,
        permissions,
        raw::PERMISSION_VIEW | raw::PERMISSION_CONTROL
    );
    let Instance { raw, .. } = &instance;
    // SAFETY: the last call on it; `forget` keeps Drop from a second one.
    unsafe { ((**raw).destroy.unwrap())(*raw) };
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(DROPPED.load(Ordering::SeqCst) > before);
    let events: Vec<String> = instance.events.try_iter().collect();
    assert!(events.contains(&"4 true true".to_owned()), "{events:?}");
    assert!(events.contains(&"3 close d".to_owned()), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("changed"));
    assert!(instance.events.try_recv().is_err());
    std::mem::forget(instance);
}

#[test]
fn the_descriptor_is_what_the_trait_says() {
    let descriptor = etatuki_backend_api::__descriptor::<Test>();
    // SAFETY: the descriptor's texts are constants.
    let text = |text: *const c_char| unsafe { CStr::from_ptr(text) }.to_str().unwrap();
    assert_eq!(text(descriptor.id), "test");
    assert_eq!(text(descriptor.name), "Täst");
    assert_eq!(text(descriptor.vendor), "Us");
    assert_eq!(text(descriptor.version), "1.0.0");
    assert_eq!(text(descriptor.code_form), "remoteus");
    assert_eq!(descriptor.capabilities, raw::CAP_RESIZE);
}
