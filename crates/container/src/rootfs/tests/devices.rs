//! Device nodes and the console.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, major, minor};
use serde_json::json;

use super::{kernel_test, replace_with_symlink};
use crate::rootfs::mount_console;

fn numbers(path: &str) -> (u32, u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    assert!(metadata.file_type().is_char_device() || metadata.file_type().is_block_device());
    (major(metadata.rdev()), minor(metadata.rdev()), metadata.mode() & 0o7777)
}

kernel_test!(default_devices_and_links, |sandbox| {
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    assert_eq!(numbers("/dev/null"), (1, 3, 0o666));
    assert_eq!(numbers("/dev/zero"), (1, 5, 0o666));
    assert_eq!(numbers("/dev/full"), (1, 7, 0o666));
    assert_eq!(numbers("/dev/random"), (1, 8, 0o666));
    assert_eq!(numbers("/dev/urandom"), (1, 9, 0o666));
    assert_eq!(numbers("/dev/tty"), (5, 0, 0o666));
    assert_eq!(numbers("/dev/ptmx"), (5, 2, 0o666));
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        assert_eq!(fs::read_link(link).unwrap(), Path::new(target));
    }
});

kernel_test!(listed_devices, |sandbox| {
    sandbox.usual_mounts();
    sandbox.linux = json!({ "devices": [
        { "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 7, "gid": 8 },
        { "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200 },
        { "path": "/dev/loop9", "type": "b", "major": 7, "minor": 9, "fileMode": 0o660 },
        { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 },
        { "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2 },
        { "path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o620 },
    ]});
    sandbox.enter().unwrap();
    assert_eq!(numbers("/dev/kmsg"), (1, 11, 0o640));
    let kmsg = fs::metadata("/dev/kmsg").unwrap();
    assert_eq!((kmsg.uid(), kmsg.gid()), (7, 8));
    assert_eq!(numbers("/dev/net/tun"), (10, 200, 0o666));
    assert_eq!(numbers("/dev/loop9"), (7, 9, 0o660));
    assert!(fs::metadata("/dev/pipe").unwrap().file_type().is_fifo());
    assert_eq!(numbers("/dev/ptmx"), (5, 2, 0o666));
    assert_eq!(numbers("/dev/tty"), (5, 0, 0o620));
});

kernel_test!(umask_does_not_narrow_modes, |sandbox| {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    sandbox.usual_mounts();
    sandbox.bind("outside/dir", "/new/dir", &["bind"]);
    let (plan, mounted) = sandbox.build().unwrap();
    assert_eq!(rustix::process::umask(Mode::from_raw_mode(0o077)).as_raw_mode(), 0o077);
    plan.pivot(&mounted).unwrap();
    plan.finalize(mounted).unwrap();
    assert_eq!(numbers("/dev/null").2, 0o666);
    assert_eq!(fs::metadata("/new").unwrap().mode() & 0o7777, 0o755);
    assert_eq!(rustix::process::umask(Mode::empty()).as_raw_mode(), 0o022);
});

kernel_test!(a_bound_dev_is_left_alone, |sandbox| {
    sandbox.bind("outside", "/dev", &["rbind"]);
    sandbox.enter().unwrap();
    assert!(!Path::new("/dev/null").exists());
});

/// A terminal from the container's own devpts.
fn new_pty() -> (rustix::fd::OwnedFd, rustix::fd::OwnedFd) {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(CWD, "/dev/ptmx", flags, Mode::empty()).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::openat(CWD, name, flags, Mode::empty()).unwrap();
    (master, slave)
}

kernel_test!(console_is_the_pty, |sandbox| {
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    let (_master, slave) = new_pty();
    mount_console(slave.as_fd()).unwrap();
    let console = fs::metadata("/dev/console").unwrap();
    assert_eq!(console.rdev(), rustix::fs::fstat(&slave).unwrap().st_rdev);
    assert_eq!(sandbox.mounted_at("/dev/console").fs_type, "devpts");
});

// CVE-2025-52565
kernel_test!(console_as_a_symlink_is_refused, |sandbox| {
    let target = sandbox.rootfs().join("etc/secret");
    replace_with_symlink(sandbox, "dev/console", "/etc/secret");
    sandbox.mount("proc", "proc", "/proc", &[]);
    sandbox.mount("devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]);
    sandbox.enter().unwrap();
    let (_master, slave) = new_pty();
    assert!(mount_console(slave.as_fd()).is_err());
    assert_eq!(fs::read("/etc/secret").unwrap(), b"secret");
    let _ = target;
});

kernel_test!(only_a_pty_becomes_the_console, |sandbox| {
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    let file = fs::File::open("/etc/secret").unwrap();
    let text = mount_console(file.as_fd()).unwrap_err().to_string();
    assert!(text.contains("not a pty"), "{text}");
});
