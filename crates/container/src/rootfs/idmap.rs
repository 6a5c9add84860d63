//! Id-mapped mounts: the user namespaces that carry the mappings, and the mount sources that only the privileged side
//! of the runtime may open.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIdMapping;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::CWD;
use rustix::mount::MountAttrFlags;

use super::RootfsPlan;
use super::attach::clone_tree;
use super::error::{CallError, Cause, ConfigFault, RootfsError};
use super::plan::MountKind;
use crate::kill;
use crate::spawn::reap_if_child;
use crate::sys::{self, Fork, ForkFlags, MountAttr, mount_setattr};

/// The id mapping of a mount.
#[derive(Debug)]
pub(super) struct IdMap {
    /// `ridmap`: the mounts below are mapped too.
    recursive: bool,
    source: IdMapSource,
    /// Opened by [`RootfsPlan::open_id_maps`].
    namespace: Option<OwnedFd>,
}

/// Where the mapping comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IdMapSource {
    /// The contents of `uid_map` and `gid_map`.
    Mappings { uids: String, gids: String },
    /// A user namespace that exists.
    Namespace(PathBuf),
}

impl IdMapSource {
    /// Both mappings must be given.
    pub(super) fn from_mappings(
        uids: Option<&[LinuxIdMapping]>,
        gids: Option<&[LinuxIdMapping]>,
    ) -> Result<Self, ConfigFault> {
        match (uids, gids) {
            (Some(uids), Some(gids)) if !uids.is_empty() && !gids.is_empty() => {
                Ok(Self::Mappings { uids: map_lines(uids), gids: map_lines(gids) })
            }
            _ => Err(ConfigFault::HalfIdMap),
        }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Namespace(path) => Ok(File::open(path)?.into()),
            Self::Mappings { uids, gids } => mapped_namespace(uids, gids),
        }
    }
}

fn map_lines(mappings: &[LinuxIdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut lines, mapping| {
        let (inside, outside) = (mapping.container_id(), mapping.host_id());
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{inside} {outside} {}", mapping.size());
        lines
    })
}

/// A new user namespace with these maps. It lives as long as the descriptor: the process it was made
/// with does nothing but wait to be killed.
fn mapped_namespace(uids: &str, gids: &str) -> io::Result<OwnedFd> {
    let namespaces = libc::CLONE_NEWUSER.cast_unsigned().into();
    let (pid, pidfd) = match sys::fork(&ForkFlags { namespaces, ..ForkFlags::default() })? {
        Fork::Child => wait_to_be_killed(),
        Fork::Parent { pid, pidfd } => (pid, pidfd),
    };
    let opened = (|| {
        std::fs::write(format!("/proc/{pid}/uid_map"), uids)?;
        std::fs::write(format!("/proc/{pid}/gid_map"), gids)?;
        File::open(format!("/proc/{pid}/ns/user")).map(OwnedFd::from)
    })();
    kill::send(pidfd.as_fd(), libc::SIGKILL)?;
    reap_if_child(&pidfd);
    opened
}

/// Only system calls, without memory of its own: the caller may have threads.
fn wait_to_be_killed() -> ! {
    // Without a parent it would wait for ever; that it cannot be set means that it need not be.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    loop {
        nix::unistd::pause();
    }
}

impl IdMap {
    pub(super) fn new(recursive: bool, source: IdMapSource) -> Self {
        Self { recursive, source, namespace: None }
    }

    /// Maps the ids of the detached `tree`; `path` is its name for errors.
    pub(super) fn apply(&self, tree: BorrowedFd<'_>, path: &Path) -> Result<(), Cause> {
        let failed = |errno| CallError::new("mount_setattr MOUNT_ATTR_IDMAP", path, errno);
        let namespace = self.namespace.as_ref().ok_or_else(|| failed(rustix::io::Errno::BADF))?;
        let attr = MountAttr {
            set: u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits()),
            user_namespace: u64::try_from(namespace.as_raw_fd()).unwrap_or_default(),
            ..MountAttr::default()
        };
        Ok(mount_setattr(tree, &attr, self.recursive).map_err(failed)?)
    }
}

impl RootfsPlan {
    /// Makes the user namespaces that id-mapped mounts need. In the parent, before init is cloned, so that init has
    /// them too; the descriptors are close-on-exec. Does nothing for a plan without such mounts.
    pub(crate) fn open_id_maps(&mut self) -> Result<(), RootfsError> {
        for entry in &mut self.mounts {
            let Some(idmap) = &mut entry.idmap else {
                continue;
            };
            let namespace = idmap.source.open().map_err(|error| RootfsError::Mount {
                from: entry.source.clone(),
                destination: entry.destination.clone(),
                cause: Cause::UserNamespace(error),
            })?;
            idmap.namespace = Some(namespace);
        }
        Ok(())
    }

    /// Opens the source of mount `index` with the privileges of the caller, as it is seen in `mount_namespace` (that of
    /// init): the parent's half of [`SourceBroker`](super::SourceBroker). The descriptor is to be sent to init.
    ///
    /// The calling thread stays where it is: a thread of its own enters the namespace and ends.
    pub(crate) fn open_source(
        &self,
        index: usize,
        mount_namespace: BorrowedFd<'_>,
    ) -> Result<OwnedFd, RootfsError> {
        let Some(entry) = self.mounts.get(index) else {
            return Err(RootfsError::NoSuchMount(index));
        };
        let MountKind::Bind { recursive } = entry.kind else {
            return Err(RootfsError::NoSuchMount(index));
        };
        let open = || -> Result<OwnedFd, Cause> {
            enter_mount_namespace(mount_namespace).map_err(Cause::Broker)?;
            let tree = clone_tree(CWD, &entry.source, recursive)?;
            if let Some(idmap) = &entry.idmap {
                idmap.apply(tree.as_fd(), &entry.source)?;
            }
            Ok(tree)
        };
        std::thread::scope(|scope| scope.spawn(open).join())
            .unwrap_or_else(|_| Err(Cause::Broker(io::Error::other("thread panicked"))))
            .map_err(|cause| RootfsError::Mount {
                from: entry.source.clone(),
                destination: entry.destination.clone(),
                cause,
            })
    }
}

/// A thread that shares its working directory with others may not change its mount namespace.
fn enter_mount_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    use nix::sched::{CloneFlags, setns, unshare};
    unshare(CloneFlags::CLONE_FS)?;
    setns(namespace, CloneFlags::CLONE_NEWNS)?;
    Ok(())
}
