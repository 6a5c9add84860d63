//! Against the kernel, as root: `cargo test -p cgroup -- --include-ignored --skip v2::` on a host
//! with v1, `--skip v1::` on one with v2.
//!
//! Each test makes groups of its own below every hierarchy and removes them, also when it fails.

// Entering groups between fork and exec is what the crate is for; `pre_exec` is unsafe.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rootless;
mod unified;
mod v1;
mod v2;

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cgroup::{Cgroup, Error, Hierarchies, Join, Mode, Options, SubCgroups};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_spec::runtime::LinuxResources;

/// A container's groups and processes for the time of one test.
struct Container {
    hierarchies: Hierarchies,
    path: PathBuf,
    cgroup: Cgroup,
    children: Vec<Child>,
}

impl Container {
    /// Not yet created.
    fn new(hierarchies: Hierarchies, name: &str) -> Self {
        let path = PathBuf::from(format!("/rrun-test-{}/{name}", std::process::id()));
        let cgroup = Cgroup::new(&hierarchies, Some(&path), "unused", Options::default()).unwrap();
        Self { hierarchies, path, cgroup, children: Vec::new() }
    }

    fn created(hierarchies: Hierarchies, name: &str) -> Self {
        let mut container = Self::new(hierarchies, name);
        container.cgroup.create(&LinuxResources::default()).unwrap();
        container
    }

    /// Starts `sh -c script` inside the groups and waits for its first byte of output.
    fn start(&mut self, script: &str) -> i32 {
        let join = self.cgroup.join_handles(&SubCgroups::none()).unwrap();
        self.start_in(join, script)
    }

    fn start_in(&mut self, join: Join, script: &str) -> i32 {
        let mut child = spawn(join, script);
        let mut byte = [0];
        child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        self.children.push(child);
        pid
    }

    /// Runs `sh -c script` inside the groups to its end.
    fn run(&self, script: &str) -> bool {
        let join = self.cgroup.join_handles(&SubCgroups::none()).unwrap();
        spawn(join, script).wait().unwrap().success()
    }

    /// Whether each hierarchy's file names the container's group for this process.
    fn holds(&self, pid: i32) -> bool {
        let membership = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let paths = self.cgroup.paths();
        paths.iter().all(|(controller, dir)| {
            let mount = self
                .hierarchies
                .mounts()
                .iter()
                .find(|mount| dir.starts_with(&mount.point))
                .unwrap();
            let inner = Path::new("/").join(dir.strip_prefix(&mount.point).unwrap());
            membership.lines().any(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let names = fields.next().unwrap();
                names.split(',').any(|name| name == controller)
                    && Path::new(fields.next().unwrap()) == inner
            })
        })
    }

    fn reap(&mut self) {
        for child in &mut self.children {
            child.wait().unwrap();
        }
        self.children.clear();
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let dirs = self.cgroup.paths().into_values();
        dirs.filter(|dir| dir.exists()).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The shells' own children as well.
        let _ = self.cgroup.kill_all();
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let removed = self.cgroup.remove();
        for mount in self.hierarchies.mounts() {
            let parent = self.path.parent().unwrap().strip_prefix("/").unwrap();
            let _ = std::fs::remove_dir(mount.point.join(parent));
        }
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

fn spawn(join: Join, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // SAFETY: `enter` neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            join.enter(false).map_err(|e| std::io::Error::from_raw_os_error(e as i32))
        })
    };
    command.spawn().unwrap()
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

fn read(dir: Option<&Path>, file: &str) -> String {
    std::fs::read_to_string(dir.unwrap().join(file)).unwrap().trim().to_owned()
}

/// Until there is something to read.
fn wait(events: &cgroup::OomEvents) {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(10_000u16)).unwrap(), 1);
}
