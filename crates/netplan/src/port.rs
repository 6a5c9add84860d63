//! `--publish`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

/// A transport protocol with ports.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, RFC 9293.
    #[default]
    Tcp,
    /// UDP, RFC 768.
    Udp,
    /// SCTP, RFC 9260.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// One port, or a run of them. Both ends are inside and neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports from `first` to `last`; `None` where that holds port 0 or no port.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// One port; `None` for port 0.
    #[must_use]
    pub fn single(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    /// The lowest port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports: 1 to 65535.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether it is one port.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// Every port, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }

    /// Whether both hold some port.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = &'static str;

    fn try_from((first, last): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(first, last).ok_or("a port range must not be empty nor hold port 0")
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.first, range.last)
    }
}

/// What `--publish` asked for: `[hostIP:][hostPort[-end]:]containerPort[-end][/protocol][,from=CIDR]...`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// The host's address to listen on; `None` is all of them.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's ports. `None` asks for any free one. More than one for a single container port asks
    /// for the first free one of them, as Docker reads it.
    pub host: Option<PortRange>,
    /// The container's ports.
    pub container: PortRange,
    /// The transport.
    pub protocol: Protocol,
    /// Only these sources may connect; empty means everybody.
    pub from: Vec<Ipv4Network>,
}

impl PortSpec {
    /// Whether the host's port is left to rrun, in whole or within a range.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.host.is_none_or(|host| host.count() != self.container.count())
    }
}

/// What is published in the end: every host port has its container port, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    /// The host's address; `None` is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<Ipv4Addr>,
    /// The host's ports.
    pub host: PortRange,
    /// The container's ports, as many as the host's.
    pub container: PortRange,
    /// The transport.
    pub protocol: Protocol,
    /// Only these sources may connect; empty means everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Ipv4Network>,
}

impl PortMapping {
    /// Each host port with its container port.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host.iter().zip(self.container.iter())
    }

    /// Whether a packet could be meant for both: same protocol, a common port, and addresses of which one
    /// is "all" or which are equal.
    #[must_use]
    pub fn clashes_with(&self, other: &Self) -> bool {
        let same_address = match (self.host_ip, other.host_ip) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        same_address && self.protocol == other.protocol && self.host.overlaps(other.host)
    }
}

/// The text is no publication.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// The general shape is wrong.
    #[error(
        "invalid port mapping {0:?}: want [hostIP:][hostPort[-end]:]containerPort[-end][/tcp|udp|sctp][,from=CIDR]"
    )]
    Shape(String),
    /// Not a port or not a range of them.
    #[error(
        "invalid port mapping {spec:?}: {part:?} is no port from 1 to 65535, nor a range of them"
    )]
    Port {
        /// The text given.
        spec: String,
        /// The part that is wrong.
        part: String,
    },
    /// Different numbers of ports on the two sides.
    #[error(
        "invalid port mapping {spec:?}: {host} ports of the host for {container} of the container"
    )]
    Lengths {
        /// The text given.
        spec: String,
        /// Ports on the host's side.
        host: u32,
        /// Ports on the container's side.
        container: u32,
    },
    /// Not a known transport.
    #[error("invalid port mapping {spec:?}: unknown protocol {protocol:?}, want tcp, udp or sctp")]
    Protocol {
        /// The text given.
        spec: String,
        /// The word after the slash.
        protocol: String,
    },
    /// Not an address.
    #[error("invalid port mapping {spec:?}: {address:?} is no address of the host")]
    Address {
        /// The text given.
        spec: String,
        /// The part that should have been an address.
        address: String,
    },
    /// `::1`.
    #[error(
        "port mapping {0:?}: [::1] cannot be published, since Linux does not route IPv6 loopback traffic \
         to another interface (there is no route_localnet for IPv6); publish on 127.0.0.1"
    )]
    Loopback6(String),
    /// Any other IPv6 address.
    #[error(
        "port mapping {0:?}: publishing on an IPv6 address is not supported; publish on an IPv4 one"
    )]
    Ipv6(String),
    /// Not a source network.
    #[error("invalid port mapping {spec:?}: {from:?} is no IPv4 network like 192.0.2.0/24")]
    From {
        /// The text given.
        spec: String,
        /// The part that should have been a network.
        from: String,
    },
}

