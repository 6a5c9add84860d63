//! Tables.

use std::fmt;

use crate::Comment;
use crate::uapi::{NFPROTO_BRIDGE, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6};

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Frames that cross a bridge.
    Bridge,
}

impl Family {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Inet => NFPROTO_INET,
            Self::Ip => NFPROTO_IPV4,
            Self::Ip6 => NFPROTO_IPV6,
            Self::Bridge => NFPROTO_BRIDGE,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Bridge => "bridge",
        })
    }
}

/// A table, which holds everything else and is whole to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table<'a> {
    pub(crate) family: Family,
    pub(crate) name: &'a str,
}

impl<'a> Table<'a> {
    /// A table of any family.
    #[must_use]
    pub const fn new(family: Family, name: &'a str) -> Self {
        Self { family, name }
    }

    /// A table for IPv4 and IPv6.
    #[must_use]
    pub const fn inet(name: &'a str) -> Self {
        Self::new(Family::Inet, name)
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// What the kernel says of a table that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its comment. Kernels before 5.10 keep none.
    pub comment: Option<Comment>,
}
