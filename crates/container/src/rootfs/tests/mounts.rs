//! The entries of `mounts`: that they are there, in the right place, with the right flags.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use procfs::process::MountOptFields;
use serde_json::json;

use super::{SAME_PIDS, assert_read_only, kernel_test};

kernel_test!(usual_mounts_have_their_flags, |sandbox| {
    sandbox.usual_mounts();
    let safe = &["nosuid", "noexec", "nodev"];
    sandbox.mount(
        "tmpfs",
        "shm",
        "/dev/shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=64k"],
    );
    sandbox.mount("mqueue", "mqueue", "/dev/mqueue", safe);
    sandbox.mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]);
    sandbox.enter().unwrap();

    assert_eq!(sandbox.options_at("/proc"), ["nodev", "noexec", "nosuid", "relatime", "rw"]);
    assert_eq!(sandbox.options_at("/dev"), ["nosuid", "rw"]);
    assert_eq!(sandbox.options_at("/dev/pts"), ["noexec", "nosuid", "relatime", "rw"]);
    assert_eq!(sandbox.options_at("/dev/mqueue"), ["nodev", "noexec", "nosuid", "relatime", "rw"]);
    assert_eq!(sandbox.options_at("/sys"), ["nodev", "noexec", "nosuid", "relatime", "ro"]);
    let dev = sandbox.mounted_at("/dev");
    assert_eq!((dev.fs_type.as_str(), dev.mount_source.as_deref()), ("tmpfs", Some("tmpfs")));
    assert_eq!(dev.super_options["mode"].as_deref(), Some("755"));
    assert_eq!(dev.super_options["size"].as_deref(), Some("65536k"));
    assert_eq!(sandbox.mounted_at("/dev/shm").super_options["size"].as_deref(), Some("64k"));
    assert!(sandbox.mounted_at("/sys").super_options.contains_key("ro"));
    assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
    assert_eq!(fs::read("/etc/secret").unwrap(), b"secret");
    assert!(sandbox.mountinfo().iter().all(|mount| !mount.mount_point.starts_with("/work")));
});

kernel_test!(nothing_of_the_host_stays, |sandbox| {
    sandbox.usual_mounts();
    let outside = sandbox.outside();
    sandbox.enter().unwrap();
    assert!(!outside.exists());
    let points: Vec<_> = sandbox.mountinfo().into_iter().map(|mount| mount.mount_point).collect();
    assert_eq!(points, ["/", "/proc", "/dev", "/dev/pts"].map(Path::new));
});

kernel_test!(bind_makes_the_mount_point, |sandbox| {
    sandbox.bind("outside/dir", "/new/deep/dir", &["bind", "ro"]);
    sandbox.bind("outside/canary", "/new/file", &["rbind", "nosuid", "nodev", "noexec"]);
    sandbox.mount("", "outside/canary", "/etc/untyped", &["bind"]);
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/new/deep/dir/file").unwrap(), b"file");
    assert_eq!(fs::read("/new/file").unwrap(), b"canary");
    assert_eq!(fs::read("/etc/untyped").unwrap(), b"canary");
    assert_eq!(fs::metadata("/new/deep").unwrap().mode() & 0o7777, 0o755);
    assert_read_only("/new/deep/dir/other");
    let options = sandbox.options_at("/new/file");
    assert!(["nosuid", "nodev", "noexec"].iter().all(|flag| options.contains(&flag.to_string())));
});

kernel_test!(
    bind_without_flags_keeps_those_of_its_source,
    PLAIN_NS,
    "mount -t tmpfs -o nosuid,noatime t mnt-src",
    |sandbox| {
        sandbox.bind("mnt-src", "/kept", &["bind"]);
        sandbox.bind("mnt-src", "/ro", &["bind", "ro"]);
        sandbox.bind("mnt-src", "/strict", &["bind", "strictatime"]);
        sandbox.enter().unwrap();
        assert_eq!(sandbox.options_at("/kept"), ["noatime", "nosuid", "rw"]);
        assert_eq!(sandbox.options_at("/ro"), ["noatime", "ro"]);
        assert_eq!(sandbox.options_at("/strict"), ["rw"]);
    }
);

kernel_test!(bind_completes_dangling_symlinks, |sandbox| {
    let rootfs = sandbox.rootfs();
    symlink("/tmp/foo/bar", rootfs.join("jump")).unwrap();
    symlink("/jump/baz/hosts", rootfs.join("etc/hosts")).unwrap();
    sandbox.bind("outside/canary", "/etc/hosts", &["bind"]);
    sandbox.enter().unwrap();
    sandbox.mounted_at("/tmp/foo/bar/baz/hosts");
    assert_eq!(fs::read("/tmp/foo/bar/baz/hosts").unwrap(), b"canary");
});

