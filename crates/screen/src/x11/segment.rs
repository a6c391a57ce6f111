//! Memory that the X server writes pictures into (MIT-SHM 1.2: the server makes it and passes its
//! descriptor).

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use x11rb::connection::Connection as _;
use x11rb::protocol::shm::ConnectionExt as _;

use super::connection::Server;

/// A mapped segment. Dropping it unmaps it; the server's half ends with the connection or [`Segment::detach`].
#[derive(Debug)]
pub(super) struct Segment {
    id: u32,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and isn't tied to a thread.
unsafe impl Send for Segment {}

impl Segment {
    /// Asks the server for `len` bytes; `None` where it has no shared memory for us (it is far away,
    /// or older than MIT-SHM 1.2).
    pub(super) fn create(server: &Server, len: usize) -> Option<Self> {
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
        match map(&reply.shm_fd, len) {
            Ok(start) => Some(Self { id, start, len }),
            Err(_) => {
                let _ = server.shm_detach(id);
                None
            }
        }
    }

    /// The server's name for it.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Tells the server that no more pictures will be asked for.
    pub(super) fn detach(self, server: &Server) {
        // When the server is gone the next request will say so.
        let _ = server.shm_detach(self.id);
    }

    /// What the server has written. To be read only while no picture is being asked for.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `map` mapped `len` readable bytes, which stay mapped as long as `self`. Only the server
        // writes there, and only between a request of ours and its reply; `Grabber::grab` waits for every
        // reply before it lends the bytes out, and can't ask again while they are lent (`&mut self`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped, and nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Maps what the server passed, if it is as large as was asked for (reading beyond its end would kill us).
fn map(fd: &OwnedFd, len: usize) -> io::Result<NonNull<u8>> {
    let held = usize::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
    if held < len || len == 0 {
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
