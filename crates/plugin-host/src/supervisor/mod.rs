//! The supervisor: a small process between the launcher and one plugin host. It stays outside of
//! the sandbox, loads nothing, and knows no keys.
//!
//! - It is the subreaper (PR_SET_CHILD_SUBREAPER) of the plugin host and of everything that starts
//!   there. So no process gets away, whatever it does with its group, session and environment.
//! - It answers the system calls that the sandbox can't judge by their numbers alone
//!   (seccomp_unotify(2)): see `broker`.
//! - It removes the shared memory that was made, and bounds memory and processes as a whole.
//! - It outlives a launcher that was killed, and then has keys and buttons released that a tool of
//!   that launcher's has left held.
//!
//! ```text
//!  launcher ──▶ supervisor ──▶ plugin host ──▶ tools
//!   pipes ─────────────────────▲   │ connect(), kill(), fork(), shmget() …
//!                  ◀───────────────┘ by the listener of its seccomp filter
//! ```
//!
//! It ends in the way in which the plugin host ended, so that the launcher sees the cause.

mod broker;
mod display_address;
mod listener;
mod private_folder;
mod process_tree;
mod shared_memory;

use std::ffi::OsString;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

use crate::child::{CLEANUP_TIMEOUT, forbid_inspection};
use crate::descriptors;
use crate::wire::SOCKET_FD;
use broker::Broker;
pub(crate) use display_address::DisplayAddress;
use listener::Listener;
use private_folder::PrivateFolder;
use process_tree::ProcessTree;
pub(crate) use process_tree::descendants_of;

/// First argument with which the launcher starts itself as the supervisor.
pub const SUPERVISOR: &str = "plugin-supervisor";
/// Descriptor on which the plugin host gets its socket to the supervisor.
pub(crate) const GUARD_FD: i32 = 4;
/// Signal by which the launcher asks for an orderly end: SIGTERM for everybody, SIGKILL later.
pub(crate) const END: Signal = Signal::TERM;
/// Signal by which the launcher asks for an end at once.
pub(crate) const END_NOW: Signal = Signal::QUIT;

/// Difference of the nice value: foreign code gets a third of the launcher's share of a busy
/// processor, so that buttons answer while a plugin computes.
const NICE_DIFFERENCE: i32 = 5;
/// Time between SIGTERM and SIGKILL: a tool that is just killed can't save anything.
const TERM_GRACE: Duration = Duration::from_millis(200);
/// Time between two looks at what the whole tree uses, while that is little.
const USAGE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks once it uses more than a quarter of what it may.
const CLOSE_USAGE_INTERVAL: Duration = Duration::from_millis(250);

/// Time for what is to be put right after a dead launcher: the display may hang.
const AFTER_LAUNCHER_TIMEOUT: Duration = Duration::from_secs(3);
/// Variable that names the private folder, and the one by which programs know it.
pub(crate) const PRIVATE_FOLDER: &str = "ETATUKI_PRIVATE_FOLDER";
const TEMPORARY_FOLDER: &str = "TMPDIR";
/// Longest message of the plugin host: one byte and a display's name.
const MAX_GUARD_MESSAGE: usize = 512;
/// The supervisor's word to the plugin host: whether it can do its work.
const CAN_SUPERVISE: u8 = 1;
const CANNOT_SUPERVISE: u8 = 0;

