//! The verbs, one file each: `args` in, exit status out.

pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod update;

use container::ContainerId;

/// The exit status of what went well.
pub(crate) const SUCCESS: u8 = 0;

/// The one argument of most verbs.
#[derive(Debug, clap::Args)]
pub(crate) struct Id {
    /// the name for the instance of the container
    #[arg(value_name = "CONTAINER_ID")]
    id: ContainerId,
}

/// What a container's process ended with, as an exit status.
fn exit_status(code: i32) -> u8 {
    // wait(2) gives eight bits; 128+n for a signal fits too.
    (code & 0xff) as u8
}