kernel_test!(made_directories_inherit_setgid, |sandbox| {
    let directory = sandbox.rootfs().join("setgid");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o7755)).unwrap();
    sandbox.mount("tmpfs", "tmpfs", "/setgid/a/b", &["ro"]);
    sandbox.build().unwrap();
    assert_eq!(fs::metadata(directory.join("a")).unwrap().mode() & 0o7777, 0o2755);
});

kernel_test!(mount_errors_read_as_runc_s, |sandbox| {
    sandbox.bind("/does/not/exist", "/mnt", &["bind"]);
    let text = sandbox.refusal();
    assert_eq!(
        text,
        "error mounting \"/does/not/exist\" to rootfs at \"/mnt\": open_tree /does/not/exist: no such file or directory"
    );
});

kernel_test!(directory_on_a_file_is_refused, |sandbox| {
    sandbox.bind("outside/dir", "/etc/secret", &["bind"]);
    assert!(sandbox.refusal().ends_with("not a directory"));
});

kernel_test!(unknown_option_of_a_filesystem_is_explained, |sandbox| {
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &["nonsense"]);
    let text = sandbox.refusal();
    assert!(text.contains("tmpfs: Unknown parameter 'nonsense': invalid argument"), "{text}");
});

const SUBMOUNT: &str = "mount -t tmpfs t mnt-src; mkdir mnt-src/sub; mount -t tmpfs t mnt-src/sub";
const SHARED: &str = "mount -t tmpfs t mnt-src; mkdir mnt-src/late; mount --make-shared mnt-src";
const PLAIN_NS: &[&str] = super::PLAIN;

kernel_test!(ro_is_not_recursive_and_rro_is, PLAIN_NS, SUBMOUNT, |sandbox| {
    sandbox.bind("mnt-src", "/mnt", &["rbind", "ro"]);
    sandbox.bind("mnt-src", "/rro", &["rbind", "rro"]);
    sandbox.bind("mnt-src", "/flat", &["bind"]);
    sandbox.enter().unwrap();
    assert_read_only("/mnt/file");
    fs::write("/mnt/sub/file", "x").unwrap();
    assert_read_only("/rro/file");
    assert_read_only("/rro/sub/file");
    assert!(!Path::new("/flat/sub/file").exists());
});

kernel_test!(recursive_access_times, PLAIN_NS, SUBMOUNT, |sandbox| {
    for (path, option, shown) in [
        ("/a", "ratime", "relatime"),
        ("/b", "rnoatime", "noatime"),
        ("/c", "rnostrictatime", "relatime"),
        ("/d", "rrelatime", "relatime"),
        ("/e", "rnorelatime", "relatime"),
        ("/f", "rnosymfollow", "nosymfollow"),
        ("/g", "rnodiratime", "nodiratime"),
    ] {
        sandbox.bind("mnt-src", path, &["rbind", option]);
        let _ = shown;
    }
    sandbox.bind("mnt-src", "/strict", &["rbind", "rstrictatime"]);
    sandbox.enter().unwrap();
    for (path, shown) in [
        ("/a", "relatime"),
        ("/b", "noatime"),
        ("/c", "relatime"),
        ("/d", "relatime"),
        ("/e", "relatime"),
        ("/f", "nosymfollow"),
        ("/g", "nodiratime"),
    ] {
        for path in [path.to_owned(), format!("{path}/sub")] {
            let options = sandbox.options_at(&path);
            assert!(options.contains(&shown.to_owned()), "{path}: {options:?}");
        }
    }
    assert_eq!(sandbox.options_at("/strict/sub"), ["rw"]);
});

