//! The processes of a group: listing, adding, killing.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::Mode;
use crate::join::SubCgroups;

impl Cgroup {
    /// The processes in the container's own group, without those in groups below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.procs_dir().map_or(Ok(Vec::new()), pids)
    }

    /// The processes in the container's group and all groups below it.
    pub fn all_pids(&self) -> Result<Vec<i32>> {
        self.procs_dir().map_or(Ok(Vec::new()), all_pids)
    }

    /// Moves an existing process, with all its threads, into the groups (below them with `sub`).
    ///
    /// This is the slow way, it takes the kernel's global lock on thread groups. A process about
    /// to be cloned should enter through [`Cgroup::join_handles`].
    pub fn add_process(&self, pid: i32, sub: &SubCgroups) -> Result<()> {
        for dir in self.sub_dirs(sub)? {
            match add(&dir, pid) {
                Err(error) if self.options.rootless && error.is_permission() => {}
                Err(error) => return Err(Error::AddProcess { pid, cause: Box::new(error) }),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Kills every process of the container with SIGKILL, paused ones as well. Does not wait for
    /// their end; [`Cgroup::remove`] does, for a bounded time.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when the group is gone.
    pub fn kill_all(&self) -> Result<()> {
        let Some(procs) = self.procs_dir() else { return Ok(()) };
        if !procs.exists() {
            return Err(Error::Missing(procs.to_owned()));
        }
        let by_kernel = self.kill_by_kernel()?;
        if by_kernel && self.mode == Mode::V2 {
            return Ok(());
        }
        // In hybrid mode a process may have left the unified group and still be in the v1 ones.
        let pids = all_pids(procs)?;
        if pids.is_empty() {
            return Ok(());
        }
        // Frozen, the group cannot fork away from the list, nor a number in it be reused. Going
        // on without a freezer is better than not killing.
        let frozen = if by_kernel { Ok(()) } else { self.freeze() };
        let killed = all_pids(procs).and_then(|pids| kill_each(&pids));
        // A v1-frozen process dies only once it is thawed.
        let thawed = if self.dir(Controller::Freezer).is_some() { self.thaw() } else { Ok(()) };
        if let Err(error) = frozen {
            tracing::debug!("killing without freezing: {error}");
        }
        killed.and(thawed)
    }

    /// `cgroup.kill` (Linux 5.14) of the unified group: atomic, forks included. `false` where the
    /// kernel or the host does not have it.
    fn kill_by_kernel(&self) -> Result<bool> {
        let Some(dir) = self.dir(Controller::Unified) else { return Ok(false) };
        match file::write(&dir.join("cgroup.kill"), "1") {
            Ok(()) => Ok(true),
            Err(error) if error.is_gone() => Ok(false),
            // Threaded groups cannot be killed as a whole.
            Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn kill_each(pids: &[i32]) -> Result<()> {
    let mut failed = None;
    for pid in pids {
        match kill(Pid::from_raw(*pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => failed = failed.or(Some(errno)),
        }
    }
    failed.map_or(Ok(()), |errno| Err(Error::call("kill a process of the cgroup", errno)))
}

/// Moves a whole process into the group `dir`.
pub(crate) fn add(dir: &Path, pid: i32) -> Result<()> {
    let path = dir.join("cgroup.procs");
    let mut tries = 5;
    loop {
        match file::write(&path, &pid.to_string()) {
            // A process that is still being cloned (TASK_NEW) cannot be moved yet.
            Err(error) if error.errno() == Some(Errno::EINVAL) && tries > 0 => {
                tries -= 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn pids(dir: &Path) -> Result<Vec<i32>> {
    let procs = dir.join("cgroup.procs");
    let (path, text) = match file::read_text(&procs) {
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => {
            // A threaded group lists threads only.
            let threads = dir.join("cgroup.threads");
            let text = file::read_text(&threads)?;
            (threads, text)
        }
        result => (procs, result?),
    };
    text.split_ascii_whitespace()
        .map(|pid| pid.parse().map_err(|_| Error::malformed(&path, pid)))
        .collect()
}

/// All processes at and below `dir`. A group below that vanishes meanwhile has none.
pub(crate) fn all_pids(dir: &Path) -> Result<Vec<i32>> {
    let mut found = pids(dir)?;
    for child in children(dir)? {
        match all_pids(&child) {
            Ok(pids) => found.extend(pids),
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The groups directly below `dir`.
pub(crate) fn children(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let failed = |error: std::io::Error| {
        Error::path("readdir", dir, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
