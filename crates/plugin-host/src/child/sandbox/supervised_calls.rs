//! seccomp's user notification (seccomp_unotify(2)): system calls that wait for the supervisor's
//! answer.

use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::supervisor::Guard;

/// Calls that the supervisor answers; `supervisor/broker.rs` says how.
const SUPERVISED: [libc::c_long; 12] = [
    libc::SYS_connect,
    libc::SYS_setpgid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_memfd_create,
    libc::SYS_clone,
];
#[cfg(target_arch = "x86_64")]
const LEGACY_SUPERVISED: [libc::c_long; 2] = [libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_SUPERVISED: [libc::c_long; 0] = [];

/// Offsets in `struct seccomp_data`: the number, and the first argument's lower half.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") {
    16
} else {
    20
};

/// seccomp(2)'s `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19: no signal interrupts a call
/// that the supervisor already carries out.
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;

/// Hands the supervised calls to the supervisor, which allows connections to this display, and to
/// all addresses with `network`.
pub(super) fn restrict(guard: Option<Guard>, network: bool, display: &str) -> Result<(), String> {
    let Some(guard) = guard else {
        return Err("the system doesn't let the plugin host be supervised".to_owned());
    };
    let listener = install_filter().map_err(|error| error.to_string())?;
    guard
        .send_listener(listener, network, display)
        .map_err(|error| error.to_string())
}

fn install_filter() -> std::io::Result<OwnedFd> {
    let mut filter = build_filter(std::process::id());
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("a short filter"),
        filter: filter.as_mut_ptr(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the program and its length are as they must be; the kernel copies them.
        unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        }
    };
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let mut fd = install(listener | WAIT_KILLABLE);
    if fd < 0 {
        fd = install(listener); // before Linux 5.19
    }
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, close-on-exec, that nobody else knows of.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Builds the filter: supervised calls wait, `tgkill` only when it isn't this process's own (each
/// `raise`), and all others go on. The other filter has refused every other architecture.
fn build_filter(own_process: u32) -> Vec<libc::sock_filter> {
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let number = |call: libc::c_long| u32::try_from(call).expect("numbers of calls are small");
    let wait = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF);
    let go_on = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut filter = vec![load(NUMBER)];
    for call in SUPERVISED.into_iter().chain(LEGACY_SUPERVISED) {
        filter.extend([jump_unless_equal(number(call), 1), wait]);
    }
    filter.extend([
        jump_unless_equal(number(libc::SYS_tgkill), 3), // to the second `go_on`
        load(FIRST_ARGUMENT),
        jump_unless_equal(own_process, 2), // to `wait`
        go_on,
        go_on,
        wait,
    ]);
    filter
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Goes on behind the next `skip` instructions unless the loaded number is this one.
fn jump_unless_equal(number: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter {
        jf: skip,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter on a call with this first argument; returns its verdict.
    fn run(filter: &[libc::sock_filter], call: libc::c_long, first: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = filter[at];
            at += 1;
            match u32::from(instruction.code) {
                code if code == libc::BPF_RET | libc::BPF_K => return instruction.k,
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    accumulator = if instruction.k == NUMBER {
                        call as u32
                    } else {
                        first
                    };
                }
                _ if accumulator == instruction.k => at += usize::from(instruction.jt),
                _ => at += usize::from(instruction.jf),
            }
        }
    }

    #[test]
    fn only_a_processs_own_signals_to_its_threads_need_no_answer() {
        let filter = build_filter(7);
        let wait = libc::SECCOMP_RET_USER_NOTIF;
        let go_on = libc::SECCOMP_RET_ALLOW;
        for call in SUPERVISED.into_iter().chain(LEGACY_SUPERVISED) {
            assert_eq!(run(&filter, call, 7), wait, "{call}");
        }
        assert_eq!(run(&filter, libc::SYS_tgkill, 7), go_on);
        assert_eq!(run(&filter, libc::SYS_tgkill, 8), wait);
        assert_eq!(run(&filter, libc::SYS_read, 7), go_on);
    }
}
