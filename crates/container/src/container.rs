//! Containers that exist.

use std::path::{Path, PathBuf};

use crate::spec::Process;
use crate::{ContainerId, Network, Result, Signal, State, Status, Stdio};

/// The directory under which each container has its state directory (`--root`).
#[derive(Debug, Clone)]
pub struct StateRoot(PathBuf);

/// One entry of [`StateRoot::list`].
#[derive(Debug)]
pub struct Listed {
    /// The name of the state directory.
    pub id: String,
    /// The container, or why it cannot be read.
    pub container: Result<Container>,
}

impl StateRoot {
    /// The state root at this path; it is made (0700) when the first container is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The state directory of a container.
    pub fn dir(&self, id: &ContainerId) -> PathBuf {
        self.0.join(id)
    }

    /// The container with this id; [`crate::Error::NotFound`] where there is none.
    pub fn load(&self, _id: &ContainerId) -> Result<Container> {
        todo!()
    }

    /// All containers, by id. A broken entry is listed with its error and never breaks the rest.
    pub fn list(&self) -> Result<Vec<Listed>> {
        todo!()
    }

    /// Removes what is left of a container from its id alone: kills its processes, detaches the
    /// network, removes cgroups and state. Works with an unreadable or absent state file; nothing
    /// there is success.
    pub fn force_delete(&self, _id: &ContainerId, _network: &mut dyn Network) -> Result<()> {
        todo!()
    }
}

/// What `exec` runs.
#[derive(Debug)]
pub struct ExecRequest {
    /// The process: usually [`Container::process`] with changes.
    pub process: Process,
    /// The standard streams.
    pub stdio: Stdio,
    /// The caller does not wait.
    pub detach: bool,
    /// Where to write the pid.
    pub pid_file: Option<PathBuf>,
    /// Socket that receives a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// How many descriptors after stdio (and after `$LISTEN_FDS`) go to the process.
    pub preserve_fds: u32,
    /// Sub-cgroups to join, as `[CONTROLLER[,CONTROLLER]:]PATH`.
    pub cgroups: Vec<String>,
    /// Do not refuse a paused container.
    pub ignore_paused: bool,
}

/// A container that exists.
#[derive(Debug)]
pub struct Container {
    state: State,
}

impl Container {
    /// What its state file says.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where it is in its life, now.
    pub fn status(&self) -> Result<Status> {
        todo!()
    }

    /// Its annotations, from the config it was created with.
    pub fn annotations(&self) -> Result<std::collections::HashMap<String, String>> {
        todo!()
    }

    /// The `process` of the config it was created with.
    pub fn process(&self) -> Result<Process> {
        todo!()
    }

    /// Lets the waiting init execute the container's process, and runs the hooks that belong there.
    pub fn start(&self) -> Result<()> {
        todo!()
    }

    /// Sends a signal to init; with `all`, to every process of the container.
    pub fn kill(&self, _signal: Signal, _all: bool) -> Result<()> {
        todo!()
    }

    /// Freezes every process.
    pub fn pause(&self) -> Result<()> {
        todo!()
    }

    /// Thaws.
    pub fn resume(&self) -> Result<()> {
        todo!()
    }

    /// The pids of all its processes, sorted.
    pub fn pids(&self) -> Result<Vec<i32>> {
        todo!()
    }

    /// Runs a further process in the container. Returns its exit code in the foreground (128+n for
    /// signal n), 0 when detached.
    pub fn exec(&self, _request: ExecRequest) -> Result<i32> {
        todo!()
    }

    /// Deletes the container: its cgroups, network and state. A created or, with `force`, a running
    /// one is killed first; otherwise running is an error.
    pub fn delete(self, _force: bool, _network: &mut dyn Network) -> Result<()> {
        todo!()
    }
}
