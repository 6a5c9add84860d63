//! The seam for networking: what the core offers to whoever wires a container's network.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::{BoxError, ContainerId};

/// The container's new namespaces, as the network callback sees them.
#[derive(Debug)]
pub struct InitNamespaces<'a> {
    /// The container.
    pub id: &'a ContainerId,
    /// Its init process, in the caller's pid namespace.
    pub pid: i32,
    /// When that process started, in clock ticks after boot (`/proc/PID/stat`, field 22): pid and
    /// start time together name a process for ever.
    pub start_time: u64,
    /// The network namespace of init.
    pub netns: BorrowedFd<'a>,
    /// The container's state directory, which outlives its processes and goes with `delete`.
    pub state_dir: &'a Path,
    /// Nothing is to arrive before [`Network::release`].
    pub quiet: bool,
}

/// Who wires the network of a container.
pub trait Network {
    /// Runs when the id is claimed and `state_dir` exists, before init does: whatever the container's
    /// mounts need on the host can be put there. `detach` is called if the create fails from here on.
    fn prepare(&mut self, _id: &ContainerId, _state_dir: &Path) -> Result<(), BoxError> {
        Ok(())
    }

    /// Runs once the namespaces exist and init waits, while init mounts its rootfs, and before any
    /// hook. An error fails the create; `detach` is then called.
    fn attach(&mut self, init: &InitNamespaces<'_>) -> Result<(), BoxError>;

    /// Runs after a quiet `attach`, when the sockets of a restored container are there: from now on packets may arrive.
    fn release(&mut self, _state_dir: &Path) -> Result<(), BoxError> {
        Ok(())
    }

    /// Runs before a checkpoint: puts into `images` what a restore needs to make this network again. An error,
    /// for what cannot be kept, is the end of the checkpoint.
    fn checkpoint(&mut self, _state_dir: &Path, _images: &Path) -> Result<(), BoxError> {
        Ok(())
    }

    /// Runs when the container's last process is gone: on delete and on a failed create. It must work
    /// from what `attach` recorded in `state_dir`, and must do nothing where nothing is left to undo.
    fn detach(&mut self, id: &ContainerId, state_dir: &Path) -> Result<(), BoxError>;
}

/// No networking beyond what config.json says.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn attach(&mut self, _: &InitNamespaces<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    fn detach(&mut self, _: &ContainerId, _: &Path) -> Result<(), BoxError> {
        Ok(())
    }
}
