//! System V shared memory of the plugin host and its tools. The supervisor makes each segment for
//! them, so it knows which are theirs, and removes them at the end: such memory belongs to no
//! process, and a machine has a few thousand segments.

use std::collections::BTreeMap;
use std::io;

/// Most segments at once; x11vnc has some forty.
const MAX_SEGMENTS: usize = 256;
/// Most bytes of all segments together; two 4K screens have 66 MB, and x11vnc has each twice.
const MAX_BYTES: usize = 512 << 20;

/// Segments that were made, by their ids, with their sizes.
#[derive(Default)]
pub(super) struct SharedMemory(BTreeMap<i32, usize>);

impl SharedMemory {
    /// Makes a segment of the kernel's choice (IPC_PRIVATE) with the permissions in `flags`.
    pub(super) fn create(&mut self, size: u64, flags: u64) -> io::Result<i32> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let room = MAX_BYTES.saturating_sub(self.0.values().sum());
        if self.0.len() >= MAX_SEGMENTS || size > room {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let mode = i32::try_from(flags & 0o777).unwrap_or(0o600);
        // SAFETY: touches no memory of this process.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, size, libc::IPC_CREAT | mode) };
        if id < 0 {
            return Err(io::Error::last_os_error());
        }
        self.0.insert(id, size);
        Ok(id)
    }

    /// Returns the bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.0.values().sum::<usize>() as u64
    }

    /// Returns whether this segment is one of theirs.
    pub(super) fn has(&self, id: i32) -> bool {
        self.0.contains_key(&id)
    }

    /// Removes a segment, which lives on until nobody has it mapped.
    pub(super) fn remove(&mut self, id: i32) {
        if self.0.remove(&id).is_some() {
            remove_segment(id);
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        self.0.keys().copied().for_each(remove_segment);
    }
}

fn remove_segment(id: i32) {
    // SAFETY: IPC_RMID takes no structure, and the segment isn't mapped here.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}
