//! Checkpoint and restore, which CRIU does (criu(8)): what it is told, how it is talked to, and what rrun
//! does at the moments that CRIU notifies it of.
//!
//! CRIU sees the kernel's side of a process and rebuilds it. What comes from outside the container it cannot
//! know, so it is named at both times with the same key: bind mounts (`ext_mnt`), namespaces that were joined
//! by path (`external`, `inherit_fd`) and the pipes that are the standard streams. The keys are runc's, so an
//! image of one runtime can be restored by the other.

mod dump;
mod error;
mod folders;
mod log;
mod options;
mod outside;
mod restore;
mod swrk;

pub use error::CriuError;
pub use options::{CgroupsMode, CriuOptions, PageServer};
pub use restore::{RestoreRequest, restore};

pub(crate) use outside::stream_targets;

/// The oldest CRIU that is talked to: it has the VERSION request. As [`swrk::version`] counts.
const OLDEST: u32 = 3_00_00;
