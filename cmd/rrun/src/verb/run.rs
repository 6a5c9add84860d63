//! `rrun run`: the whole life of a container, in the order in which it happens.

use anyhow::Context;
use container::Created;

use crate::global::Global;
use crate::net::Joint;
use crate::output;
use crate::verb::{SUCCESS, create, exit_status};
use crate::version;

/// create and run a container
///
/// The run command creates an instance of a container for a bundle, starts it, and stays with it
/// until it ends, unless it is told to detach. The bundle is a directory with a specification file
/// named "config.json" and a root filesystem.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: create::Common,
    /// detach from the container's process
    #[arg(long, short)]
    detach: bool,
    /// do not delete the container after it exits
    #[arg(long)]
    keep: bool,
    /// disable the use of the subreaper used to reap reparented processes
    #[arg(long)]
    no_subreaper: bool,
}

/// `rrun run`.
pub(crate) fn run(global: &Global, args: Args) -> anyhow::Result<u8> {
    story(global, &args).with_context(|| format!("{} run failed", version::program()))
}

fn story(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let root = global.state_root()?;
    let mut request = args.common.request(global, args.detach, true)?;
    let id = request.id.clone();
    let mut network = Joint::for_run(&args.common.network, &root, &mut request)?;
    if let Some(plan) = network.dry_run() {
        output::print(&plan)?;
        return Ok(SUCCESS);
    }

    if !args.detach && !args.no_subreaper {
        // Processes that outlive their parents in a container without a pid namespace come to us.
        nix::sys::prctl::set_child_subreaper(true).context("become subreaper")?;
    }
    let mut created = container::create(&root, request, &mut network)?;
    let outcome = live(&mut created, args.detach);

    let stays = args.keep || (args.detach && outcome.is_ok());
    if !stays && let Err(error) = created.into_container().delete(true, &mut network) {
        tracing::warn!("delete container {id}: {error}");
    }
    outcome
}

/// The exit status of a container whose program cannot be executed.
const EXECUTE_FAILURE: u8 = 255;

/// From `start` to the end, or to the moment we leave.
fn live(created: &mut Created, detach: bool) -> anyhow::Result<u8> {
    match created.start() {
        // The container's own end, in its own words: runc's container init says the same.
        Err(error @ container::Error::Execute(_)) if !detach => {
            output::complain(&error.to_string());
            return Ok(EXECUTE_FAILURE);
        }
        started => started?,
    }
    if detach {
        created.wait_ready();
        return Ok(SUCCESS);
    }
    Ok(exit_status(created.foreground()?))
}
