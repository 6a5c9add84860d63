//! Kernel tests: a rootfs is really built, in namespaces that end with the test.
//!
//! A test starts itself a second time below `unshare(1)`, with a bundle on a temporary folder; the second one is where
//! its body runs. The mounts go with the namespace, the folder goes with the first process, whatever becomes of the
//! second. The bundle has a folder `outside` that stands for the host: it must be unchanged at the end of every test.
//!
//! They need root, as a runtime's mounts do, and fail without.

mod attacks;
mod cgroups;
mod devices;
mod mounts;
mod plan;
mod restricted;
mod user_namespace;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_spec::runtime::Spec;
use procfs::process::MountInfo;
use rustix::fs::{Mode, OFlags, openat};
use serde_json::{Value, json};

use super::{CgroupView, Mounted, PlanContext, RootfsError, RootfsPlan};

/// Makes the machine read-only but for the bundle, with a `/dev` of its own: code that is wrong enough to leave the
/// rootfs then fails, and harms nothing.
const PROTECT: &str = r#"
    mount --bind . "$PWD"
    cd "$PWD"
    mount -o remount,bind,ro /
    mkdir devices
    mount -t tmpfs t devices
    cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty devices
    mount -n --move devices /dev
    rmdir devices
"#;

/// Stays in the outer namespace, and sees whether a mount of the inner one came out.
const OUTER: &str = r#"
    export OUTER=$$
    before=$(cat /proc/self/mountinfo)
    unshare "$@"
    test "$before" = "$(cat /proc/self/mountinfo)" || { echo "mounts came out"; exit 1; }
"#;

const BUNDLE: &str = "RRUN_TEST_BUNDLE";

/// Namespaces of a container without a user namespace.
const PLAIN: &[&str] =
    &["--mount", "--pid", "--fork", "--ipc", "--net", "--propagation", "unchanged"];

/// No PID namespace: `/proc` is the outer one's, and what finds processes there must agree with it.
const SAME_PIDS: &[&str] = &["--mount", "--ipc", "--net", "--propagation", "unchanged"];

/// Defines a test whose body runs in new namespaces: `kernel_test!(name, |sandbox| { .. })`.
macro_rules! kernel_test {
    ($name:ident, $body:expr) => {
        kernel_test!($name, $crate::rootfs::tests::PLAIN, "", $body);
    };
    ($name:ident, $namespaces:expr, $before:expr, $body:expr) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::rootfs::tests::run(path, $namespaces, $before, $body);
        }
    };
}
use kernel_test;

/// Runs `body` in a second process below `unshare NAMESPACES`. `before` is a shell script that runs first, in a mount
/// namespace outside of these, with the bundle as working directory.
fn run(path: &str, namespaces: &[&str], before: &str, body: fn(&mut Sandbox)) {
    if let Some(bundle) = std::env::var_os(BUNDLE) {
        return body(&mut Sandbox::inside(bundle.into()));
    }
    assert!(rustix::process::geteuid().is_root(), "kernel tests need root");
    let folder = tempfile::Builder::new().prefix("rrun-rootfs-").tempdir().unwrap();
    make_bundle(folder.path());
    let host_before = listing(&folder.path().join("outside"));
    let name = path.split_once("::").unwrap().1;
    let script = format!("set -e; {PROTECT}\n{before}\n{OUTER}");
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .args(namespaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(BUNDLE, folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout);
    assert!(
        status.status.success() && output.contains("1 passed"),
        "{output}\n{}",
        String::from_utf8_lossy(&status.stderr)
    );
    assert_eq!(listing(&folder.path().join("outside")), host_before, "the host was changed");
}

/// A busybox rootfs, and `outside` beside it.
fn make_bundle(bundle: &Path) {
    let rootfs = bundle.join("rootfs");
    for directory in ["bin", "proc", "sys", "dev", "tmp", "etc", "mnt"] {
        fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    fs::write(rootfs.join("etc/secret"), "secret").unwrap();
    fs::create_dir_all(bundle.join("outside/dir")).unwrap();
    fs::write(bundle.join("outside/canary"), "canary").unwrap();
    fs::create_dir(bundle.join("mnt-src")).unwrap();
    fs::write(bundle.join("outside/dir/file"), "file").unwrap();
}

/// Every path below `root` with its inode, mode and content.
fn listing(root: &Path) -> BTreeMap<PathBuf, (u64, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.ino(), metadata.mode(), content));
    }
    found
}

