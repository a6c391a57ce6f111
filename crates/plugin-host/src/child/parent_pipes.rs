//! The parent's pipes, moved away from stdio before the plugin is loaded: old libraries print to
//! stdout, and tools read stdin.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::descriptors::{MIN_FD, claim_socket};
use crate::wire::SOCKET_FD;

/// The parent's pipes, and the socket on which it hands over sockets.
pub(crate) struct ParentPipes {
    pub(crate) input: File,
    pub(crate) output: File,
    pub(crate) socket: Option<OwnedFd>,
}

impl ParentPipes {
    /// Takes the pipes from stdio. Afterwards stdin is empty, stdout is stderr, and no tool
    /// inherits a pipe of ours.
    pub(crate) fn claim() -> io::Result<Self> {
        let input = File::from(fcntl_dupfd_cloexec(io::stdin(), MIN_FD)?);
        let output = File::from(fcntl_dupfd_cloexec(io::stdout(), MIN_FD)?);
        let socket = claim_socket(SOCKET_FD);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self {
            input,
            output,
            socket,
        })
    }
}

/// Receives the handle of request `id`. It was sent before the request, so it is there or never
/// comes.
pub(super) fn receive_handle(socket: impl AsFd, id: u64) -> Option<OwnedFd> {
    loop {
        let (found, handle) = receive_one(socket.as_fd())?;
        if found == id {
            return handle;
        }
        // The handle of a request that never came; it is closed here.
    }
}

fn receive_one(socket: BorrowedFd<'_>) -> Option<(u64, Option<OwnedFd>)> {
    let mut id = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(socket, &mut [IoSliceMut::new(&mut id)], &mut control, flags).ok()?;
    if message.bytes != id.len() || message.flags.contains(ReturnFlags::CTRUNC) {
        return None;
    }
    let handle = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    });
    Some((u64::from_le_bytes(id), handle))
}
