//! What is wanted.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::{Mac, PortSpec};

/// A network that containers can be plugged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name, also the name of its folder of leases.
    pub name: String,
    /// The name of its bridge on the host.
    pub bridge: String,
    /// The subnets to choose from when the bridge is made, best first.
    pub pools: Vec<Ipv4Network>,
}

impl Network {
    /// The network behind `--net=bridge`. Its pools start where Docker's (172.17 and up) and podman's
    /// (10.88 and up) end, so that all three can live on one host.
    #[must_use]
    pub fn default_bridge() -> Self {
        let pool = |a, b, prefix| Ipv4Network::new(Ipv4Addr::new(a, b, 0, 0), prefix).ok();
        let pools = [
            pool(172, 30, 16),
            pool(172, 29, 16),
            pool(172, 28, 16),
            pool(10, 230, 16),
            pool(10, 231, 16),
            pool(10, 64, 16),
            pool(192, 168, 20),
        ];
        Self {
            name: "bridge".to_owned(),
            bridge: "rrun0".to_owned(),
            pools: pools.into_iter().flatten().collect(),
        }
    }
}

/// What one container wants of its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The container's id.
    pub id: String,
    /// Names the cable; should differ for every cable ever made on the host.
    pub seed: u64,
    /// Where to plug the container in.
    pub network: Network,
    /// This address and no other.
    pub address: Option<Ipv4Addr>,
    /// This hardware address instead of one made of the IPv4 address.
    pub mac: Option<Mac>,
    /// Ports to publish on the host.
    pub publish: Vec<PortSpec>,
}
