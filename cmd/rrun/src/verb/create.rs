//! `rrun create`: from a bundle to an init that waits for `start`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use container::{Bundle, CreateRequest, Notify, Stdio};

use crate::global::Global;
use crate::net::{Joint, NetworkArgs};
use crate::output;
use crate::target::Target;
use crate::verb::SUCCESS;

/// create a container
///
/// The create command creates an instance of a container for a bundle. The bundle is a directory
/// with a specification file named "config.json" and a root filesystem. The container's process
/// waits for 'rrun start'.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What `create` and `run` have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// the name for the instance of the container, unique on the host; or, without --bundle and
    /// away from a config.json, the bundle
    #[arg(value_name = "CONTAINER_ID|BUNDLE")]
    arg: String,
    /// the name for the instance of the container where the first argument is its bundle; defaults
    /// to the directory's name
    #[arg(value_name = "CONTAINER_ID")]
    second: Option<String>,
    /// path to the root of the bundle directory, defaults to the current directory
    #[arg(long, short, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// path to an AF_UNIX socket which will receive a file descriptor referencing the master end of
    /// the console's pseudoterminal
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// path to an AF_UNIX socket which will receive a file descriptor referencing the init process
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    /// specify the file to write the process id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// do not use pivot root to jail process inside rootfs: for a rootfs on top of a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// do not create a new session keyring for the container: it inherits the calling process's
    #[arg(long)]
    no_new_keyring: bool,
    /// pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    preserve_fds: u32,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// `rrun create`.
pub(crate) fn create(global: &Global, args: Args) -> anyhow::Result<u8> {
    let story = || -> anyhow::Result<u8> {
        let root = global.state_root()?;
        let mut request = args.common.request(global, true, false)?;
        let mut network = Joint::for_create(&args.common.network, &root, &mut request)?;
        if let Some(plan) = network.dry_run() {
            output::print(&plan)?;
            return Ok(SUCCESS);
        }
        container::create(&root, request, &mut network)?;
        Ok(SUCCESS)
    };
    story().with_context(|| format!("{} create failed", crate::version::program()))
}

impl Common {
    /// The request that these flags make; `detach` when nobody stays with the container, `starts` when
    /// the caller is to start it as well.
    pub(crate) fn request(
        &self,
        global: &Global,
        detach: bool,
        starts: bool,
    ) -> anyhow::Result<CreateRequest> {
        let Target { bundle, id } = self.target()?;
        let bundle = Bundle::load(&bundle)?;
        Ok(CreateRequest {
            id,
            systemd_cgroup: global.systemd_cgroup,
            rootless: global.rootless(),
            stdio: stdio(in_bundle(&bundle.path, self.console_socket.as_deref())),
            detach,
            pid_file: absolute(self.pid_file.as_deref())?,
            pidfd_socket: in_bundle(&bundle.path, self.pidfd_socket.as_deref()),
            bundle,
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            preserve_fds: self.preserve_fds,
            notify: manager().map(|manager| Notify { manager, listen: starts }),
        })
    }

    fn target(&self) -> anyhow::Result<Target> {
        let cwd = std::env::current_dir().context("current directory")?;
        let bundle = self.bundle.as_deref().filter(|dir| !dir.as_os_str().is_empty());
        Ok(Target::resolve(&cwd, bundle, &self.arg, self.second.as_deref())?)
    }
}

/// The socket of the service manager that started this program, if one did (sd_notify(3)).
pub(crate) fn manager() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

/// Where the standard streams come from: `--console-socket`, else the caller.
pub(crate) fn stdio(console_socket: Option<PathBuf>) -> Stdio {
    console_socket.map_or(Stdio::Inherit, Stdio::ConsoleSocket)
}

/// A socket of a container that is made: runc changes into the bundle before it connects.
pub(crate) fn in_bundle(bundle: &Path, socket: Option<&Path>) -> Option<PathBuf> {
    socket.filter(|path| !path.as_os_str().is_empty()).map(|path| bundle.join(path))
}

/// A path given by a person or an engine, absolute: the runtime may change its directory. An empty
/// one is not given, as in runc.
pub(crate) fn absolute(path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    path.filter(|path| !path.as_os_str().is_empty())
        .map(|path| std::path::absolute(path).with_context(|| format!("path {}", path.display())))
        .transpose()
}
