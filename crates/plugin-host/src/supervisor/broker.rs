//! Answers system calls of the plugin host and its tools. Here is what each of them may do:
//!
//! | call | answer |
//! |---|---|
//! | `connect` | to the display, and with the network to any address of it; no other Unix socket |
//! | signals | to processes of the tree |
//! | `setpgid` | to a new group, or one of the tree |
//! | `clone`, `fork`, `vfork` | up to [`MAX_TASKS`] processes and threads |
//! | `shmget`, `shmat`, `shmctl` | segments that were made here |
//! | `memfd_create` | up to [`MAX_MEMORY_FILES`] |
//!
//! The caller's memory can change while it is looked at, so a call with a pointer is carried out
//! here, on a copy of what was judged. Only a call that is judged by its arguments' values goes on
//! in the kernel.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Pid;

use crate::child::sandbox::MAX_FILE_SIZE;

use super::display_address::DisplayAddress;
use super::listener::{Answer, Listener, Notification, REFUSED};
use super::process_tree::{MAX_TASKS, ProcessTree, is_descendant, process_of};
use super::shared_memory::SharedMemory;

/// Most files without a name. Each is bounded by the size of a file.
const MAX_MEMORY_FILES: usize = 32;
/// Calls that may be answered at once: a connection to a machine that is silent takes minutes.
const MAX_ANSWERING: usize = 32;
/// Largest address of a socket (`struct sockaddr_storage`).
const MAX_ADDRESS_BYTES: u64 = 128;

const INVALID: Answer = Answer::Error(libc::EINVAL);
const NO_MORE: Answer = Answer::Error(libc::EAGAIN);

/// Answers the calls that come through one listener.
pub(super) struct Broker {
    listener: Arc<Listener>,
    display: Arc<DisplayAddress>,
    /// Whether the plugin may use the network.
    network: bool,
    answering: Arc<AtomicUsize>,
    shared_memory: SharedMemory,
    memory_files: usize,
    /// Upper bound of the number of tasks: the last count, and those started since.
    tasks: usize,
}

impl Broker {
    pub(super) fn new(listener: Listener, display: DisplayAddress, network: bool) -> Self {
        Self {
            listener: Arc::new(listener),
            display: Arc::new(display),
            network,
            answering: Arc::default(),
            shared_memory: SharedMemory::default(),
            memory_files: 0,
            tasks: 1,
        }
    }

    /// Answers the call that waits. Returns false when there will be none any more.
    pub(super) fn answer_next(&mut self, tree: &ProcessTree) -> bool {
        match self.listener.receive() {
            Ok(Some(call)) if call.call == libc::SYS_connect => {
                let (display, network) = (Arc::clone(&self.display), self.network);
                self.answer_on_thread(call, move |listener| {
                    connect_socket(listener, &call, &display, network)
                });
            }
            Ok(Some(call)) if call.call == libc::SYS_pidfd_send_signal => {
                self.answer_on_thread(call, move |listener| signal_by_handle(listener, &call));
            }
            Ok(Some(call)) => {
                let answer = self.judge(&call, tree);
                self.listener.answer(&call, answer);
            }
            Ok(None) => {}
            Err(_) => return false,
        }
        true
    }

    /// Returns the most bytes of segments and files without a name, which may be nobody's memory. A
    /// file counts as full also when it is closed again.
    pub(super) fn bytes(&self) -> u64 {
        let files = MAX_FILE_SIZE * self.memory_files as u64;
        files.saturating_add(self.shared_memory.bytes())
    }

    /// Stops answering, and keeps the shared memory until it is dropped.
    pub(super) fn into_shared_memory(self) -> SharedMemory {
        self.shared_memory
    }

    fn judge(&mut self, call: &Notification, tree: &ProcessTree) -> Answer {
        let [first, second, third, ..] = call.args;
        let unix_id = |number: u64| (number & 0xffff_ffff) as u32 as i32;
        match call.call {
            libc::SYS_kill => judge_kill(call.thread, unix_id(first), tree),
            libc::SYS_tkill
            | libc::SYS_tgkill
            | libc::SYS_rt_sigqueueinfo
            | libc::SYS_rt_tgsigqueueinfo => judge_process(unix_id(first), tree),
            // `kill` may mean the caller's own group, which therefore is always the tree's.
            libc::SYS_setpgid => match unix_id(second) {
                0 => Answer::Continue,
                group => judge_group(Pid::from_raw(group).filter(|_| group > 0), tree),
            },
            libc::SYS_shmget if unix_id(first) == libc::IPC_PRIVATE => {
                let made = self.shared_memory.create(second, third);
                made.map_or_else(Answer::from, |id| Answer::Value(id.into()))
            }
            libc::SYS_shmat if self.shared_memory.has(unix_id(first)) => Answer::Continue,
            libc::SYS_shmctl if self.shared_memory.has(unix_id(first)) => {
                // Older C libraries add a bit that tells the structure's version (IPC_64).
                match unix_id(second) & 0xff {
                    libc::IPC_STAT => Answer::Continue,
                    libc::IPC_RMID => {
                        self.shared_memory.remove(unix_id(first));
                        Answer::Value(0)
                    }
                    _ => REFUSED,
                }
            }
            libc::SYS_memfd_create if self.memory_files < MAX_MEMORY_FILES => {
                self.memory_files += 1;
                Answer::Continue
            }
            libc::SYS_memfd_create => Answer::Error(libc::ENFILE),
            _ if is_new_task(call.call) => self.admit_task(tree),
            _ => REFUSED,
        }
    }

