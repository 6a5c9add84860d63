//! `rrun delete`.

use crate::global::Global;
use crate::net::Joint;
use crate::verb::{Id, SUCCESS};

/// delete any resources held by the container often used with detached container
///
/// For example, if the container id is "ubuntu01" and rrun list currently shows the status of
/// "ubuntu01" as "stopped" the following will delete resources held for "ubuntu01" removing
/// "ubuntu01" from the rrun list of containers: rrun delete ubuntu01
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    container: Id,
    /// forcibly deletes the container if it is still running (uses SIGKILL)
    #[arg(long, short)]
    force: bool,
}

/// `rrun delete`.
pub(crate) fn delete(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let root = global.state_root()?;
    let id = &args.container.id;
    let mut network = Joint::of_existing();
    match root.load(id) {
        Ok(container) => container.delete(args.force, &mut network)?,
        // Whatever is wrong with its state, nothing of it may stay.
        Err(_) if args.force => root.force_delete(id, &mut network)?,
        Err(error) => return Err(error.into()),
    }
    Ok(SUCCESS)
}
