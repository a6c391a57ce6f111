//! seccomp: which system calls exist for a plugin and its tools.
//!
//! Two filters. The first is a list of allowed calls; every other one, also of later kernels,
//! doesn't exist (ENOSYS), so that C libraries take another way (`docs/decisions/0013`). The second
//! refuses (EACCES) what programs try and must not do, some of it by arguments.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Calls that exist. What C libraries, X clients, VNC servers and TLS libraries use, and nothing
/// that reaches other processes, the kernel's own objects, or files without opening them.
#[rustfmt::skip]
const ALLOWED: [libc::c_long; 203] = [
    // Files. Landlock judges which.
    libc::SYS_read, libc::SYS_write, libc::SYS_openat, libc::SYS_close, libc::SYS_close_range,
    libc::SYS_newfstatat, libc::SYS_fstat, libc::SYS_statx, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_readlinkat, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir,
    libc::SYS_getdents64, libc::SYS_lseek, libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_readv,
    libc::SYS_writev, libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2,
    libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_splice, libc::SYS_tee,
    libc::SYS_vmsplice, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync,
    libc::SYS_fdatasync, libc::SYS_sync_file_range, libc::SYS_fadvise64, libc::SYS_readahead,
    libc::SYS_flock, libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_ioctl,
    libc::SYS_umask, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_getxattr, libc::SYS_lgetxattr,
    libc::SYS_fgetxattr, libc::SYS_listxattr, libc::SYS_llistxattr, libc::SYS_flistxattr,
    libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_unlinkat, libc::SYS_renameat,
    libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_memfd_create,
    // Pipes, events and timers.
    libc::SYS_pipe2, libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2,
    libc::SYS_signalfd4, libc::SYS_timerfd_create, libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime, libc::SYS_timer_create, libc::SYS_timer_settime,
    libc::SYS_timer_gettime, libc::SYS_timer_getoverrun, libc::SYS_timer_delete,
    libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_clock_gettime, libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep, libc::SYS_nanosleep, libc::SYS_gettimeofday, libc::SYS_times,
    // Memory.
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_brk,
    libc::SYS_msync, libc::SYS_mincore, libc::SYS_madvise, libc::SYS_mlock, libc::SYS_mlock2,
    libc::SYS_munlock, libc::SYS_mlockall, libc::SYS_munlockall, libc::SYS_membarrier,
    libc::SYS_pkey_alloc, libc::SYS_pkey_free, libc::SYS_pkey_mprotect, libc::SYS_shmget,
    libc::SYS_shmat, libc::SYS_shmdt, libc::SYS_shmctl,
    // Processes and threads.
    libc::SYS_clone, libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group,
    libc::SYS_wait4, libc::SYS_waitid, libc::SYS_futex, libc::SYS_set_tid_address,
    libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_rseq, libc::SYS_prctl,
    libc::SYS_seccomp, libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid,
    libc::SYS_getpgid, libc::SYS_setpgid, libc::SYS_getsid, libc::SYS_setsid, libc::SYS_getuid,
    libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getresuid,
    libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_setuid, libc::SYS_setgid,
    libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid, libc::SYS_setresgid,
    libc::SYS_setgroups, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_capget, libc::SYS_capset,
    libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_ioprio_get, libc::SYS_ioprio_set,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam, libc::SYS_sched_setparam, libc::SYS_sched_getscheduler,
    libc::SYS_sched_setscheduler, libc::SYS_sched_getattr, libc::SYS_sched_setattr,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval, libc::SYS_getrlimit, libc::SYS_setrlimit, libc::SYS_prlimit64,
    libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getcpu, libc::SYS_getrandom,
    // Signals.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack, libc::SYS_restart_syscall, libc::SYS_kill, libc::SYS_tkill,
    libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    // Sockets.
    libc::SYS_socket, libc::SYS_socketpair, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen,
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_getsockname, libc::SYS_getpeername,
    libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_recvfrom,
    libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg,
    libc::SYS_shutdown,
];
/// Older calls, which newer architectures never had.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const LEGACY_ALLOWED: [libc::c_long; 29] = [
    libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access,
    libc::SYS_readlink, libc::SYS_getdents, libc::SYS_dup2, libc::SYS_pipe, libc::SYS_poll,
    libc::SYS_select, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd,
    libc::SYS_signalfd, libc::SYS_fork, libc::SYS_vfork, libc::SYS_getpgrp, libc::SYS_mkdir,
    libc::SYS_mknod, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_link,
    libc::SYS_symlink, libc::SYS_time, libc::SYS_alarm, libc::SYS_pause, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_ALLOWED: [libc::c_long; 0] = [];

