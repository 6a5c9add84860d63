//! System calls as a seccomp filter answers them.

use nix::libc as c;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rrun_tests::sys;

use crate::Report;

/// Calls without effect: each refuses null pointers or bad descriptors, or only asks.
const CALLS: &[(&str, c::c_long, [c::c_long; 4])] = &[
    ("getppid", c::SYS_getppid, [0; 4]),
    ("sysinfo", c::SYS_sysinfo, [0; 4]),
    ("sched_yield", c::SYS_sched_yield, [0; 4]),
    ("getcpu", c::SYS_getcpu, [0; 4]),
    ("membarrier", c::SYS_membarrier, [0; 4]),
    ("mkdir", c::SYS_mkdir, [0; 4]),
    ("chroot", c::SYS_chroot, [0; 4]),
    ("setns", c::SYS_setns, [-1, 0, 0, 0]),
    ("unshare", c::SYS_unshare, [0; 4]),
    ("unshare user", c::SYS_unshare, [c::CLONE_NEWUSER as c::c_long, 0, 0, 0]),
    ("getpriority 0", c::SYS_getpriority, [0, 0, 0, 0]),
    ("getpriority 1", c::SYS_getpriority, [1, 0, 0, 0]),
    ("getpriority 2", c::SYS_getpriority, [2, 0, 0, 0]),
    ("personality", c::SYS_personality, [0xffff_ffff, 0, 0, 0]),
    ("socket inet", c::SYS_socket, [c::AF_INET as c::c_long, c::SOCK_DGRAM as c::c_long, 0, 0]),
    ("socket unix", c::SYS_socket, [c::AF_UNIX as c::c_long, c::SOCK_STREAM as c::c_long, 0, 0]),
    ("bpf", c::SYS_bpf, [-1, 0, 0, 0]),
    ("io_uring_setup", c::SYS_io_uring_setup, [0; 4]),
    ("kcmp", c::SYS_kcmp, [0; 4]),
    ("keyctl", c::SYS_keyctl, [-1, 0, 0, 0]),
    ("swapoff", c::SYS_swapoff, [0; 4]),
    ("openat2", c::SYS_openat2, [-1, 0, 0, 0]),
    ("mount_setattr", c::SYS_mount_setattr, [-1, 0, 0, 0]),
    ("futex_waitv", c::SYS_futex_waitv, [0; 4]),
    ("number 480", 480, [0; 4]),
    ("number 700", 700, [0; 4]),
    ("number 5000", 5000, [0; 4]),
];

/// What becomes of each call, made in a child, since a filter may kill for it.
pub(crate) fn tell(report: &mut Report) {
    for (name, number, args) in CALLS {
        let end = in_child(|| sys::plain_call(*number, *args));
        report.say(format!("call {name}: {end}"));
    }
    report.say(format!("call getpid of i386: {}", in_child(sys::foreign_getpid)));
    report.say(format!(
        "call getpid of x32: {}",
        in_child(|| sys::plain_call(0x4000_0000 | c::SYS_getpid, [0; 4]))
    ));
}

/// `Ok` for success, else the errno's number, or the signal.
fn in_child(call: impl FnOnce() -> Result<(), i32>) -> String {
    let child = || std::process::exit(call().err().unwrap_or(0));
    let pid = match sys::clone_into(0, child) {
        Ok(pid) => Pid::from_raw(pid),
        Err(e) => return format!("no child: {e}"),
    };
    match waitpid(pid, None) {
        Ok(WaitStatus::Exited(_, 0)) => "done".to_owned(),
        Ok(WaitStatus::Exited(_, errno)) => format!("errno {errno}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("{signal}"),
        other => format!("{other:?}"),
    }
}
