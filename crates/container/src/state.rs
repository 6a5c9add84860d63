//! What is known of a container on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a container is in its life (runtime-spec, runtime.md, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made: `create` has not finished.
    Creating,
    /// Made, and waiting for `start`.
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// The state file of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The container's id.
    pub id: String,
    /// The pid of init in the pid namespace of the runtime; 0 while there is none.
    pub pid: i32,
    /// When init started, in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// When the container was created, RFC 3339 in UTC.
    pub created: String,
    /// The absolute path of the bundle.
    pub bundle: std::path::PathBuf,
    /// The absolute path of the root filesystem.
    pub rootfs: std::path::PathBuf,
    /// The effective user id of who created it.
    pub owner: u32,
}
