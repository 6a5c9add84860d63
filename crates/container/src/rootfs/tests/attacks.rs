//! Images that try to reach the host through the runtime. The harness checks that `outside` is unchanged.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{UnmountFlags, unmount};
use serde_json::json;

use super::{Sandbox, kernel_test, replace_with_symlink};

kernel_test!(proc_as_a_symlink_is_refused, |sandbox| {
    fs::create_dir(sandbox.rootfs().join("bad-proc")).unwrap();
    replace_with_symlink(sandbox, "proc", "/bad-proc");
    sandbox.usual_mounts();
    assert!(sandbox.refusal().contains("must be mounted on ordinary directory"));
});

kernel_test!(sys_as_a_symlink_is_refused, |sandbox| {
    let outside = sandbox.outside();
    replace_with_symlink(sandbox, "sys", outside);
    sandbox.mount("sysfs", "sysfs", "/sys", &["ro"]);
    assert!(sandbox.refusal().contains("must be mounted on ordinary directory"));
});

kernel_test!(proc_through_a_symlinked_parent_is_refused, |sandbox| {
    replace_with_symlink(sandbox, "mnt", "/tmp");
    sandbox.mount("proc", "proc", "/mnt/proc", &[]);
    assert!(sandbox.refusal().contains("must be mounted on ordinary directory"));
});

kernel_test!(bind_over_proc_is_refused, |sandbox| {
    sandbox.bind("outside", "/proc", &["bind"]);
    assert!(
        sandbox.refusal().contains("\"/proc\" cannot be mounted because it is not of type proc")
    );
});

kernel_test!(bind_of_a_procfs_over_proc_is_permitted, |sandbox| {
    sandbox.bind("/proc", "/proc", &["rbind"]);
    sandbox.enter().unwrap();
});

kernel_test!(mount_inside_proc_is_refused, |sandbox| {
    sandbox.usual_mounts();
    sandbox.mount("tmpfs", "tmpfs", "/proc/sys", &[]);
    assert!(
        sandbox.refusal().contains("\"/proc/sys\" cannot be mounted because it is inside /proc")
    );
});

kernel_test!(mount_inside_proc_through_a_symlink_is_refused, |sandbox| {
    sandbox.usual_mounts();
    replace_with_symlink(sandbox, "mnt", "/proc/self");
    sandbox.mount("tmpfs", "tmpfs", "/mnt/attr", &[]);
    assert!(sandbox.refusal().contains("inside /proc"));
});

kernel_test!(lxcfs_files_in_proc_are_permitted, |sandbox| {
    sandbox.usual_mounts();
    sandbox.bind("outside/canary", "/proc/meminfo", &["bind", "ro"]);
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/proc/meminfo").unwrap(), b"canary");
});

kernel_test!(mount_on_the_rootfs_is_refused, |sandbox| {
    sandbox.mount("tmpfs", "tmpfs", "/mnt/..", &[]);
    assert!(sandbox.refusal().contains("on the top of rootfs"));
});

kernel_test!(mount_on_the_rootfs_through_a_symlink_is_refused, |sandbox| {
    replace_with_symlink(sandbox, "mnt", "../../..");
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &[]);
    assert!(sandbox.refusal().contains("on the top of rootfs"));
});

// CVE-2026-41579, CVE-2026-47766: the default config must not make or remove anything behind the link.
kernel_test!(dev_as_a_symlink_stays_inside, |sandbox| {
    let outside = sandbox.outside();
    fs::write(outside.join("ptmx"), "mine").unwrap();
    replace_with_symlink(sandbox, "dev", &outside);
    // Without a mount on it, /dev is written to where the link leads in the rootfs.
    sandbox.build().unwrap();
    assert!(sandbox.rootfs().join(outside.strip_prefix("/").unwrap()).join("null").exists());
    assert_eq!(fs::read(outside.join("ptmx")).unwrap(), b"mine");
    fs::remove_file(outside.join("ptmx")).unwrap();
    assert_eq!(fs::read_dir(outside).unwrap().count(), 2);
});

kernel_test!(dev_as_a_relative_symlink_stays_inside, |sandbox| {
    replace_with_symlink(sandbox, "dev", "../outside/dir");
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    assert_eq!(sandbox.mounted_at("/outside/dir").fs_type, "tmpfs");
});

