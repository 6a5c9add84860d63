//! Entering the rootfs, and closing it.

use std::fs::File;
use std::path::Path;

use procfs::process::{MountInfo, Process};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, unmount};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

use super::dev::set_propagation;
use super::device::verify_null;
use super::error::{CallError, Cause, RootfsError};
use super::safe_path::{Leaf, RootDir, file_type};
use super::{Mounted, RootfsPlan};
use crate::sys::{MountAttr, mount_setattr};

impl RootfsPlan {
    /// Makes the rootfs the root and the working directory of the process, and the host's tree unreachable. Standard
    /// streams on the host's `/dev/null` move to the container's.
    pub(crate) fn pivot(&self, mounted: &Mounted) -> Result<(), RootfsError> {
        let root = &mounted.root;
        fchdir(root.as_fd())
            .map_err(|errno| RootfsError::Jail(CallError::new("fchdir", root.path(), errno)))?;
        let jailed = if self.no_pivot {
            move_to_root(mounted)
        } else if self.mount_namespace {
            swap_root()
        } else {
            enter_here()
        };
        jailed.map_err(RootfsError::Jail)?;
        // Private and slave are in effect since before the rootfs was mounted.
        if let Some(flags) = self.propagation
            && self.mount_namespace
            && flags & (libc::MS_PRIVATE | libc::MS_SLAVE) == 0
        {
            set_propagation("/", flags).map_err(RootfsError::Jail)?;
        }
        if self.sets_up_dev {
            reopen_null().map_err(RootfsError::ReopenNull)?;
        }
        self.make_cwd().map_err(RootfsError::WorkingDirectory)
    }

    /// As runc does, though the specification does not ask for it: images name working directories
    /// that they do not have. The runtime's descriptors are still open, so that a magic link of procfs in the
    /// image would lead out of the rootfs (CVE-2024-21626): none is followed.
    fn make_cwd(&self) -> Result<(), CallError> {
        if self.cwd.as_os_str().is_empty() {
            return Ok(());
        }
        let root = RootDir::new(open_root()?, "/".into());
        let failed = |errno| CallError::new("mkdir", &self.cwd, errno);
        let found = match root.open_or_create(&self.cwd, Leaf::Directory) {
            // By way of a magic link: nothing is made there. Whether it may be entered is seen by chdir.
            Err(error) if error.errno() == Errno::LOOP => return Ok(()),
            found => found.map_err(|error| failed(error.errno()))?,
        };
        match file_type(&found)? {
            FileType::Directory => Ok(()),
            _ => Err(failed(Errno::NOTDIR)),
        }
    }

    /// Makes read-only what is to be so and had to be written to: tmpfs mounts, `/dev`, the root. Sets the umask.
    /// After the console is set up.
    pub(crate) fn finalize(&self, mounted: Mounted) -> Result<(), RootfsError> {
        let read_only = MountAttr::raise(MountAttrFlags::MOUNT_ATTR_RDONLY);
        let set = |mount: &OwnedFd, path: &Path| {
            mount_setattr(mount.as_fd(), &read_only, false).map_err(|errno| RootfsError::Readonly {
                path: path.to_owned(),
                cause: CallError::new("mount_setattr", path, errno),
            })
        };
        for (mount, path) in &mounted.read_only_later {
            set(mount, path)?;
        }
        if self.read_only {
            let path = Path::new("/");
            set(&open_root().map_err(RootfsError::Jail)?, path)?;
        }
        rustix::process::umask(Mode::from_raw_mode(self.umask));
        Ok(())
    }
}

fn open_root() -> Result<OwnedFd, CallError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, c"/", flags, Mode::empty())
        .map_err(|errno| CallError::new("openat", "/", errno))
}

/// `pivot_root(".", ".")` puts the old root on top of the new one, at the same place, and needs no directory for it
/// (pivot_root(2), NOTES). Then the old one is unmounted.
fn swap_root() -> Result<(), CallError> {
    let old = open_root()?;
    pivot_root(c".", c".").map_err(|errno| CallError::new("pivot_root", ".", errno))?;
    fchdir(&old).map_err(|errno| CallError::new("fchdir", "old root", errno))?;
    // The unmounts must not reach the host. Not private: that would hold on to mounts which the host wants to unmount.
    set_propagation(".", libc::MS_SLAVE | libc::MS_REC)?;
    unmount(c".", UnmountFlags::DETACH).map_err(|errno| CallError::new("umount2", ".", errno))?;
    chdir(c"/").map_err(|errno| CallError::new("chdir", "/", errno))
}

