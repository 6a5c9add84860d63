//! `create`: from a bundle to an init that waits for `start`.

use std::path::PathBuf;

use crate::{Bundle, Container, ContainerId, Network, Result, StateRoot};

/// Where the container's standard streams come from.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's own; with `process.terminal` in the foreground a pty that is relayed.
    #[default]
    Inherit,
    /// A pty whose master is sent over this `AF_UNIX` socket (needs `process.terminal`).
    ConsoleSocket(PathBuf),
}

/// What a container is made of.
#[derive(Debug)]
pub struct CreateRequest {
    /// Its id.
    pub id: ContainerId,
    /// The bundle, with the spec as it shall be.
    pub bundle: Bundle,
    /// Use systemd's cgroup driver.
    pub systemd_cgroup: bool,
    /// `Some(true)`: ignore cgroup permission errors, `None`: when the caller is not root.
    pub rootless: Option<bool>,
    /// The standard streams.
    pub stdio: Stdio,
    /// The caller does not stay (`create`, `run --detach`): no pty relay is possible.
    pub detach: bool,
    /// Where to write init's pid.
    pub pid_file: Option<PathBuf>,
    /// Socket that receives a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// `MS_MOVE` and `chroot` instead of `pivot_root` (rootfs on a ramdisk).
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors after stdio (and after `$LISTEN_FDS`) go to the container.
    pub preserve_fds: u32,
}

/// A created container whose init is a child of this process and waits for `start`.
#[derive(Debug)]
pub struct Created {
    container: Container,
}

/// Creates a container. On error nothing of it is left.
pub fn create(
    _root: &StateRoot,
    _request: CreateRequest,
    _network: &mut dyn Network,
) -> Result<Created> {
    todo!()
}

impl Created {
    /// The container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Lets init execute the container's process.
    pub fn start(&mut self) -> Result<()> {
        todo!()
    }

    /// Stays in the foreground until the container's process ends: forwards signals, relays the
    /// terminal, reaps. Returns the exit code (128+n for signal n).
    pub fn foreground(&mut self) -> Result<i32> {
        todo!()
    }
}
