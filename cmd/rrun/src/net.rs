//! The joint between `container` and `network`: the only place that knows both.

mod args;
mod config;
mod joint;
mod spec;
mod state;
mod verb;

use std::path::PathBuf;

use network::Home;

pub(crate) use args::NetworkArgs;
pub(crate) use joint::Joint;
pub(crate) use state::NetworkState;
pub(crate) use verb::{Args, net};

/// Where the network's files are. `RRUN_RUN_DIR` moves the folders under `/run` (for tests: two rruns that
/// do not share it do not see each other's leases).
fn home() -> Home {
    let home = Home::default();
    match std::env::var_os("RRUN_RUN_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from) {
        Some(folder) => Home { run: folder.join("rrun-net"), netns: folder.join("netns"), ..home },
        None => home,
    }
}
