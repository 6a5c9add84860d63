//! Mounts of `type: cgroup`: the container's view of its cgroups, in the version that the host has.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::c_ulong;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Errno;

use super::attach::{change_propagation, clone_tree};
use super::error::{CallError, Cause};
use super::filesystem::NewFilesystem;
use super::mask::empty_directory;
use super::options::{FsOption, MountOptions};
use super::plan::{MountEntry, MountKind};
use super::safe_path::{Leaf, RootDir};
use super::target::Target;
use super::{CgroupView, LegacyHierarchy, RootfsPlan};

const SAFE_FLAGS: c_ulong = libc::MS_NOEXEC | libc::MS_NOSUID | libc::MS_NODEV;

impl RootfsPlan {
    /// Mounts the cgroups for `entry`.
    pub(super) fn attach_cgroup(&self, entry: &MountEntry, root: &RootDir) -> Result<(), Cause> {
        match &self.cgroup {
            CgroupView::Unified { mount_point, cgroup, private_namespace } => {
                let own = cgroup.as_ref().filter(|_| *private_namespace);
                self.attach_unified(entry, root, own.unwrap_or(mount_point))
            }
            CgroupView::Legacy { hierarchies, private_namespace } => {
                self.attach_legacy(entry, root, hierarchies, *private_namespace)
            }
        }
    }

    /// A new mount of cgroup2, which shows what the cgroup namespace shows. In a user namespace without a cgroup
    /// namespace of its own that is not permitted: then `fallback` is bound.
    fn attach_unified(
        &self,
        entry: &MountEntry,
        root: &RootDir,
        fallback: &Path,
    ) -> Result<(), Cause> {
        let filesystem =
            NewFilesystem { fs_type: c"cgroup2", source: &entry.source, flags: entry.options.set };
        match filesystem.create(&entry.options.data) {
            Ok(mount) => self.attach_directory(entry, root, mount),
            Err(error) if matches!(error.errno(), Errno::PERM | Errno::BUSY) => {
                match clone_tree(CWD, fallback, false) {
                    Ok(tree) => self.attach_bound(entry, root, fallback, tree, false),
                    // A rootless runtime outside of its user and mount namespace has no cgroup. Hide the host's.
                    Err(error) if self.rootless && error.errno() == Errno::NOENT => {
                        let hidden = empty_directory(self.mount_label.as_ref())?;
                        self.attach_directory(entry, root, hidden)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A tmpfs with one directory for each hierarchy, and links for the controllers that share one
    /// (`cpu -> cpu,cpuacct`). The tmpfs stays writable, as runc's does; `ro` holds for what is mounted in it.
    fn attach_legacy(
        &self,
        entry: &MountEntry,
        root: &RootDir,
        hierarchies: &[LegacyHierarchy],
        private_namespace: bool,
    ) -> Result<(), Cause> {
        let tmpfs =
            NewFilesystem { fs_type: c"tmpfs", source: Path::new("tmpfs"), flags: SAFE_FLAGS };
        let mode = FsOption::pair(c"mode", c"755".to_owned());
        let mount = tmpfs.create(std::iter::once(&mode).chain(&self.mount_label))?;
        let directory = mount
            .try_clone()
            .map_err(|_| CallError::new("dup", &entry.destination, Errno::MFILE))?;
        self.attach_directory(entry, root, mount)?;
        for hierarchy in hierarchies {
            let name = hierarchy.mount_point.file_name().unwrap_or_default();
            let below = entry.below(name.as_ref());
            if private_namespace {
                let mount = new_hierarchy(name.as_bytes(), entry.options.set)?;
                self.attach_directory(&below, root, mount)?;
            } else {
                let tree = clone_tree(CWD, &hierarchy.cgroup, true)?;
                self.attach_bound(&below, root, &hierarchy.cgroup, tree, true)?;
            }
            link_controllers(&directory, name.as_bytes(), &entry.destination)?;
        }
        Ok(())
    }

    /// Attaches the detached `mount` of a directory at the entry's destination.
    fn attach_directory(
        &self,
        entry: &MountEntry,
        root: &RootDir,
        mount: OwnedFd,
    ) -> Result<(), Cause> {
        let target = root.open_or_create(&entry.destination, Leaf::Directory)?;
        Target::check(entry, root, target, None)?.attach(root, mount.as_fd())?;
        let changes = &entry.options.propagation;
        Ok(change_propagation(mount.as_fd(), changes, &entry.destination)?)
    }

    /// Attaches `tree`, a copy of the host's `source`, with the flags of `entry`.
    fn attach_bound(
        &self,
        entry: &MountEntry,
        root: &RootDir,
        source: &Path,
        tree: OwnedFd,
        recursive: bool,
    ) -> Result<(), Cause> {
        let mut bind = entry.below(Path::new(""));
        bind.kind = MountKind::Bind { recursive };
        bind.source = source.to_owned();
        let mount = bind.attach_bind(root, tree)?;
        let changes = &entry.options.propagation;
        Ok(change_propagation(mount.as_fd(), changes, &entry.destination)?)
    }
}

impl MountEntry {
    /// The same mount, at `name` below its destination and without the options of the file system.
    fn below(&self, name: &Path) -> Self {
        let destination: PathBuf = match name.as_os_str().is_empty() {
            true => self.destination.clone(),
            false => self.destination.join(name),
        };
        Self {
            kind: self.kind.clone(),
            source: self.source.clone(),
            destination,
            options: MountOptions { data: Vec::new(), ..self.options.clone() },
            idmap: None,
        }
    }
}

/// Mounts the v1 hierarchy with the controllers `name`, as the cgroup namespace shows it. `ro` stays: a mount that is
/// read-only from the start cannot be changed by the container (GHSA-m8cg-xc2p-r3fc).
fn new_hierarchy(name: &[u8], flags: c_ulong) -> Result<OwnedFd, CallError> {
    let named = name == b"systemd";
    let source = if named { "systemd" } else { "cgroup" };
    let options = if named {
        vec![FsOption::pair(c"name", c"systemd".to_owned())]
    } else {
        name.split(|byte| *byte == b',')
            .filter_map(|controller| CString::new(controller).ok())
            .map(|controller| FsOption::flag(&controller))
            .collect()
    };
    NewFilesystem {
        fs_type: c"cgroup",
        source: Path::new(source),
        flags: SAFE_FLAGS | flags & libc::MS_RDONLY,
    }
    .create(&options)
}

/// Links each controller of a joint hierarchy to it, in the root of the new tmpfs.
fn link_controllers(directory: &OwnedFd, name: &[u8], path: &Path) -> Result<(), CallError> {
    if !name.contains(&b',') {
        return Ok(());
    }
    for controller in name.split(|byte| *byte == b',') {
        match rustix::fs::symlinkat(name, directory, controller) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(CallError::new("symlinkat", path, errno)),
        }
    }
    Ok(())
}
