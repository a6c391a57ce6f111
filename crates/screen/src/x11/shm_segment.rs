//! Shared memory that the X server writes pixels into. MIT-SHM 1.2: the server creates it and
//! passes its descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use x11rb::connection::Connection as _;
use x11rb::protocol::shm::ConnectionExt as _;

use super::connection::XConnection;

/// A mapped segment. Dropping it unmaps it; the server's mapping ends with the connection or
/// [`ShmSegment::detach`].
#[derive(Debug)]
pub(super) struct ShmSegment {
    id: u32,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and isn't tied to a thread.
unsafe impl Send for ShmSegment {}

impl ShmSegment {
    /// Asks the server for `len` bytes. Returns `None` where it has no shared memory for us: it is
    /// on another machine, or older than MIT-SHM 1.2.
    pub(super) fn create(server: &XConnection, len: usize) -> Option<Self> {
        let version = server.shm_query_version().ok()?.reply().ok()?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return None;
        }
        let id = server.generate_id().ok()?;
        let size = u32::try_from(len).ok()?;
        let reply = server
            .shm_create_segment(id, size, false)
            .ok()?
            .reply()
            .ok()?;
        match map_readable(&reply.shm_fd, len) {
            Ok(start) => Some(Self { id, start, len }),
            Err(_) => {
                let _ = server.shm_detach(id);
                None
            }
        }
    }

    /// Returns the X resource id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the size in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Unmaps the segment at the server.
    pub(super) fn detach(self, server: &XConnection) {
        // If the server is gone, the next request fails with it.
        let _ = server.shm_detach(self.id);
    }

    /// Returns the bytes that the server has written. Valid only while no request for pixels is
    /// open.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `map_readable` mapped `len` readable bytes, which stay mapped as long as `self`.
        // Only the server writes there, and only between a request of ours and its reply;
        // `Grabber::grab` waits for every reply before it lends the bytes out, and can't ask again
        // while they are lent (`&mut self`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for ShmSegment {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map_readable` made; nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Maps the server's descriptor, if it is as large as requested: reading beyond its end would be
/// SIGBUS.
fn map_readable(fd: &OwnedFd, len: usize) -> io::Result<NonNull<u8>> {
    let actual = usize::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
    if actual < len || len == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // SAFETY: a fresh mapping at an address of the system's choice; it touches nothing that exists.
    let start = unsafe {
        mmap(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ,
            MapFlags::SHARED,
            fd,
            0,
        )?
    };
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
