//! Container ids.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The longest id, in bytes: it names a directory (`NAME_MAX` of Linux).
const MAX_LEN: usize = 255;

/// A container id: letters, digits, `_`, `+`, `-` and `.`, not `.` or `..`, at most 255 bytes
/// (the alphabet of runc, so that every id names a directory and nothing else).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

/// An id that cannot name a container.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("container id cannot be empty")]
    Empty,
    /// Longer than a file name may be.
    #[error("invalid container ID format: {0} bytes, at most {MAX_LEN} are possible")]
    TooLong(usize),
    /// A character outside the alphabet, or `.` or `..`.
    #[error(
        "invalid container ID format: {0:?} (letters, digits, '_', '+', '-' and '.' are possible)"
    )]
    Alphabet(String),
}

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        match s {
            "" => Err(InvalidId::Empty),
            s if s.len() > MAX_LEN => Err(InvalidId::TooLong(s.len())),
            "." | ".." => Err(InvalidId::Alphabet(s.to_owned())),
            s if s.chars().all(allowed) => Ok(Self(s.to_owned())),
            s => Err(InvalidId::Alphabet(s.to_owned())),
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for ContainerId {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_pass() {
        for id in ["a", "web-1", "A.b_c+d", "0123", "..."] {
            assert_eq!(id.parse::<ContainerId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn ids_that_are_paths_or_noise_are_refused() {
        let long = "x".repeat(256);
        for id in ["", ".", "..", "../../x", "a/b", "a b", "a\nb", "ä", "a\0", long.as_str()] {
            assert!(id.parse::<ContainerId>().is_err(), "{id:?}");
        }
    }
}
