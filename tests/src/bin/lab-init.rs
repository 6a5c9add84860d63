//! Process 1 of a lab: makes the lab's namespaces and mounts, then reaps until its stdin closes.
//!
//! `lab-init outer LAYOUT [LEAF]` unshares, moves to the cgroup LEAF and starts itself again as `inner`, which is process 1 of the new
//! PID namespace. stdout: the inner process's PID as the caller sees it, then `ready`. Since the
//! lab's life hangs on a pipe, it ends with the test however the test ends, and the kernel kills
//! every process of the PID namespace with it.

// A panic here fails the test that wanted the lab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["outer", layout] => outer(layout, None),
        ["outer", layout, leaf] => outer(layout, Some(leaf)),
        ["inner", layout] => inner(layout),
        _ => panic!("lab-init outer|inner v1|hybrid|v2"),
    }
}

fn outer(layout: &str, leaf: Option<&str>) {
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP
            | CloneFlags::CLONE_NEWPID,
    )
    .expect("unshare: the tests need root");
    if let Some(leaf) = leaf {
        fs::write(format!("{leaf}/cgroup.procs"), "0").expect("join the leaf cgroup");
    }
    let mut child = Command::new("/proc/self/exe")
        .args(["inner", layout])
        .stdin(Stdio::inherit())
        .spawn()
        .expect("start process 1");
    println!("{}", child.id());
    let status = child.wait().expect("wait for process 1");
    exit(status.code().unwrap_or(1));
}

fn inner(layout: &str) {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    let overlaid = tempfs("/mnt");
    for folder in ["/etc", "/var/lib"] {
        overlay(folder, overlaid);
    }
    // Nothing below needs the upper layers' own mount point.
    umount2("/mnt", MntFlags::MNT_DETACH).expect("umount /mnt");
    tempfs("/run");
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).expect("mount /proc");
    let cgroups = hierarchies(layout);
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).expect("mount /sys");
    mount_cgroups(layout, &cgroups);
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("run ip");
    assert!(up.success(), "ip link set lo up: {up}");
    rustix::system::sethostname(b"lab").expect("sethostname");
    rrun_tests::sys::reap_children_by_kernel().expect("ignore SIGCHLD");
    println!("ready");
    std::io::stdout().flush().expect("say ready");
    let mut end = Vec::new();
    // Whatever ends the pipe ends the lab.
    let _ = std::io::stdin().read_to_end(&mut end);
}

fn tempfs(at: &str) -> &Path {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .unwrap_or_else(|e| panic!("tmpfs on {at}: {e}"));
    Path::new(at)
}

/// Puts a throw-away upper layer on `folder`, so that what is written there stays in the lab.
fn overlay(folder: &str, space: &Path) {
    let layers = space.join(folder.replace('/', "_"));
    let (upper, work) = (layers.join("upper"), layers.join("work"));
    for dir in [&upper, &work] {
        fs::create_dir_all(dir).expect("overlay folders");
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let data = format!("lowerdir={folder},upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), folder, Some("overlay"), MsFlags::empty(), Some(data.as_str()))
        .unwrap_or_else(|e| panic!("overlay on {folder}: {e}"));
}

/// The host's cgroup v1 hierarchies by folder name.
fn hierarchies(layout: &str) -> Vec<String> {
    if layout == "v2" {
        return Vec::new();
    }
    let mut names: Vec<String> = fs::read_dir("/sys/fs/cgroup")
        .expect("read /sys/fs/cgroup")
        .flatten()
        .filter(|entry| !entry.path().is_symlink() && entry.path().join("cgroup.procs").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| layout == "hybrid" || name != "unified")
        .collect();
    names.sort();
    names
}

/// Shows the cgroup hierarchies again from the lab's own cgroup namespace.
fn mount_cgroups(layout: &str, names: &[String]) {
    let root = PathBuf::from("/sys/fs/cgroup");
    if layout == "v2" {
        mount(Some("cgroup2"), &root, Some("cgroup2"), MsFlags::empty(), None::<&str>)
            .expect("mount cgroup2");
        return;
    }
    tempfs("/sys/fs/cgroup");
    for name in names {
        let at = root.join(name);
        fs::create_dir(&at).expect("cgroup folder");
        let (fstype, data) = match name.as_str() {
            "unified" => ("cgroup2", None),
            "systemd" => ("cgroup", Some("none,name=systemd")),
            controllers => ("cgroup", Some(controllers)),
        };
        mount(Some("cgroup"), &at, Some(fstype), MsFlags::empty(), data)
            .unwrap_or_else(|e| panic!("mount cgroup {name}: {e}"));
    }
}
