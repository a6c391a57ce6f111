//! The child process at its start: a process group of its own, three pipes, a socket for handles,
//! and an environment by which nobody can inject a library.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use rustix::process::Pid;

use crate::escaped_processes::{EnvMarker, MARKER_VARIABLE};
use crate::process_group::ProcessGroup;
use crate::wire::SOCKET_FD;

/// A child that was just started, and our ends of its pipes.
pub(super) struct SpawnedChild {
    pub(super) group: Arc<ProcessGroup>,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) handles: HandleSocket,
}

impl SpawnedChild {
    /// Starts `exe plugin-host`.
    pub(super) fn spawn(exe: &Path) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut command = Command::new(exe);
        command
            .arg("plugin-host")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .fd_mappings(vec![FdMapping {
                parent_fd: theirs,
                child_fd: SOCKET_FD,
            }])
            .map_err(io::Error::other)?;
        let marker = EnvMarker::new();
        isolate(&mut command, &marker);
        let mut child = command.spawn()?;
        // From here on every error drops the group, which kills and reaps.
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let leader = leader.ok_or_else(|| io::Error::other("the child has no process id"))?;
        let group = Arc::new(ProcessGroup::new(leader, marker));
        let missing = || io::Error::other("the child has no pipe");
        Ok(SpawnedChild {
            group,
            stdin: child.stdin.take().ok_or_else(missing)?.into(),
            stdout: child.stdout.take().ok_or_else(missing)?.into(),
            stderr: child.stderr.take().ok_or_else(missing)?.into(),
            handles: HandleSocket(ours),
        })
    }
}

/// Gives the child a process group of its own, the marker, the root as working directory, and no
/// `LD_` variables, by which the dynamic linker would load other libraries.
pub(crate) fn isolate(command: &mut Command, marker: &EnvMarker) {
    command.current_dir("/").process_group(0);
    command.env(MARKER_VARIABLE, marker.as_str());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LD_") {
            command.env_remove(name);
        }
    }
}

/// Our end of the socket for handles.
pub(super) struct HandleSocket(OwnedFd);

impl HandleSocket {
    /// Sends a handle for request `id`, without blocking: a child that leaves the socket full is
    /// broken.
    pub(super) fn send(&self, id: u64, handle: impl AsFd) -> io::Result<()> {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let handles = [handle.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&handles));
        let bytes = id.to_le_bytes();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[io::IoSlice::new(&bytes)], &mut control, flags)?;
        Ok(())
    }
}