/// Calls that inspect or change other processes, see files without opening them, reach the kernel,
/// or share memory and messages with strangers.
#[rustfmt::skip]
const REFUSED: [libc::c_long; 69] = [
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd, libc::SYS_kcmp, libc::SYS_process_madvise, libc::SYS_process_mrelease,
    libc::SYS_migrate_pages, libc::SYS_move_pages, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_userfaultfd, libc::SYS_bpf,
    libc::SYS_perf_event_open, libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root,
    libc::SYS_chroot, libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fspick,
    libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_mount_setattr, libc::SYS_init_module,
    libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch, libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at,
    libc::SYS_semget, libc::SYS_semop, libc::SYS_semctl, libc::SYS_semtimedop, libc::SYS_msgget,
    libc::SYS_msgsnd, libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive, libc::SYS_mq_notify, libc::SYS_mq_getsetattr,
    libc::SYS_syslog, libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_sethostname,
    libc::SYS_setdomainname, libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex,
    libc::SYS_clock_adjtime, libc::SYS_acct, libc::SYS_quotactl, libc::SYS_personality,
];
/// Calls that change a file without opening it. Landlock doesn't restrict mode, owner and labels
/// (landlock(7), "Caveats"), and the length only since Linux 6.2. The last three, which have no
/// name in libc yet, are setxattrat, removexattrat and file_setattr.
#[rustfmt::skip]
const METADATA_CHANGES: [libc::c_long; 16] = [
    libc::SYS_truncate, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchown,
    libc::SYS_fchownat, libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr,
    libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr, libc::SYS_utimensat,
    463, 466, 469,
];
/// Older calls of both kinds.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const LEGACY_REFUSED: [libc::c_long; 11] = [
    libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes,
    libc::SYS_futimesat, libc::SYS_inotify_init, libc::SYS_kexec_file_load, libc::SYS_iopl,
    libc::SYS_ioperm, libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_REFUSED: [libc::c_long; 0] = [];

/// `clone`'s flags for new namespaces: NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID,
/// NEWNET. `clone3`, whose flags a filter can't read, doesn't exist: C libraries take `clone`.
const NEW_NAMESPACES: [i32; 8] = [
    0x80,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// Calls whose first argument is a process: only the caller itself, which is 0.
const ON_ITSELF: [libc::c_long; 5] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];
/// `fcntl` commands by which a descriptor sends signals, tells of changes in a folder, or has
/// everybody else wait who opens its file, and the `ioctl`s for the same and for typing on a
/// terminal: F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY, F_SETLEASE; FIOSETOWN, SIOCSPGRP, TIOCSTI,
/// TIOCLINUX.
const OWNER_COMMANDS: [u64; 5] = [8, 15, 10, 1026, 1024];
const OWNER_IOCTLS: [u64; 4] = [0x8901, 0x8902, 0x5412, 0x541c];
/// Kinds of `ioctl`s (ioctl(2), bits 8 to 15) of file systems. With a descriptor that can only read,
/// the owner of a file changes its flags, or makes it unwritable for ever: 'f', 'v', 'X', and btrfs.
const FILE_SYSTEM_IOCTLS: [u64; 4] = [0x6600, 0x7600, 0x5800, 0x9400];
const IOCTL_KIND: u64 = 0xff00;
/// `MSG_FASTOPEN`: connects without `connect`.
const FAST_OPEN: u64 = 0x2000_0000;
/// Mask of a socket's type, without its flags.
const SOCKET_TYPE: u64 = 0xf;

/// Sockets that can be made. Each connection needs the supervisor's leave besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// Unix sockets, which reach the display alone.
    LocalDisplay,
    /// TCP too, which reaches the display alone.
    RemoteDisplay,
    /// The network's.
    Network,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type BuildError = seccompiler::BackendError;

/// Installs both filters for this process.
pub(super) fn restrict(sockets: Sockets) -> Result<(), String> {
    let refused = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let install = |rules: Result<Rules, BuildError>, other, listed| {
        let filter = || {
            let architecture = std::env::consts::ARCH.try_into()?;
            let filter = SeccompFilter::new(rules?, other, listed, architecture)?;
            BpfProgram::try_from(filter)
        };
        let filter = filter().map_err(|error| error.to_string())?;
        apply_filter(&filter).map_err(|error| error.to_string())
    };
    install(Ok(allowed()), missing, SeccompAction::Allow)?;
    // The later filter's error counts when both refuse.
    install(refusals(sockets), SeccompAction::Allow, refused)
}

fn allowed() -> Rules {
    let calls = ALLOWED.into_iter().chain(LEGACY_ALLOWED);
    calls.map(|call| (call, Vec::new())).collect()
}

