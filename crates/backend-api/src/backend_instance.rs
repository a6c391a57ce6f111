//! One instance: the worker thread, which runs `open` and `close` in order, the thread that runs
//! `attach`, and their end. Raw pointers are in `table` alone.

use std::net::Shutdown;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use zeroize::Zeroizing;

use crate::host::Shared;
use crate::machine::Machine;
use crate::panics::catch_panic;
use crate::{Backend, Failure, Fault, Host, LogLevel, Permissions, State, raw};

/// Job for the worker.
pub(crate) enum Job {
    Open(Zeroizing<String>),
    Close,
    /// Tells the backend the last permissions.
    Permissions,
    Quit,
}

/// An instance behind the interface.
pub(crate) struct BackendInstance<B> {
    shared: Arc<Shared>,
    backend: Arc<B>,
    permissions: Arc<LastPermissions>,
    attachment: Arc<Mutex<Option<Attachment>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// The permissions as the host gave them last. The lock is held while the backend is told, so that
/// it never learns an earlier set after a later one.
type LastPermissions = Mutex<Permissions>;

/// A stream that is being served: a handle to shut it down, and its thread.
struct Attachment {
    stream: OwnedFd,
    thread: JoinHandle<()>,
}

impl<B: Backend> BackendInstance<B> {
    /// # Safety
    /// As [`Shared::new`].
    pub(crate) unsafe fn new(host: *const raw::Host) -> Result<Self, i32> {
        let (jobs, queue) = channel();
        // SAFETY: the caller guarantees it.
        let shared = Arc::new(unsafe { Shared::new(host, jobs) }.ok_or(raw::E_ARGUMENT)?);
        Self::start(&shared, queue).inspect_err(|_| shared.forget_host())
    }

