//! `rrun pause` and `rrun resume`.

use crate::global::Global;
use crate::verb::{Id, SUCCESS};

/// pause suspends all processes inside the container
///
/// The pause command suspends all processes in the instance of the container. Use 'rrun list' to
/// identify instances of containers and their current status.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    container: Id,
}

/// resumes all processes that have been previously paused
///
/// The resume command resumes all processes in the instance of the container. Use 'rrun list' to
/// identify instances of containers and their current status.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    container: Id,
}

/// `rrun pause`.
pub(crate) fn pause(global: &Global, args: &PauseArgs) -> anyhow::Result<u8> {
    global.state_root()?.load(&args.container.id)?.pause()?;
    Ok(SUCCESS)
}

/// `rrun resume`.
pub(crate) fn resume(global: &Global, args: &ResumeArgs) -> anyhow::Result<u8> {
    global.state_root()?.load(&args.container.id)?.resume()?;
    Ok(SUCCESS)
}