/// `--no-pivot`, for a host root that cannot be pivoted (an initramfs): the rootfs is moved over `/`.
///
/// The host's mounts stay in the namespace, below. A whole procfs or sysfs among them would let the container mount
/// one without the masks (the kernel permits what is already visible), so these go first.
fn move_to_root(mounted: &Mounted) -> Result<(), CallError> {
    let rootfs = mounted.root.path();
    let failed = |call| move |errno| CallError::new(call, rootfs, errno);
    for mount_point in visible_pseudo_filesystems(rootfs)? {
        hide(&mount_point)?;
    }
    rustix::mount::move_mount(
        mounted.root.as_fd(),
        c"",
        CWD,
        c"/",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(failed("move_mount"))?;
    enter_here()
}

fn enter_here() -> Result<(), CallError> {
    chroot(c".").map_err(|errno| CallError::new("chroot", ".", errno))?;
    chdir(c"/").map_err(|errno| CallError::new("chdir", "/", errno))
}

fn visible_pseudo_filesystems(rootfs: &Path) -> Result<Vec<std::path::PathBuf>, CallError> {
    let unreadable = |_| CallError::new("read", "/proc/self/mountinfo", Errno::IO);
    let mounts = Process::myself().and_then(|process| process.mountinfo()).map_err(unreadable)?;
    let is_whole = |mount: &MountInfo| {
        mount.root == "/"
            && matches!(mount.fs_type.as_str(), "proc" | "sysfs")
            && !mount.mount_point.starts_with(rootfs)
    };
    Ok(mounts.into_iter().filter(is_whole).map(|mount| mount.mount_point).collect())
}

/// Unmounts `path`, or covers it where that is not permitted.
fn hide(path: &Path) -> Result<(), CallError> {
    match set_propagation(path, libc::MS_SLAVE | libc::MS_REC) {
        // It went with one that it was mounted in.
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::INVAL) => return Ok(()),
        result => result?,
    }
    match unmount(path, UnmountFlags::DETACH) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::PERM) => {
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount(c"tmpfs", path, c"tmpfs", flags, None)
                .map_err(|errno| CallError::new("mount tmpfs", path, errno))
        }
        Err(errno) => Err(CallError::new("umount2", path, errno)),
    }
}

/// Standard streams that are the host's `/dev/null` would keep the host's mount in use, and its inode in reach.
fn reopen_null() -> Result<(), Cause> {
    let path = Path::new("/dev/null");
    let on_null = |status: &rustix::fs::Stat| {
        FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
            && status.st_rdev == makedev(1, 3)
    };
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut null: Option<File> = None;
    for (number, stream) in streams.into_iter().enumerate() {
        // A stream that is closed is nobody's /dev/null.
        if !rustix::fs::fstat(stream).is_ok_and(|status| on_null(&status)) {
            continue;
        }
        if null.is_none() {
            null = Some(open_null(path)?);
        }
        let Some(null) = &null else { continue };
        let moved = match number {
            0 => rustix::stdio::dup2_stdin(null),
            1 => rustix::stdio::dup2_stdout(null),
            _ => rustix::stdio::dup2_stderr(null),
        };
        moved.map_err(|errno| CallError::new("dup2", path, errno))?;
    }
    Ok(())
}

/// Looks at the inode before it opens it: an image may have anything in the place of `/dev/null`.
fn open_null(path: &Path) -> Result<File, Cause> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let null = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| CallError::new("openat", path, errno))?;
    verify_null(null.as_fd())?;
    // Only the open was not to wait; the container's streams block as anyone expects.
    rustix::fs::fcntl_setfl(&null, OFlags::RDWR)
        .map_err(|errno| CallError::new("fcntl", path, errno))?;
    Ok(null.into())
}