kernel_test!(destinations_cannot_climb_out, |sandbox| {
    let outside = sandbox.outside();
    replace_with_symlink(sandbox, "mnt", &outside);
    sandbox.bind("mnt-src", "/mnt/new", &["bind"]);
    sandbox.bind("mnt-src", "/../../../outside/new2", &["bind"]);
    sandbox.mount("tmpfs", "tmpfs", "/mnt/dir/x", &[]);
    sandbox.enter().unwrap();
    sandbox.mounted_at("/outside/new2");
});

kernel_test!(a_fake_null_device_masks_nothing, |sandbox| {
    // CVE-2025-31133, without a tmpfs on /dev: the image's node is what the mask would bind.
    fs::write(sandbox.rootfs().join("dev/null"), "fake").unwrap();
    sandbox.mount("proc", "proc", "/proc", &[]);
    sandbox.linux = json!({ "maskedPaths": ["/etc/secret"] });
    let text = sandbox.refusal();
    assert!(text.contains("is not the device 1:3"), "{text}");
});

kernel_test!(a_linked_null_device_masks_nothing, |sandbox| {
    replace_with_symlink(sandbox, "dev/null", "/proc/sys/kernel/core_pattern");
    sandbox.mount("proc", "proc", "/proc", &[]);
    sandbox.linux = json!({ "maskedPaths": ["/etc/secret"] });
    let before = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let text = sandbox.refusal();
    assert!(text.contains("/dev/null"), "{text}");
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
});

/// Ends the racing thread, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Exchanges a directory and a symlink to the host as fast as it can while rootfs after rootfs is built
/// (CVE-2021-30465, CVE-2019-18837). Some builds may fail; none may touch the host, and `check` holds for the others.
fn race(sandbox: &Sandbox, directory: &str, check: impl Fn(&Sandbox)) {
    let (real, link) = (sandbox.rootfs().join(directory), sandbox.rootfs().join("swap"));
    symlink(sandbox.outside(), &link).unwrap();
    let done = AtomicBool::new(false);
    let (mut built, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Fails while one of the two is a mount point.
                let _ = renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE);
            }
        });
        for _ in 0..500 {
            match sandbox.build() {
                Ok(_) => {
                    built += 1;
                    check(sandbox);
                }
                Err(_) => refused += 1,
            }
            while unmount(sandbox.rootfs(), UnmountFlags::DETACH).is_ok() {}
            for mount in sandbox.mountinfo() {
                assert!(!mount.mount_point.starts_with(sandbox.outside()), "{mount:?}");
            }
        }
    });
    println!("{directory}: {built} built, {refused} refused");
    assert!(built > 0, "no build got through");
}

kernel_test!(racing_the_mount_point_of_a_bind, |sandbox| {
    sandbox.bind("mnt-src", "/mnt/new/deep", &["bind"]);
    sandbox.bind("mnt-src/file", "/mnt/other/file", &["bind"]);
    fs::write(sandbox.bundle.join("mnt-src/file"), "x").unwrap();
    race(sandbox, "mnt", |_| {});
});

kernel_test!(racing_dev, |sandbox| {
    sandbox.mount("tmpfs", "tmpfs", "/dev/shm", &[]);
    race(sandbox, "dev", |_| {});
});

// A rename that the kernel has begun before the mount ends after it: where /proc is, is not certain. The harness sees
// that it is not outside.
kernel_test!(racing_proc, |sandbox| {
    sandbox.mount("proc", "proc", "/proc", &[]);
    race(sandbox, "proc", |_| {});
});

kernel_test!(racing_the_parent_of_a_device, |sandbox| {
    fs::create_dir(sandbox.rootfs().join("dev/net")).unwrap();
    let tun = json!([{ "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "uid": 1 }]);
    sandbox.linux = json!({ "devices": tun });
    race(sandbox, "dev/net", |_| {});
});

kernel_test!(racing_the_source_of_tmpcopyup, |sandbox| {
    fs::create_dir_all(sandbox.rootfs().join("data/sub")).unwrap();
    fs::write(sandbox.rootfs().join("data/sub/mine"), "mine").unwrap();
    sandbox.mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
    race(sandbox, "data/sub", |sandbox| {
        let copy = sandbox.rootfs().join("data/sub");
        let is_link = fs::symlink_metadata(&copy).unwrap().is_symlink();
        assert!(is_link || !copy.join("canary").exists(), "a file of the host was copied");
    });
});