impl FromStr for PortSpec {
    type Err = InvalidPort;

    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let mut options = spec.split(',');
        let ports = options.next().unwrap_or_default();
        let from = options.map(|option| source(spec, option)).collect::<Result<_, _>>()?;
        let (ports, protocol) = match ports.rsplit_once('/') {
            Some((ports, word)) => (ports, protocol(spec, word)?),
            None => (ports, Protocol::Tcp),
        };
        let (address, ports) = split_address(spec, ports)?;
        let (host, container) = match ports.split_once(':') {
            Some((host, container)) => (Some(host), container),
            None => (None, ports),
        };
        let container = range(spec, container)?;
        let host = match host {
            // `127.0.0.1::80`, Docker's way to say "any port of this address".
            None => None,
            Some("") if address.is_some() => None,
            Some(host) => Some(range(spec, host)?),
        };
        if let Some(host) = host
            && host.count() != container.count()
            && !container.is_single()
        {
            return Err(InvalidPort::Lengths {
                spec: spec.to_owned(),
                host: host.count(),
                container: container.count(),
            });
        }
        let host_ip = address.map(|text| host_address(spec, text)).transpose()?.flatten();
        Ok(Self { host_ip, host, container, protocol, from })
    }
}

/// Splits `hostIP:` off, if it is there: what comes before the last two colon-separated parts.
fn split_address<'a>(
    spec: &str,
    ports: &'a str,
) -> Result<(Option<&'a str>, &'a str), InvalidPort> {
    if let Some(inside) = ports.strip_prefix('[') {
        let (address, rest) =
            inside.split_once(']').ok_or_else(|| InvalidPort::Shape(spec.to_owned()))?;
        let rest = rest.strip_prefix(':').ok_or_else(|| InvalidPort::Shape(spec.to_owned()))?;
        return Ok((Some(address), rest));
    }
    let colons: Vec<usize> = ports.match_indices(':').map(|(at, _)| at).collect();
    match colons[..] {
        [] | [_] => Ok((None, ports)),
        [first, _] => Ok((Some(&ports[..first]), &ports[first + 1..])),
        _ => Err(InvalidPort::Shape(spec.to_owned())),
    }
}

/// The address to listen on; 0.0.0.0 means all.
fn host_address(spec: &str, text: &str) -> Result<Option<Ipv4Addr>, InvalidPort> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        let usable = !address.is_multicast() && !address.is_broadcast();
        return match usable {
            true if address.is_unspecified() => Ok(None),
            true => Ok(Some(address)),
            false => Err(InvalidPort::Address { spec: spec.to_owned(), address: text.to_owned() }),
        };
    }
    match text.parse::<Ipv6Addr>() {
        Ok(Ipv6Addr::LOCALHOST) => Err(InvalidPort::Loopback6(spec.to_owned())),
        Ok(_) => Err(InvalidPort::Ipv6(spec.to_owned())),
        Err(_) => Err(InvalidPort::Address { spec: spec.to_owned(), address: text.to_owned() }),
    }
}

fn range(spec: &str, text: &str) -> Result<PortRange, InvalidPort> {
    let invalid = || InvalidPort::Port { spec: spec.to_owned(), part: text.to_owned() };
    let port = |digits: &str| {
        // u16's own parser takes "+80" and "0080"; neither is how a port is written.
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        digits.parse::<u16>().ok().filter(|_| plain).ok_or_else(invalid)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    PortRange::new(first, last).ok_or_else(invalid)
}

fn protocol(spec: &str, word: &str) -> Result<Protocol, InvalidPort> {
    match word {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(InvalidPort::Protocol { spec: spec.to_owned(), protocol: word.to_owned() }),
    }
}

fn source(spec: &str, option: &str) -> Result<Ipv4Network, InvalidPort> {
    let text = option.strip_prefix("from=").ok_or_else(|| InvalidPort::Shape(spec.to_owned()))?;
    let network: Ipv4Network = text
        .parse()
        .map_err(|_| InvalidPort::From { spec: spec.to_owned(), from: text.to_owned() })?;
    // 10.1.2.3/8 names the same sources as 10.0.0.0/8; keep one spelling.
    Ipv4Network::new(network.network(), network.prefix())
        .map_err(|_| InvalidPort::From { spec: spec.to_owned(), from: text.to_owned() })
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host_ip, self.host) {
            (None, None) => {}
            (None, Some(host)) => write!(f, "{host}:")?,
            (Some(address), None) => write!(f, "{address}::")?,
            (Some(address), Some(host)) => write!(f, "{address}:{host}:")?,
        }
        write!(f, "{}/{}", self.container, self.protocol)?;
        self.from.iter().try_for_each(|from| write!(f, ",from={from}"))
    }
}

impl From<PortMapping> for PortSpec {
    fn from(mapping: PortMapping) -> Self {
        let PortMapping { host_ip, host, container, protocol, from } = mapping;
        Self { host_ip, host: Some(host), container, protocol, from }
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PortSpec::from(self.clone()).fmt(f)
    }
}

impl FromStr for PortMapping {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let spec: PortSpec = text.parse()?;
        let PortSpec { host_ip, host, container, protocol, from } = spec;
        match host {
            Some(host) if host.count() == container.count() => {
                Ok(Self { host_ip, host, container, protocol, from })
            }
            _ => Err(InvalidPort::Shape(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
