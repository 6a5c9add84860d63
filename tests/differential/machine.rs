//! Where both runtimes run, one after the other: a lab with things to bind and namespaces to join.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rrun_tests::{Bundle, Lab, Process, Snapshot, copy_program, tool};

use crate::case::Case;

/// A mount tree to be bound: a shared tmpfs with another, nosuid, nodev and noexec, on it.
pub(crate) const TREE: &str = "/run/diff/tree";
/// Namespaces to be joined, a file each, by their type in config.json.
pub(crate) const NAMESPACES: &str = "/run/diff/ns";
/// Where hooks of the host write.
pub(crate) const HOOKS: &str = "/run/diff/hooks";
/// Both runtimes keep their state here, so that no path tells them apart.
pub(crate) const ROOT: &str = "/run/diff/root";

/// One of the two runtimes.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) path: PathBuf,
    /// What it says of itself.
    said: String,
}

impl Runtime {
    pub(crate) fn new(path: PathBuf) -> Self {
        let output = Command::new(&path).arg("--version").output().expect("run the runtime");
        Self { path, said: String::from_utf8_lossy(&output.stdout).into_owned() }
    }

    /// The version of the specification that it follows.
    pub(crate) fn spec(&self) -> &str {
        self.said.lines().find_map(|line| line.strip_prefix("spec: ")).unwrap_or_default()
    }
}

/// What of the machine and of the reference runtime decides about configurations.
#[derive(Debug)]
pub(crate) struct Host {
    /// Major and minor version of the reference runtime.
    pub(crate) version: (u32, u32),
    pub(crate) user_namespaces: bool,
    pub(crate) hugetlb: bool,
    /// The net_cls and net_prio controllers are there.
    pub(crate) net_cls: bool,
    pub(crate) block_device: Option<(u64, u64)>,
    /// The witness outside of any container.
    pub(crate) witness: String,
}

impl Host {
    /// # Panics
    /// When `reference` does not tell a version as runc does.
    pub(crate) fn new(reference: &Runtime) -> Self {
        let version = reference.said.lines().find_map(|line| line.strip_prefix("runc version "));
        let version = version.unwrap_or_else(|| {
            panic!("{} is no runc: {}", reference.path.display(), reference.said)
        });
        let mut numbers = version.split('.').map(|number| number.parse().expect("version of runc"));
        let [major, minor] = [(); 2].map(|()| numbers.next().expect("version of runc"));
        let cgroup = Path::new("/sys/fs/cgroup");
        Self {
            // Of the main branch, which is called after a release: it is on the way to the next one.
            version: (major, minor + u32::from(version.ends_with("+dev"))),
            user_namespaces: Path::new("/proc/self/ns/user").exists(),
            hugetlb: cgroup.join("hugetlb/cgroup.procs").exists(),
            net_cls: cgroup.join("net_cls/cgroup.procs").exists(),
            block_device: block_device(),
            witness: tool("witness").display().to_string(),
        }
    }

    /// Whether the reference runtime is of this release or a later one.
    pub(crate) fn knows(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }
}

