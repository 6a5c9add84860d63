//! The process itself: user, capabilities, limits, namespaces, scheduling, terminal, keyring.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use rrun_tests::sys::Seen;

use crate::Report;

/// Lines of /proc/self/status that stay the same from one run to the next.
const STATUS: &[&str] = &[
    "Umask",
    "Pid",
    "PPid",
    "TracerPid",
    "Uid",
    "Gid",
    "Groups",
    "NStgid",
    "NSpid",
    "NSpgid",
    "NSsid",
    "Kthread",
    "CoreDumping",
    "THP_enabled",
    "Threads",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Speculation_Store_Bypass",
    "SpeculationIndirectBranch",
    "Cpus_allowed",
    "Mems_allowed",
];

const FILES: &[&str] = &[
    "/proc/self/uid_map",
    "/proc/self/gid_map",
    "/proc/self/setgroups",
    "/proc/self/projid_map",
    "/proc/self/timens_offsets",
    "/proc/self/oom_score_adj",
    "/proc/self/coredump_filter",
    "/proc/self/loginuid",
    "/proc/self/timerslack_ns",
    "/proc/self/personality",
    "/proc/self/cgroup",
    "/proc/self/attr/current",
    "/proc/self/comm",
];

const SYSCTLS: &[&str] = &[
    "fs/mqueue/msg_max",
    "fs/mqueue/queues_max",
    "kernel/domainname",
    "kernel/hostname",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "net/core/somaxconn",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/lo/forwarding",
    "net/ipv4/ip_default_ttl",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ping_group_range",
    "net/ipv4/tcp_syncookies",
    "user/max_user_namespaces",
];

const RESOURCES: &[(&str, Resource)] = &[
    ("AS", Resource::RLIMIT_AS),
    ("CORE", Resource::RLIMIT_CORE),
    ("CPU", Resource::RLIMIT_CPU),
    ("DATA", Resource::RLIMIT_DATA),
    ("FSIZE", Resource::RLIMIT_FSIZE),
    ("LOCKS", Resource::RLIMIT_LOCKS),
    ("MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
    ("NICE", Resource::RLIMIT_NICE),
    ("NOFILE", Resource::RLIMIT_NOFILE),
    ("NPROC", Resource::RLIMIT_NPROC),
    ("RSS", Resource::RLIMIT_RSS),
    ("RTPRIO", Resource::RLIMIT_RTPRIO),
    ("RTTIME", Resource::RLIMIT_RTTIME),
    ("SIGPENDING", Resource::RLIMIT_SIGPENDING),
    ("STACK", Resource::RLIMIT_STACK),
];

/// Everything about the process.
pub(crate) fn tell(report: &mut Report) {
    // In the order in which they were handed over.
    for (name, value) in std::env::vars_os() {
        report.say(format!("env {}={}", name.to_string_lossy(), value.to_string_lossy()));
    }
    report.say(format!("cwd {:?}", std::env::current_dir().map_err(|e| e.kind())));
    identity().iter().for_each(|line| report.say(line));
    for (name, resource) in RESOURCES {
        report.say(format!("limit {name} {:?}", getrlimit(*resource)));
    }
    for (what, value) in rrun_tests::sys::self_portrait() {
        report.say(match value {
            Seen::Number(n) => format!("{what} {n}"),
            Seen::Text(text) => format!("{what} {text:?}"),
            Seen::Errno(errno) => format!("{what} {errno:?}"),
        });
    }
    for path in FILES {
        report.say(format!("{path} {}", crate::files::content(path)));
    }
    for name in SYSCTLS {
        report
            .say(format!("sysctl {name} {}", crate::files::content(&format!("/proc/sys/{name}"))));
    }
    let uname = rustix::system::uname();
    report.say(format!("nodename {:?} domainname {:?}", uname.nodename(), uname.domainname()));
    interfaces(report);
}

/// The lines of /proc/self/status, its namespaces and its terminal.
pub(crate) fn identity() -> Vec<String> {
    let mut lines = Vec::new();
    let status = fs::read_to_string("/proc/self/status");
    match &status {
        Ok(text) => lines.extend(
            text.lines()
                .filter(|line| line.split_once(':').is_some_and(|(key, _)| STATUS.contains(&key)))
                .map(|line| format!("status {}", line.replace('\t', " "))),
        ),
        Err(e) => lines.push(format!("status: {:?}", e.kind())),
    }
    for kind in [
        "cgroup",
        "ipc",
        "mnt",
        "net",
        "pid",
        "pid_for_children",
        "time",
        "time_for_children",
        "user",
        "uts",
    ] {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).map_err(|e| e.kind());
        lines.push(format!("namespace {kind} {link:?}"));
    }
    lines
}

fn interfaces(report: &mut Report) {
    let mut seen = BTreeMap::new();
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return report.say("interfaces: none to see") };
    for interface in all {
        let address = interface.address.map(|a| a.to_string()).unwrap_or_default();
        // The link's own entry carries an index, which grows with each link that the kernel makes.
        let address = if address.contains("if=") || address.contains("addr") {
            String::new()
        } else {
            address
        };
        seen.insert((interface.interface_name, address), interface.flags);
    }
    for ((name, address), flags) in seen {
        report.say(format!("interface {name} {address} {flags:?}"));
    }
}
