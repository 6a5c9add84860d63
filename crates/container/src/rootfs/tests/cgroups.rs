//! Mounts of `type: cgroup`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CgroupView, Sandbox, kernel_test};
use crate::rootfs::LegacyHierarchy;

/// The v1 hierarchies of the machine, with the cgroup that this process is in.
fn hierarchies(sandbox: &mut Sandbox) -> Vec<LegacyHierarchy> {
    sandbox
        .mountinfo()
        .into_iter()
        .filter(|mount| mount.fs_type == "cgroup" && mount.root == "/")
        .map(|mount| LegacyHierarchy {
            cgroup: mount.mount_point.clone(),
            mount_point: mount.mount_point,
        })
        .collect()
}

fn check_read_only(sandbox: &mut Sandbox, private_namespace: bool) {
    let hierarchies = hierarchies(sandbox);
    if hierarchies.is_empty() {
        // A machine with cgroup v2 alone: the test of cgroup2 covers it.
        return;
    }
    let names: Vec<PathBuf> = hierarchies
        .iter()
        .map(|hierarchy| hierarchy.mount_point.file_name().unwrap().into())
        .collect();
    sandbox.cgroup = CgroupView::Legacy { hierarchies, private_namespace };
    sandbox.usual_mounts();
    sandbox.mount("sysfs", "sysfs", "/sys", &["ro"]);
    sandbox.mount(
        "cgroup",
        "cgroup",
        "/sys/fs/cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    sandbox.enter().unwrap();
    for name in names {
        let path = Path::new("/sys/fs/cgroup").join(name);
        let mount = sandbox.mounted_at(path.to_str().unwrap());
        assert_eq!(mount.fs_type, "cgroup");
        assert!(mount.mount_options.contains_key("ro"), "{mount:?}");
        let error = fs::create_dir(path.join("mine")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(sandbox.mounted_at("/sys/fs/cgroup").fs_type, "tmpfs");
}

// GHSA-m8cg-xc2p-r3fc
kernel_test!(read_only_v1_by_bind, |sandbox| check_read_only(sandbox, false));

const PRIVATE: &[&str] =
    &["--mount", "--pid", "--fork", "--net", "--cgroup", "--propagation", "unchanged"];

kernel_test!(read_only_v1_in_a_cgroup_namespace, PRIVATE, "", |sandbox| {
    check_read_only(sandbox, true);
});

kernel_test!(cgroup2, |sandbox| {
    sandbox.usual_mounts();
    sandbox.mount("sysfs", "sysfs", "/sys", &["ro"]);
    sandbox.mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "ro"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.mounted_at("/sys/fs/cgroup").fs_type, "cgroup2");
    assert_eq!(
        sandbox.options_at("/sys/fs/cgroup"),
        ["nodev", "noexec", "nosuid", "relatime", "ro"]
    );
});
