//! Steps before the entries of `mounts` and after them: cutting off the mount tree, and filling `/dev`.

use std::ffi::CStr;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};

use super::attach::clone_tree;
use super::error::{CallError, RootfsError};
use super::safe_path::{Leaf, RootDir};
use super::{Mounted, RootfsPlan, SourceBroker};

/// The links that every container's `/dev` has: runtime-spec runtime-linux.md, "Dev symbolic links".
const LINKS: [(&CStr, &CStr); 4] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
];

impl RootfsPlan {
    /// Builds the rootfs in the mount namespace of the calling process, which is single-threaded. The process still
    /// has the host's root afterwards, for the hooks.
    pub(crate) fn mount(&self, broker: &mut SourceBroker<'_>) -> Result<Mounted, RootfsError> {
        // Modes are given exactly; hooks and the container get the umask that was there.
        let umask = rustix::process::umask(Mode::empty());
        let mounted = self.mount_all(broker);
        rustix::process::umask(umask);
        mounted
    }

    fn mount_all(&self, broker: &mut SourceBroker<'_>) -> Result<Mounted, RootfsError> {
        let root = self.mount_root().map_err(RootfsError::Prepare)?;
        let mut read_only_later = Vec::new();
        for (index, entry) in self.mounts.iter().enumerate() {
            let mount = self.attach(index, entry, &root, broker);
            let mount = mount.map_err(|cause| RootfsError::Mount {
                from: entry.source.clone(),
                destination: entry.destination.clone(),
                cause,
            })?;
            read_only_later.extend(mount.map(|mount| (mount, entry.destination.clone())));
        }
        if self.sets_up_dev {
            let dev = root
                .open_or_create(Path::new("/dev"), Leaf::Directory)
                .map_err(RootfsError::DevLink)?;
            self.create_devices(&root, &dev)?;
            self.link_dev(&dev).map_err(RootfsError::DevLink)?;
        }
        Ok(Mounted { root, read_only_later })
    }

    /// Stops propagation to the host and mounts the rootfs on itself, because `pivot_root` wants a mount.
    fn mount_root(&self) -> Result<RootDir, CallError> {
        if self.mount_namespace {
            let flags = self.propagation.unwrap_or(libc::MS_SLAVE | libc::MS_REC);
            set_propagation("/", flags)?;
            self.detach_from_parent()?;
        }
        let here = rustix::fs::CWD;
        let tree = clone_tree(here, &self.rootfs, true)?;
        let flags = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&tree, c"", here, &self.rootfs, flags)
            .map_err(|errno| CallError::new("move_mount", &self.rootfs, errno))?;
        Ok(RootDir::new(tree, self.rootfs.clone()))
    }

    /// Makes the mount that the rootfs is in private: `pivot_root` refuses a shared one, and mounting the rootfs on
    /// itself would propagate. Which one that is, is found by asking for each directory upwards (`EINVAL` means: not a
    /// mount), which is cheaper than reading mountinfo.
    fn detach_from_parent(&self) -> Result<(), CallError> {
        let wanted = match self.propagation {
            Some(flags) if flags & libc::MS_SLAVE != 0 => libc::MS_SLAVE,
            _ => libc::MS_PRIVATE,
        };
        let mut result = Ok(());
        for directory in self.rootfs.ancestors() {
            result = set_propagation(directory, wanted);
            match &result {
                Err(error) if error.errno() == Errno::INVAL => {}
                _ => break,
            }
        }
        result
    }

    fn create_devices(&self, root: &RootDir, dev: &OwnedFd) -> Result<(), RootfsError> {
        for node in &self.devices {
            let in_dev = node.path.parent() == Some(Path::new("/dev"));
            let created = if in_dev {
                node.create(dev.as_fd(), self.user_namespace)
            } else {
                let parent = node.path.parent().unwrap_or(Path::new("/"));
                root.open_or_create(parent, Leaf::Directory)
                    .map_err(Into::into)
                    .and_then(|parent| node.create(parent.as_fd(), self.user_namespace))
            };
            created.map_err(|cause| RootfsError::Device { path: node.path.clone(), cause })?;
        }
        Ok(())
    }

    fn link_dev(&self, dev: &OwnedFd) -> Result<(), CallError> {
        match rustix::fs::unlinkat(dev, c"ptmx", AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(CallError::new("unlinkat", "/dev/ptmx", errno)),
        }
        link(dev, c"ptmx", c"pts/ptmx")?;
        for (name, target) in LINKS {
            link(dev, name, target)?;
        }
        if self.has_kcore {
            link(dev, c"core", c"/proc/kcore")?;
        }
        Ok(())
    }
}

/// Makes a symlink, unless something of that name is there.
fn link(dev: &OwnedFd, name: &CStr, target: &CStr) -> Result<(), CallError> {
    match rustix::fs::symlinkat(target, dev, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => {
            let path = Path::new("/dev").join(name.to_str().unwrap_or("?"));
            Err(CallError::new("symlinkat", path, errno))
        }
    }
}

/// Changes the propagation of the mount at `path` of the host, to `MS_*` `flags`.
pub(super) fn set_propagation(
    path: impl AsRef<Path>,
    flags: libc::c_ulong,
) -> Result<(), CallError> {
    let path = path.as_ref();
    let bits = u32::try_from(flags).unwrap_or_default();
    mount_change(path, MountPropagationFlags::from_bits_retain(bits))
        .map_err(|errno| CallError::new("mount propagation", path, errno))
}
