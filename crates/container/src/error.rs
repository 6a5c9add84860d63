//! What can go wrong in the life of a container.

use std::fmt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::channel::ChannelError;
use crate::checkpoint::CriuError;
use crate::rootfs::RootfsError;
use crate::{InvalidId, Status};

/// Any error, for seams.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the life of a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id cannot name a container.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// No container has this id. (The wording is runc's: engines look for it.)
    #[error("container does not exist")]
    NotFound,
    /// Another container has this id.
    #[error("container with given ID already exists")]
    Exists,
    /// The operation needs a container that runs.
    #[error("container not running")]
    NotRunning,
    /// A create of this container is under way, and goes on.
    #[error("container {0} is being created by another process")]
    Busy(String),
    /// Killed, and still there.
    #[error("container {0}: init still running")]
    StillRunning(String),
    /// The operation needs another status.
    #[error("{0}")]
    Status(StatusError),
    /// A field of config.json is wrong.
    #[error("{field}: {problem}")]
    Config {
        /// The field, as a JSON path.
        field: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// A system call failed.
    #[error("{call}: {errno}")]
    Syscall {
        /// The call and what it was about.
        call: String,
        /// Why.
        errno: OsError,
    },
    /// A state file does not say what a state file says.
    #[error("{}: {problem}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cgroup could not be read, changed or removed.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// A new container's cgroup could not be made or entered. (The wording is runc's.)
    #[error("unable to apply cgroup configuration: {0}")]
    ApplyCgroup(cgroup::Error),
    /// The container's group of the resctrl file system could not be used.
    #[error("intelrdt: {call}: {errno}{status}")]
    IntelRdt {
        /// The call and its path.
        call: String,
        /// Why it failed.
        errno: OsError,
        /// `, last_cmd_status: ` and what the kernel says of the last request, if it does.
        status: String,
    },
    /// The network could not be set up or undone.
    #[error("{}", with_causes(.0.as_ref()))]
    Network(BoxError),
    /// A hook failed.
    #[error("error running {kind} hook #{index}: {problem}")]
    Hook {
        /// Its kind, as in config.json.
        kind: &'static str,
        /// Its place in the list, from 0.
        index: usize,
        /// What went wrong.
        problem: String,
    },
    /// The rootfs cannot be what config.json asks for.
    #[error("{0}")]
    Rootfs(BoxError),
    /// The program of the process cannot be executed. (The wording is that of Go's os/exec, which
    /// engines turn into the exit codes 126 and 127.)
    #[error("exec: {program:?}: {problem}")]
    Exec {
        /// `process.args[0]`.
        program: String,
        /// Why not.
        problem: String,
    },
    /// The container's init process failed.
    #[error("unable to start container process: error during container init: {0}")]
    Init(ChannelError),
    /// Init failed, and the kernel has killed in the container's cgroup for lack of memory. Tools look for the text.
    #[error(
        "unable to start container process: container init was OOM-killed (memory limit too low?)"
    )]
    InitOomKilled,
    /// A further process failed, and something in the container's cgroup was killed for lack of memory meanwhile.
    #[error("{0} (possibly OOM-killed)")]
    PerhapsOomKilled(Box<Error>),
    /// The container was started, and its program could not be executed.
    #[error("{0}")]
    Execute(String),
    /// The further process of a container failed before it could be executed.
    #[error("unable to start container process: {0}")]
    Join(ChannelError),
    /// The container could not be checkpointed or restored.
    #[error(transparent)]
    Criu(#[from] CriuError),
    /// The conversation with a child process broke.
    #[error("conversation with the container's process")]
    Channel(#[from] ChannelError),
}

/// Why an operation is not possible now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusError {
    /// `start` of a container that has ended.
    StartStopped,
    /// `start` of a container that runs already.
    StartRunning,
    /// `delete` without force of a container that lives.
    Delete(String, Status),
    /// `exec` in a container that has ended.
    ExecStopped,
    /// `exec` in a frozen container.
    ExecPaused,
    /// `pause` of a container that does not run.
    PauseNotRunning,
    /// `resume` of a container that is not paused.
    ResumeNotPaused,
    /// `checkpoint` of a container that does not run.
    Checkpoint(Status),
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartStopped => f.write_str("cannot start a container that has stopped"),
            Self::StartRunning => f.write_str("cannot start an already running container"),
            Self::Delete(id, status) => {
                write!(f, "cannot delete container {id} that is not stopped: {status}")
            }
            Self::ExecStopped => f.write_str("cannot exec in a stopped container"),
            Self::ExecPaused => {
                f.write_str("cannot exec in a paused container (use --ignore-paused to override)")
            }
            Self::PauseNotRunning => f.write_str("container not running"),
            Self::ResumeNotPaused => f.write_str("container not paused"),
            Self::Checkpoint(status) => {
                write!(f, "Container cannot be checkpointed in {status} state")
            }
        }
    }
}

/// An error number in words, as strerror(3) says it but beginning in lower case: the form that the
/// users of runc know from Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError(pub Errno);

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.desc();
        let mut chars = text.chars();
        match chars.next() {
            Some(first) => write!(f, "{}{}", first.to_lowercase(), chars.as_str()),
            None => Ok(()),
        }
    }
}

impl From<&std::io::Error> for OsError {
    fn from(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}

/// Adds to a failed system call which one it was.
pub(crate) trait CallContext<T> {
    /// The call and what it was about, as in `"mkdir /run/rrun"`.
    fn call(self, call: impl FnOnce() -> String) -> Result<T>;
}

impl<T> CallContext<T> for Result<T, Errno> {
    fn call(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::Syscall { call: call(), errno: OsError(errno) })
    }
}

impl<T> CallContext<T> for Result<T, rustix::io::Errno> {
    fn call(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::Syscall {
            call: call(),
            errno: OsError(Errno::from_raw(errno.raw_os_error())),
        })
    }
}

impl<T> CallContext<T> for std::io::Result<T> {
    fn call(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Syscall { call: call(), errno: OsError::from(&error) })
    }
}

impl From<RootfsError> for Error {
    fn from(error: RootfsError) -> Self {
        Self::Rootfs(error.into())
    }
}

impl Error {
    /// A wrong field of config.json.
    pub(crate) fn config(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { field: field.into(), problem: problem.into() }
    }

    /// A state file that is wrong.
    pub(crate) fn corrupt(path: &Path, problem: impl fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// An error and all that lies behind it: the last one tells what is wrong.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