/// The bundle, seen from inside the test's namespaces.
struct Sandbox {
    bundle: PathBuf,
    mounts: Vec<Value>,
    linux: Value,
    readonly_root: bool,
    user_namespace: bool,
    rootless: bool,
    no_pivot: bool,
    cgroup: CgroupView,
    /// The host's procfs, which outlives the pivot.
    procfs: OwnedFd,
}

impl Sandbox {
    fn inside(bundle: PathBuf) -> Self {
        Self {
            bundle,
            mounts: Vec::new(),
            linux: json!({}),
            readonly_root: false,
            user_namespace: false,
            rootless: false,
            no_pivot: false,
            cgroup: CgroupView::Unified {
                mount_point: "/sys/fs/cgroup/unified".into(),
                cgroup: None,
                private_namespace: false,
            },
            procfs: fs::File::open("/proc").unwrap().into(),
        }
    }

    fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    fn outside(&self) -> PathBuf {
        self.bundle.join("outside")
    }

    /// Adds an entry to `mounts`.
    fn mount(&mut self, kind: &str, from: impl AsRef<Path>, to: &str, options: &[&str]) {
        self.mounts.push(json!({
            "type": kind, "source": from.as_ref(), "destination": to, "options": options,
        }));
    }

    fn bind(&mut self, from: impl AsRef<Path>, to: &str, options: &[&str]) {
        self.mount("bind", from, to, options);
    }

    /// The mounts that every engine asks for.
    fn usual_mounts(&mut self) {
        self.mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]);
        self.mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]);
        let pts = &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
        self.mount("devpts", "devpts", "/dev/pts", pts);
    }

    fn plan(&self) -> Result<RootfsPlan, RootfsError> {
        let spec: Spec = serde_json::from_value(json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs", "readonly": self.readonly_root },
            "mounts": self.mounts,
            "linux": self.linux,
        }))
        .unwrap();
        let mut plan = RootfsPlan::prepare(&PlanContext {
            spec: &spec,
            bundle: &self.bundle,
            mount_namespace: true,
            user_namespace: self.user_namespace,
            rootless: self.rootless,
            no_pivot: self.no_pivot,
            cgroup: self.cgroup.clone(),
        })?;
        plan.open_id_maps()?;
        Ok(plan)
    }

    /// Everything up to the hooks.
    fn build(&self) -> Result<(RootfsPlan, Mounted), RootfsError> {
        let plan = self.plan()?;
        let mounted = plan.mount(&mut |_| Err(std::io::ErrorKind::Unsupported.into()))?;
        Ok((plan, mounted))
    }

    /// Everything. The calling process is inside the container then.
    fn enter(&self) -> Result<(), RootfsError> {
        let (plan, mounted) = self.build()?;
        plan.pivot(&mounted)?;
        plan.finalize(mounted)?;
        plan.restrict()
    }

    /// The error of [`Sandbox::enter`], as text.
    fn refusal(&self) -> String {
        self.enter().expect_err("was not refused").to_string()
    }

    /// The mounts of the process, in order.
    fn mountinfo(&self) -> Vec<MountInfo> {
        // Of the thread, as libtest may run the body in another one than the first. Opened each time, because the
        // paths shown are those below the root that the reader had then.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.procfs, "thread-self/mountinfo", flags, Mode::empty()).unwrap();
        let mut text = String::new();
        fs::File::from(file).read_to_string(&mut text).unwrap();
        text.lines().map(|line| MountInfo::from_line(line).unwrap()).collect()
    }

    /// The topmost mount at `path`.
    fn mounted_at(&self, path: &str) -> MountInfo {
        let mounts = self.mountinfo();
        let found = mounts.into_iter().rev().find(|mount| mount.mount_point == Path::new(path));
        found.unwrap_or_else(|| panic!("nothing is mounted at {path}"))
    }

    /// The per-mount options of the mount at `path`, sorted.
    fn options_at(&self, path: &str) -> Vec<String> {
        let mut options: Vec<_> = self.mounted_at(path).mount_options.into_keys().collect();
        options.sort();
        options
    }
}

/// Writing to `path` fails because it is read-only.
fn assert_read_only(path: &str) {
    let error = fs::write(path, "x").expect_err("could be written");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{path}: {error}");
}

/// Makes `link` in the rootfs of `sandbox` a symlink to `target`, in place of what is there.
fn replace_with_symlink(sandbox: &Sandbox, link: &str, target: impl AsRef<Path>) {
    let path = sandbox.rootfs().join(link);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    symlink(target, path).unwrap();
}
