//! What can go wrong with a rootfs: a config.json that asks for the impossible, or a system call that fails.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A failure to plan or to build a container's root file system.
///
/// The wording of the mount errors follows runc's, because dockerd and containerd look into it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootfsError {
    /// config.json asks for something that is wrong or not supported.
    #[error("config.json: {field}: {fault}")]
    Config {
        /// The field, as a path: `mounts[3].options`.
        field: String,
        /// What is wrong with it.
        fault: ConfigFault,
    },
    /// The mount tree could not be made ready for the rootfs.
    #[error("error preparing rootfs: {0}")]
    Prepare(#[source] CallError),
    /// An entry of `mounts` could not be mounted.
    #[error("error mounting {from:?} to rootfs at {destination:?}: {cause}")]
    Mount {
        /// The entry's `source`.
        from: PathBuf,
        /// The entry's `destination`, as a path inside the container.
        destination: PathBuf,
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// A device node could not be made.
    #[error("error creating device nodes: {path:?}: {cause}")]
    Device {
        /// The node's path inside the container.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// `/dev/ptmx` or one of the links like `/dev/stdin` could not be made.
    #[error("error setting up /dev symlinks: {0}")]
    DevLink(#[source] CallError),
    /// The process could not enter the rootfs.
    #[error("error jailing process inside rootfs: {0}")]
    Jail(#[source] CallError),
    /// The standard streams could not be moved to the container's `/dev/null`.
    #[error("error reopening /dev/null inside container: {0}")]
    ReopenNull(#[source] Cause),
    /// The working directory was missing and could not be made.
    #[error("{0}")]
    WorkingDirectory(#[source] CallError),
    /// A mount, or the root, could not be made read-only.
    #[error("can't make {path:?} read-only: {cause}")]
    Readonly {
        /// The path inside the container.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: CallError,
    },
    /// An entry of `linux.maskedPaths` could not be hidden.
    #[error("can't mask path {path:?}: {cause}")]
    Mask {
        /// The path inside the container.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// Init asked for the source of a mount that has none.
    #[error("mounts[{0}] has no source to be opened for init")]
    NoSuchMount(usize),
    /// The terminal could not be bound to `/dev/console`.
    #[error("mount console: {0}")]
    Console(#[source] Cause),
}

impl RootfsError {
    pub(super) fn config(field: impl Into<String>, fault: ConfigFault) -> Self {
        Self::Config { field: field.into(), fault }
    }
}

/// What is wrong with a field of config.json.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConfigFault {
    /// The field is needed and missing or empty.
    #[error("is required")]
    Missing,
    /// A string that becomes a C string holds a NUL.
    #[error("contains a null byte")]
    NulByte,
    /// A bind mount cannot carry options of a file system.
    #[error("bind mounts cannot have any filesystem-specific options applied: {0:?}")]
    BindData(String),
    /// The option has a meaning for another kind of mount only.
    #[error("{option} is only supported for {kind} mounts")]
    OnlyFor {
        /// The option or field.
        option: &'static str,
        /// The kind of mount it belongs to.
        kind: &'static str,
    },
    /// The id mappings of a mount are not complete.
    #[error("id-mapped mounts must have both uid and gid mappings specified")]
    HalfIdMap,
    /// An unprivileged user cannot make id-mapped mounts.
    #[error("id-mapped mounts are not supported for rootless containers")]
    RootlessIdMap,
    /// `linux.rootfsPropagation` has an unknown value.
    #[error("{0:?} is not supported")]
    UnknownPropagation(String),
    /// Without pivot_root a private root would leave the host's mounts reachable.
    #[error("[r]private is not safe without pivot_root")]
    PrivateWithoutPivot,
    /// The device type is not one of `c`, `u`, `b`, `p`.
    #[error("{0:?} is not a valid device type")]
    DeviceType(String),
    /// A device number is negative or larger than the kernel's.
    #[error("device number {0} is out of range")]
    DeviceNumber(i64),
    /// A path in the container must be absolute.
    #[error("{0:?} is not absolute")]
    Relative(PathBuf),
    /// The rootfs is missing or not a directory.
    #[error("{path:?}: {errno}")]
    Rootfs {
        /// The path, relative to the bundle or absolute.
        path: PathBuf,
        /// Why it cannot be used.
        errno: Reason,
    },
    /// Masked and read-only paths would change the host's mounts.
    #[error("unable to restrict paths without a private mount namespace")]
    NoMountNamespace,
}

/// Why one step of building the rootfs failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// A system call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// `/proc` or `/sys` of the image is a symlink or file (CVE-2019-19921, CVE-2023-27561).
    #[error("filesystem {0:?} must be mounted on ordinary directory")]
    NotOrdinaryDirectory(String),
    /// The resolved mount point is not below the rootfs.
    #[error("mountpoint {0:?} is outside of rootfs")]
    OutsideRootfs(PathBuf),
    /// The mount point was renamed while the mount was made.
    #[error("mountpoint {0:?} was moved while mounting")]
    Moved(PathBuf),
    /// The mount would replace the rootfs itself.
    #[error("mountpoint {0:?} is on the top of rootfs")]
    OnRootfs(PathBuf),
    /// Something else than a procfs on `/proc` (CVE-2019-16884).
    #[error("{0:?} cannot be mounted because it is not of type proc")]
    NotProc(PathBuf),
    /// A mount below `/proc` that is not on the list of harmless ones.
    #[error("{0:?} cannot be mounted because it is inside /proc")]
    InsideProc(PathBuf),
    /// The mount has flags locked by a user namespace that the options ask to drop.
    #[error("cannot change mount flags locked by the user namespace: {0}")]
    Locked(#[source] CallError),
    /// An inode is not the device it should be (CVE-2025-31133, CVE-2025-52565).
    #[error("{path:?} is not the device {major}:{minor}")]
    WrongDevice {
        /// The path of the inode.
        path: PathBuf,
        /// The major number it should have.
        major: u32,
        /// The minor number it should have.
        minor: u32,
    },
    /// The console is not a pseudo terminal of a devpts.
    #[error("the terminal is not a pty on a devpts mount")]
    NotPty,
    /// The user namespace of an id mapping could not be made.
    #[error("create user namespace for id mapping: {0}")]
    UserNamespace(#[source] std::io::Error),
    /// The privileged side could not hand over the source of a mount.
    #[error("request mount source from the runtime: {0}")]
    Broker(#[source] std::io::Error),
}

/// A system call that failed, with what it was applied to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    call: &'static str,
    object: Box<str>,
    reason: Reason,
    detail: Option<Box<str>>,
}

impl CallError {
    /// The call `call` on the file or string `object` failed with `errno`.
    pub(super) fn new(call: &'static str, object: impl AsRef<Path>, errno: Errno) -> Self {
        Self {
            call,
            object: object.as_ref().display().to_string().into(),
            reason: Reason(errno),
            detail: None,
        }
    }

    /// Adds what the kernel had to say about the failure.
    pub(super) fn with_detail(mut self, detail: Option<String>) -> Self {
        self.detail = detail.map(Into::into);
        self
    }

    /// The error number.
    pub(crate) fn errno(&self) -> Errno {
        self.reason.0
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.call, self.object)?;
        if let Some(detail) = &self.detail {
            write!(f, "{detail}: ")?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for CallError {}

/// An error number in the words that engines look for: the C library's, in lower case as Go prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason(pub(super) Errno);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = nix::errno::Errno::from_raw(self.0.raw_os_error()).desc();
        f.write_str(&text.to_lowercase())
    }
}
