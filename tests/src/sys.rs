//! The only unsafe code of the tests: what must run between fork and exec.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, Signal, signal};

/// From here on no command is given descriptors under numbers of their own.
const HIGH: i32 = 64;

/// The same open file under a high number: what is still to be used between fork and exec must not have
/// one that [`pass_fd`] takes, and other threads open and close low ones at any time.
fn lift(fd: impl AsFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(fd, HIGH).expect("a high descriptor")
}

/// Makes the child of `command` join the cgroups whose opened `cgroup.procs` are given, before exec.
pub fn join_cgroups(command: &mut Command, procs: Vec<File>) {
    let procs: Vec<OwnedFd> = procs.into_iter().map(lift).collect();
    let join = move || {
        procs.iter().try_for_each(|procs| rustix::io::write(procs, b"0").map(drop))?;
        Ok(())
    };
    // SAFETY: the closure only calls write(2) on descriptors opened before the fork.
    unsafe { command.pre_exec(join) };
}

/// Makes `terminal` the controlling terminal and the standard streams' owner of a new session.
pub fn own_terminal(command: &mut Command, terminal: OwnedFd) {
    let terminal = lift(terminal);
    let own = move || {
        rustix::process::setsid().map_err(io::Error::from)?;
        rustix::process::ioctl_tiocsctty(terminal.as_fd()).map_err(io::Error::from)
    };
    // SAFETY: the closure only makes the calls setsid(2) and ioctl(2).
    unsafe { command.pre_exec(own) };
}

