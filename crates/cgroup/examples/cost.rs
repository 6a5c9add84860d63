//! What a container's groups cost: `cargo run -p cgroup --example cost [ROUNDS]`, as root; one
//! round below `strace -fc` counts the system calls.
//!
//! Prints the median time of each step, and of the two ways in which a new process can enter.

// clone and fork are unsafe.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cgroup::{Cgroup, Hierarchies, Join, Options, SubCgroups, device_rules};
use oci_spec::runtime::LinuxResources;

const STEPS: [&str; 8] = [
    "detect",
    "new + create",
    "set_limits + set_devices",
    "join_handles",
    "clone into + enter (0 to tasks)",
    "kill_all",
    "remove",
    "add_process (pid to cgroup.procs)",
];

/// include/uapi/linux/sched.h; libc's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let by_pid = std::env::args().nth(2).is_some();
    let mut times = vec![Vec::new(); STEPS.len()];
    for round in 0..rounds {
        let path = PathBuf::from(format!("/rrun-cost-{}-{round}", std::process::id()));
        for (times, time) in times.iter_mut().zip(container(&path, by_pid)) {
            times.push(time);
        }
    }
    for (step, times) in STEPS.iter().zip(&mut times) {
        times.sort();
        println!("{:>9.0?} {step}", times[times.len() / 2]);
    }
}

/// One container's life: the time of each step.
fn container(path: &std::path::Path, by_pid: bool) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut start = Instant::now();
    let mut lap = || {
        times.push(start.elapsed());
        start = Instant::now();
    };
    let hierarchies = Hierarchies::detect().unwrap();
    lap();
    // What `spec` writes by default.
    let resources: LinuxResources =
        serde_json::from_str(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#).unwrap();
    let mut cgroup = Cgroup::new(&hierarchies, Some(path), "", Options::default()).unwrap();
    cgroup.create(&resources).unwrap();
    lap();
    let rules = device_rules(Some(&resources), &[]).unwrap();
    cgroup.apply(&resources, &rules).unwrap();
    lap();
    let join = cgroup.join_handles(&SubCgroups::none()).unwrap();
    lap();
    let first = clone_into(&join);
    lap();
    cgroup.kill_all().unwrap();
    reap(first);
    lap();
    cgroup.remove().unwrap();
    lap();
    if by_pid {
        cgroup.create(&resources).unwrap();
        let second = fork();
        lap();
        times.pop();
        let begin = Instant::now();
        cgroup.add_process(second, &SubCgroups::none()).unwrap();
        times.push(begin.elapsed());
        cgroup.kill_all().unwrap();
        reap(second);
        cgroup.remove().unwrap();
    } else {
        times.push(Duration::ZERO);
    }
    times
}

/// A child in the groups, seen to be so: it writes one byte after entering.
fn clone_into(join: &Join) -> i32 {
    let mut args = [0u64; 11];
    args[0] = CLONE_INTO_CGROUP;
    args[4] = libc::SIGCHLD as u64;
    args[10] = join.clone_into().map_or(0, |fd| fd.as_raw_fd() as u64);
    let mut pipe = [0; 2];
    // SAFETY: an array of two descriptors, as pipe2 wants.
    assert_eq!(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: without CLONE_VM the child has its own copy of everything; it has one thread and
    // only makes system calls.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    if pid == 0 {
        let entered = u8::from(join.enter(true).is_err());
        // SAFETY: one byte from the stack; pause and _exit take no pointers.
        unsafe {
            libc::write(pipe[1], std::ptr::from_ref(&entered).cast(), 1);
            libc::pause();
            libc::_exit(0);
        }
    }
    assert!(pid > 0, "{}", std::io::Error::last_os_error());
    let mut failed = 1u8;
    // SAFETY: one byte into a local; then both descriptors are closed once.
    unsafe {
        libc::read(pipe[0], std::ptr::from_mut(&mut failed).cast(), 1);
        libc::close(pipe[0]);
        libc::close(pipe[1]);
    }
    assert_eq!(failed, 0);
    i32::try_from(pid).unwrap()
}

fn fork() -> i32 {
    // SAFETY: the child only waits.
    unsafe {
        match libc::fork() {
            0 => {
                libc::pause();
                libc::_exit(0)
            }
            pid => pid,
        }
    }
}

fn reap(pid: i32) {
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
}
