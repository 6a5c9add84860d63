//! What was seen on the host.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::Protocol;

/// What a plan depends on. It need not hold the whole host: `taken` and `busy` only what the planner asks
/// about, `used` only where the bridge has no subnet yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The network's bridge, where it exists.
    pub bridge: Option<BridgeState>,
    /// Destinations the host already reaches otherwise: its addresses' networks and its routes.
    pub used: Vec<Ipv4Network>,
    /// The largest packet the host's default route takes, in bytes.
    pub uplink_mtu: Option<u32>,
    /// Whether the host forwards IPv4 packets.
    pub forwarding: bool,
    /// Whether the nf_tables base and this network's elements are in place.
    pub rules: bool,
    /// Addresses with a live lease, among those that were asked about.
    pub taken: BTreeSet<Ipv4Addr>,
    /// Host ports that cannot be published, among those that were asked about.
    pub busy: Vec<PortState>,
}

/// A bridge that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeState {
    /// Its address and the length of its subnet's prefix; none yet while another rrun is making it.
    pub address: Option<Ipv4Network>,
    /// The largest packet it takes, in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
}

/// A host port that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortState {
    /// The transport.
    pub protocol: Protocol,
    /// The host's address; `None` is all of them.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port.
    pub port: u16,
    /// What is in the way.
    pub owner: PortOwner,
}

/// What is in the way of a publication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortOwner {
    /// The container with this id publishes it.
    Container(String),
    /// Somebody else's element in rrun's table publishes it.
    Stranger,
    /// A socket of the host is bound to it.
    Socket,
    /// The host has no such address.
    NoAddress,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(id) => write!(f, "is already published by container {id}"),
            Self::Stranger => f.write_str("is published by an element that rrun did not make"),
            Self::Socket => f.write_str("is in use by a socket on the host"),
            Self::NoAddress => f.write_str("cannot be published: the host has no such address"),
        }
    }
}

impl Observed {
    /// What is in the way of publishing this port, if anything.
    #[must_use]
    pub fn owner(
        &self,
        protocol: Protocol,
        host_ip: Option<Ipv4Addr>,
        port: u16,
    ) -> Option<&PortOwner> {
        let in_the_way = |busy: &&PortState| {
            busy.protocol == protocol
                && busy.port == port
                && (busy.host_ip.is_none() || host_ip.is_none() || busy.host_ip == host_ip)
        };
        self.busy.iter().find(in_the_way).map(|busy| &busy.owner)
    }
}
