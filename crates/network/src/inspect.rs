//! What is connected to a network, for people.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnetwork::Ipv4Network;
use netplan::{Network, PortMapping};
use serde::Serialize;

use crate::lease::Leases;
use crate::netlink::Netlink;
use crate::{Home, Result, link};

/// One container's place in a network, end to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {
    /// The container.
    pub id: String,
    /// Its state folder.
    pub state_dir: PathBuf,
    /// Whether its init process lives.
    pub running: bool,
    /// Its init process.
    pub pid: i32,
    /// Its address.
    pub address: Ipv4Addr,
    /// The hardware address of its end of the cable.
    pub mac: String,
    /// The index of its end of the cable, in its own network namespace; none where the cable is gone.
    pub ifindex: Option<u32>,
    /// The index of the host's end.
    pub iflink: Option<u32>,
    /// The name of the host's end.
    pub veth: String,
    /// The bridge the host's end is plugged into.
    pub bridge: String,
    /// The published ports.
    pub ports: Vec<PortMapping>,
}

/// A network, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// Its bridge.
    pub bridge: String,
    /// Its subnet; none before its first container.
    pub subnet: Option<Ipv4Network>,
    /// The bridge's address.
    pub gateway: Option<Ipv4Addr>,
    /// How many addresses are leased.
    pub leases: usize,
}

/// A network, in short.
///
/// # Errors
///
/// The leases or the bridge cannot be read.
pub fn overview(home: &Home, network: &Network) -> Result<Overview> {
    let mut netlink = Netlink::open()?;
    let address = match link::by_name(&mut netlink, &network.bridge)? {
        Some(bridge) => link::addresses(&mut netlink, bridge.index)?.first().copied(),
        None => None,
    };
    Ok(Overview {
        name: network.name.clone(),
        bridge: network.bridge.clone(),
        subnet: address
            .and_then(|address| Ipv4Network::new(address.network(), address.prefix()).ok()),
        gateway: address.map(|address| address.ip()),
        leases: Leases::of(home, &network.name).all()?.len(),
    })
}

/// Every container with a lease in the network, by address.
///
/// # Errors
///
/// The leases or the links cannot be read.
pub fn connected(home: &Home, network: &Network) -> Result<Vec<Connected>> {
    let mut netlink = Netlink::open()?;
    let links = match link::by_name(&mut netlink, &network.bridge)? {
        Some(bridge) => link::ports(&mut netlink, bridge.index)?,
        None => Vec::new(),
    };
    let mut leases = Leases::of(home, &network.name).all()?;
    leases.sort_by_key(|(address, _)| *address);
    let all = leases.into_iter().map(|(address, lease)| {
        let running = lease.init_lives();
        let plan = netplan::NetPlan { own: lease.own, ..netplan::NetPlan::default() };
        let veth = plan.veth();
        let link = veth.and_then(|veth| {
            links.iter().find(|link| link.name == veth.host && link.alias == veth.alias)
        });
        Connected {
            id: lease.id,
            state_dir: lease.state_dir,
            running,
            pid: lease.pid,
            address,
            mac: veth.map(|veth| veth.mac.to_string()).unwrap_or_default(),
            ifindex: link.and_then(|link| link.peer),
            iflink: link.map(|link| link.index),
            veth: veth.map(|veth| veth.host.clone()).unwrap_or_default(),
            bridge: network.bridge.clone(),
            ports: plan.ports().to_vec(),
        }
    });
    Ok(all.collect())
}