    fn start(shared: &Arc<Shared>, queue: Receiver<Job>) -> Result<Self, i32> {
        let backend = catch_panic(|| B::new(Host(Arc::clone(shared)))).map_err(|failure| {
            shared.log(LogLevel::Error, &failure.text);
            raw::E_INTERNAL
        })?;
        let instance = Self {
            shared: Arc::clone(shared),
            backend: Arc::new(backend),
            permissions: Arc::default(),
            attachment: Arc::default(),
            worker: Mutex::new(None),
        };
        instance.start_worker(queue)?;
        Ok(instance)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    pub(crate) fn open(&self, code: &str) -> i32 {
        if !self.shared.apply(Machine::open) {
            return raw::E_STATE;
        }
        self.shared
            .queue(Job::Open(Zeroizing::new(code.to_owned())));
        raw::OK
    }

    pub(crate) fn close(&self) -> i32 {
        self.shared.begin_close();
        raw::OK
    }

    /// Tells the backend at once, not on the worker: what the host lets through after this call is
    /// already under the new permissions. While the backend opens or closes, the worker tells it
    /// afterwards.
    pub(crate) fn permissions(&self, permissions: Permissions) -> i32 {
        let mut last = lock(&self.permissions);
        *last = permissions;
        if !matches!(
            self.shared.machine().state(),
            State::Waiting | State::Attached
        ) {
            self.shared.queue(Job::Permissions);
            return raw::OK;
        }
        match tell_permissions(&self.shared, &*self.backend, *last) {
            true => raw::OK,
            false => raw::E_INTERNAL,
        }
    }

    /// Restricts at once, not on the worker, so that it holds for an `attach` right after it.
    pub(crate) fn restrict_to_app(&self, pids: &[u32]) -> i32 {
        if self.shared.machine().state() != State::Waiting {
            return raw::E_STATE;
        }
        match self.backend.restrict_to_app(pids) {
            Ok(()) => raw::OK,
            Err(failure) => {
                let status = Fault::status(failure.fault);
                self.shared.machine().record_failure(failure);
                status
            }
        }
    }

    /// Attaches a socket; owns it when it returns [`raw::OK`], and only then.
    ///
    /// # Safety
    /// `handle` is an open file descriptor which becomes ours on success.
    pub(crate) unsafe fn attach(&self, handle: RawFd) -> i32 {
        // SAFETY: it is open during this call.
        let Ok(stream) = unsafe { BorrowedFd::borrow_raw(handle) }.try_clone_to_owned() else {
            return raw::E_RESOURCES;
        };
        // Locked before the transition: a close in between must find the stream that it has to shut
        // down.
        let mut slot = lock(&self.attachment);
        if !self.shared.apply(Machine::attach) {
            return raw::E_STATE;
        }
        if let Some(earlier) = slot.take() {
            let _ = earlier.thread.join();
        }
        let backend = Arc::clone(&self.backend);
        let shared = Arc::clone(&self.shared);
        let serve = move || {
            // SAFETY: the thread runs, so `attach` returns OK, so the descriptor is ours.
            let stream = unsafe { UnixStream::from_raw_fd(handle) };
            let result = catch_panic(|| backend.attach(stream)).flatten();
            match result {
                Ok(()) => shared.apply(Machine::detached),
                Err(failure) => shared.apply(|machine| machine.failed(failure)),
            };
        };
        match Builder::new().name("backend-attach".into()).spawn(serve) {
            Ok(thread) => {
                *slot = Some(Attachment { stream, thread });
                raw::OK
            }
            Err(error) => {
                drop(slot);
                self.shared.apply(Machine::detached);
                self.shared.machine().record_failure(Failure::ours(
                    "plugin-failed",
                    format!("no thread: {error}"),
                ));
                raw::E_RESOURCES
            }
        }
    }

    /// Closes the session, and joins every thread. No call of the host follows.
    pub(crate) fn destroy(self) {
        self.shared.begin_close();
        self.shared.queue(Job::Quit);
        if let Some(worker) = lock(&self.worker).take() {
            let _ = worker.join();
        }
        end_stream(&self.attachment);
        let Self {
            shared, backend, ..
        } = self;
        // Before the host is forgotten, since the backend's own drop may still report.
        if let Err(failure) = catch_panic(move || drop(backend)) {
            shared.log(LogLevel::Error, &failure.text);
        }
        shared.forget_host();
    }

    fn start_worker(&self, queue: Receiver<Job>) -> Result<(), i32> {
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            backend: Arc::clone(&self.backend),
            permissions: Arc::clone(&self.permissions),
            attachment: Arc::clone(&self.attachment),
        };
        let thread = Builder::new()
            .name("backend".into())
            .spawn(move || worker.run(&queue));
        *lock(&self.worker) = Some(thread.map_err(|_| raw::E_RESOURCES)?);
        Ok(())
    }
}

struct Worker<B> {
    shared: Arc<Shared>,
    backend: Arc<B>,
    permissions: Arc<LastPermissions>,
    attachment: Arc<Mutex<Option<Attachment>>>,
}

impl<B: Backend> Worker<B> {
    fn run(&self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Open(code) => self.open(&code),
                Job::Close => self.close(),
                Job::Permissions => {
                    let last = lock(&self.permissions);
                    tell_permissions(&self.shared, &*self.backend, *last);
                }
                Job::Quit => break,
            }
        }
    }

    fn open(&self, code: &str) {
        let result = catch_panic(|| self.backend.open(code)).flatten();
        if let Err(failure) = result {
            self.shared.apply(|machine| machine.failed(failure));
        }
    }

    /// Closes the session. The stream is shut down first, so that its reader wakes up and a
    /// backend's `close` waits for nobody.
    fn close(&self) {
        shut_down(&self.attachment);
        if let Err(failure) = catch_panic(|| self.backend.close()) {
            self.shared.log(LogLevel::Error, &failure.text);
            self.shared.machine().record_failure(failure);
        }
        end_stream(&self.attachment);
        self.shared.apply(Machine::closed);
    }
}

/// Returns whether the backend took them; a panic makes it `failed`.
fn tell_permissions<B: Backend>(shared: &Shared, backend: &B, permissions: Permissions) -> bool {
    let told = catch_panic(|| backend.permissions(permissions));
    told.map_err(|failure| shared.apply(|machine| machine.failed(failure)))
        .is_ok()
}

/// Shuts the stream down for both sides; its owner sees the end and returns.
fn shut_down(attachment: &Mutex<Option<Attachment>>) {
    if let Some(attachment) = &*lock(attachment) {
        let stream = attachment.stream.try_clone().map(UnixStream::from);
        let _ = stream.and_then(|stream| stream.shutdown(Shutdown::Both));
    }
}

/// Shuts the stream down, and joins its thread.
fn end_stream(attachment: &Mutex<Option<Attachment>>) {
    shut_down(attachment);
    join(attachment);
}

fn join(attachment: &Mutex<Option<Attachment>>) {
    let attachment = lock(attachment).take();
    if let Some(attachment) = attachment {
        let _ = attachment.thread.join();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