/// Runs `etatuki plugin-supervisor`: starts this program once more with these arguments, as the
/// plugin host when there are none, and supervises it to its end.
///
/// When the launcher has died, `after_launcher` puts right what it can't put right itself: it is
/// called once everything else has ended, and has three seconds.
///
/// Call it before anything else opens files or starts threads.
pub fn run_supervisor(
    arguments: impl Iterator<Item = OsString>,
    after_launcher: impl FnOnce() + Send + 'static,
) -> ExitCode {
    let launcher = rustix::process::getppid();
    forbid_inspection();
    // Two processes with one command line would be hard to tell apart.
    let _ = rustix::thread::set_name(c"etatuki-superv");
    let mut arguments: Vec<_> = arguments.collect();
    if arguments.is_empty() {
        arguments.push("plugin-host".into());
    }
    match Supervisor::start(&arguments) {
        Ok(supervisor) => {
            let status = supervisor.run();
            if rustix::process::getppid() != launcher {
                run_for_a_while(after_launcher);
            }
            end_like(status)
        }
        Err(error) => {
            tracing::error!("the plugin host can't be supervised: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the tree is ended.
enum End {
    /// The plugin host ended, or everybody was asked to.
    Orderly,
    /// At once, without SIGTERM.
    Now,
    /// At once, because the tree uses too much; the log's words for it.
    Excess(String),
}

struct Supervisor {
    /// The child's exit status, once it has ended.
    status: Option<ExitStatus>,
    signals: OwnedFd,
    /// Our end of the socket on which the plugin host hands over its listener.
    guard: Option<OwnedFd>,
    broker: Option<Broker>,
    tree: ProcessTree,
    /// The only place where plugin and tools may write files; removed at the end.
    folder: Option<PrivateFolder>,
    /// Time at which everything is ended although the child still runs: the launcher is gone.
    deadline: Option<Instant>,
    usage_checked: Instant,
    usage_interval: Duration,
}

impl Supervisor {
    fn start(arguments: &[OsString]) -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // Before the child, so that no signal is lost.
        let signals = block_signals()?;
        let (guard, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let folder = PrivateFolder::create().ok();
        let child = spawn(arguments, theirs, folder.as_ref())?;
        let pid = Pid::from_child(&child);
        let can_supervise = match can_supervise(pid) {
            true => CAN_SUPERVISE,
            false => CANNOT_SUPERVISE,
        };
        rustix::net::send(&guard, &[can_supervise], SendFlags::NOSIGNAL)?;
        // Only the child writes there: their ends are its ends.
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(null)?;
        Ok(Self {
            status: None,
            signals,
            guard: Some(guard),
            broker: None,
            tree: ProcessTree::new(pid),
            folder,
            deadline: None,
            usage_checked: Instant::now(),
            usage_interval: CLOSE_USAGE_INTERVAL,
        })
    }

    /// Supervises until the child has ended or is to be ended, and ends what is left. Returns how
    /// the child ended.
    fn run(mut self) -> Option<ExitStatus> {
        let end = loop {
            if let Some(end) = self.step() {
                break end;
            }
        };
        if matches!(end, End::Orderly) {
            self.terminate();
        }
        // A call that nobody answers any more never starts a process.
        let shared_memory = self.broker.take().map(Broker::into_shared_memory);
        let status = self.tree.kill().or(self.status);
        drop(shared_memory);
        drop(self.folder);
        if let End::Excess(what) = end {
            say(&what);
        }
        status
    }

    /// Waits for the next thing that happens, and handles it.
    fn step(&mut self) -> Option<End> {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty()),
        ];
        let (guard, listener) = (self.guard.as_ref(), self.broker.as_ref());
        fds.extend(guard.map(|guard| PollFd::new(guard, PollFlags::IN)));
        fds.extend(listener.map(|broker| PollFd::from_borrowed_fd(broker.as_fd(), PollFlags::IN)));
        let timeout = Timespec::try_from(self.usage_interval).ok();
        let _ = poll(&mut fds, timeout.as_ref());
        let ready: Vec<_> = fds.iter().map(PollFd::revents).collect();
        let has = |index: usize, flag| ready.get(index).is_some_and(|flags| flags.contains(flag));
        if has(0, PollFlags::IN)
            && let Some(end) = self.on_signal()
        {
            return Some(end);
        }
        if has(1, PollFlags::HUP) {
            // The child sees the same, and has a moment to end by itself.
            self.deadline
                .get_or_insert_with(|| Instant::now() + 2 * CLEANUP_TIMEOUT);
        }
        if has(2, PollFlags::IN) || has(2, PollFlags::HUP) {
            self.on_third();
        }
        if self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            return Some(End::Orderly);
        }
        self.check_usage()
    }

    /// Asks every process to end, and goes on answering for at most [`TERM_GRACE`] until all have.
    fn terminate(&mut self) {
        self.tree.terminate();
        let end = Instant::now() + TERM_GRACE;
        while Instant::now() < end && self.tree.is_alive() {
            let mut fds: Vec<_> = self
                .broker
                .iter()
                .map(|broker| PollFd::from_borrowed_fd(broker.as_fd(), PollFlags::IN))
                .collect();
            let timeout = Timespec::try_from(Duration::from_millis(2)).ok();
            if poll(&mut fds, timeout.as_ref()).is_ok_and(|ready| ready > 0) {
                self.on_third();
            }
        }
    }

    /// Handles the third descriptor: the guard's socket, and later the listener.
    fn on_third(&mut self) {
        match (self.guard.take(), &mut self.broker) {
            (Some(guard), _) => self.broker = receive_listener(guard.as_fd()),
            (None, Some(broker)) => {
                if !broker.answer_next(&self.tree) {
                    self.broker = None;
                }
            }
            (None, None) => {}
        }
    }

    /// Handles one signal.
    fn on_signal(&mut self) -> Option<End> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        rustix::io::read(&self.signals, &mut info).ok()?;
        // The number is the first field (signalfd(2)).
        let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]).cast_signed();
        match number {
            libc::SIGCHLD => {
                self.status = self.status.or(self.tree.reap());
                self.status.map(|_| End::Orderly)
            }
            number if number == END_NOW.as_raw() => Some(End::Now),
            number if number == END.as_raw() => Some(End::Orderly),
            // The terminal's signals are for the launcher to act on.
            _ => None,
        }
    }

    /// Ends everything when the tree uses more than it may.
    fn check_usage(&mut self) -> Option<End> {
        if self.usage_checked.elapsed() < self.usage_interval {
            return None;
        }
        self.usage_checked = Instant::now();
        let Some(files) = self.folder.as_ref().map_or(Some(0), PrivateFolder::bytes) else {
            return Some(End::Excess("made too many files".to_owned()));
        };
        let (memory, handles) = self.tree.usage();
        let unmapped = self.broker.as_ref().map_or(0, Broker::bytes);
        let bytes = memory.saturating_add(files).saturating_add(unmapped);
        if bytes > process_tree::MAX_MEMORY {
            return Some(End::Excess(format!("used {} MiB of memory", bytes >> 20)));
        }
        let is_much =
            bytes > process_tree::MAX_MEMORY / 4 || handles > process_tree::MAX_HANDLES / 4;
        self.usage_interval = if is_much {
            CLOSE_USAGE_INTERVAL
        } else {
            USAGE_INTERVAL
        };
        let is_excess = handles > process_tree::MAX_HANDLES;
        is_excess.then(|| End::Excess(format!("had {handles} open files")))
    }
}

