//! `readonlyPaths` and `maskedPaths`, inside the container.
//!
//! Every path is resolved once, below the root and without magic links, and the mount goes to that very descriptor:
//! what another process renames meanwhile does not matter (CVE-2025-31133, CVE-2025-52881).

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::RootfsPlan;
use super::attach::{clone_tree, move_mount};
use super::device::verify_null;
use super::error::{CallError, Cause, RootfsError};
use super::filesystem::NewFilesystem;
use super::options::FsOption;
use super::safe_path::file_type;
use crate::sys::{MountAttr, mount_setattr};

impl RootfsPlan {
    /// Makes `readonlyPaths` read-only and hides `maskedPaths`; a path that does not exist is passed over. After
    /// [`RootfsPlan::finalize`] and after the sysctls are written, as `/proc/sys` is usually among the paths.
    pub(crate) fn restrict(&self) -> Result<(), RootfsError> {
        let root = Place::of(CWD, c"/").map_err(RootfsError::Jail)?;
        for path in &self.readonly_paths {
            make_read_only(path, &root)
                .map_err(|cause| RootfsError::Readonly { path: path.clone(), cause })?;
        }
        let mut cover = Cover::default();
        for path in &self.masked_paths {
            self.mask(path, &mut cover)
                .map_err(|cause| RootfsError::Mask { path: path.clone(), cause })?;
        }
        Ok(())
    }

    /// Hides a directory below an empty read-only one, anything else below `/dev/null`.
    fn mask(&self, path: &Path, cover: &mut Cover) -> Result<(), Cause> {
        let Some(target) = find(path)? else {
            return Ok(());
        };
        let is_dir = file_type(&target)? == FileType::Directory;
        let copy = match (is_dir, &cover.directory, &cover.null) {
            (true, Some(source), _) | (false, _, Some(source)) => {
                clone_tree(source.as_fd(), Path::new(""), false)?
            }
            (true, None, _) => empty_directory(self.mount_label.as_ref())?,
            (false, _, None) => null_device()?,
        };
        move_mount(copy.as_fd(), target.as_fd(), path)?;
        // The first of each kind is what the others are copied from: one superblock for all directories.
        let slot = match is_dir {
            true => &mut cover.directory,
            false => &mut cover.null,
        };
        slot.get_or_insert(copy);
        Ok(())
    }
}

/// What hides the masked paths, once it is attached to the first of them.
#[derive(Default)]
struct Cover {
    directory: Option<OwnedFd>,
    null: Option<OwnedFd>,
}

/// Opens `path` inside the container, `None` if there is nothing.
fn find(path: &Path) -> Result<Option<OwnedFd>, CallError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(CallError::new("openat2", path, errno)),
    }
}

/// Mounts `path` on itself, read-only. The mounts below come along as they are, as with runc.
fn make_read_only(path: &Path, root: &Place) -> Result<(), CallError> {
    let Some(target) = find(path)? else {
        return Ok(());
    };
    let read_only = MountAttr::raise(MountAttrFlags::MOUNT_ATTR_RDONLY);
    let set = |mount: BorrowedFd<'_>| {
        mount_setattr(mount, &read_only, false)
            .map_err(|errno| CallError::new("mount_setattr", path, errno))
    };
    if Place::of(target.as_fd(), c"")? == *root {
        // What is mounted over the root is not seen by a process that has it already.
        return set(target.as_fd());
    }
    let copy = clone_tree(target.as_fd(), Path::new(""), true)?;
    set(copy.as_fd())?;
    move_mount(copy.as_fd(), target.as_fd(), path)
}

/// An inode of a mount, by whatever path.
#[derive(PartialEq, Eq)]
struct Place {
    mount: u64,
    inode: u64,
}

impl Place {
    /// What `path` is below `dir`; `dir` itself, if empty.
    fn of(dir: BorrowedFd<'_>, path: &CStr) -> Result<Self, CallError> {
        rustix::fs::statx(dir, path, AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)
            .map(|status| Self { mount: status.stx_mnt_id, inode: status.stx_ino })
            .map_err(|errno| CallError::new("statx", OsStr::from_bytes(path.to_bytes()), errno))
    }
}

/// A detached copy of the container's `/dev/null`, after a look at what it is: an image may have a symlink to
/// `/proc/sysrq-trigger` there (CVE-2025-31133).
fn null_device() -> Result<OwnedFd, Cause> {
    let null = clone_tree(CWD, Path::new("/dev/null"), false)?;
    verify_null(null.as_fd())?;
    Ok(null)
}

/// A detached tmpfs with room for nothing, read-only.
pub(super) fn empty_directory(label: Option<&FsOption>) -> Result<OwnedFd, CallError> {
    let create = |inodes: &std::ffi::CStr| {
        let limits = [
            FsOption::pair(c"nr_blocks", c"1".to_owned()),
            FsOption::pair(c"nr_inodes", inodes.to_owned()),
        ];
        let tmpfs =
            NewFilesystem { fs_type: c"tmpfs", source: Path::new("tmpfs"), flags: libc::MS_RDONLY };
        tmpfs.create(limits.iter().chain(label))
    };
    // Ubuntu's 5.4 kernel wants a second inode.
    create(c"1").or_else(|_| create(c"2"))
}
