//! In a user namespace: bound devices, locked flags, and sources from the privileged side.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::{kernel_test, replace_with_symlink};

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

const LOCKED: &str = "mount -t tmpfs -o nosuid,nodev,noatime t mnt-src";

kernel_test!(locked_flags_are_kept, USER, LOCKED, |sandbox| {
    sandbox.user_namespace = true;
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ro"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.options_at("/mnt"), ["noatime", "nodev", "nosuid", "ro"]);
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
