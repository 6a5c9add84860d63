//! What can go wrong with CRIU. The wording is runc's where runc has words for it.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::Error;

/// What can go wrong with CRIU.
#[derive(Debug, thiserror::Error)]
pub enum CriuError {
    /// CRIU could not be started, or what comes before that failed.
    #[error("{0}")]
    Start(String),
    /// CRIU did not say its version.
    #[error("CRIU version check failed: {0}")]
    Version(Box<Error>),
    /// It is too old.
    #[error("CRIU version {found} must be {needed} or higher")]
    TooOld {
        /// What it says: 31700 is 3.17.
        found: u32,
        /// What is needed.
        needed: u32,
    },
    /// The flag needs a newer one.
    #[error("{flag} requires at least CRIU {needed}")]
    FlagNeeds {
        /// The flag.
        flag: &'static str,
        /// The version, as people write it.
        needed: &'static str,
    },
    /// CRIU did not say what it can do.
    #[error("CRIU feature check failed: {0}")]
    FeatureCheck(Box<Error>),
    /// CRIU, or the kernel, cannot do it.
    #[error("criu is missing features: [{0}]")]
    MissingFeature(&'static str),
    /// The flag's value is none.
    #[error("invalid manage-cgroups-mode value")]
    CgroupsMode,
    /// Where the images are to be, or are, is not said.
    #[error("invalid directory to {0} checkpoint")]
    NoImages(&'static str),
    /// `--status-fd` is no descriptor that can be written to.
    #[error("invalid --status-fd argument {fd}: {problem}")]
    StatusFd {
        /// Its number.
        fd: i32,
        /// What is wrong with it.
        problem: String,
    },
    /// The namespace of config.json that is to be joined is not there.
    #[error("Requested {kind} namespace {} does not exist: {errno}", path.display())]
    NoNamespace {
        /// `network` or `pid`.
        kind: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be opened.
        errno: crate::error::OsError,
    },
    /// CRIU cannot restore into a namespace of this kind.
    #[error("Do not know how to handle namespace {0}")]
    Namespace(String),
    /// Of the images, this one is missing or spoilt.
    #[error("{}: {problem}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// CRIU says that it failed.
    #[error("criu failed: type {kind} errno {errno}")]
    Failed {
        /// What it was asked for, or NOTIFY.
        kind: String,
        /// Its idea of why, an error number.
        errno: i32,
    },
    /// CRIU ended badly after it said that all was well.
    #[error("criu failed: exit status {0}")]
    Ended(i32),
    /// CRIU said something that makes no sense here.
    #[error("unable to parse the response: {0}")]
    Response(String),
    /// CRIU ended without a word.
    #[error("criu: unexpected EOF")]
    Closed,
    /// The socket failed.
    #[error("criu socket: {0}: {1}")]
    Socket(&'static str, Errno),
    /// The restored container is in a namespace of the host's.
    #[error(
        "the restored process {pid} has no {kind} namespace of its own, as config.json asks for"
    )]
    NoNewNamespace {
        /// Its init.
        pid: i32,
        /// The kernel's name for the kind (namespaces(7)).
        kind: &'static str,
    },
    /// CRIU restored a terminal for which there is no place to go.
    #[error("the checkpoint has a terminal: process.terminal of config.json must be true")]
    NoConsole,
    /// There is none in the images, though one is asked for.
    #[error(
        "process.terminal of config.json is true, but the checkpoint has no terminal: it must be false"
    )]
    NoTerminal,
    /// CRIU has written down why.
    #[error("{failure}, log file: {}", path.display())]
    Logged {
        /// What failed.
        failure: Box<Error>,
        /// CRIU's log.
        path: PathBuf,
    },
}

impl CriuError {
    /// Whether it happened in CRIU, whose log then says more.
    pub(super) fn is_in_log(&self) -> bool {
        use CriuError::{Closed, Ended, Failed, Response, Socket};
        matches!(self, Failed { .. } | Ended(_) | Response(_) | Closed | Socket(..))
    }
}
