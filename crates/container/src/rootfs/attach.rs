//! Mounting one entry of `mounts`.

use std::ffi::{CStr, CString};
use std::path::Path;

use libc::c_ulong;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags as Attr, MoveMountFlags, OpenTreeFlags};

use super::copy_up::copy_up;
use super::error::{CallError, Cause};
use super::filesystem::NewFilesystem;
use super::options::{ATIME, FsOption, atime_attributes, attributes};
use super::plan::{MountEntry, MountKind};
use super::safe_path::{Leaf, RootDir, file_type, proc_path, stat};
use super::target::Target;
use super::{RootfsPlan, SourceBroker};
use crate::sys::{MountAttr, mount_setattr};

impl RootfsPlan {
    /// Mounts entry number `index`. Returns the mount if it is to be made read-only at the end.
    pub(super) fn attach(
        &self,
        index: usize,
        entry: &MountEntry,
        root: &RootDir,
        broker: &mut SourceBroker<'_>,
    ) -> Result<Option<OwnedFd>, Cause> {
        let mount = match &entry.kind {
            MountKind::Bind { recursive } => {
                let tree = self.bind_source(index, entry, *recursive, broker)?;
                entry.attach_bind(root, tree)?
            }
            MountKind::Cgroup => return self.attach_cgroup(entry, root).map(|()| None),
            MountKind::Filesystem(fs_type) => self.attach_filesystem(fs_type, entry, root)?,
        };
        change_propagation(mount.as_fd(), &entry.options.propagation, &entry.destination)?;
        Ok(entry.is_read_only_later().then_some(mount))
    }

    /// A detached copy of the mount tree at the source of a bind mount.
    fn bind_source(
        &self,
        index: usize,
        entry: &MountEntry,
        recursive: bool,
        broker: &mut SourceBroker<'_>,
    ) -> Result<OwnedFd, Cause> {
        let may_ask = self.user_namespace && !self.rootless;
        if entry.idmap.is_some() && may_ask {
            // Only who is privileged over the file system may map its ids.
            return broker(index).map_err(Cause::Broker);
        }
        match clone_tree(CWD, &entry.source, recursive) {
            Err(error) if error.errno() == Errno::ACCESS && may_ask => {
                broker(index).map_err(Cause::Broker)
            }
            Err(error) => Err(error.into()),
            Ok(tree) => {
                if let Some(idmap) = &entry.idmap {
                    idmap.apply(tree.as_fd(), &entry.source)?;
                }
                Ok(tree)
            }
        }
    }

    fn attach_filesystem(
        &self,
        fs_type: &CStr,
        entry: &MountEntry,
        root: &RootDir,
    ) -> Result<OwnedFd, Cause> {
        let (target, inherited_mode) = entry.filesystem_target(root)?;
        let later = if entry.is_read_only_later() { libc::MS_RDONLY } else { 0 };
        let filesystem =
            NewFilesystem { fs_type, source: &entry.source, flags: entry.options.set & !later };
        let label = self.mount_label.as_ref();
        let unlabelled = ["proc", "sysfs", "mqueue"].iter().any(|name| entry.is_type(name));
        let context = label.filter(|_| !unlabelled);
        let options = inherited_mode.iter().chain(&entry.options.data).chain(context);
        let mount = if entry.options.copy_up || filesystem.can_be_detached(options.clone()) {
            let mount = filesystem.create(options)?;
            if entry.options.copy_up {
                copy_up(target.as_fd(), mount.as_fd(), &entry.destination)?;
            }
            target.attach(root, mount.as_fd())?;
            mount
        } else {
            filesystem.mount_on(target.as_fd(), options)?;
            target.reopen(root)?
        };
        if entry.is_type("mqueue")
            && let Some(value) = label.and_then(|label| label.value.as_ref())
        {
            set_file_label(mount.as_fd(), value, &entry.destination)?;
        }
        Ok(mount)
    }
}

/// Gives the root inode of a mqueue its SELinux label: it takes no `context=` option.
fn set_file_label(mount: BorrowedFd<'_>, label: &CStr, path: &Path) -> Result<(), CallError> {
    let flags = XattrFlags::empty();
    rustix::fs::setxattr(proc_path(mount), c"security.selinux", label.to_bytes(), flags)
        .map_err(|errno| CallError::new("setxattr security.selinux", path, errno))
}

impl MountEntry {
    /// The mount point for a new file system, made if missing, and for a tmpfs the mode of what it covers.
    pub(super) fn filesystem_target(
        &self,
        root: &RootDir,
    ) -> Result<(Target, Option<FsOption>), Cause> {
        for special in ["proc", "sysfs"] {
            if self.is_type(special) {
                let target = root.ordinary_directory(&self.destination, special)?;
                let target = Target::check(self, root, target, None)?;
                target.must_be_called(&self.destination)?;
                return Ok((target, None));
            }
        }
        let mut mode = None;
        let target = match root.open(&self.destination) {
            Err(error) if error.errno() == Errno::NOENT => {
                root.create(&self.destination, Leaf::Directory)?
            }
            Err(error) => return Err(error.into()),
            Ok(target) => {
                if self.is_type("tmpfs") {
                    let bits = stat(&target)?.st_mode & 0o7777;
                    let value = CString::new(format!("{bits:04o}")).unwrap_or_default();
                    mode = Some(FsOption::pair(c"mode", value));
                }
                target
            }
        };
        let target = Target::check(self, root, target, None)?;
        target.must_be_directory(true)?;
        Ok((target, mode))
    }

