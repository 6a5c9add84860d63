//! What a restore (criu(8)) needs of the rootfs: which mounts come from the host, and where mounts go.
//!
//! CRIU makes the mounts again itself. It takes from outside what came from outside, by the name of the mount
//! point, and expects mount points to be there that lie on the rootfs itself.

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, unmount};

use super::attach::clone_tree;
use super::dev::set_propagation;
use super::error::{CallError, Cause, RootfsError};
use super::plan::{MountEntry, MountKind};
use super::safe_path::{RootDir, file_type, proc_path};
use super::{CgroupView, RootfsPlan};

/// A mount whose root is a file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalMount {
    /// Its mount point in the container, without symlinks.
    pub(crate) inside: PathBuf,
    /// What is mounted there, as the host calls it.
    pub(crate) outside: PathBuf,
}

impl RootfsPlan {
    /// Every bind mount of config.json, the cgroup v1 hierarchies where these are bound, and the device nodes,
    /// which are bound where they cannot be made.
    pub(crate) fn external_mounts(&self) -> Result<Vec<ExternalMount>, RootfsError> {
        let root = open_root(&self.rootfs).map_err(RootfsError::Prepare)?;
        let place = |inside: &Path, outside: &Path| {
            let inside = root.place(inside).map_err(RootfsError::Prepare)?;
            Ok(ExternalMount { inside, outside: outside.to_owned() })
        };
        let mut mounts = Vec::new();
        for entry in &self.mounts {
            match (&entry.kind, &self.cgroup) {
                (MountKind::Bind { .. }, _) => {
                    mounts.push(place(&entry.destination, &entry.source)?);
                }
                (
                    MountKind::Cgroup,
                    CgroupView::Legacy { hierarchies, private_namespace: false },
                ) => {
                    for hierarchy in hierarchies {
                        let name = hierarchy.mount_point.file_name().unwrap_or_default();
                        mounts.push(place(&entry.destination.join(name), &hierarchy.cgroup)?);
                    }
                }
                _ => {}
            }
        }
        for node in &self.devices {
            mounts.push(place(&node.path, &node.path)?);
        }
        Ok(mounts)
    }

    /// The masked paths that are no directories in the container whose root is `root`: `/dev/null` is mounted
    /// there.
    pub(crate) fn masked_files(&self, root: &Path) -> Result<Vec<&Path>, RootfsError> {
        let root = open_root(root).map_err(RootfsError::Prepare)?;
        let mut files = Vec::new();
        for path in &self.masked_paths {
            let failed = |cause| RootfsError::Mask { path: path.clone(), cause };
            match root.open(path) {
                Err(error) if error.errno() == Errno::NOENT => {}
                Err(error) => return Err(failed(error.into())),
                Ok(found) => {
                    let kind = file_type(&found).map_err(|error| failed(error.into()))?;
                    if kind != FileType::Directory {
                        files.push(path.as_path());
                    }
                }
            }
        }
        Ok(files)
    }

    /// Whether anything is masked.
    pub(crate) fn masks(&self) -> bool {
        !self.masked_paths.is_empty()
    }

    /// In a mount namespace of its own: mounts the rootfs at `at`, an empty directory, because CRIU wants a
    /// mount, and makes the mount points that are missing.
    pub(crate) fn mount_for_restore(&self, at: &Path) -> Result<(), RootfsError> {
        let root = self.bind_root(at).map_err(RootfsError::Prepare)?;
        let umask = rustix::process::umask(Mode::empty());
        let made = self.make_mount_points(&root);
        rustix::process::umask(umask);
        made
    }

    fn bind_root(&self, at: &Path) -> Result<RootDir, CallError> {
        set_propagation("/", libc::MS_SLAVE | libc::MS_REC)?;
        let tree = clone_tree(CWD, &self.rootfs, true)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&tree, c"", CWD, at, flags)
            .map_err(|errno| CallError::new("move_mount", at, errno))?;
        Ok(RootDir::new(tree, at.to_owned()))
    }

    /// Mount points may lie in bind mounts, so these are made as well, and undone.
    fn make_mount_points(&self, root: &RootDir) -> Result<(), RootfsError> {
        let mut binds = Vec::new();
        for entry in self.mounts.iter().filter(|entry| !self.is_restored(entry)) {
            let made = match &entry.kind {
                MountKind::Bind { recursive } => clone_tree(CWD, &entry.source, *recursive)
                    .map_err(Cause::from)
                    .and_then(|tree| entry.attach_bind(root, tree))
                    .map(|bind| binds.push((bind, &entry.destination))),
                _ => entry.filesystem_target(root).map(drop),
            };
            made.map_err(|cause| RootfsError::Mount {
                from: entry.source.clone(),
                destination: entry.destination.clone(),
                cause,
            })?;
        }
        binds.iter().rev().try_for_each(|(bind, path)| detach(bind, path))
    }

    /// Mount points that CRIU makes itself: in a tmpfs, whose content is in the images, and those of cgroups,
    /// which lie in one or in sysfs.
    fn is_restored(&self, entry: &MountEntry) -> bool {
        let holds = |other: &&MountEntry| {
            other.is_type("tmpfs")
                && other.destination != entry.destination
                && entry.destination.starts_with(&other.destination)
        };
        entry.kind == MountKind::Cgroup || self.mounts.iter().any(|other| holds(&other))
    }
}

fn detach(mount: &OwnedFd, path: &Path) -> Result<(), RootfsError> {
    match unmount(proc_path(mount.as_fd()), UnmountFlags::DETACH) {
        // Not a mount: a remount of what was there.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(RootfsError::Prepare(CallError::new("umount2", path, errno))),
    }
}

fn open_root(path: &Path) -> Result<RootDir, CallError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| CallError::new("openat", path, errno))?;
    Ok(RootDir::new(fd, path.to_owned()))
}
