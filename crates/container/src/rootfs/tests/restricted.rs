//! `maskedPaths` and `readonlyPaths`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use procfs::process::MountInfo;
use serde_json::json;

use super::{assert_read_only, kernel_test};

kernel_test!(masked_paths_show_nothing, |sandbox| {
    for directory in ["one/in", "two/in"] {
        fs::create_dir_all(sandbox.rootfs().join(directory)).unwrap();
    }
    symlink("/etc", sandbox.rootfs().join("link")).unwrap();
    fs::write(sandbox.rootfs().join("etc/other"), "secret").unwrap();
    sandbox.usual_mounts();
    sandbox.linux = json!({ "maskedPaths": [
        "/one", "/two", "/two/", "/etc/secret", "/link/other", "/proc/kcore", "/not/there", "/etc/secret",
    ]});
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/etc/secret").unwrap(), b"");
    assert_eq!(fs::read("/etc/other").unwrap(), b"");
    for directory in ["/one", "/two"] {
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
        assert_read_only(&format!("{directory}/file"));
        assert_eq!(sandbox.options_at(directory), ["relatime", "ro"]);
    }
    assert_eq!(fs::metadata("/one").unwrap().dev(), fs::metadata("/two").unwrap().dev());
    let covers = |mount: &&MountInfo| mount.mount_point == Path::new("/two");
    assert_eq!(sandbox.mountinfo().iter().filter(covers).count(), 1);
});

kernel_test!(readonly_paths_are_read_only, |sandbox| {
    sandbox.usual_mounts();
    sandbox.linux = json!({ "readonlyPaths": ["/proc/sys", "/etc", "/nothing/here"] });
    sandbox.enter().unwrap();
    assert_read_only("/etc/file");
    assert_read_only("/proc/sys/kernel/domainname");
    let options = sandbox.options_at("/proc/sys");
    assert_eq!(options, ["nodev", "noexec", "nosuid", "relatime", "ro"]);
});

kernel_test!(magic_links_are_not_followed, |sandbox| {
    sandbox.usual_mounts();
    sandbox.linux = json!({ "maskedPaths": ["/proc/self/cwd/etc"] });
    assert!(sandbox.refusal().contains("can't mask path"));
});

kernel_test!(masking_works_on_a_read_only_root, |sandbox| {
    sandbox.usual_mounts();
    sandbox.readonly_root = true;
    sandbox.linux = json!({ "maskedPaths": ["/etc", "/bin/busybox"] });
    sandbox.enter().unwrap();
    assert_eq!(fs::read_dir("/etc").unwrap().count(), 0);
    assert_eq!(fs::read("/bin/busybox").unwrap(), b"");
});
