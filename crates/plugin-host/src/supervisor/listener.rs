//! The listener of a seccomp filter: system calls that wait for an answer (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// ioctl numbers of linux/seccomp.h, which libc doesn't have: `_IOWR('!', 0, struct
/// seccomp_notif)`, `_IOWR('!', 1, struct seccomp_notif_resp)`, `_IOW('!', 2, __u64)`.
const NOTIF_RECV: libc::c_ulong = 0xc050_2100;
const NOTIF_SEND: libc::c_ulong = 0xc018_2101;
const NOTIF_ID_VALID: libc::c_ulong = 0x4008_2102;

/// A listener. All answers go through it.
pub(super) struct Listener(OwnedFd);

/// A system call that waits for its answer.
#[derive(Clone, Copy)]
pub(super) struct Notification {
    id: u64,
    /// The calling thread.
    pub(super) thread: Pid,
    /// The call's number.
    pub(super) call: libc::c_long,
    /// The call's arguments. Memory that they point to can change at any time.
    pub(super) args: [u64; 6],
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel carries the call out. Only for calls that are judged by their arguments' values.
    Continue,
    /// The call returns this value.
    Value(i64),
    /// The call fails with this `errno`.
    Error(i32),
}

/// The answer of the sandbox to what is forbidden.
pub(super) const REFUSED: Answer = Answer::Error(libc::EACCES);

impl From<io::Error> for Answer {
    fn from(error: io::Error) -> Self {
        Answer::Error(error.raw_os_error().unwrap_or(libc::EACCES))
    }
}

impl From<rustix::io::Errno> for Answer {
    fn from(error: rustix::io::Errno) -> Self {
        Answer::Error(error.raw_os_error())
    }
}

impl Listener {
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self(listener)
    }

    /// Receives the call that waits. `None` when its caller was killed meanwhile.
    ///
    /// # Errors
    /// The listener is of no use any more.
    pub(super) fn receive(&self) -> io::Result<Option<Notification>> {
        // The kernel's structure, and room for what newer kernels add.
        let mut buffer = [0_u64; 64];
        // SAFETY: the buffer is zeroed, aligned, and larger than the kernel's structure.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_RECV, buffer.as_mut_ptr()) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: the kernel has filled in this structure; all of its fields are plain numbers.
        let found = unsafe { buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
        let Some(thread) = i32::try_from(found.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None); // its process isn't in our namespace; it is never answered
        };
        Ok(Some(Notification {
            id: found.id,
            thread,
            call: found.data.nr.into(),
            args: found.data.args,
        }))
    }

    /// Answers a call. An answer that comes too late is for nobody.
    pub(super) fn answer(&self, call: &Notification, answer: Answer) {
        let (val, error, flags) = match answer {
            Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Value(value) => (value, 0, 0),
            Answer::Error(error) => (0, -error, 0),
        };
        let mut response = libc::seccomp_notif_resp {
            id: call.id,
            val,
            error,
            flags,
        };
        // SAFETY: the structure is the kernel's, and complete.
        unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_SEND, &raw mut response) };
    }

    /// Returns whether the caller still waits. Until then its thread's number is its own.
    fn is_waiting(&self, call: &Notification) -> bool {
        let mut id = call.id;
        // SAFETY: reads one number.
        unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_ID_VALID, &raw mut id) == 0 }
    }

    /// Reads `buffer.len()` bytes of the caller's memory.
    pub(super) fn read_memory(
        &self,
        call: &Notification,
        address: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let local = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let remote = libc::iovec {
            iov_base: std::ptr::with_exposed_provenance_mut(address as usize),
            iov_len: buffer.len(),
        };
        let thread = call.thread.as_raw_nonzero().get();
        // SAFETY: writes into the buffer alone; the other address is checked by the kernel.
        let read =
            unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
        if usize::try_from(read) != Ok(buffer.len()) || !self.is_waiting(call) {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        Ok(())
    }

    /// Duplicates a descriptor of the caller's.
    pub(super) fn duplicate(&self, call: &Notification, fd: u64) -> io::Result<OwnedFd> {
        let bad = || io::Error::from_raw_os_error(libc::EBADF);
        let process = super::process_tree::process_of(call.thread).ok_or_else(bad)?;
        let process = pidfd_open(process, PidfdFlags::empty())?;
        if !self.is_waiting(call) {
            return Err(bad());
        }
        let fd = i32::try_from(fd.cast_signed()).map_err(|_| bad())?;
        Ok(pidfd_getfd(process, fd, PidfdGetfdFlags::empty())?)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
