//! The child process at its start: its supervisor, three pipes, a socket for handles, and an
//! environment that has only what is listed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use rustix::process::Pid;

use crate::descriptors;
use crate::escaped_processes::{EnvMarker, MARKER_VARIABLE};
use crate::supervised_process::SupervisedProcess;
use crate::supervisor::SUPERVISOR;
use crate::wire::SOCKET_FD;

/// A child that was just started, and our ends of its pipes.
pub(super) struct SpawnedChild {
    pub(super) process: Arc<SupervisedProcess>,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) handles: HandleSocket,
}

impl SpawnedChild {
    /// Starts `exe plugin-supervisor`, which starts `exe plugin-host`.
    pub(super) fn spawn(exe: &Path) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut command = Command::new(exe);
        command
            .arg(SUPERVISOR)
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
        // From here on every error drops the process, which ends and reaps.
        let process = Arc::new(SupervisedProcess::new(Pid::from_child(&child), marker));
        let missing = || io::Error::other("the child has no pipe");
        Ok(SpawnedChild {
            process,
            stdin: child.stdin.take().ok_or_else(missing)?.into(),
            stdout: child.stdout.take().ok_or_else(missing)?.into(),
            stderr: child.stderr.take().ok_or_else(missing)?.into(),
            handles: HandleSocket(ours),
        })
    }
}

/// Variables that the child gets: what finds the display, names the language, and finds a tool and
/// its user's folder. Others may name the user's session bus, keys and agents, or a library that
/// the dynamic linker would load.
const ENVIRONMENT: [&str; 16] = [
    "DISPLAY",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "PATH",
    "RUST_BACKTRACE",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHLOCALHOSTNAME",
    "XAUTHORITY",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE",
    "XLOCALEDIR",
];
/// Beginning of the other variables that name the language.
const LOCALE_PREFIX: &str = "LC_";

/// Gives the supervisor a process group of its own, the marker, the root as working directory, the
/// listed variables of the environment, and no descriptor that it isn't given on purpose.
pub(crate) fn isolate(command: &mut Command, marker: &EnvMarker) {
    command.current_dir("/").process_group(0).env_clear();
    command.env(MARKER_VARIABLE, marker.as_str());
    let is_listed = |name: &str| ENVIRONMENT.contains(&name) || name.starts_with(LOCALE_PREFIX);
    let listed = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_listed));
    command.envs(listed);
    let close_others = || {
        descriptors::close_on_exec_from(SOCKET_FD + 1);
        Ok(())
    };
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(close_others) };
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