    /// Admits a new process or thread, unless there are too many.
    fn admit_task(&mut self, tree: &ProcessTree) -> Answer {
        if self.tasks >= MAX_TASKS {
            self.tasks = tree.count_tasks();
        }
        if self.tasks >= MAX_TASKS {
            return NO_MORE;
        }
        self.tasks += 1;
        Answer::Continue
    }

    /// Answers a call on a thread, since it may take its time: so may connecting, and also closing
    /// a duplicate of the caller's descriptor (SO_LINGER).
    fn answer_on_thread(
        &self,
        call: Notification,
        answer: impl FnOnce(&Listener) -> io::Result<Answer> + Send + 'static,
    ) {
        if self.answering.fetch_add(1, Ordering::Relaxed) >= MAX_ANSWERING {
            self.answering.fetch_sub(1, Ordering::Relaxed);
            return self.listener.answer(&call, NO_MORE);
        }
        let (listener, answering) = (Arc::clone(&self.listener), Arc::clone(&self.answering));
        let run = move || {
            let answer = answer(&listener);
            listener.answer(&call, answer.unwrap_or_else(Answer::from));
            answering.fetch_sub(1, Ordering::Relaxed);
        };
        if std::thread::Builder::new().spawn(run).is_err() {
            self.answering.fetch_sub(1, Ordering::Relaxed);
            self.listener.answer(&call, NO_MORE);
        }
    }
}

impl AsFd for Broker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Returns whether this call starts a process or thread.
fn is_new_task(call: libc::c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    let legacy = [libc::SYS_fork, libc::SYS_vfork];
    #[cfg(not(target_arch = "x86_64"))]
    let legacy = [];
    call == libc::SYS_clone || legacy.contains(&call)
}

/// Judges `kill`, which has four meanings (kill(2)).
fn judge_kill(caller: Pid, target: i32, tree: &ProcessTree) -> Answer {
    let group = match target {
        1.. => return judge_process(target, tree),
        0 => rustix::process::getpgid(Some(caller)).ok(),
        -1 => None,
        _ => target.checked_neg().and_then(Pid::from_raw),
    };
    judge_group(group, tree)
}

fn judge_group(group: Option<Pid>, tree: &ProcessTree) -> Answer {
    match group {
        Some(group) if tree.contains_group(group) => Answer::Continue,
        _ => Answer::Error(libc::EPERM),
    }
}

/// Judges a call on a process or thread. One of the tree can't become another one meanwhile, but by
/// its end and the reuse of its number, which the kernel gives out in turn.
fn judge_process(target: i32, tree: &ProcessTree) -> Answer {
    let Some(target) = Pid::from_raw(target).filter(|_| target > 0) else {
        return INVALID;
    };
    match process_of(target) {
        Some(process) if tree.contains(process) => Answer::Continue,
        Some(_) => Answer::Error(libc::EPERM),
        None => Answer::Error(libc::ESRCH),
    }
}

/// Sends a signal to a process by its pidfd, if it is in the tree.
fn signal_by_handle(listener: &Listener, call: &Notification) -> io::Result<Answer> {
    let [fd, signal, info, flags, ..] = call.args;
    if info != 0 || flags != 0 {
        return Ok(INVALID);
    }
    let handle = listener.duplicate(call, fd)?;
    let pid = process_of_handle(&handle).ok_or(io::ErrorKind::PermissionDenied)?;
    if !is_descendant(pid) {
        return Ok(Answer::Error(libc::EPERM));
    }
    let signal = i32::try_from(signal).unwrap_or(-1);
    let handle = handle.as_raw_fd();
    // SAFETY: the handle is open, and without the structure nothing is read.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle, signal, 0, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Answer::Value(0))
}

/// Returns the process of a pidfd. A folder of /proc, which the kernel takes for one, isn't.
fn process_of_handle(handle: &OwnedFd) -> Option<Pid> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    Pid::from_raw(pid.trim().parse().ok()?)
}

/// Connects a duplicate of the caller's socket to a copy of the address, if that is allowed.
fn connect_socket(
    listener: &Listener,
    call: &Notification,
    display: &DisplayAddress,
    network: bool,
) -> io::Result<Answer> {
    let [fd, address, length, ..] = call.args;
    let length = length & 0xffff_ffff;
    if length < size_of::<libc::sa_family_t>() as u64 || length > MAX_ADDRESS_BYTES {
        return Ok(INVALID);
    }
    let mut bytes = vec![0; length as usize];
    listener.read_memory(call, address, &mut bytes)?;
    let family = i32::from(libc::sa_family_t::from_ne_bytes([bytes[0], bytes[1]]));
    let allowed = match family {
        libc::AF_UNIX => display.is_unix_address(&bytes),
        _ if network => true,
        libc::AF_INET | libc::AF_INET6 => {
            socket_address(&bytes).is_some_and(|address| display.is_socket_address(address))
        }
        _ => false,
    };
    if !allowed {
        return Ok(REFUSED);
    }
    let socket = listener.duplicate(call, fd)?;
    // SAFETY: the descriptor is open, and the address is as long as it says.
    let result = unsafe {
        let length = bytes.len() as libc::socklen_t;
        libc::connect(socket.as_raw_fd(), bytes.as_ptr().cast(), length)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Answer::Value(0))
}

/// Parses `struct sockaddr_in` or `struct sockaddr_in6`: port and address in network order.
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(libc::sa_family_t::from_ne_bytes([bytes[0], bytes[1]]));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let address: IpAddr = match family {
        libc::AF_INET => <[u8; 4]>::try_from(bytes.get(4..8)?).ok()?.into(),
        libc::AF_INET6 => <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}
