//! The container's root file system: planned in the parent, built by init.
//!
//! [`RootfsPlan::prepare`] reads config.json and decides everything. What init then does is a list of system calls, in
//! this order (`libcontainer/rootfs_linux.go` of runc has the same):
//!
//! 1. [`RootfsPlan::mount`]: cut the mount tree off from the host's, mount the rootfs on itself, make every entry of
//!    `mounts`, the device nodes and the links in `/dev`. Hooks follow that still see the host.
//! 2. [`RootfsPlan::pivot`]: make the rootfs `/` and drop everything else. The console follows ([`mount_console`]).
//! 3. [`RootfsPlan::finalize`]: make read-only what had to be writable until now.
//! 4. [`RootfsPlan::restrict`]: after the sysctls are written, `readonlyPaths` and `maskedPaths`.
//!
//! Mounts are made detached (`fsopen`, `open_tree`), get their attributes while nobody can see them, and are attached
//! with `move_mount` to a descriptor of the mount point that was resolved inside the rootfs. So no path of the image is
//! ever followed by a mount call, and a mount is never visible without its flags. Measured, this is also faster than
//! `mount(2)` on `/proc/self/fd/N` and its second call for the flags. It needs Linux 5.12.

mod attach;
mod cgroup_mount;
mod console;
mod copy_up;
mod dev;
mod device;
mod error;
mod external;
mod filesystem;
mod idmap;
mod mask;
mod options;
mod pivot;
mod plan;
mod safe_path;
mod target;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use libc::c_ulong;

pub(crate) use console::mount_console;
pub(crate) use error::RootfsError;
pub use options::known_mount_options;
pub(crate) use plan::PlanContext;

use device::DeviceNode;
use options::FsOption;
use plan::MountEntry;
use safe_path::RootDir;

/// All that init has to do to build its root file system.
#[derive(Debug)]
pub(crate) struct RootfsPlan {
    /// Absolute, without symlinks.
    rootfs: PathBuf,
    mounts: Vec<MountEntry>,
    /// `None` is the default: rslave, and nothing more to be set after the pivot.
    propagation: Option<c_ulong>,
    /// False if `/dev` is a bind mount of the host's: it is then left as it is.
    sets_up_dev: bool,
    devices: Vec<DeviceNode>,
    has_kcore: bool,
    read_only: bool,
    readonly_paths: Vec<PathBuf>,
    masked_paths: Vec<PathBuf>,
    mount_label: Option<FsOption>,
    umask: u32,
    /// `process.cwd`, made where it is missing.
    cwd: PathBuf,
    mount_namespace: bool,
    user_namespace: bool,
    rootless: bool,
    no_pivot: bool,
    cgroup: CgroupView,
}

/// The cgroups as a mount of `type: cgroup` is to show them. Paths are the host's.
#[derive(Clone, Debug)]
pub(crate) enum CgroupView {
    /// cgroup v2 alone.
    Unified {
        /// Where the host has its cgroup2 mounted, `/sys/fs/cgroup`.
        mount_point: PathBuf,
        /// The container's cgroup, if it has one.
        cgroup: Option<PathBuf>,
        /// The container has a cgroup namespace of its own.
        private_namespace: bool,
    },
    /// cgroup v1, or v1 with a v2 hierarchy beside it.
    Legacy {
        /// The mounted v1 hierarchies.
        hierarchies: Vec<LegacyHierarchy>,
        /// The container has a cgroup namespace of its own.
        private_namespace: bool,
    },
}

/// One cgroup v1 hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct LegacyHierarchy {
    /// Where the host has it mounted; the last name is that of its controllers: `/sys/fs/cgroup/cpu,cpuacct`.
    pub(crate) mount_point: PathBuf,
    /// The container's cgroup in it: `/sys/fs/cgroup/cpu,cpuacct/mycontainer`.
    pub(crate) cgroup: PathBuf,
}

/// Asks the privileged parent for the source of entry N of `mounts`, as [`RootfsPlan::open_source`] opens it there.
///
/// Needed only in a user namespace, for a source that its root may not reach and for id-mapped mounts.
pub(crate) type SourceBroker<'a> = dyn FnMut(usize) -> std::io::Result<OwnedFd> + 'a;

/// The rootfs with everything mounted in it, still below the host's root.
#[derive(Debug)]
pub(crate) struct Mounted {
    root: RootDir,
    /// The mounts to be made read-only in [`RootfsPlan::finalize`], with their paths in the container.
    read_only_later: Vec<(OwnedFd, PathBuf)>,
}
