//! `rrun exec`: a further process in a container.

mod process;

use std::path::PathBuf;

use anyhow::{Context, bail};
use container::ExecRequest;

use crate::global::Global;
use crate::verb::{create, exit_status};

/// execute new process inside the container
///
/// For example, if the container is configured to run the linux ps command the following will
/// output a list of processes running in the container: rrun exec <container-id> ps
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rrun exec [OPTIONS] <CONTAINER_ID> <COMMAND> [ARG]...\n   rrun exec [OPTIONS] -p process.json <CONTAINER_ID>"
)]
pub(crate) struct Args {
    /// path to an AF_UNIX socket which will receive a file descriptor referencing the master end of
    /// the console's pseudoterminal
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// path to an AF_UNIX socket which will receive a file descriptor referencing the exec process
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    #[command(flatten)]
    overrides: process::Overrides,
    /// detach from the container's process
    #[arg(long, short)]
    detach: bool,
    /// specify the file to write the process id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// path to the process.json
    #[arg(long, short, value_name = "FILE")]
    process: Option<PathBuf>,
    /// pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    preserve_fds: u32,
    /// run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>.
    #[arg(long, value_name = "CGROUP")]
    cgroup: Vec<String>,
    /// allow exec in a paused container
    #[arg(long)]
    ignore_paused: bool,
    /// the name for the instance of the container, and the command to be executed in it
    #[arg(value_name = "CONTAINER_ID [COMMAND]", required = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// `rrun exec`.
pub(crate) fn exec(global: &Global, args: Args) -> anyhow::Result<u8> {
    story(global, args).context("exec failed")
}

fn story(global: &Global, args: Args) -> anyhow::Result<u8> {
    // Flags end at the first word, as in runc: those after it are the command's.
    let Some((id, command)) = args.words.split_first() else {
        bail!("rrun: \"exec\" requires a minimum of 1 argument(s)");
    };
    let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
    let container = global.state_root()?.load(&id.parse()?)?;
    let process = match args.process.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => container::parse_process(&path)?,
        None => args.overrides.apply(container.process()?, command)?,
    };
    let code = container.exec(ExecRequest {
        process,
        stdio: create::stdio(create::absolute(args.console_socket.as_deref())?),
        detach: args.detach,
        pid_file: create::absolute(args.pid_file.as_deref())?,
        pidfd_socket: create::absolute(args.pidfd_socket.as_deref())?,
        preserve_fds: args.preserve_fds,
        cgroups: args.cgroup,
        ignore_paused: args.ignore_paused,
    })?;
    Ok(exit_status(code))
}
