//! `linux.seccomp`.

use serde_json::{Value, json};

use crate::case::Case;
use crate::dice::Dice;
use crate::machine::Host;

/// What a runtime and the witness call; a profile that forbids by default must allow these.
const NEEDED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clone",
    "clone3",
    "close",
    "close_range",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchmod",
    "fchown",
    "fcntl",
    "fork",
    "fstat",
    "fstatfs",
    "ftruncate",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getrlimit",
    "getsid",
    "gettid",
    "getuid",
    "ioctl",
    "ioprio_get",
    "keyctl",
    "kill",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "newfstatat",
    "open",
    "openat",
    "pause",
    "personality",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "pwrite64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_getscheduler",
    "sched_yield",
    "seccomp",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setsid",
    "setuid",
    "sigaltstack",
    "socket",
    "socketpair",
    "bind",
    "getsockname",
    "stat",
    "statfs",
    "statx",
    "tgkill",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
    "setgid32",
    "no_such_call",
    "pidfd_open",
    "pidfd_send_signal",
    "memfd_create",
    "fsopen",
    "fsmount",
    "fsconfig",
    "move_mount",
    "openat2",
    "open_tree",
    "accept4",
];

/// What the witness tries, to be answered by a rule.
const TRIED: &[&str] = &[
    "sysinfo",
    "getcpu",
    "mkdir",
    "chroot",
    "setns",
    "bpf",
    "kcmp",
    "swapoff",
    "io_uring_setup",
    "mount_setattr",
    "futex_waitv",
    "no_such_call",
];

const ACTIONS: &[&str] = &[
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_LOG",
    "SCMP_ACT_ALLOW",
];

/// Fills in a profile.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    if !dice.chance(38) {
        return;
    }
    let strict = dice.chance(50);
    let default = match strict {
        true => dice.one(&[
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_KILL_PROCESS",
        ]),
        false => dice.one(&["SCMP_ACT_ALLOW", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]),
    };
    let mut profile = json!({"defaultAction": default});
    if default == "SCMP_ACT_ERRNO" || default == "SCMP_ACT_TRACE" {
        let errno = dice.number(&[0, 1, 38, 99]);
        dice.maybe(50, &mut profile, "defaultErrnoRet", json!(errno));
    }
    match dice.below(4) {
        0 => {}
        1 => profile["architectures"] = json!(["SCMP_ARCH_X86_64"]),
        2 => {
            profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        }
        _ => {
            profile["architectures"] =
                json!(["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"])
        }
    }
    flags(dice, host, &mut profile);
    let mut rules = Vec::new();
    if strict {
        let left_out = TRIED;
        let allowed: Vec<&str> =
            NEEDED.iter().copied().filter(|name| !left_out.contains(name)).collect();
        rules.push(json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}));
    }
    for name in dice.some(TRIED, 40) {
        rules.push(rule(dice, name, default));
    }
    arguments(dice, strict, &mut rules);
    profile["syscalls"] = Value::from(rules);
    case.spec["linux"]["seccomp"] = profile;
}

fn flags(dice: &mut Dice, host: &Host, profile: &mut Value) {
    // Debian's runc 1.1 is built without these.
    if !host.knows(1, 2) {
        return;
    }
    let known =
        &["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"];
    let flags = dice.some(known, 40);
    dice.maybe(50, profile, "flags", json!(flags));
}

fn rule(dice: &mut Dice, name: &str, default: &str) -> Value {
    // libseccomp refuses a rule that says what is the case without it; so do the runtimes, or skip it.
    let action = loop {
        let action = dice.one(ACTIONS);
        if action != default || dice.chance(5) {
            break action;
        }
    };
    let mut rule = json!({"names": [name], "action": action});
    if action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRACE" {
        let errno = dice.number(&[0, 1, 13, 38, 95]);
        dice.maybe(60, &mut rule, "errnoRet", json!(errno));
    }
    rule
}

/// Rules about arguments of calls that are otherwise free (or, where all is forbidden, needed).
fn arguments(dice: &mut Dice, strict: bool, rules: &mut Vec<Value>) {
    if strict {
        if dice.chance(60) {
            // unshare without any of the CLONE_NEW* flags of Docker's profile.
            rules.push(json!({"names": ["unshare"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 2_114_060_288u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}));
        }
        return;
    }
    let operator = dice.one(&[
        "SCMP_CMP_EQ",
        "SCMP_CMP_NE",
        "SCMP_CMP_GT",
        "SCMP_CMP_GE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
    ]);
    if dice.chance(50) {
        rules.push(
            json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77, "args": [
            {"index": 0, "value": 1, "op": operator}]}),
        );
    }
    if dice.chance(30) {
        // Two conditions on one argument are two rules, either of which is enough.
        rules.push(json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [
            {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 44, "op": "SCMP_CMP_EQ"}]}));
    }
    if dice.chance(30) {
        rules.push(json!({"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
            {"index": 0, "value": 0x1000_0000, "valueTwo": 0x1000_0000, "op": "SCMP_CMP_MASKED_EQ"}]}));
    }
}
