//! cgroup v1 and v2 drivers: create, apply, freeze, stats, kill, remove.
//!
//! The story of one container:
//!
//! 1. [`Hierarchies::detect`] reads `/proc/self/mountinfo` once: v1 (also hybrid) or v2, and where.
//! 2. [`Cgroup::new`] turns `linux.cgroupsPath` into one directory per hierarchy. Nothing is touched yet.
//! 3. [`Cgroup::create`] makes the directories, [`Cgroup::set_limits`] and [`Cgroup::set_devices`]
//!    write the resources.
//! 4. [`Cgroup::join_handles`] opens what the new process needs to enter: a directory for
//!    `CLONE_INTO_CGROUP` and, on v1, the `tasks` files into which the child itself writes `0`
//!    ([`Join::enter`]).
//! 5. [`Cgroup::paths`] goes into the state; [`Cgroup::from_paths`] rebuilds the value for `exec`,
//!    `update`, `pause`, `kill`, `events` and `delete`.
//! 6. [`Cgroup::kill_all`], [`Cgroup::remove`].
//!
//! With systemd as the driver [`Cgroup::of_unit`] takes the place of [`Cgroup::new`], and the groups
//! appear with the first process, by [`Cgroup::start_unit`].
//!
//! Files are opened by absolute path: cgroupfs has no symbolic links and its directories hold
//! nothing but cgroups, so a path below a cgroup mount cannot lead elsewhere, and a directory
//! handle would cost two more system calls for each of ten hierarchies.

mod cgroup;
mod controller;
mod cpuset;
mod create;
mod devices;
mod error;
mod file;
mod freezer;
mod hierarchies;
mod join;
mod limits;
mod location;
mod oom;
mod owner;
mod procs;
mod remove;
mod stats;
mod sys;
mod systemd;

pub use cgroup::{Cgroup, Options};
pub use controller::Controller;
pub use devices::{Access, DeviceKind, DeviceRule, device_rules};
pub use error::{Error, Reason, Result};
pub use hierarchies::{Hierarchies, Mode, Mount};
pub use join::{Join, SubCgroups};
pub use oom::{OomEvent, OomEvents};
pub use stats::{
    Blkio, BlkioEntry, Cpu, CpuSet, CpuUsage, Hugetlb, Memory, MemoryEntry, Pids, Pressure,
    PressureLine, Stats, Throttling,
};
pub use systemd::{Unit, UnitRequest, is_users};