fn refusals(sockets: Sockets) -> Result<Rules, BuildError> {
    let always = REFUSED
        .into_iter()
        .chain(METADATA_CHANGES)
        .chain(LEGACY_REFUSED);
    let mut rules: Rules = always.map(|call| (call, Vec::new())).collect();
    for call in ON_ITSELF {
        rules.insert(call, vec![rule(&[differs(0, 0)])?]);
    }
    // Both name a process by two arguments: its kind and its number.
    for (call, process) in [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)] {
        let other = [rule(&[differs(0, process)])?, rule(&[differs(1, 0)])?];
        rules.insert(call, other.into());
    }
    let new_namespace = |flag: i32| rule(&[has(0, u64::from(flag.unsigned_abs()))]);
    let clone: Result<_, _> = NEW_NAMESPACES.map(new_namespace).into_iter().collect();
    rules.insert(libc::SYS_clone, clone?);
    let command = |command: u64| rule(&[equals(1, command)]);
    let fcntl: Result<_, _> = OWNER_COMMANDS.map(command).into_iter().collect();
    rules.insert(libc::SYS_fcntl, fcntl?);
    let kind = |kind: u64| rule(&[masked(1, IOCTL_KIND, kind)]);
    let kinds = FILE_SYSTEM_IOCTLS.into_iter().map(kind);
    let ioctl: Result<_, _> = OWNER_IOCTLS.into_iter().map(command).chain(kinds).collect();
    rules.insert(libc::SYS_ioctl, ioctl?);
    rules.insert(
        libc::SYS_shmget,
        vec![rule(&[differs(0, libc::IPC_PRIVATE as u64)])?],
    );
    rules.insert(libc::SYS_openat, opens_to_truncate(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, opens_to_truncate(1)?);
    restrict_sockets(&mut rules, sockets)?;
    Ok(rules)
}

/// Opening that empties a file without the right to write (Landlock before V3), or with the fourth
/// access mode, which Landlock doesn't know.
fn opens_to_truncate(flags: u8) -> Result<Vec<SeccompRule>, BuildError> {
    let (mode, truncate) = (libc::O_ACCMODE as u64, libc::O_TRUNC as u64);
    Ok(vec![
        rule(&[masked(flags, mode | truncate, truncate)])?,
        rule(&[masked(flags, mode, mode)])?,
    ])
}

fn restrict_sockets(rules: &mut Rules, sockets: Sockets) -> Result<(), BuildError> {
    let families: &[i32] = match sockets {
        Sockets::LocalDisplay => &[libc::AF_UNIX],
        Sockets::RemoteDisplay => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
        Sockets::Network => &[
            libc::AF_UNIX,
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
        ],
    };
    let family = |family: &i32| u64::from(family.unsigned_abs());
    let other_family: Vec<_> = families
        .iter()
        .map(|known| differs(0, family(known)))
        .collect();
    let unix = equals(0, family(&libc::AF_UNIX));
    let stream = libc::SOCK_STREAM.unsigned_abs().into();
    let mut socket = vec![rule(&other_family)?];
    // A datagram reaches any socket without `connect`.
    socket.extend(other_types(&[unix], &[stream])?);
    let sequenced = libc::SOCK_SEQPACKET.unsigned_abs().into();
    let mut pair = vec![rule(&[differs(0, family(&libc::AF_UNIX))])?];
    pair.extend(other_types(&[], &[stream, sequenced])?);
    rules.insert(libc::SYS_socketpair, pair);
    if sockets != Sockets::Network {
        for internet in [libc::AF_INET, libc::AF_INET6] {
            let internet = equals(0, family(&internet));
            socket.extend(other_types(std::slice::from_ref(&internet), &[stream])?);
            let tcp = libc::IPPROTO_TCP.unsigned_abs().into();
            let other_protocol = [internet, differs(2, 0), differs(2, tcp)];
            socket.push(rule(&other_protocol)?);
        }
        for waiting in [
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
        ] {
            rules.insert(waiting, Vec::new());
        }
        rules.insert(
            libc::SYS_sendto,
            vec![rule(&[has(3, FAST_OPEN)])?, rule(&[differs_long(4, 0)])?],
        );
        rules.insert(libc::SYS_sendmsg, vec![rule(&[has(2, FAST_OPEN)])?]);
        rules.insert(libc::SYS_sendmmsg, vec![rule(&[has(3, FAST_OPEN)])?]);
    }
    rules.insert(libc::SYS_socket, socket);
    Ok(())
}

/// Sockets that meet the conditions and are of none of these types. A type has four bits: one rule
/// for each that isn't listed.
fn other_types(conditions: &[Condition], types: &[u64]) -> Result<Vec<SeccompRule>, BuildError> {
    let others = (0..=SOCKET_TYPE).filter(|kind| !types.contains(kind));
    others
        .map(|kind| rule(&[conditions, &[masked(1, SOCKET_TYPE, kind)]].concat()))
        .collect()
}

/// A condition on an argument: its number, and what it is compared with.
#[derive(Clone)]
struct Condition(u8, SeccompCmpArgLen, SeccompCmpOp, u64);

fn equals(argument: u8, value: u64) -> Condition {
    Condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn differs(argument: u8, value: u64) -> Condition {
    Condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn differs_long(argument: u8, value: u64) -> Condition {
    Condition(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, bit: u64) -> Condition {
    masked(argument, bit, bit)
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    let compare = SeccompCmpOp::MaskedEq(mask);
    Condition(argument, SeccompCmpArgLen::Dword, compare, value)
}

/// Returns the rule of all these conditions together.
fn rule(conditions: &[Condition]) -> Result<SeccompRule, BuildError> {
    let condition = |Condition(argument, length, compare, value): &Condition| {
        SeccompCondition::new(*argument, length.clone(), compare.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}