/// Keeps `fd` open across the exec of `command` under the number `number`, below [`HIGH`].
///
/// The number may be that by which the standard library hears of an exec that failed; then the command
/// seems to have started, and ended at once.
pub fn pass_fd(command: &mut Command, fd: OwnedFd, number: i32) {
    use std::os::fd::AsRawFd;
    let fd = lift(fd);
    let pass = move || {
        // SAFETY: dup2(2) of an open descriptor; nothing that is still used owns the descriptor `number`.
        let rc = unsafe { nix::libc::dup2(fd.as_raw_fd(), number) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure only calls dup2(2).
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

/// What a system call that asks about the caller answered.
#[derive(Debug)]
pub enum Seen {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// It failed.
    Errno(nix::errno::Errno),
}

/// What only system calls tell of the caller, which need no /proc.
pub fn self_portrait() -> Vec<(&'static str, Seen)> {
    use nix::libc as c;
    let own = 0;
    let word = |number: i32| c::c_long::from(number);
    let calls: [(&'static str, c::c_long, [c::c_long; 2]); 17] = [
        ("uid", c::SYS_getuid, [own, 0]),
        ("gid", c::SYS_getgid, [own, 0]),
        ("personality", c::SYS_personality, [0xffff_ffff, 0]),
        ("scheduler", c::SYS_sched_getscheduler, [own, 0]),
        ("nice", c::SYS_getpriority, [word(0), own]),
        ("ioprio", c::SYS_ioprio_get, [1, own]),
        ("session leader", c::SYS_getsid, [own, 0]),
        ("process group", c::SYS_getpgid, [own, 0]),
        ("no_new_privs", c::SYS_prctl, [word(c::PR_GET_NO_NEW_PRIVS), 0]),
        ("dumpable", c::SYS_prctl, [word(c::PR_GET_DUMPABLE), 0]),
        ("keepcaps", c::SYS_prctl, [word(c::PR_GET_KEEPCAPS), 0]),
        ("securebits", c::SYS_prctl, [word(c::PR_GET_SECUREBITS), 0]),
        ("timer slack", c::SYS_prctl, [word(c::PR_GET_TIMERSLACK), 0]),
        ("THP disabled", c::SYS_prctl, [word(c::PR_GET_THP_DISABLE), 0]),
        ("groups", c::SYS_getgroups, [own, 0]),
        ("pid", c::SYS_getpid, [own, 0]),
        ("ppid", c::SYS_getppid, [own, 0]),
    ];
    let mut seen = Vec::new();
    for (name, number, [a, b]) in calls {
        // SAFETY: none of these calls takes a pointer (getgroups of 0 entries asks for their number).
        let answer = unsafe { c::syscall(number, a, b, word(0), word(0)) };
        seen.push((name, answered(answer)));
    }
    for (name, option) in
        [("death signal", c::PR_GET_PDEATHSIG), ("subreaper", c::PR_GET_CHILD_SUBREAPER)]
    {
        let mut value: c::c_int = 0;
        // SAFETY: these two write one int at the pointer (prctl(2)).
        let answer = unsafe { c::prctl(option, &raw mut value) };
        let got = if answer == 0 { Seen::Number(value.into()) } else { answered(-1) };
        seen.push((name, got));
    }
    seen.push(("foreground group", foreground_group()));
    seen.push(("session keyring", session_keyring()));
    seen
}

fn answered(answer: nix::libc::c_long) -> Seen {
    if answer < 0 { Seen::Errno(nix::errno::Errno::last()) } else { Seen::Number(answer) }
}

fn foreground_group() -> Seen {
    // SAFETY: tcgetpgrp(3) takes a number.
    answered(unsafe { nix::libc::tcgetpgrp(0) }.into())
}

fn session_keyring() -> Seen {
    use nix::libc as c;
    let mut text = [0u8; 256];
    // SAFETY: KEYCTL_DESCRIBE writes at most the given length into the buffer (keyctl_describe(3)).
    let answer = unsafe {
        c::syscall(
            c::SYS_keyctl,
            c::c_long::from(c::KEYCTL_DESCRIBE),
            c::c_long::from(c::KEY_SPEC_SESSION_KEYRING),
            text.as_mut_ptr(),
            text.len(),
        )
    };
    let Ok(len) = usize::try_from(answer) else { return answered(answer) };
    let told = text.get(..len).unwrap_or(&text);
    Seen::Text(String::from_utf8_lossy(told).trim_end_matches('\0').to_owned())
}

/// Makes a call that takes no pointer, or a null one; a descriptor it returns stays open.
///
/// # Errors
/// The errno.
pub fn plain_call(number: nix::libc::c_long, args: [nix::libc::c_long; 4]) -> Result<(), i32> {
    let [a, b, c, d] = args;
    // SAFETY: the callers pass numbers and null alone, so the kernel writes nothing into this process.
    let answer = unsafe { nix::libc::syscall(number, a, b, c, d) };
    if answer < 0 { Err(nix::errno::Errno::last_raw()) } else { Ok(()) }
}

/// getpid(2) by the call gate of i386 programs, which has a table of its own.
///
/// # Errors
/// The errno.
pub fn foreign_getpid() -> Result<(), i32> {
    let mut answer: i64 = 20;
    // SAFETY: int 0x80 changes rax alone, and r8 to r11 on old kernels; getpid takes no arguments.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // A compat call answers with 32 bits, negative for an errno.
    if (answer as i32) < 0 { Err(-(answer as i32)) } else { Ok(()) }
}

/// What the descriptor `number` is, where it is open: kind, mode, owner, flags, position, target.
pub fn descriptor(number: i32) -> Option<String> {
    use nix::libc as c;
    // SAFETY: fcntl(2) with F_GETFD and F_GETFL takes no pointer and answers for any number.
    let (descriptor, status) =
        unsafe { (c::fcntl(number, c::F_GETFD), c::fcntl(number, c::F_GETFL)) };
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the descriptor is open, as F_GETFD has just said, and is not closed in here.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let stat = rustix::fs::fstat(fd).ok()?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    // How carefully it was opened is nobody's business; whether it blocks is.
    let flags = status & !(c::O_NOFOLLOW | 0o100_000);
    let target = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    Some(format!(
        "{kind:?} mode {:o} owner {}:{} device {:x} flags {flags:o} cloexec {} target {}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_rdev,
        descriptor & c::FD_CLOEXEC,
        target.display(),
    ))
}
