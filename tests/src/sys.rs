//! The only unsafe code of the tests: what must run between fork and exec.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Makes the child of `command` join the cgroups whose opened `cgroup.procs` are given, before exec.
pub fn join_cgroups(command: &mut Command, procs: Vec<File>) {
    let join = move || {
        for mut file in procs.iter() {
            file.write_all(b"0")?;
        }
        Ok(())
    };
    // SAFETY: the closure only calls write(2) on descriptors opened before the fork.
    unsafe { command.pre_exec(join) };
}

/// Makes `terminal` the controlling terminal and the standard streams' owner of a new session.
pub fn own_terminal(command: &mut Command, terminal: OwnedFd) {
    let own = move || {
        rustix::process::setsid().map_err(io::Error::from)?;
        rustix::process::ioctl_tiocsctty(terminal.as_fd()).map_err(io::Error::from)
    };
    // SAFETY: the closure only makes the calls setsid(2) and ioctl(2).
    unsafe { command.pre_exec(own) };
}

/// Keeps `fd` open across the exec of `command` under the number `number`.
pub fn pass_fd(command: &mut Command, fd: OwnedFd, number: i32) {
    use std::os::fd::AsRawFd;
    let pass = move || {
        let from = fd.as_raw_fd();
        // dup2(2) of a descriptor to itself would leave it closed on exec.
        let rc = if from == number {
            // SAFETY: fcntl(2) on an open descriptor.
            unsafe { nix::libc::fcntl(from, nix::libc::F_SETFD, 0) }
        } else {
            // SAFETY: dup2(2) on an open descriptor; nothing here owns the descriptor `number`.
            unsafe { nix::libc::dup2(from, number) }
        };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure only calls dup2(2) or fcntl(2).
    unsafe { command.pre_exec(pass) };
}

/// Lets the kernel reap this process's children.
pub fn reap_children_by_kernel() -> nix::Result<()> {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map(drop)
}

/// Forks with the namespaces of `flags`: `child` runs in the new process, whose PID is returned.
///
/// # Errors
/// Those of clone(2).
pub fn clone_into(flags: nix::libc::c_int, child: impl FnOnce()) -> io::Result<i32> {
    use nix::libc::{SIGCHLD, SYS_clone, c_long, syscall};
    let none: c_long = 0;
    // SAFETY: without CLONE_VM and without a stack this is fork(2), and the callers are
    // single-threaded programs, so the child may run any code.
    let pid = unsafe { syscall(SYS_clone, c_long::from(flags | SIGCHLD), none, none, none, none) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            child();
            std::process::exit(127);
        }
        pid => Ok(pid as i32),
    }
}
