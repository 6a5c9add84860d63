//! The one error type of the crate.

use std::fmt;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::Controller;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, naming the file, the value and the system call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `/proc/self/mountinfo` shows no visible cgroup mount.
    #[error("no cgroup hierarchy is mounted")]
    NotMounted,
    /// A hierarchy the runtime cannot do without is not mounted. runc's text.
    #[error("mountpoint for {0} not found")]
    NoMountpoint(Controller),
    /// `linux.cgroupsPath` does not name a group of its own.
    #[error("linux.cgroupsPath {0:?} does not name a cgroup below the hierarchy's root")]
    CgroupsPath(PathBuf),
    /// A recorded path lies outside every cgroup mount.
    #[error("cgroup path {path} of {controller:?} is not below a cgroup mount")]
    OutsideMount {
        /// The key in the record: a controller's name, empty for the unified hierarchy.
        controller: String,
        /// The recorded path.
        path: PathBuf,
    },
    /// A system call on a path failed.
    #[error("{call} {path}: {errno}")]
    Path {
        /// The system call.
        call: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why it failed.
        errno: Reason,
    },
    /// The kernel did not take a value.
    #[error("write {value:?} to {path}: {errno}")]
    Write {
        /// The control file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// Why it failed.
        errno: Reason,
    },
    /// A system call without a path failed.
    #[error("{call}: {errno}")]
    Call {
        /// The system call and what it was for.
        call: &'static str,
        /// Why it failed.
        errno: Reason,
    },
    /// A kernel file holds something other than its documented format.
    #[error("unable to parse {path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The offending line or the reason.
        what: String,
    },
    /// The group exists and has processes. runc's text.
    #[error("container's cgroup is not empty: {0} process(es) found")]
    NotEmpty(usize),
    /// The group exists and is frozen: a process put into it would never run. runc's text.
    #[error("container's cgroup unexpectedly frozen")]
    Frozen,
    /// The group has gone.
    #[error("cgroup {0} does not exist")]
    Missing(PathBuf),
    /// Without permission only a container without limits can do without a cgroup. runc's text.
    #[error(
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: {0}"
    )]
    RootlessLimits(Box<Error>),
    /// A limit is asked for in a hierarchy that the container has no group in. runc's text.
    #[error("cannot set {0} limit: container could not join or create cgroup")]
    Unavailable(Controller),
    /// A resource's value is not acceptable.
    #[error("linux.resources.{field}: {what}")]
    Invalid {
        /// The field below `linux.resources`.
        field: &'static str,
        /// Why.
        what: String,
    },
    /// `unified` is for cgroup v2 only. runc's text.
    #[error("invalid configuration: cannot use unified on cgroup v1")]
    UnifiedOnV1,
    /// A `unified` key that is not `CONTROLLER.PARAMETER`.
    #[error("unified resource {0:?} must be in the form CONTROLLER.PARAMETER (no slashes)")]
    UnifiedKey(String),
    /// A `unified` key of a controller that is not enabled here.
    #[error("unified resource {key:?} can't be set: controller {controller:?} not available")]
    UnifiedController {
        /// The key.
        key: String,
        /// Its part before the dot.
        controller: String,
    },
    /// The kernel refuses a memory limit below what is in use. runc's text.
    #[error("unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak})")]
    MemoryInUse {
        /// The limit asked for, bytes.
        limit: i64,
        /// Bytes in use now.
        usage: u64,
        /// The highest use so far, bytes.
        peak: u64,
    },
    /// `checkBeforeUpdate` found the new limit below the use. runc's text.
    #[error("rejecting {what} limit {limit} <= usage {usage}")]
    BelowUsage {
        /// `memory` or `memory+swap`.
        what: &'static str,
        /// The limit asked for, bytes.
        limit: i64,
        /// Bytes in use now.
        usage: u64,
    },
    /// A v2 group in threaded mode cannot have memory, io, cpu or hugetlb limits.
    #[error("cannot enter cgroupv2 {path} with domain controllers -- it is in {state} mode")]
    Threaded {
        /// The group.
        path: PathBuf,
        /// `cgroup.type`.
        state: String,
    },
    /// Device rules that a kernel device list cannot express.
    #[error("linux.resources.devices: {0}")]
    DeviceRule(String),
    /// After all writes `devices.list` still is not what was asked for.
    #[error("{0}: resulting devices cgroup doesn't match target")]
    DeviceMismatch(PathBuf),
    /// There is no freezer to use.
    #[error("cannot toggle freezer: cgroups not configured for container")]
    NoFreezer,
    /// Processes kept appearing, or one cannot be stopped.
    #[error("unable to freeze {0}")]
    FreezeTimeout(PathBuf),
    /// `--cgroup ..`. runc's text.
    #[error("bad sub cgroup path: {0}")]
    SubCgroupPath(String),
    /// `--cgroup CONTROLLER:PATH` with a controller that the container has no group in.
    #[error("unknown controller {0} in SubCgroupPaths")]
    UnknownController(String),
    /// A malformed `--cgroup`.
    #[error("invalid --cgroup argument: {0}")]
    SubCgroupArgument(String),
    /// A process could not be put into the groups. runc's text.
    #[error("error adding pid {pid} to cgroups: {cause}")]
    AddProcess {
        /// The process, 0 when it is yet to be cloned.
        pid: i32,
        /// Which group, and why.
        cause: Box<Error>,
    },
    /// The systemd driver is asked for without systemd. runc's text.
    #[error("systemd not running on this host, cannot use systemd cgroups manager")]
    NoSystemd,
    /// runc's text.
    #[error("cannot use rootless systemd cgroups manager on cgroup v1")]
    UsersV1,
    /// `linux.cgroupsPath` for the systemd driver. runc's text.
    #[error(
        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {0:?} instead"
    )]
    SystemdPath(String),
    /// runc's text.
    #[error("invalid slice name: {0}")]
    SliceName(String),
    /// A unit's name is not a path.
    #[error("invalid unit name: {0}")]
    UnitName(String),
    /// An `org.systemd.property.*` annotation; the text says which and what is wrong with it.
    #[error("annotation {0}")]
    Annotation(String),
    /// systemd cannot be reached.
    #[error(
        "failed to connect to dbus (hint: for rootless containers, maybe you need to install the dbus-user-session package): {0}"
    )]
    BusConnect(String),
    /// The conversation with systemd broke off.
    #[error("dbus: {0}")]
    Bus(String),
    /// systemd refuses.
    #[error("{text}")]
    BusReply {
        /// The error's name on the bus.
        name: String,
        /// What systemd says.
        text: String,
    },
    /// A unit could not be started.
    #[error("unable to start unit {unit:?}: {cause}")]
    StartUnit {
        /// Its name.
        unit: String,
        /// Why.
        cause: Box<Error>,
    },
    /// The job of starting a unit did not succeed. runc's texts.
    #[error("{}", unit_job(unit, result.as_deref()))]
    UnitJob {
        /// Its name.
        unit: String,
        /// The job's result; `None` when it did not come in time.
        result: Option<String>,
    },
    /// runc's text.
    #[error("unable to set unit properties: {0}")]
    UnitProperties(Box<Error>),
    /// runc's text.
    #[error("Timed out while waiting for systemd to remove {0}")]
    UnitStays(String),
    /// Groups remain.
    #[error("failed to remove {path}: {errno}")]
    Remove {
        /// The first group that could not be removed.
        path: PathBuf,
        /// Why.
        errno: Reason,
    },
}

