//! What can go wrong, with the object it went wrong with.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The reason is the `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a route netlink request.
    #[error("{object}: {action}")]
    Kernel {
        /// The link, address or route.
        object: String,
        /// What was asked.
        action: &'static str,
        /// The kernel's answer.
        source: Refusal,
    },
    /// The netlink socket itself failed.
    #[error("route netlink socket: {call}")]
    Socket {
        /// The system call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's answer could not be read.
    #[error("route netlink reply to {object}: {action}: {reason}")]
    Reply {
        /// The link, address or route.
        object: String,
        /// What was asked.
        action: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file operation failed.
    #[error("{path}: {call}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system call, or what was done.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of another version of rrun.
    #[error("{path}: version {version} is not supported", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A checkpoint cannot hold another container's network.
    #[error("network container:{id} cannot be kept by a checkpoint: it belongs to container {id}")]
    CannotKeep {
        /// The other container.
        id: String,
    },
    /// A process operation failed.
    #[error("{call}")]
    Process {
        /// The system call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of ours does not hold what it should.
    #[error("{path}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// No plan can be made.
    #[error(transparent)]
    Plan(#[from] netplan::PlanError),
    /// A plan that must not be applied.
    #[error(transparent)]
    Check(#[from] netplan::CheckError),
    /// nf_tables refused something.
    #[error(transparent)]
    Nft(#[from] nft::Error),
    /// A bridge's name is no interface's name.
    #[error(transparent)]
    BridgeName(#[from] nft::InvalidIfName),
    /// The bridge's name is taken by something else.
    #[error("link {name}: exists and is not a bridge")]
    NotABridge {
        /// The link.
        name: String,
    },
    /// No such network.
    #[error("network {name} does not exist")]
    NoSuchNetwork {
        /// The name given.
        name: String,
    },
    /// A link that was just made or seen is not there.
    #[error("link {name} does not exist")]
    NoLink {
        /// The link.
        name: String,
    },
    /// A link would not go away.
    #[error("link {name}: still there after it was deleted")]
    LinkRemains {
        /// The link.
        name: String,
    },
    /// Others were faster time and again.
    #[error(
        "network {name}: gave up after {tries} attempts, as other containers took every address and port that was chosen"
    )]
    Contended {
        /// The network.
        name: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The address was claimed by another container since the plan was made.
    #[error("address {address} was leased to another container meanwhile")]
    LeaseTaken {
        /// The address.
        address: std::net::Ipv4Addr,
    },
    /// A port was published by another container since the plan was made.
    #[error("port {port}/{protocol} on {} was published by another container meanwhile", host_ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED))]
    PortTaken {
        /// The host's port.
        port: u16,
        /// The transport.
        protocol: netplan::Protocol,
        /// The host's address.
        host_ip: Option<std::net::Ipv4Addr>,
    },
    /// The container whose network was to be joined is gone.
    #[error("container {id} ended while its network was being joined")]
    JoinedGone {
        /// That container.
        id: String,
    },
}

/// The kernel's answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number.
    pub errno: Errno,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`), where it has some.
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            Some(hint) => write!(f, "{} ({hint})", self.errno),
            None => self.errno.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl Error {
    /// For `map_err` after a file operation.
    pub(crate) fn file<E: Into<io::Error>>(
        path: &Path,
        call: &'static str,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, call, source: source.into() }
    }

    /// The kernel's error number, where the kernel refused something.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { source, .. } => Some(source.errno),
            Self::File { source, .. } | Self::Socket { source, .. } => {
                source.raw_os_error().map(Errno::from_raw)
            }
            _ => None,
        }
    }
}
