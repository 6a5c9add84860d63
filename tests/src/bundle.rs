//! Bundles with a rootfs of busybox and the tests' own tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::{Value, json};

use crate::{spec, tool};

/// What tests call by name; `busybox NAME` reaches the rest.
const APPLETS: &[&str] = &[
    "arping",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "dd",
    "dmesg",
    "echo",
    "env",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "httpd",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "nc",
    "netstat",
    "ping",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "route",
    "sed",
    "seq",
    "setpriv",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "su",
    "sysctl",
    "tail",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "tty",
    "umount",
    "uname",
    "unshare",
    "wc",
    "wget",
    "xargs",
];

/// A folder with `config.json` and `rootfs`. The configuration is written by [`Bundle::write`] and,
/// for brevity, by [`Bundle::args`] and [`Bundle::edit`] each time.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    spec: Value,
}

impl Bundle {
    pub(crate) fn create(path: &Path) -> Self {
        if path.exists() {
            fs::remove_dir_all(path).expect("remove the bundle of the same name");
        }
        make_rootfs(&path.join("rootfs"));
        let bundle = Self { path: path.to_owned(), spec: spec::default() };
        bundle.write();
        bundle
    }

    /// The bundle's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bundle's folder, for command lines.
    pub fn arg(&self) -> &str {
        self.path.to_str().expect("a path of ASCII")
    }

    /// `path` of the rootfs, as seen from the host.
    pub fn rootfs(&self, path: &str) -> PathBuf {
        self.path.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// Sets what the container runs.
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Self {
        let args: Vec<&str> = args.into_iter().collect();
        self.edit(|spec| spec["process"]["args"] = json!(args))
    }

    /// Sets a shell script to run.
    pub fn script(self, script: &str) -> Self {
        self.args(["sh", "-c", script])
    }

    /// Changes the configuration.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec);
        self.write();
        self
    }

    /// Writes `config.json`.
    pub fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.spec).expect("JSON");
        fs::write(self.path.join("config.json"), text).expect("config.json");
    }
}

/// A rootfs of busybox and `probe` at `root`, with `root` and `user` (uid 1000, also in group 2000).
pub fn make_rootfs(root: &Path) {
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "www", "var"] {
        fs::create_dir_all(root.join(folder)).expect("rootfs folder");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    copy_program(Path::new("/bin/busybox"), &root.join("bin/busybox"));
    copy_program(&tool("probe"), &root.join("bin/probe"));
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).expect("applet");
    }
    let etc =
        |name: &str, text: &str| fs::write(root.join("etc").join(name), text).expect("etc file");
    etc("passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n");
    etc("group", "root:x:0:\nuser:x:1000:\nmore:x:2000:user\n");
    fs::write(root.join("www/index.html"), "served by rrun\n").expect("page");
}

/// A copy that may be spoilt, made by another program: what this one has open for writing is open in every
/// child that another thread starts just then, and could not be executed as long (`ETXTBSY`).
///
/// # Panics
/// When it cannot be made; for rootfs busybox-static is needed.
pub fn copy_program(from: &Path, to: &Path) {
    let made = Command::new("cp").arg("--").args([from, to]).status();
    let done = made.as_ref().is_ok_and(ExitStatus::success);
    assert!(done, "copy {} to {}: {made:?}", from.display(), to.display());
}
