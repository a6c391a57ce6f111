//! Starts the child: own process group, three pipes, a socket for handles, and an environment in which no library can
//! be slipped in.

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

use crate::group::Group;
use crate::strays::{self, Mark};
use crate::wire::SOCKET_FD;

/// A child that was just started.
pub(super) struct Spawned {
    pub(super) group: Arc<Group>,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) handles: Handles,
}

pub(super) fn spawn(exe: &Path) -> io::Result<Spawned> {
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
    let mark = Mark::new();
    set_apart(&mut command, &mark);
    let mut child = command.spawn()?;
    // From here on whoever gives up drops the group, which kills and reaps.
    let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leader = leader.ok_or_else(|| io::Error::other("the child has no process id"))?;
    let group = Arc::new(Group::new(leader, mark));
    let missing = || io::Error::other("the child has no pipe");
    Ok(Spawned {
        group,
        stdin: child.stdin.take().ok_or_else(missing)?.into(),
        stdout: child.stdout.take().ok_or_else(missing)?.into(),
        stderr: child.stderr.take().ok_or_else(missing)?.into(),
        handles: Handles(ours),
    })
}

/// A process group of its own, the mark, no folder of ours, and an environment in which no library can be slipped in.
pub(crate) fn set_apart(command: &mut Command, mark: &Mark) {
    command.current_dir("/").process_group(0);
    command.env(strays::VARIABLE, mark.as_str());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LD_") {
            command.env_remove(name);
        }
    }
}

/// Our end of the socket on which handles go over.
pub(super) struct Handles(OwnedFd);

impl Handles {
    /// Sends a handle for request `id`. Doesn't block: a child that leaves so many lying around is broken.
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
