//! Mount points: where in the rootfs a mount may go, and that it went there.

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, PROC_SUPER_MAGIC};
use rustix::io::Errno;

use super::attach::move_mount;
use super::error::{CallError, Cause};
use super::plan::MountEntry;
use super::safe_path::{RootDir, file_type, proc_path};

/// Mount points below `/proc` that lxcfs covers with its own view; anything else there could fool the checks that
/// processes (and this runtime) make with `/proc` (CVE-2019-19921, CVE-2023-27561).
const HARMLESS_IN_PROC: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// A mount point that was looked at.
#[derive(Debug)]
pub(super) struct Target {
    fd: OwnedFd,
    /// Its path in the container, without symlinks.
    location: PathBuf,
}

impl Target {
    /// Refuses for `entry` a mount point outside the rootfs, the rootfs itself, and what is over or inside `/proc`.
    /// `source` is what a bind mount would put there.
    pub(super) fn check(
        entry: &MountEntry,
        root: &RootDir,
        fd: OwnedFd,
        source: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Cause> {
        let location = root.location(fd.as_fd())?;
        if location == Path::new("/") {
            return Err(Cause::OnRootfs(location));
        }
        if let Ok(below) = location.strip_prefix("/proc") {
            let is_proc = match source {
                Some(source) => is_procfs(source)?,
                None => entry.is_type("proc"),
            };
            let is_harmless = HARMLESS_IN_PROC.iter().any(|path| location == Path::new(path));
            match below.as_os_str().is_empty() {
                true if !is_proc => return Err(Cause::NotProc(location)),
                false if !is_harmless => return Err(Cause::InsideProc(location)),
                _ => {}
            }
        }
        Ok(Self { fd, location })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// No symlink led here: the mount point is the one that config.json names.
    pub(super) fn must_be_called(&self, destination: &Path) -> Result<(), Cause> {
        match self.location == destination {
            true => Ok(()),
            false => Err(Cause::Moved(destination.to_owned())),
        }
    }

    /// Directories go on directories and files on files. `move_mount` would say `EINVAL` to the rest; engines look
    /// for the `ENOTDIR` of `mount(2)`.
    pub(super) fn must_be_directory(&self, directory: bool) -> Result<(), CallError> {
        match (file_type(&self.fd)? == FileType::Directory) == directory {
            true => Ok(()),
            false => Err(CallError::new("move_mount", &self.location, Errno::NOTDIR)),
        }
    }

    /// Attaches the detached `mount` here, and looks where it is then.
    ///
    /// A process with access to the rootfs can rename the directory that `self` is open on, and so have `/proc` mounted
    /// elsewhere with a fake in its place. That is noticed if it was done by now. From another mount namespace it can
    /// be done at any time, so whoever writes to `/proc` later must look at what it writes to (CVE-2025-52881).
    pub(super) fn attach(&self, root: &RootDir, mount: BorrowedFd<'_>) -> Result<(), Cause> {
        move_mount(mount, self.fd.as_fd(), &self.location)?;
        self.must_be_at(root, mount)
    }

    /// Opens what `mount(2)` has mounted here.
    pub(super) fn reopen(&self, root: &RootDir) -> Result<OwnedFd, Cause> {
        self.must_be_at(root, self.fd.as_fd())?;
        Ok(root.reopen(&self.location)?)
    }

    fn must_be_at(&self, root: &RootDir, fd: BorrowedFd<'_>) -> Result<(), Cause> {
        match root.location(fd)? == self.location {
            true => Ok(()),
            false => Err(Cause::Moved(self.location.clone())),
        }
    }
}

fn is_procfs(fd: BorrowedFd<'_>) -> Result<bool, CallError> {
    let statfs =
        rustix::fs::fstatfs(fd).map_err(|errno| CallError::new("fstatfs", proc_path(fd), errno))?;
    Ok(statfs.f_type == PROC_SUPER_MAGIC)
}
