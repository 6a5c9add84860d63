//! The container's init process and its network namespace, as seen from the host.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use nix::sys::stat::fstat;

use crate::{Error, Result};

/// A container whose namespaces exist.
#[derive(Debug, Clone, Copy)]
pub struct Init<'a> {
    /// Its init process, in the caller's pid namespace.
    pub pid: i32,
    /// When that process started, in clock ticks after boot.
    pub start_time: u64,
    /// Its network namespace.
    pub netns: BorrowedFd<'a>,
}

impl Init<'_> {
    /// The inode of the network namespace, which is its identity while it lives.
    ///
    /// # Errors
    ///
    /// The descriptor cannot be examined.
    pub fn netns_inode(&self) -> Result<u64> {
        let stat = fstat(self.netns)
            .map_err(|errno| Error::Process { call: "fstat of a netns", source: errno.into() })?;
        Ok(stat.st_ino)
    }
}

/// When a living process started, in clock ticks after boot (proc_pid_stat(5), field 22). `None` where
/// there is no such process or it is dead and only waits to be reaped: its namespaces are gone then.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    // The second field is the command's name in brackets and may itself hold brackets and blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let dead = matches!(state, "Z" | "X" | "x");
    // Field 3 was the state; field 22 is 19 further on.
    fields.nth(18)?.parse().ok().filter(|_| !dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_a_start_time_and_no_process_has_none() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let time = start_time(pid).unwrap();
        assert!(time > 0);
        assert_eq!(start_time(pid), Some(time));
        assert_eq!(start_time(0), None);
        assert_eq!(start_time(-1), None);
    }
}
