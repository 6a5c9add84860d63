//! What can go wrong in the life of a container.

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
    /// The operation needs another status.
    #[error("cannot {operation} container {id} that is {status}")]
    Status {
        /// What was asked for.
        operation: &'static str,
        /// The container.
        id: String,
        /// Its status.
        status: Status,
    },
}