kernel_test!(
    propagation,
    PLAIN_NS,
    "mount -t tmpfs t mnt-src; mount --make-shared mnt-src",
    |sandbox| {
        sandbox.bind("mnt-src", "/slave", &["bind", "rslave"]);
        sandbox.bind("mnt-src", "/private", &["bind", "rprivate"]);
        sandbox.bind("mnt-src", "/shared", &["bind", "private", "shared"]);
        sandbox.bind("mnt-src", "/unbindable", &["bind", "unbindable"]);
        sandbox.enter().unwrap();
        let kind = |fields: &[MountOptFields]| {
            fields
                .iter()
                .map(|field| match field {
                    MountOptFields::Shared(_) => "shared",
                    MountOptFields::Master(_) => "master",
                    MountOptFields::PropagateFrom(_) => "from",
                    MountOptFields::Unbindable => "unbindable",
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(kind(&sandbox.mounted_at("/slave").opt_fields), ["master"]);
        assert_eq!(kind(&sandbox.mounted_at("/private").opt_fields), [] as [&str; 0]);
        assert_eq!(kind(&sandbox.mounted_at("/shared").opt_fields), ["shared"]);
        assert_eq!(kind(&sandbox.mounted_at("/unbindable").opt_fields), ["unbindable"]);
    }
);

/// Runs `mount` or `umount` in the mount namespace that the test started from.
fn outside(command: &[&str]) {
    let outer = std::env::var("OUTER").unwrap();
    let namespace = format!("--mount=/proc/{outer}/ns/mnt");
    let status = Command::new("nsenter").arg(namespace).args(command).status().unwrap();
    assert!(status.success(), "{command:?}");
}

// What an engine's rslave volume is for: with a private rootfs parent this fails, with crun under ctr it did.
kernel_test!(late_mounts_reach_an_rslave_bind, SAME_PIDS, SHARED, |sandbox| {
    sandbox.bind("mnt-src", "/slave", &["rbind", "rslave"]);
    sandbox.bind("mnt-src", "/private", &["rbind", "rprivate"]);
    let (_plan, _mounted) = sandbox.build().unwrap();
    let late = sandbox.bundle.join("mnt-src/late");
    let late = late.to_str().unwrap();
    outside(&["mount", "-n", "-t", "tmpfs", "late", late]);
    let points: Vec<_> = sandbox.mountinfo().into_iter().map(|mount| mount.mount_point).collect();
    outside(&["umount", "-n", late]);
    assert!(points.contains(&sandbox.rootfs().join("slave/late")), "{points:?}");
    assert!(!points.contains(&sandbox.rootfs().join("private/late")), "{points:?}");
});

kernel_test!(shared_rootfs, PLAIN_NS, "mount --make-rshared /", |sandbox| {
    sandbox.linux = json!({ "rootfsPropagation": "shared" });
    sandbox.enter().unwrap();
    let fields = sandbox.mounted_at("/").opt_fields;
    assert!(matches!(fields.as_slice(), [MountOptFields::Shared(_)]), "{fields:?}");
});

kernel_test!(mounts_do_not_reach_a_shared_host, PLAIN_NS, "mount --make-rshared /", |sandbox| {
    sandbox.usual_mounts();
    sandbox.enter().unwrap();
    // The harness looks at the outer namespace.
    for mount in sandbox.mountinfo() {
        let shared =
            mount.opt_fields.iter().any(|field| matches!(field, MountOptFields::Shared(_)));
        assert!(!shared, "{mount:?}");
    }
});

kernel_test!(read_only_tmpfs_and_dev_are_filled_first, |sandbox| {
    sandbox.usual_mounts();
    sandbox.mounts[1]["options"].as_array_mut().unwrap().push(json!("ro"));
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &["ro", "nodev", "nosuid", "mode=755"]);
    sandbox.bind("outside/dir", "/mnt/inner", &["bind"]);
    sandbox.enter().unwrap();
    assert_read_only("/mnt/file");
    assert_read_only("/dev/file");
    assert_eq!(fs::read("/mnt/inner/file").unwrap(), b"file");
    assert_eq!(sandbox.options_at("/mnt"), ["nodev", "nosuid", "relatime", "ro"]);
});

kernel_test!(read_only_root, |sandbox| {
    sandbox.usual_mounts();
    sandbox.readonly_root = true;
    sandbox.enter().unwrap();
    assert_read_only("/file");
    fs::write("/dev/file", "x").unwrap();
});

kernel_test!(tmpfs_takes_the_mode_of_what_it_covers, |sandbox| {
    for (name, mode) in [("inherit", 0o710), ("explicit", 0o710)] {
        let directory = sandbox.rootfs().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    sandbox.mount("tmpfs", "tmpfs", "/inherit", &["rw"]);
    sandbox.mount("tmpfs", "tmpfs", "/explicit", &["mode=1500"]);
    sandbox.mount("tmpfs", "tmpfs", "/absent", &[]);
    sandbox.enter().unwrap();
    let mode = |path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode("/inherit"), mode("/explicit"), mode("/absent")), (0o710, 0o1500, 0o1777));
    assert!(!sandbox.mounted_at("/absent").super_options.contains_key("mode"));
});

kernel_test!(tmpcopyup_copies, |sandbox| {
    let from = sandbox.rootfs().join("data");
    fs::create_dir_all(from.join("a/b")).unwrap();
    fs::write(from.join("a/file"), "content").unwrap();
    std::os::unix::fs::chown(from.join("a/file"), Some(12), Some(34)).unwrap();
    fs::set_permissions(from.join("a/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(from.join("a/b"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink(sandbox.outside(), from.join("link")).unwrap();
    sandbox.mount("tmpfs", "tmpfs", "/data", &["tmpcopyup"]);
    let outside = sandbox.outside();
    sandbox.enter().unwrap();
    assert_eq!(sandbox.mounted_at("/data").fs_type, "tmpfs");
    assert_eq!(fs::read("/data/a/file").unwrap(), b"content");
    let file = fs::metadata("/data/a/file").unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o4751, 12, 34));
    assert_eq!(fs::metadata("/data/a/b").unwrap().mode() & 0o7777, 0o777);
    assert_eq!(fs::read_link("/data/link").unwrap(), outside);
});

kernel_test!(sources_inside_the_rootfs_see_earlier_mounts, |sandbox| {
    let rootfs = sandbox.rootfs();
    sandbox.bind("outside", "/mnt", &["rbind"]);
    sandbox.bind(rootfs.join("mnt/dir"), rootfs.join("final").to_str().unwrap(), &["rbind"]);
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/final/file").unwrap(), b"file");
});

kernel_test!(id_mapped_bind, SAME_PIDS, "", |sandbox| {
    let source = sandbox.bundle.join("mnt-src");
    fs::write(source.join("file"), "x").unwrap();
    std::os::unix::fs::chown(source.join("file"), Some(1), Some(2)).unwrap();
    sandbox.mounts.push(json!({
        "source": "mnt-src", "destination": "/mapped", "options": ["bind"],
        "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
        "gidMappings": [{ "containerID": 0, "hostID": 200_000, "size": 65_536 }],
    }));
    sandbox.enter().unwrap();
    let file = fs::metadata("/mapped/file").unwrap();
    assert_eq!((file.uid(), file.gid()), (100_001, 200_002));
});

/// Tries to mount a procfs in a user namespace made inside the container. The kernel permits it only where a whole
/// procfs, without masks, is in the mount namespace already.
fn mounts_bare_proc() -> bool {
    let unshare = ["unshare", "-m", "-U", "-r", "-p", "-f", "/bin/busybox"];
    Command::new("/bin/busybox")
        .args(unshare)
        .args(["mount", "-t", "proc", "none", "/mnt"])
        .output()
        .unwrap()
        .status
        .success()
}

kernel_test!(no_pivot_hides_the_host_s_proc, |sandbox| {
    sandbox.usual_mounts();
    sandbox.no_pivot = true;
    sandbox.linux = json!({ "maskedPaths": ["/proc/timer_list"], "readonlyPaths": ["/proc/sys"] });
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/etc/secret").unwrap(), b"secret");
    assert!(!mounts_bare_proc());
});

kernel_test!(no_pivot_without_masks_permits_proc, |sandbox| {
    sandbox.usual_mounts();
    sandbox.no_pivot = true;
    sandbox.enter().unwrap();
    assert!(mounts_bare_proc(), "the test above proves nothing");
});

kernel_test!(options_too_long_for_fsconfig, |sandbox| {
    for directory in ["lower", "upper"] {
        fs::create_dir(sandbox.bundle.join(directory)).unwrap();
    }
    fs::write(sandbox.bundle.join("lower/file"), "lower").unwrap();
    let lower = format!("{}/{}lower", sandbox.bundle.display(), "./".repeat(150));
    let lower = format!("lowerdir={lower}:{}/mnt-src", sandbox.bundle.display());
    sandbox.mount("overlay", "overlay", "/mnt", &[&lower, "nosuid", "ro", "shared"]);
    sandbox.enter().unwrap();
    assert_eq!(fs::read("/mnt/file").unwrap(), b"lower");
    assert_eq!(sandbox.options_at("/mnt"), ["nosuid", "relatime", "ro"]);
    let fields = sandbox.mounted_at("/mnt").opt_fields;
    assert!(matches!(fields.as_slice(), [MountOptFields::Shared(_)]), "{fields:?}");
});

kernel_test!(remount_changes_the_mount_that_is_there, |sandbox| {
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &[]);
    sandbox.bind("outside", "/mnt", &["remount", "bind", "ro", "nosuid"]);
    sandbox.enter().unwrap();
    assert_eq!(sandbox.mounted_at("/mnt").fs_type, "tmpfs");
    assert_read_only("/mnt/file");
});

kernel_test!(remount_of_a_filesystem, |sandbox| {
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &["size=64k"]);
    sandbox.mount("tmpfs", "tmpfs", "/mnt", &["remount", "size=128k", "noexec"]);
    sandbox.enter().unwrap();
    let mounts = sandbox.mountinfo();
    assert_eq!(mounts.iter().filter(|mount| mount.mount_point == Path::new("/mnt")).count(), 1);
    let mount = sandbox.mounted_at("/mnt");
    assert_eq!(mount.super_options["size"].as_deref(), Some("128k"));
    assert!(mount.mount_options.contains_key("noexec"));
});