fn block_device() -> Option<(u64, u64)> {
    let mut found: Vec<_> = fs::read_dir("/sys/block").ok()?.flatten().map(|e| e.path()).collect();
    found.sort();
    let whole = found.iter().find(|path| path.join("device").exists())?;
    let text = fs::read_to_string(whole.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A lab made ready.
#[derive(Debug)]
pub(crate) struct Machine {
    // Dropped first: the lab ends only when its last process is reaped.
    _holder: Process,
    pub(crate) lab: Lab,
    /// Namespace links of the lab: what "host" means in it, and of the ones to be joined.
    pub(crate) host_namespaces: Vec<String>,
    pub(crate) joined_namespaces: Vec<String>,
    pub(crate) before: Snapshot,
}

const SETUP: &str = "
mkdir -p /run/diff/tree /run/diff/ns /run/diff/root
mount -t tmpfs -o mode=755,size=8m tree /run/diff/tree
mount --make-shared /run/diff/tree
mkdir -p /run/diff/tree/inner /run/diff/tree/empty
echo outer > /run/diff/tree/file
mount -t tmpfs -o mode=1777,size=4m,nosuid,nodev,noexec inner /run/diff/tree/inner
echo inner > /run/diff/tree/inner/file
";

impl Machine {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        lab.sh(SETUP).ok();
        copy_program(&tool("witness"), &lab.folder().join("witness"));
        let mut sleep = Command::new("unshare");
        sleep.args(["--net", "--uts", "--ipc", "--cgroup", "--pid", "--fork", "sleep", "infinity"]);
        let holder = lab.spawn(&mut sleep).expect("hold namespaces");
        // The process that sleeps is the child of the one that was started.
        let script = "
            while ! pid=$(pgrep -f '^sleep infinity$'); do sleep 0.01; done
            for kind in net:network uts ipc cgroup pid; do
                touch /run/diff/ns/${kind#*:}
                mount --bind /proc/$pid/ns/${kind%:*} /run/diff/ns/${kind#*:}
                readlink /proc/$pid/ns/${kind%:*}
            done";
        let joined_namespaces = lines(&lab.sh(script).ok().stdout());
        let own = "for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done";
        let host_namespaces = lines(&lab.sh(own).ok().stdout());
        let before = lab.snapshot();
        Self { lab, host_namespaces, joined_namespaces, before, _holder: holder }
    }

    /// A new bundle for `case`, the same each time.
    pub(crate) fn bundle(&self, case: &Case) -> Bundle {
        // Hooks of a user namespace's root write there as well.
        let hooks = self.lab.outside(HOOKS);
        fs::write(&hooks, "").expect("file for the hooks");
        mode(&hooks, 0o666);
        let bundle = self.lab.bundle("b").edit(|spec| *spec = case.spec.clone());
        fs::write(bundle.rootfs("is-the-rootfs"), "").expect("mark of the rootfs");
        let witness = bundle.rootfs("bin/witness");
        fs::hard_link(self.lab.folder().join("witness"), &witness).expect("link the witness");
        chown(&witness, Some(case.owner), Some(case.owner)).expect("chown");
        for folder in ["link-to", "locked", "copied/deep"] {
            fs::create_dir_all(bundle.rootfs(folder)).expect("folder in the rootfs");
        }
        fs::write(bundle.rootfs("copied/deep/file"), "copied up").expect("file to copy up");
        fs::write(bundle.rootfs("etc/hosts"), "of the image\n").expect("hosts");
        mode(&bundle.rootfs("locked"), 0o700);
        mode(&bundle.rootfs("copied/deep/file"), 0o4640);
        chown(bundle.rootfs("copied/deep/file"), Some(77), Some(78)).expect("chown");
        symlink("/var", bundle.rootfs("link")).expect("link");
        symlink("bin/witness", bundle.rootfs("link-to-witness")).expect("link");
        for (file, text) in
            [("not-a-program", "nothing"), ("no-interpreter", "#!/no/such/interpreter\n")]
        {
            fs::write(bundle.rootfs(file), text).expect("program");
            mode(&bundle.rootfs(file), 0o755);
        }
        fs::create_dir_all(bundle.path().join("src/dir/below")).expect("source");
        fs::write(bundle.path().join("src/dir/file"), "bound\n").expect("source");
        fs::write(bundle.path().join("src/file"), "a bound file\n").expect("source");
        fs::create_dir(bundle.path().join("outbox")).expect("outbox");
        mode(&bundle.path().join("outbox"), 0o777);
        fs::write(bundle.path().join("outbox/hooks"), "").expect("file for the hooks");
        mode(&bundle.path().join("outbox/hooks"), 0o666);
        for folder in [self.lab.folder(), bundle.path(), &bundle.rootfs("")] {
            mode(folder, 0o755);
        }
        if case.owner != 0 {
            own(&bundle.rootfs(""), case.owner);
        }
        bundle
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn own(path: &Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).expect("chown the rootfs");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("read the rootfs").flatten() {
            own(&entry.path(), owner);
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
