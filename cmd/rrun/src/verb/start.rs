//! `rrun start`.

use crate::global::Global;
use crate::verb::{Id, SUCCESS, create};

/// executes the user defined process in a created container
///
/// The start command executes the user defined process in a created container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    container: Id,
}

/// `rrun start`.
pub(crate) fn start(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let container = global.state_root()?.load(&args.container.id)?;
    match create::manager() {
        Some(manager) => container.start_and_notify(manager)?,
        None => container.start()?,
    }
    Ok(SUCCESS)
}
