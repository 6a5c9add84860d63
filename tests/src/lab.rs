//! A machine made of namespaces.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use crate::cgroups::Cgroups;
use crate::ran::{Ran, run_in};
use crate::{Bundle, Snapshot, eventually, runtime, sys, tool};

/// The namespaces that a command enters to run in a lab, in this order: `/proc` must still be the
/// caller's own when the files are opened, so all are opened first.
const NAMESPACES: [(&str, CloneFlags); 6] = [
    ("net", CloneFlags::CLONE_NEWNET),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// How a lab differs from the usual one.
#[derive(Debug, Clone, Copy, Default)]
pub struct LabOptions {
    /// On a cgroup v1 host, show the hybrid `unified` hierarchy too (crun refuses to run then).
    pub hybrid: bool,
}

/// A machine of its own: processes, mounts, network, hostname, IPC, cgroups, `/run`, `/etc`, `/var/lib`.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: the processes go first, then what they used.
    life: Option<ChildStdin>,
    init: Child,
    pid: u32,
    namespaces: Vec<(File, CloneFlags)>,
    cgroups: Cgroups,
    folder: Folder,
}

/// A folder that goes with its value, also when the lab does not come up.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("remove {}: {e}", self.0.display());
        }
    }
}

impl Lab {
    /// A lab with the usual options.
    pub fn new() -> Self {
        Self::with(LabOptions::default())
    }

