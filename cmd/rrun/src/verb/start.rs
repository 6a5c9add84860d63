//! `rrun start`.

use crate::global::Global;
use crate::verb::{Id, SUCCESS};

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
    global.state_root()?.load(&args.container.id)?.start()?;
    Ok(SUCCESS)
}
