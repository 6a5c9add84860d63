//! A second look at a plan before anything is done.

use std::net::Ipv4Addr;

use crate::{NetPlan, Observed, Own, PortMapping, choose, plan};

/// A plan that must not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A name the kernel would refuse.
    #[error("link name {0:?} is not one that Linux takes")]
    LinkName(String),
    /// An address that is not a container's.
    #[error("address {address} cannot be a container's behind gateway {gateway}")]
    Address {
        /// The planned address.
        address: Ipv4Addr,
        /// The planned gateway.
        gateway: Ipv4Addr,
    },
    /// An address that somebody has.
    #[error("address {0} is leased to another container")]
    Taken(Ipv4Addr),
    /// The steps speak of different addresses.
    #[error("the plan leases {lease} and uses {used}")]
    TwoAddresses {
        /// The leased address.
        lease: Ipv4Addr,
        /// The address of the cable or of the publications.
        used: Ipv4Addr,
    },
    /// A step stands before one that it needs.
    #[error("the plan's own steps are not lease, name, veth, publish in this order")]
    Order,
    /// A port that somebody has.
    #[error("port mapping {0} clashes with one that exists")]
    Port(Box<PortMapping>),
    /// A mapping with a different number of ports on its two sides.
    #[error("port mapping {0} has different numbers of ports on its two sides")]
    Lengths(Box<PortMapping>),
    /// The hardware address is one that no station can have.
    #[error("hardware address {0} is not a station's")]
    Mac(crate::Mac),
}

/// Checks what applying and undoing rely on, from the plan's own words and not from how it was made: a
/// recorded plan, or one changed by hand, is checked by the same rules.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check(plan: &NetPlan, observed: &Observed) -> Result<(), CheckError> {
    let rank = |own: &Own| match own {
        Own::Lease(_) => 0,
        Own::Name(_) => 1,
        Own::Veth(_) => 2,
        Own::Publish(_) => 3,
    };
    if !plan.own.windows(2).all(|pair| rank(&pair[0]) < rank(&pair[1])) {
        return Err(CheckError::Order);
    }
    let Some(lease) = plan.lease() else {
        let needs_lease = plan.own.iter().any(|own| rank(own) > 1);
        return if needs_lease { Err(CheckError::Order) } else { Ok(()) };
    };
    if observed.taken.contains(&lease.address) {
        return Err(CheckError::Taken(lease.address));
    }
    for own in &plan.own {
        match own {
            Own::Lease(_) | Own::Name(_) => {}
            Own::Veth(veth) => veth_holds(veth, lease.address)?,
            Own::Publish(publish) => {
                same(lease.address, publish.address)?;
                ports_hold(&publish.ports, observed)?;
            }
        }
    }
    Ok(())
}

fn same(lease: Ipv4Addr, used: Ipv4Addr) -> Result<(), CheckError> {
    if lease == used { Ok(()) } else { Err(CheckError::TwoAddresses { lease, used }) }
}

fn veth_holds(veth: &plan::Veth, lease: Ipv4Addr) -> Result<(), CheckError> {
    for name in [&veth.host, &veth.peer, &veth.bridge] {
        // dev_valid_name() of net/core/dev.c.
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
        let valid = (1..=plan::LINK_NAME_MAX).contains(&name.len())
            && name.bytes().all(plain)
            && name != "."
            && name != "..";
        if !valid {
            return Err(CheckError::LinkName(name.clone()));
        }
    }
    for mac in [veth.mac, veth.host_mac] {
        if !mac.is_unicast() {
            return Err(CheckError::Mac(mac));
        }
    }
    same(lease, veth.address.ip())?;
    let (address, gateway) = (veth.address.ip(), veth.gateway);
    if !choose::usable(address, veth.address, gateway) || !veth.address.contains(gateway) {
        return Err(CheckError::Address { address, gateway });
    }
    Ok(())
}

fn ports_hold(ports: &[PortMapping], observed: &Observed) -> Result<(), CheckError> {
    for (at, mapping) in ports.iter().enumerate() {
        if mapping.host.count() != mapping.container.count() {
            return Err(CheckError::Lengths(Box::new(mapping.clone())));
        }
        let taken = |port| observed.owner(mapping.protocol, mapping.host_ip, port).is_some();
        let twice = ports[..at].iter().any(|other| other.clashes_with(mapping));
        if twice || mapping.host.iter().any(taken) {
            return Err(CheckError::Port(Box::new(mapping.clone())));
        }
    }
    Ok(())
}