    /// A lab with `options`.
    pub fn with(options: LabOptions) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rrun-test-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(&name));
        fs::create_dir(&folder.0).unwrap_or_else(|e| panic!("{}: {e}", folder.0.display()));
        let cgroups = Cgroups::create(&name).expect("cgroups of the lab");
        let layout = match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            true => "v2",
            false if options.hybrid => "hybrid",
            false => "v1",
        };
        let mut command = Command::new(tool("lab-init"));
        command
            .args(["outer", layout])
            .args(cgroups.leaf())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        sys::join_cgroups(&mut command, cgroups.open_roots().expect("cgroup.procs"));
        let mut init = command.spawn().expect("start lab-init");
        let mut said = BufReader::new(init.stdout.take().expect("stdout of lab-init"));
        // Process 1 and the one that started it write a line each, in any order.
        let (mut lines, mut line) = (Vec::new(), String::new());
        while lines.len() < 2 && said.read_line(&mut line).is_ok_and(|n| n > 0) {
            lines.push(std::mem::take(&mut line).trim().to_owned());
        }
        let pid = lines.iter().find_map(|line| line.parse::<u32>().ok());
        let ready = lines.iter().any(|line| line == "ready");
        let pid =
            pid.filter(|_| ready).unwrap_or_else(|| panic!("the lab did not come up: {lines:?}"));
        let open = |(name, flag)| {
            (File::open(format!("/proc/{pid}/ns/{name}")).expect("namespace of the lab"), flag)
        };
        let namespaces = NAMESPACES.into_iter().map(open).collect();
        Self { life: init.stdin.take(), init, pid, namespaces, cgroups, folder }
    }

    /// The lab's folder on the host: bundles and the outputs of commands. Gone with the lab.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The way to `path` of the lab for this process, which is outside.
    pub fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let inner = path.strip_prefix("/").unwrap_or(path);
        Path::new("/proc").join(self.pid.to_string()).join("root").join(inner)
    }

    /// The lab's process 1 as this process sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The PID of this process's PID namespace for the lab's process `inner`, by the `NSpid` line
    /// of proc(5).
    pub fn outer_pid(&self, inner: i64) -> Option<u32> {
        self.processes().into_iter().find(|(pid, _)| *pid == inner).map(|(_, outer)| outer)
    }

    /// The lab's processes but process 1: inner PID, outer PID. Zombies are left out.
    pub fn processes(&self) -> Vec<(i64, u32)> {
        let own = fs::read_link(format!("/proc/{}/ns/pid", self.pid)).ok();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("read /proc").flatten() {
            let Ok(outer) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("NSpid:")) else {
                continue;
            };
            let pids: Vec<i64> = line.split_whitespace().flat_map(str::parse).collect();
            if pids.len() < 2 || outer == self.pid || status.contains("State:\tZ") {
                continue;
            }
            // Processes of containers are one level deeper: they belong to the lab by ancestry.
            let here = fs::read_link(entry.path().join("ns/pid")).ok();
            if here == own || (pids.len() > 2 && self.is_ancestor_of(outer)) {
                found.push((pids.get(1).copied().unwrap_or_default(), outer));
            }
        }
        found
    }

    fn is_ancestor_of(&self, mut pid: u32) -> bool {
        while pid > 1 {
            if pid == self.pid {
                return true;
            }
            let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
                return false;
            };
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            pid = parent.and_then(|p| p.trim().parse().ok()).unwrap_or(0);
        }
        false
    }

    /// Starts `command` in the lab. The returned PID is this process's view of it.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Process> {
        sys::join_cgroups(command, self.cgroups.open_procs()?);
        let enter_and_spawn = || {
            // setns(2) refuses a mount namespace to a thread that shares its root and cwd.
            unshare(CloneFlags::CLONE_FS)?;
            for (file, flag) in &self.namespaces {
                setns(file.as_fd(), *flag)?;
            }
            command.spawn().map(Process)
        };
        // Only the thread that enters is in the lab afterwards, and it ends here.
        std::thread::scope(|scope| {
            scope.spawn(enter_and_spawn).join().expect("thread that enters the lab")
        })
    }

    /// A command line for the runtime under test.
    pub fn rrun_command<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(runtime());
        command.args(args).current_dir(&self.folder.0);
        command
    }

    /// Runs the runtime under test to its end.
    pub fn rrun<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run(&mut self.rrun_command(args))
    }

    /// Runs a host's program in the lab to its end.
    pub fn sh(&self, script: &str) -> Ran {
        self.run(Command::new("/bin/sh").args(["-ec", script]).current_dir(&self.folder.0))
    }

    /// Runs `command` in the lab to its end, its output in files: a container may keep them open.
    pub fn run(&self, command: &mut Command) -> Ran {
        run_in(self, command)
    }

    /// A bundle `name` with a busybox rootfs.
    pub fn bundle(&self, name: &str) -> Bundle {
        Bundle::create(&self.folder.0.join(name))
    }

    /// What there is in the lab now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self, self.cgroups.below())
    }

    /// What there is in the lab when nothing moves any more: rrun leaves the kernel's slow part of
    /// deleting a link to a process that ends some 50 ms later, or more on a busy machine.
    pub fn still(&self) -> Snapshot {
        let runtime = format!(" {} ", crate::runtime().display());
        let mut last = self.snapshot();
        let still = eventually(Duration::from_secs(10), || {
            std::thread::sleep(Duration::from_millis(80));
            let now = self.snapshot();
            let same = now == last;
            last = now;
            same && last.mentions(&runtime).is_empty()
        });
        assert!(still, "the lab does not come to rest: {last}");
        last
    }

    /// # Panics
    /// When the lab does not come back to what there was `before` within 5 s, with the difference.
    #[track_caller]
    pub fn assert_back_to(&self, before: &Snapshot) {
        if !eventually(Duration::from_secs(5), || self.snapshot() == *before) {
            self.snapshot().assert_same(before);
        }
    }

    /// The lab's own group in the hierarchy of `controller`.
    pub fn cgroup(&self, controller: &str) -> Option<PathBuf> {
        self.cgroups.group(controller).map(Path::to_owned)
    }

    /// The state the runtime reports for `id`.
    pub fn state(&self, id: &str) -> serde_json::Value {
        let ran = self.rrun(["state", id]).ok();
        serde_json::from_str(&ran.stdout()).unwrap_or_else(|e| panic!("state: {e}: {ran}"))
    }

    /// The status of `id`, or nothing where there is no such container.
    pub fn status(&self, id: &str) -> Option<String> {
        let ran = self.rrun(["state", id]);
        if !ran.status.success() {
            return None;
        }
        let state: serde_json::Value = serde_json::from_str(&ran.stdout()).ok()?;
        state.get("status").and_then(|s| s.as_str()).map(str::to_owned)
    }

    /// Waits until `id` has `status`.
    pub fn wait_status(&self, id: &str, status: &str) {
        let limit = Duration::from_secs(20);
        let seen = eventually(limit, || self.status(id).as_deref() == Some(status));
        assert!(seen, "{id} is {:?}, not {status}", self.status(id));
    }
}

/// A process started in a lab, killed and reaped when dropped: the kernel lets a PID namespace end
/// only when every process of it is reaped, and this one's parent is outside.
#[derive(Debug)]
pub struct Process(Child);

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing to a process that was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.life.take());
        if let Err(e) = self.init.wait() {
            eprintln!("wait for lab-init: {e}");
        }
    }
}