    /// Sets the flags of the detached `tree` and attaches it. `remount` changes the mount that is there instead.
    pub(super) fn attach_bind(&self, root: &RootDir, tree: OwnedFd) -> Result<OwnedFd, Cause> {
        let is_dir = file_type(&tree)? == FileType::Directory;
        let leaf = if is_dir { Leaf::Directory } else { Leaf::File };
        let target = root.open_or_create(&self.destination, leaf)?;
        let target = Target::check(self, root, target, Some(tree.as_fd()))?;
        target.must_be_directory(is_dir)?;
        if self.options.set & libc::MS_REMOUNT != 0 {
            self.set_flags(target.as_fd())?;
            return Ok(target.into_fd());
        }
        self.set_flags(tree.as_fd())?;
        target.attach(root, tree.as_fd())?;
        Ok(tree)
    }

    /// Gives a bind mount the flags asked for, and no others; without any, it keeps those of its source.
    fn set_flags(&self, mount: BorrowedFd<'_>) -> Result<(), Cause> {
        let failed = |errno| CallError::new("mount_setattr", &self.destination, errno);
        let (set, cleared) = (self.options.set, self.options.cleared);
        if (set & !(libc::MS_BIND | libc::MS_REC | libc::MS_REMOUNT)) | cleared != 0 {
            match mount_setattr(mount, &exactly(set), false) {
                // A user namespace locks the flags of the mounts it was born with. Then those that config.json does
                // not speak of stay as they are.
                Err(Errno::PERM) => mount_setattr(mount, &on_top(set, cleared), false)
                    .map_err(|errno| Cause::Locked(failed(errno)))?,
                result => result.map_err(failed)?,
            }
        }
        match &self.options.recursive {
            Some(recursive) => Ok(mount_setattr(mount, recursive, true).map_err(failed)?),
            None => Ok(()),
        }
    }
}

/// The per-mount flags become `flags`, as `mount -o remount,bind,FLAGS` would make them. An access time setting that is
/// not mentioned stays.
fn exactly(flags: c_ulong) -> MountAttr {
    let all = Attr::MOUNT_ATTR_RDONLY
        | Attr::MOUNT_ATTR_NOSUID
        | Attr::MOUNT_ATTR_NODEV
        | Attr::MOUNT_ATTR_NOEXEC
        | Attr::MOUNT_ATTR_NOSYMFOLLOW;
    change(flags, all)
}

/// The flags of `set` are raised and those of `cleared` lowered; of the others only those stay that a user namespace may
/// have locked (`MNT_LOCK_*` in the kernel's include/linux/mount.h), which `nosymfollow` is never.
fn on_top(set: c_ulong, cleared: c_ulong) -> MountAttr {
    change(set, attributes(cleared) | Attr::MOUNT_ATTR_NOSYMFOLLOW)
}

fn change(set: c_ulong, clear: Attr) -> MountAttr {
    let mut attr = MountAttr {
        set: u64::from(attributes(set).bits()),
        clear: u64::from(clear.bits()),
        ..MountAttr::default()
    };
    if set & ATIME != 0 {
        attr.set |= u64::from(atime_attributes(set).bits());
        let atime = Attr::MOUNT_ATTR__ATIME | Attr::MOUNT_ATTR_NODIRATIME;
        attr.clear |= u64::from(atime.bits());
    }
    attr
}

/// A detached copy of the mounts at `path` below `directory`.
pub(super) fn clone_tree(
    directory: BorrowedFd<'_>,
    path: &Path,
    recursive: bool,
) -> Result<OwnedFd, CallError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(directory, path, flags)
        .map_err(|errno| CallError::new("open_tree", path, errno))
}

/// Attaches the detached `mount` to `target`; `path` is its name for errors.
pub(super) fn move_mount(
    mount: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), CallError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags)
        .map_err(|errno| CallError::new("move_mount", path, errno))
}

/// Applies the propagation changes `MS_*` in order; `path` is the mount's name for errors.
pub(super) fn change_propagation(
    mount: BorrowedFd<'_>,
    changes: &[c_ulong],
    path: &Path,
) -> Result<(), CallError> {
    for change in changes {
        let attr = MountAttr { propagation: change & !libc::MS_REC, ..MountAttr::default() };
        mount_setattr(mount, &attr, change & libc::MS_REC != 0)
            .map_err(|errno| CallError::new("mount_setattr propagation", path, errno))?;
    }
    Ok(())
}
