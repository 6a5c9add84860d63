//! The least that a container costs: the system calls and nothing else.
//!
//! - `floor run ROOTFS ID` makes cgroups, namespaces, mounts, devices and the pivot that the stock
//!   configuration asks for, executes `/bin/true`, waits and cleans up. No configuration is read,
//!   no error explained, no state kept: a runtime can come near and not below.
//! - `floor rss COMMAND...` runs a command and prints the peak resident memory of its processes in KiB.

// A measurement that cannot go on ends with a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::CString;
use std::fs;
use std::path::Path;
use std::process::{Command, exit};

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, execve, pivot_root};

const NONE: Option<&str> = None;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", rootfs, id] => exit(run(rootfs, id)),
        ["rss", program, ref rest @ ..] => {
            let status = Command::new(program).args(rest).status().expect("run the command");
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
            println!("{}", usage.max_rss());
            exit(status.code().unwrap_or(1));
        }
        _ => panic!("floor run ROOTFS ID | floor rss COMMAND..."),
    }
}

fn run(rootfs: &str, id: &str) -> i32 {
    let groups = groups(id);
    for group in &groups {
        fs::create_dir(group).expect("mkdir cgroup");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let above = Path::new(group).parent().expect("hierarchy").join(file);
            if let Ok(value) = fs::read(above) {
                fs::write(format!("{group}/{file}"), value).expect("write cpuset");
            }
        }
    }
    let devices = "/sys/fs/cgroup/devices";
    if Path::new(devices).exists() {
        fs::write(format!("{devices}/{id}/devices.deny"), "a").expect("deny devices");
        for rule in ["c 1:* rwm", "c 5:* rwm", "c 136:* rwm"] {
            fs::write(format!("{devices}/{id}/devices.allow"), rule).expect("allow devices");
        }
    }
    let flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWCGROUP;
    let pid = rrun_tests::sys::clone_into(flags, || container(rootfs, &groups)).expect("clone");
    let status = waitpid(Pid::from_raw(pid), None).expect("wait");
    for group in &groups {
        fs::remove_dir(group).expect("rmdir cgroup");
    }
    match status {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

fn groups(id: &str) -> Vec<String> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![format!("/sys/fs/cgroup/{id}")];
    }
    let entries = fs::read_dir(root).expect("read /sys/fs/cgroup").flatten();
    let real = entries.filter(|e| !e.path().is_symlink() && e.path().join("tasks").exists());
    real.map(|e| format!("{}/{id}", e.path().display())).collect()
}

fn fresh(fstype: &str, at: &str, flags: MsFlags, data: &str) {
    mount(Some(fstype), at, Some(fstype), flags, Some(data))
        .unwrap_or_else(|e| panic!("mount {fstype} at {at}: {e}"));
}

fn container(rootfs: &str, groups: &[String]) {
    for group in groups {
        fs::write(format!("{group}/cgroup.procs"), "0").expect("join cgroup");
    }
    let bind = MsFlags::MS_BIND;
    let tight = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE).expect("rslave /");
    mount(Some(rootfs), rootfs, NONE, bind | MsFlags::MS_REC, NONE).expect("bind rootfs");
    chdir(rootfs).expect("chdir");
    fresh("proc", "proc", MsFlags::empty(), "");
    fresh("tmpfs", "dev", MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME, "mode=755,size=65536k");
    for folder in ["dev/pts", "dev/shm", "dev/mqueue"] {
        fs::create_dir(folder).expect("mkdir");
    }
    let pts = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    fresh("devpts", "dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, pts);
    fresh("tmpfs", "dev/shm", tight, "mode=1777,size=65536k");
    fresh("mqueue", "dev/mqueue", tight, "");
    fresh("sysfs", "sys", tight | MsFlags::MS_RDONLY, "");
    umask(Mode::empty());
    let mode = Mode::from_bits_truncate(0o666);
    for (name, major, minor) in [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ] {
        let path = format!("dev/{name}");
        mknod(path.as_str(), SFlag::S_IFCHR, mode, makedev(major, minor)).expect("mknod");
    }
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        std::os::unix::fs::symlink(to, format!("dev/{name}")).expect("symlink");
    }
    pivot_root(".", ".").expect("pivot_root");
    umount2(".", MntFlags::MNT_DETACH).expect("umount the old root");
    chdir("/").expect("chdir /");
    rustix::system::sethostname(b"box").expect("sethostname");
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        if mount(Some(path), path, NONE, bind | MsFlags::MS_REC, NONE).is_ok() {
            let again = bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(NONE, path, NONE, again, NONE).expect("remount read-only");
        }
    }
    for path in ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"] {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => fresh("tmpfs", path, MsFlags::MS_RDONLY, "nr_inodes=1"),
            Ok(_) => mount(Some("/dev/null"), path, NONE, bind, NONE).expect("mask"),
            Err(_) => {}
        }
    }
    let program = CString::new("/bin/true").expect("CString");
    let error = execve(&program, &[&program], &[] as &[&CString]);
    panic!("exec: {error:?}");
}
