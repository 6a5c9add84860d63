//! The controllers a runtime knows, by the names the kernel and runc's state use.

use std::fmt;

/// A v1 controller or named hierarchy, or the unified hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// CPUs and memory nodes.
    Cpuset,
    /// Access to devices.
    Devices,
    /// Memory and swap.
    Memory,
    /// CPU time.
    Cpu,
    /// CPU accounting.
    Cpuacct,
    /// Number of processes.
    Pids,
    /// Block I/O, `io` on v2.
    Blkio,
    /// Huge pages.
    Hugetlb,
    /// Class of network packets.
    NetCls,
    /// Priority of network packets.
    NetPrio,
    /// perf(1) by group.
    PerfEvent,
    /// Pausing.
    Freezer,
    /// RDMA resources.
    Rdma,
    /// systemd's own named hierarchy: joined so that `systemd-cgls` and logind see the container.
    Systemd,
    /// Miscellaneous scalar resources.
    Misc,
    /// The cgroup v2 hierarchy; next to v1 in hybrid mode.
    Unified,
}

impl Controller {
    /// All of them, in the order in which groups are made and limits written: `devices` and
    /// `freezer` come first, because an existing group shows there whether it is in use.
    pub const ALL: [Self; 16] = [
        Self::Devices,
        Self::Freezer,
        Self::Cpuset,
        Self::Memory,
        Self::Cpu,
        Self::Cpuacct,
        Self::Pids,
        Self::Blkio,
        Self::Hugetlb,
        Self::NetCls,
        Self::NetPrio,
        Self::PerfEvent,
        Self::Rdma,
        Self::Systemd,
        Self::Misc,
        Self::Unified,
    ];

    /// The name in `/proc/self/cgroup`, in mount options and in runc's `cgroup_paths`:
    /// `name=systemd` for systemd's, empty for the unified hierarchy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpuset => "cpuset",
            Self::Devices => "devices",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Pids => "pids",
            Self::Blkio => "blkio",
            Self::Hugetlb => "hugetlb",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
            Self::PerfEvent => "perf_event",
            Self::Freezer => "freezer",
            Self::Rdma => "rdma",
            Self::Systemd => "name=systemd",
            Self::Misc => "misc",
            Self::Unified => "",
        }
    }

    /// The controller of a name as [`Controller::as_str`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|controller| controller.as_str() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unified => "unified",
            other => other.as_str(),
        })
    }
}
