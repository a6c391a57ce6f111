//! Descriptors that a process was started with. Each program that starts another one here passes
//! on what it means to, and nothing that it was given itself: Landlock judges opening alone, so an
//! accounting program's data file that is open stays open.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::fcntl_dupfd_cloexec;

/// Lowest number of a moved descriptor, well above numbers that a program may use by habit.
pub(crate) const MIN_FD: i32 = 10;

/// Marks every inherited descriptor but stdio close-on-exec. Call it first of all.
pub fn keep_inherited_descriptors() {
    close_on_exec_from(3);
}

/// Marks all descriptors from this number on close-on-exec. Only a system call.
pub(crate) fn close_on_exec_from(first: i32) {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC.cast_signed());
}

/// Closes all descriptors from this number on. Only before anything of ours is open.
pub(crate) fn close_from(first: i32) {
    close_range(first, 0);
}

fn close_range(first: i32, flags: i32) {
    let first = first.unsigned_abs();
    // A system call by its number, because musl and old C libraries lack the function.
    // SAFETY: closes, or marks, descriptors that nothing of ours owns.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
}

/// Takes a socket that was handed down on this descriptor; `None` when it isn't one.
pub(crate) fn claim_socket(fd: i32) -> Option<OwnedFd> {
    // SAFETY: it is only examined and duplicated; if it isn't open, the first call fails.
    let inherited = unsafe { BorrowedFd::borrow_raw(fd) };
    let kind = FileType::from_raw_mode(fstat(inherited).ok()?.st_mode);
    if kind != FileType::Socket {
        return None;
    }
    let socket = fcntl_dupfd_cloexec(inherited, MIN_FD).ok()?;
    // SAFETY: handed down for us alone, and nobody else in this process knows of it.
    unsafe { rustix::io::close(fd) };
    Some(socket)
}