/// Tells the log why everything was ended. The pipe may be full, or set to fail by the plugin, so
/// this comes last and its failure doesn't count.
fn say(what: &str) {
    let stderr = io::stderr();
    let flags = rustix::fs::fcntl_getfl(&stderr).unwrap_or(rustix::fs::OFlags::empty());
    let _ = rustix::fs::fcntl_setfl(&stderr, flags | rustix::fs::OFlags::NONBLOCK);
    let _ = writeln!(stderr.lock(), "ended: plugin and tools {what}");
}

/// Runs a task on a thread of its own, for [`AFTER_LAUNCHER_TIMEOUT`] at most.
fn run_for_a_while(task: impl FnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::Builder::new().spawn(move || {
        task();
        drop(done);
    });
    if thread.is_ok() {
        let _ = ended.recv_timeout(AFTER_LAUNCHER_TIMEOUT);
    }
}

/// Blocks the signals that the supervisor reads, and returns the descriptor to read them from.
fn block_signals() -> io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the set is initialised by the first call; the result is a descriptor of our own.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let signals = [
            libc::SIGCHLD,
            libc::SIGHUP,
            libc::SIGINT,
            END.as_raw(),
            END_NOW.as_raw(),
        ];
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Starts this program with these arguments, as the leader of a process group. It gets our stdio,
/// the launcher's socket if there is one, the guard's socket, and nothing else.
fn spawn(
    arguments: &[OsString],
    guard: OwnedFd,
    folder: Option<&PrivateFolder>,
) -> io::Result<Child> {
    let mut mappings = vec![FdMapping {
        parent_fd: guard,
        child_fd: GUARD_FD,
    }];
    mappings.extend(
        descriptors::claim_socket(SOCKET_FD).map(|socket| FdMapping {
            parent_fd: socket,
            child_fd: SOCKET_FD,
        }),
    );
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).process_group(0);
    if let Some(display) = display_address::numeric_display() {
        command.env("DISPLAY", display);
    }
    if let Some(folder) = folder {
        command.envs([PRIVATE_FOLDER, TEMPORARY_FOLDER].map(|name| (name, folder.path())));
    }
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    let in_child = || {
        // Inherited from us, who block some.
        // SAFETY: plain calls on an own, initialised set.
        unsafe {
            let mut none = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        }
        // A supervisor that is killed ends the plugin host with it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let _ = rustix::process::nice(NICE_DIFFERENCE);
        descriptors::close_on_exec_from(GUARD_FD + 1);
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(in_child) };
    command.spawn()
}

