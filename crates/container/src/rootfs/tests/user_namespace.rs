//! In a user namespace: bound devices, locked flags, and sources from the privileged side.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use serde_json::json;

use super::{CgroupView, SAME_PIDS, kernel_test, replace_with_symlink};

const USER: &[&str] = &[
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--ipc",
    "--net",
    "--propagation",
    "unchanged",
];

kernel_test!(devices_are_bound, USER, "", |sandbox| {
    sandbox.user_namespace = true;
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    let null = fs::metadata("/dev/null").unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!(null.rdev(), rustix::fs::makedev(1, 3));
    fs::write("/dev/null", "x").unwrap();
    assert_eq!(sandbox.mounted_at("/dev/null").mount_point, std::path::Path::new("/dev/null"));
});

kernel_test!(a_device_s_mount_point_may_not_be_a_link, USER, "", |sandbox| {
    sandbox.user_namespace = true;
    replace_with_symlink(sandbox, "dev/null", "/etc/secret");
    assert!(sandbox.refusal().contains("/dev/null"));
});

kernel_test!(without_mknod_devices_are_bound_too, USER, "", |sandbox| {
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    assert_eq!(fs::metadata("/dev/zero").unwrap().rdev(), rustix::fs::makedev(1, 5));
});

// What `runc spec --rootless` asks for.
kernel_test!(rootless_mounts, USER, "", |sandbox| {
    sandbox.user_namespace = true;
    sandbox.usual_mounts();
    sandbox.mount("none", "/sys", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
    let safe = &["nosuid", "noexec", "nodev", "relatime", "ro"];
    sandbox.mount("cgroup", "cgroup", "/sys/fs/cgroup", safe);
    sandbox.readonly_root = true;
    sandbox.linux = json!({
        "maskedPaths": ["/proc/kcore", "/proc/acpi", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys", "/proc/bus"],
    });
    sandbox.enter().unwrap();
    // cgroup2 may not be mounted without a cgroup namespace: it is the host's, bound.
    let cgroup = sandbox.mounted_at("/sys/fs/cgroup");
    assert_eq!(cgroup.fs_type, "cgroup2");
    assert!(cgroup.mount_options.contains_key("ro"));
    assert!(sandbox.mounted_at("/sys").mount_options.contains_key("ro"));
    assert!(sandbox.mounted_at("/").mount_options.contains_key("ro"));
    assert_eq!(fs::read_dir("/sys/firmware").unwrap().count(), 0);
});

// CVE-2023-25809: without a cgroup to show, the host's are hidden rather than left writable.
kernel_test!(rootless_without_a_cgroup_sees_none, USER, "", |sandbox| {
    sandbox.user_namespace = true;
    sandbox.rootless = true;
    sandbox.cgroup = CgroupView::Unified {
        mount_point: "/sys/fs/cgroup".into(),
        cgroup: Some("/sys/fs/cgroup/not/there".into()),
        private_namespace: true,
    };
    sandbox.usual_mounts();
    sandbox.mount("none", "/sys", "/sys", &["rbind", "ro"]);
    sandbox.mount("cgroup", "cgroup", "/sys/fs/cgroup", &["ro"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.mounted_at("/sys/fs/cgroup").fs_type, "tmpfs");
    super::assert_read_only("/sys/fs/cgroup/mine");
});

const LOCKED: &str = "mount -t tmpfs -o nosuid,nodev,noatime t mnt-src";

kernel_test!(locked_flags_are_kept, USER, LOCKED, |sandbox| {
    sandbox.user_namespace = true;
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ro"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.options_at("/mnt"), ["noatime", "nodev", "nosuid", "ro"]);
});

const NOSYMFOLLOW: &str = "mount -t tmpfs -o nodev,nosymfollow t mnt-src";

// runc: what config.json does not mention goes, if the user namespace lets it.
kernel_test!(a_flag_that_is_not_lockable_is_cleared, USER, NOSYMFOLLOW, |sandbox| {
    sandbox.user_namespace = true;
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ro"]);
    sandbox.bind("mnt-src", "/tmp", &["rbind"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.options_at("/mnt"), ["nodev", "relatime", "ro"]);
    assert_eq!(sandbox.options_at("/tmp"), ["nodev", "nosymfollow", "relatime", "rw"]);
});

kernel_test!(clearing_a_locked_flag_is_refused, USER, LOCKED, |sandbox| {
    sandbox.user_namespace = true;
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ro", "suid"]);
    let text = sandbox.refusal();
    assert!(text.contains("locked by the user namespace"), "{text}");
});

kernel_test!(changing_a_locked_access_time_is_refused, USER, LOCKED, |sandbox| {
    sandbox.user_namespace = true;
    sandbox.bind("mnt-src", "/mnt", &["rbind", "relatime"]);
    let text = sandbox.refusal();
    assert!(text.contains("locked by the user namespace"), "{text}");
});

/// A process in a user and mount namespace of its own, as init would be.
struct Init(std::process::Child);

impl Init {
    fn spawn() -> Self {
        let mut init = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", "echo; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(init.stdout.as_mut().unwrap(), &mut line).unwrap();
        Self(init)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// The privileged side opens and maps what init may not; the mount is then attached by whoever has the descriptor.
kernel_test!(sources_from_the_privileged_side, SAME_PIDS, "", |sandbox| {
    let source = sandbox.bundle.join("mnt-src");
    fs::write(source.join("file"), "x").unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.user_namespace = true;
    sandbox.linux = json!({
        "namespaces": [{ "type": "user" }],
        "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
        "gidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
    });
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ridmap"]);
    sandbox.mount("tmpfs", "tmpfs", "/tmp", &[]);
    let plan = sandbox.plan().unwrap();
    let init = Init::spawn();
    let namespace = fs::File::open(format!("/proc/{}/ns/mnt", init.0.id())).unwrap();
    let here = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let tree = plan.open_source(0, namespace.as_fd()).unwrap();
    assert_eq!(fs::read_link("/proc/thread-self/ns/mnt").unwrap(), here, "the caller was moved");
    let file = rustix::fs::statat(&tree, "file", rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!((file.st_uid, file.st_gid), (100_000, 100_000));

    let mut tree = Some(tree);
    let mounted = plan.mount(&mut |index| {
        assert_eq!(index, 0);
        Ok(tree.take().unwrap())
    });
    mounted.unwrap();
    let file = fs::metadata(sandbox.rootfs().join("mnt/file")).unwrap();
    assert_eq!(file.uid(), 100_000);
    assert!(plan.open_source(1, namespace.as_fd()).is_err(), "a tmpfs has no source");
    assert!(plan.open_source(7, namespace.as_fd()).is_err());
});
