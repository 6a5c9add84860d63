//! What can go wrong, with the object it went wrong with.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The netlink socket itself failed.
    #[error("nf_tables netlink socket: {call}")]
    Socket {
        /// The system call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused a question.
    #[error("{0}")]
    Refused(Failure),
    /// The kernel refused messages of a batch, so that nothing of it was done.
    #[error("{first}{more}", more = More(others))]
    Batch {
        /// The first message that was refused, most often the cause of the others.
        first: Failure,
        /// The others. Not all, where there are more than the socket can hold.
        others: Vec<Failure>,
    },
    /// The kernel's answer could not be read.
    #[error("{operation} {object}: {reason}")]
    Reply {
        /// What was asked.
        operation: &'static str,
        /// Of what.
        object: String,
        /// What is wrong with the answer.
        reason: &'static str,
    },
}

impl Error {
    /// The kernel's error number; of a batch, that of the first message refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(failure) | Self::Batch { first: failure, .. } => Some(failure.errno),
            Self::Socket { source, .. } => source.raw_os_error().map(Errno::from_raw),
            Self::Reply { .. } => None,
        }
    }

    /// The messages that the kernel refused, first to last.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        let (first, others) = match self {
            Self::Refused(first) => (Some(first), &[][..]),
            Self::Batch { first, others } => (Some(first), others.as_slice()),
            Self::Socket { .. } | Self::Reply { .. } => (None, &[][..]),
        };
        first.into_iter().chain(others)
    }
}

/// A message that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What was to be done, as in `add element`.
    pub operation: &'static str,
    /// With what, as in `inet rrun pub4any tcp . 8088`.
    pub object: String,
    /// The kernel's answer.
    pub errno: Errno,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`), where it has some.
    pub hint: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.object, self.errno)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

struct More<'a>(&'a [Failure]);

impl fmt::Display for More<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            others => write!(f, " (and {} more refused)", others.len()),
        }
    }
}
