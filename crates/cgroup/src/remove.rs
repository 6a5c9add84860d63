//! Removing a container's groups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::cgroup::{Cgroup, Driver};
use crate::error::{Error, Reason, Result};
use crate::procs;

/// Tries while killed processes leave, with waits of 1, 2, 4 … ms: one second in all.
const TRIES: u32 = 11;

impl Cgroup {
    /// Removes the container's groups and any groups made inside them. A group that is gone is
    /// fine. One that still has processes is waited for a short time (killed processes leave it
    /// only when they have exited) and is then left and reported: the kernel never removes a
    /// group with processes.
    ///
    /// Levels above the container's own are left, as runc does: whoever else uses them may be
    /// about to make a group there.
    ///
    /// A systemd unit is stopped first; what systemd leaves is then removed in the same way.
    pub fn remove(&self) -> Result<()> {
        if let Driver::Systemd(systemd) = &self.driver {
            systemd.stop()?;
        }
        let mut left: Vec<&Path> = self.groups.iter().map(|group| group.dir.as_path()).collect();
        let mut delay = Duration::from_millis(1);
        let mut failed = None;
        for attempt in 0..TRIES {
            failed = None;
            left.retain(|dir| match remove_tree(dir) {
                Ok(()) => false,
                Err(error) => {
                    failed = Some(error);
                    true
                }
            });
            let busy = failed.as_ref().is_some_and(|(_, errno)| *errno == Errno::EBUSY);
            if left.is_empty() || !busy || attempt + 1 == TRIES {
                break;
            }
            std::thread::sleep(delay);
            delay *= 2;
        }
        match failed {
            Some((path, errno)) => Err(Error::Remove { path, errno: Reason(errno) }),
            None => Ok(()),
        }
    }
}

/// Removes `dir`, after the groups below it if there are any.
fn remove_tree(dir: &Path) -> std::result::Result<(), (PathBuf, Errno)> {
    // Most groups are leaves: try before looking inside.
    let Err(errno) = rmdir(dir) else { return Ok(()) };
    match procs::children(dir) {
        Ok(children) => {
            let is_leaf = children.is_empty();
            for child in children {
                remove_tree(&child)?;
            }
            if is_leaf {
                return Err((dir.to_owned(), errno));
            }
            rmdir(dir).map_err(|errno| (dir.to_owned(), errno))
        }
        // A read-only cgroupfs reports EROFS for what does not exist as well.
        Err(error) if error.is_gone() => Ok(()),
        Err(_) => Err((dir.to_owned(), errno)),
    }
}

fn rmdir(dir: &Path) -> std::result::Result<(), Errno> {
    match std::fs::remove_dir(dir) {
        Ok(()) => Ok(()),
        Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT | Errno::ENODEV => Ok(()),
            errno => Err(errno),
        },
    }
}