impl Error {
    pub(crate) fn path(call: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self::Path { call, path: path.into(), errno: Reason(errno) }
    }

    pub(crate) fn call(call: &'static str, errno: Errno) -> Self {
        Self::Call { call, errno: Reason(errno) }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.into(), what: what.into() }
    }

    pub(crate) fn invalid(field: &'static str, what: impl Into<String>) -> Self {
        Self::Invalid { field, what: what.into() }
    }

    /// The errno at the bottom, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Path { errno, .. }
            | Self::Write { errno, .. }
            | Self::Call { errno, .. }
            | Self::Remove { errno, .. } => Some(errno.0),
            Self::RootlessLimits(cause) | Self::AddProcess { cause, .. } => cause.errno(),
            _ => None,
        }
    }

    /// The file or group does not exist, or vanished while it was used (cgroupfs: `ENODEV`).
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Missing(_))
            || matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV))
    }

    /// The caller lacks permission; a read-only cgroupfs counts.
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
    }
}

fn unit_job(unit: &str, result: Option<&str>) -> String {
    match result {
        Some(result) => format!("error creating systemd unit `{unit}`: got `{result}`"),
        None => format!("Timeout waiting for systemd to create {unit}"),
    }
}

/// An errno, displayed as its text in lower case and its symbol: `permission denied (EACCES)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub Errno);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.desc();
        let mut chars = text.chars();
        match chars.next() {
            Some(first) => write!(f, "{}{} ({:?})", first.to_lowercase(), chars.as_str(), self.0),
            None => write!(f, "{:?}", self.0),
        }
    }
}
