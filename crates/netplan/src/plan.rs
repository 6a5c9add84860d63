//! The plan itself.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use crate::{Desired, Mac, Observed, PlanError, PortMapping, choose, gateway};

/// Ethernet's own, where the host's way out does not say otherwise.
const ETHERNET_MTU: u32 = 1500;
/// `IFNAMSIZ` of linux/if.h is 16 with its closing zero.
pub(crate) const LINK_NAME_MAX: usize = 15;
/// `ALTIFNAMSIZ` of linux/if.h is 128 with its closing zero.
const ALTNAME_MAX: usize = 127;
/// `IFALIASZ` of linux/if.h is 256; `rrun:` and `:255.255.255.255` are 21 of them.
const ALIAS_ID_MAX: usize = 230;

/// Everything that is done for one container's network, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetPlan {
    /// Shared with other containers; idempotent; never undone by one of them.
    pub ensure: Vec<Ensure>,
    /// This container's own; undone in reverse.
    pub own: Vec<Own>,
}

/// A step that many containers share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ensure {
    /// The network's bridge exists, is up and has its address.
    Bridge(Bridge),
    /// The host forwards IPv4 packets.
    Forwarding,
    /// The nf_tables base exists and knows this network.
    Rules(Rules),
}

/// A step that belongs to one container and has an exact inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Own {
    /// The address is the container's.
    Lease(Lease),
    /// The container's network namespace has a name that `ip netns` knows.
    Name(Name),
    /// The cable, with everything inside the container that hangs on it.
    Veth(Veth),
    /// Ports of the host lead to the container.
    Publish(Publish),
}

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its hardware address. Were it left to the kernel, it would change as ports come and go.
    pub mac: Mac,
    /// The gateway's address with the subnet's prefix length.
    pub address: Ipv4Network,
    /// The largest packet, in bytes.
    pub mtu: u32,
}

/// The rules of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The bridge's name.
    pub bridge: String,
    /// Its subnet.
    pub subnet: Ipv4Network,
}

/// A claim on an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The network's name.
    pub network: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// A name for the container's network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// As `ip netns list` shows it.
    pub name: String,
}

/// A cable between the bridge and the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// The name of the host's end.
    pub host: String,
    /// The name of the container's end.
    pub peer: String,
    /// The bridge that the host's end is plugged into.
    pub bridge: String,
    /// The hardware address of the host's end.
    pub host_mac: Mac,
    /// The hardware address of the container's end.
    pub mac: Mac,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// The alias of the host's end, which says whose it is.
    pub alias: String,
    /// A second name of the host's end, by which a person finds it; none where it would be too long.
    pub altname: Option<String>,
    /// The container's address with the subnet's prefix length.
    pub address: Ipv4Network,
    /// The container's default gateway.
    pub gateway: Ipv4Addr,
}

/// Ports of the host that lead to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The container.
    pub id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The bridge it is behind.
    pub bridge: String,
    /// The ports.
    pub ports: Vec<PortMapping>,
}

impl NetPlan {
    /// The plan of a container whose network namespace is only named.
    #[must_use]
    pub fn named(id: &str) -> Self {
        let name = Own::Name(Name { name: id.to_owned() });
        Self { ensure: Vec::new(), own: vec![name] }
    }

    /// The claimed address, where there is one.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.own.iter().find_map(|own| match own {
            Own::Lease(lease) => Some(lease),
            _ => None,
        })
    }

    /// The cable, where there is one.
    #[must_use]
    pub fn veth(&self) -> Option<&Veth> {
        self.own.iter().find_map(|own| match own {
            Own::Veth(veth) => Some(veth),
            _ => None,
        })
    }

    /// The published ports.
    #[must_use]
    pub fn ports(&self) -> &[PortMapping] {
        let ports = self.own.iter().find_map(|own| match own {
            Own::Publish(publish) => Some(publish.ports.as_slice()),
            _ => None,
        });
        ports.unwrap_or_default()
    }
}

/// Decides everything about one container's place in a bridged network.
///
/// # Errors
///
/// No subnet, address or port can be had: see [`PlanError`].
pub fn plan(desired: &Desired, observed: &Observed) -> Result<NetPlan, PlanError> {
    let network = &desired.network;
    let (subnet, addressed) = choose::subnet(network, observed)?;
    let too_small = || PlanError::SubnetTooSmall { network: network.name.clone(), subnet };
    // The address of a bridge that exists is the gateway, wherever in the subnet it lies.
    let gateway = match addressed {
        true => subnet.ip(),
        false => gateway(subnet).ok_or_else(too_small)?,
    };
    let prefix = subnet.prefix();
    let with_prefix = |address| Ipv4Network::new(address, prefix).map_err(|_| too_small());
    let mtu = match observed.bridge {
        Some(bridge) => bridge.mtu,
        None => observed.uplink_mtu.unwrap_or(ETHERNET_MTU),
    };
    let address = choose::address(desired, observed, subnet, gateway)?;
    let ports = choose::resolve_ports(&desired.publish, &desired.id, |protocol, host_ip, port| {
        observed.owner(protocol, host_ip, port).cloned()
    })?;

    let mut ensure = Vec::new();
    if !addressed || !observed.bridge.is_some_and(|bridge| bridge.up) {
        ensure.push(Ensure::Bridge(Bridge {
            name: network.bridge.clone(),
            mac: Mac::of_container(gateway),
            address: with_prefix(gateway)?,
            mtu,
        }));
    }
    if !observed.forwarding {
        ensure.push(Ensure::Forwarding);
    }
    if !observed.rules {
        let subnet = with_prefix(subnet.network())?;
        ensure.push(Ensure::Rules(Rules { bridge: network.bridge.clone(), subnet }));
    }

    let mut own = vec![
        Own::Lease(Lease { network: network.name.clone(), address }),
        Own::Name(Name { name: desired.id.clone() }),
        Own::Veth(veth(desired, with_prefix(address)?, gateway, mtu)),
    ];
    if !ports.is_empty() {
        let (id, bridge) = (desired.id.clone(), network.bridge.clone());
        own.push(Own::Publish(Publish { id, address, bridge, ports }));
    }
    Ok(NetPlan { ensure, own })
}

fn veth(desired: &Desired, address: Ipv4Network, gateway: Ipv4Addr, mtu: u32) -> Veth {
    let id = &desired.id;
    let short = id.char_indices().nth(ALIAS_ID_MAX).map_or(id.as_str(), |(at, _)| &id[..at]);
    let altname = Some(format!("rrun-{id}")).filter(|name| name.len() <= ALTNAME_MAX);
    Veth {
        host: link_name(desired.seed),
        peer: "eth0".to_owned(),
        bridge: desired.network.bridge.clone(),
        host_mac: Mac::of_host_end(address.ip()),
        mac: desired.mac.unwrap_or_else(|| Mac::of_container(address.ip())),
        mtu,
        alias: format!("rrun:{short}:{}", address.ip()),
        altname,
        address,
        gateway,
    }
}

/// The name of the host's end of a cable: `veth` and 44 bits of the seed.
#[must_use]
pub fn link_name(seed: u64) -> String {
    format!("veth{:011x}", seed & 0xfff_ffff_ffff)
}

#[cfg(test)]
mod tests;
