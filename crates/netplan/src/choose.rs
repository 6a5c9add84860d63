//! Which host ports, which subnet.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::address::hash;
use crate::{
    Desired, Network, Observed, PlanError, PortMapping, PortOwner, PortRange, PortSpec, Protocol,
};

/// Linux's own default for `net.ipv4.ip_local_port_range`, where Docker also looks for a free port.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// The host ports to try for a publication that leaves the choice, in order.
pub(crate) fn host_port_candidates(spec: &PortSpec, id: &str) -> impl Iterator<Item = u16> + use<> {
    let (first, last, start) = match spec.host {
        Some(range) => (range.first(), range.last(), 0),
        None => (EPHEMERAL.0, EPHEMERAL.1, hash(id) ^ u64::from(spec.container.first())),
    };
    let count = u64::from(last - first) + 1;
    (0..count).filter_map(move |step| {
        let offset = u16::try_from((start % count + step) % count).ok()?;
        Some(first + offset)
    })
}

/// Settles every publication's host ports. `owner` says what is in the way of a port; whoever observes the
/// host calls this with a question to the kernel, the planner with what was observed.
///
/// # Errors
///
/// Two publications clash, a port is taken, or none is free where any would do.
pub fn resolve_ports(
    publish: &[PortSpec],
    id: &str,
    mut owner: impl FnMut(Protocol, Option<Ipv4Addr>, u16) -> Option<PortOwner>,
) -> Result<Vec<PortMapping>, PlanError> {
    let mut chosen: Vec<PortMapping> = Vec::with_capacity(publish.len());
    // What is fixed comes first, so that a free choice cannot take a port that another -p names.
    for spec in publish.iter().filter(|spec| !spec.is_open()) {
        let Some(host) = spec.host else { continue };
        let mapping = fix(spec, host, spec.container);
        if let Some(other) = chosen.iter().find(|other| other.clashes_with(&mapping)) {
            let (one, two) = (Box::new(other.clone()), Box::new(mapping));
            return Err(PlanError::PortTwice { one, two });
        }
        let (protocol, host_ip) = (spec.protocol, spec.host_ip);
        for port in host.iter() {
            if let Some(owner) = owner(protocol, host_ip, port) {
                return Err(PlanError::PortTaken { port, protocol, host_ip, owner });
            }
        }
        chosen.push(mapping);
    }
    for spec in publish.iter().filter(|spec| spec.is_open()) {
        for container in spec.container.iter().filter_map(PortRange::single) {
            let mapping = host_port_candidates(spec, id)
                .filter_map(PortRange::single)
                .map(|host| fix(spec, host, container))
                .filter(|mapping| !chosen.iter().any(|other| other.clashes_with(mapping)))
                .find(|mapping| owner(spec.protocol, spec.host_ip, mapping.host.first()).is_none());
            chosen.push(mapping.ok_or(PlanError::NoFreePort {
                protocol: spec.protocol,
                host_ip: spec.host_ip,
                range: spec.host,
            })?);
        }
    }
    Ok(chosen)
}

fn fix(spec: &PortSpec, host: PortRange, container: PortRange) -> PortMapping {
    let (host_ip, protocol, from) = (spec.host_ip, spec.protocol, spec.from.clone());
    PortMapping { host_ip, host, container, protocol, from }
}

/// The subnet of the network, and whether the bridge has it already.
pub(crate) fn subnet(
    network: &Network,
    observed: &Observed,
) -> Result<(Ipv4Network, bool), PlanError> {
    if let Some(address) = observed.bridge.and_then(|bridge| bridge.address) {
        return Ok((address, true));
    }
    // 0.0.0.0/0 is the default route: it leads everywhere and claims nothing.
    let claimed = |pool: &Ipv4Network| {
        observed.used.iter().any(|used| used.prefix() > 0 && used.overlaps(*pool))
    };
    network
        .pools
        .iter()
        .find(|pool| !claimed(pool))
        .map(|pool| (*pool, false))
        .ok_or_else(|| PlanError::NoSubnet { network: network.name.clone() })
}

/// The container's address.
pub(crate) fn address(
    desired: &Desired,
    observed: &Observed,
    subnet: Ipv4Network,
    gateway: Ipv4Addr,
) -> Result<Ipv4Addr, PlanError> {
    let network = || desired.network.name.clone();
    match desired.address {
        Some(address) if !usable(address, subnet, gateway) => {
            Err(PlanError::AddressOutside { address, network: network(), subnet })
        }
        Some(address) if observed.taken.contains(&address) => {
            Err(PlanError::AddressTaken { address, network: network() })
        }
        Some(address) => Ok(address),
        None => crate::candidates(subnet, &desired.id)
            .find(|address| *address != gateway && !observed.taken.contains(address))
            .ok_or_else(|| PlanError::SubnetFull { network: network(), subnet }),
    }
}

/// Whether a container may have this address: inside, and nobody's by definition.
pub(crate) fn usable(address: Ipv4Addr, subnet: Ipv4Network, gateway: Ipv4Addr) -> bool {
    subnet.contains(address)
        && address != subnet.network()
        && address != subnet.broadcast()
        && address != gateway
}
