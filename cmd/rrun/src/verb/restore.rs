//! `rrun restore`: the life of a container from where a checkpoint left it.

use std::path::PathBuf;

use anyhow::Context;
use container::{Bundle, CriuOptions, Notify, RestoreRequest};

use crate::global::Global;
use crate::net::Joint;
use crate::verb::create::{absolute, in_bundle, manager, stdio};
use crate::verb::{Id, SUCCESS, checkpoint, exit_status};

/// restore a container from a previous checkpoint
///
/// Restores the saved state of the container instance that was previously saved using the rrun
/// checkpoint command. A network that rrun made gets its address, MAC address and published ports
/// again, or the restore is refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    container: Id,
    #[command(flatten)]
    criu: checkpoint::Common,
    /// path to an AF_UNIX socket which will receive a file descriptor referencing the master end of
    /// the console's pseudoterminal
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// restore tcp connections as closed ones
    #[arg(long)]
    tcp_close: bool,
    /// path to the root of the bundle directory, defaults to the current directory
    #[arg(long, short, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// detach from the container's process
    #[arg(long, short)]
    detach: bool,
    /// specify the file to write the process id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// disable the use of the subreaper used to reap reparented processes
    #[arg(long)]
    no_subreaper: bool,
    /// do not use pivot root to jail process inside rootfs: for a rootfs on top of a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// specify an LSM profile to be used during restore in the form of TYPE:NAME
    #[arg(long, value_name = "PROFILE")]
    lsm_profile: Option<String>,
    /// specify an LSM mount context to be used during restore
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
}

/// `rrun restore`.
pub(crate) fn restore(global: &Global, args: Args) -> anyhow::Result<u8> {
    checkpoint::warn_without_privilege();
    let root = global.state_root()?;
    let (detach, no_subreaper) = (args.detach, args.no_subreaper);
    let mut request = args.request(global)?;
    let id = request.id.clone();
    let mut network = Joint::for_restore(&root, &mut request)?;

    if !detach && !no_subreaper {
        nix::sys::prctl::set_child_subreaper(true).context("become subreaper")?;
    }
    let mut restored = container::restore(&root, request, &mut network)?;
    if detach {
        return Ok(SUCCESS);
    }
    let outcome = restored.foreground();
    if let Err(error) = restored.into_container().delete(true, &mut network) {
        tracing::warn!("delete container {id}: {error}");
    }
    Ok(exit_status(outcome?))
}

impl Args {
    fn request(self, global: &Global) -> anyhow::Result<RestoreRequest> {
        let common = self.criu.options()?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let bundle = self.bundle.filter(|dir| !dir.as_os_str().is_empty());
        let bundle = Bundle::load(&bundle.unwrap_or_else(|| PathBuf::from(".")))?;
        Ok(RestoreRequest {
            id: self.container.id,
            stdio: stdio(in_bundle(&bundle.path, self.console_socket.as_deref())),
            bundle,
            criu: CriuOptions {
                tcp_close: self.tcp_close,
                lsm_profile: given(self.lsm_profile),
                lsm_mount_context: given(self.lsm_mount_context),
                ..common
            },
            systemd_cgroup: global.systemd_cgroup,
            rootless: global.rootless(),
            detach: self.detach,
            pid_file: absolute(self.pid_file.as_deref())?,
            no_pivot: self.no_pivot,
            // Its readiness was told long ago.
            notify: manager().map(|manager| Notify { manager, listen: false }),
        })
    }
}
