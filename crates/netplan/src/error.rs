//! Why there is no plan.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::{PortMapping, PortOwner, PortRange, Protocol};

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Every pool overlaps something the host already reaches.
    #[error(
        "network {network}: every subnet to choose from overlaps an address or a route of the host"
    )]
    NoSubnet {
        /// The network.
        network: String,
    },
    /// The bridge's subnet has no room for containers.
    #[error("network {network}: subnet {subnet} is too small")]
    SubnetTooSmall {
        /// The network.
        network: String,
        /// Its subnet.
        subnet: Ipv4Network,
    },
    /// All addresses are leased.
    #[error("network {network}: no free address in {subnet}")]
    SubnetFull {
        /// The network.
        network: String,
        /// Its subnet.
        subnet: Ipv4Network,
    },
    /// The address asked for cannot be a container's.
    #[error("address {address} is no container address of network {network} ({subnet})")]
    AddressOutside {
        /// The address asked for.
        address: Ipv4Addr,
        /// The network.
        network: String,
        /// Its subnet.
        subnet: Ipv4Network,
    },
    /// The address asked for is leased.
    #[error("address {address} is already in use in network {network}")]
    AddressTaken {
        /// The address asked for.
        address: Ipv4Addr,
        /// The network.
        network: String,
    },
    /// A port is taken.
    #[error("port {port}/{protocol} on {} {owner}", address(.host_ip))]
    PortTaken {
        /// The host's port.
        port: u16,
        /// The transport.
        protocol: Protocol,
        /// The host's address.
        host_ip: Option<Ipv4Addr>,
        /// What is in the way.
        owner: PortOwner,
    },
    /// Two of the container's own publications clash.
    #[error("port mappings {one} and {two} both want the same port of the host")]
    PortTwice {
        /// One of them.
        one: Box<PortMapping>,
        /// The other.
        two: Box<PortMapping>,
    },
    /// No free port where any would do.
    #[error("no free {protocol} port on {}{}", address(.host_ip), among(.range))]
    NoFreePort {
        /// The transport.
        protocol: Protocol,
        /// The host's address.
        host_ip: Option<Ipv4Addr>,
        /// The ports to choose from, where the user named them.
        range: Option<PortRange>,
    },
}

fn address(host_ip: &Option<Ipv4Addr>) -> Ipv4Addr {
    host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED)
}

fn among(range: &Option<PortRange>) -> String {
    range.map(|range| format!(" among {range}")).unwrap_or_default()
}