/// Returns whether we may read the child's arguments and descriptors: a container or a hardened
/// kernel (Yama's ptrace_scope 2 and 3) may forbid it.
fn can_supervise(child: Pid) -> bool {
    let Ok(child) = pidfd_open(child, PidfdFlags::empty()) else {
        return false;
    };
    pidfd_getfd(child, io::stdin().as_raw_fd(), PidfdGetfdFlags::empty()).is_ok()
}

/// Receives the listener of the plugin host's filter, with one byte that says whether it may use
/// the network, and the display's name; `None` when it ended before, or has no filter.
fn receive_listener(guard: BorrowedFd<'_>) -> Option<Broker> {
    let mut message = [0; MAX_GUARD_MESSAGE];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut buffer = [io::IoSliceMut::new(&mut message)];
    let received = recvmsg(guard, &mut buffer, &mut control, flags).ok()?.bytes;
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    })?;
    let (network, display) = message[..received].split_first()?;
    let display = DisplayAddress::parse(std::str::from_utf8(display).ok()?);
    Some(Broker::new(Listener::new(listener), display, *network == 1))
}

/// The plugin host's end of the socket to its supervisor.
pub(crate) struct Guard(OwnedFd);

impl Guard {
    /// Takes the socket, and waits for the supervisor's word. `None` when there is no supervisor,
    /// or when the system doesn't let it supervise.
    pub(crate) fn claim() -> Option<Self> {
        let socket = descriptors::claim_socket(GUARD_FD)?;
        let mut word = [CANNOT_SUPERVISE];
        let (received, _) = rustix::net::recv(&socket, &mut word[..], RecvFlags::empty()).ok()?;
        (received == 1 && word[0] == CAN_SUPERVISE).then_some(Self(socket))
    }

    /// Hands the listener over, with what may be connected to.
    pub(crate) fn send_listener(
        self,
        listener: OwnedFd,
        network: bool,
        display: &str,
    ) -> io::Result<()> {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let handles = [listener.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&handles));
        let network = [u8::from(network)];
        let bytes = [&network[..], display.as_bytes()].map(io::IoSlice::new);
        sendmsg(&self.0, &bytes, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Ends this process with the exit code or by the signal that ended the child.
fn end_like(status: Option<ExitStatus>) -> ! {
    let signal = status.and_then(|status| status.signal());
    if let Some(signal) = signal {
        // SAFETY: the signal has its default action again, and ends this process.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            let mut only = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(only.as_mut_ptr());
            libc::sigaddset(only.as_mut_ptr(), signal);
            // The launcher's own signals stay blocked: one may be waiting.
            libc::sigprocmask(libc::SIG_UNBLOCK, only.as_ptr(), std::ptr::null_mut());
            libc::raise(signal);
        }
    }
    crate::child::exit_now(status.and_then(|status| status.code()).unwrap_or(1))
}
