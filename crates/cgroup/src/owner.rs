//! Giving a v2 group to a user: delegation (cgroups(7), "Cgroups v2 delegation").

use std::os::unix::fs::chown;
use std::path::Path;

use crate::error::{Error, Reason, Result};

/// The kernel's list of the files that a delegate must be able to write (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// The same in older kernels (cgroups(7)).
const OLD_LIST: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

/// Makes `uid` the owner of the group `dir` and of the files in it that delegation needs.
pub(crate) fn give(dir: &Path, uid: u32) -> Result<()> {
    let give = |path: &Path| {
        chown(path, Some(uid), None).map_err(|error| Error::Path {
            call: "chown",
            path: path.to_owned(),
            errno: Reason(nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        })
    };
    give(dir)?;
    let list = crate::file::read_text(Path::new(LIST)).unwrap_or_else(|_| OLD_LIST.to_owned());
    for name in list.lines().filter(|name| !name.is_empty() && !name.contains('/')) {
        match give(&dir.join(name)) {
            // Not every controller is enabled.
            Err(error) if error.is_gone() => {}
            result => result?,
        }
    }
    Ok(())
}
