//! `--net`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which network a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkMode {
    /// A cable to a bridge: the default network, or the named one.
    Bridge(Option<String>),
    /// The host's network namespace.
    Host,
    /// The network namespace of the running container with this id.
    Container(String),
    /// A network namespace with only `lo` in it.
    None,
    /// The network namespace that this path names.
    Namespace(PathBuf),
}

/// The text names no network mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMode {
    /// Not one of the words.
    #[error(
        "unknown network mode {0:?}: want bridge, bridge:NAME, host, container:ID, none or ns:/path"
    )]
    Unknown(String),
    /// The word wants something after its colon.
    #[error("network mode {mode:?} needs {what} after the colon")]
    Missing {
        /// The text given.
        mode: String,
        /// What is missing.
        what: &'static str,
    },
    /// A relative path would mean another namespace in another folder.
    #[error("network mode {0:?}: the path of a namespace must be absolute")]
    Relative(String),
}

impl FromStr for NetworkMode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        let missing = |what| InvalidMode::Missing { mode: text.to_owned(), what };
        match (word, rest) {
            ("bridge", None) => Ok(Self::Bridge(None)),
            ("bridge", Some("")) => Err(missing("a network's name")),
            ("bridge", Some(name)) => Ok(Self::Bridge(Some(name.to_owned()))),
            ("host", None) => Ok(Self::Host),
            ("none", None) => Ok(Self::None),
            ("container", Some("") | None) => Err(missing("a container's id")),
            ("container", Some(id)) => Ok(Self::Container(id.to_owned())),
            ("ns", Some("") | None) => Err(missing("the path of a network namespace")),
            ("ns", Some(path)) if path.starts_with('/') => Ok(Self::Namespace(path.into())),
            ("ns", Some(_)) => Err(InvalidMode::Relative(text.to_owned())),
            _ => Err(InvalidMode::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(None) => f.write_str("bridge"),
            Self::Bridge(Some(name)) => write!(f, "bridge:{name}"),
            Self::Host => f.write_str("host"),
            Self::Container(id) => write!(f, "container:{id}"),
            Self::None => f.write_str("none"),
            Self::Namespace(path) => write!(f, "ns:{}", path.display()),
        }
    }
}

impl TryFrom<String> for NetworkMode {
    type Error = InvalidMode;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NetworkMode> for String {
    fn from(mode: NetworkMode) -> Self {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_survives_the_round_trip() {
        for text in
            ["bridge", "bridge:blue", "host", "container:web", "none", "ns:/run/netns/x", "ns:/a:b"]
        {
            let mode: NetworkMode = text.parse().unwrap();
            assert_eq!(mode.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "",
            "Bridge",
            "bridge:",
            "host:x",
            "none:",
            "container",
            "container:",
            "ns",
            "ns:",
            "ns:run/x",
            "default",
            "veth",
        ] {
            assert!(text.parse::<NetworkMode>().is_err(), "{text:?}");
        }
    }
}
