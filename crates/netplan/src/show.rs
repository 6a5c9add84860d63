//! A plan in the words of `ip`, `sysctl` and `nft`.

use std::fmt::{self, Display, Formatter};

use crate::{Ensure, NetPlan, Own, PortMapping};

/// The inverse of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undo<'a>(pub &'a Own);

impl NetPlan {
    /// What undoes the plan, in the order it has to happen: the reverse of how it was applied.
    pub fn undo(&self) -> impl Iterator<Item = Undo<'_>> {
        self.own.iter().rev().map(Undo)
    }
}

impl Display for NetPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.ensure.is_empty() {
            writeln!(f, "# shared with other containers")?;
        }
        self.ensure.iter().try_for_each(|step| step.fmt(f))?;
        writeln!(f, "# this container's own")?;
        // The steps name the namespace by the name that the plan gives it.
        let netns = self.own.iter().find_map(|own| match own {
            Own::Name(name) => Some(name.name.as_str()),
            _ => None,
        });
        self.own.iter().try_for_each(|step| own(f, step, netns.unwrap_or("PID")))?;
        writeln!(f, "# undone by")?;
        self.undo().try_for_each(|step| step.fmt(f))
    }
}

impl Display for Ensure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(bridge) => {
                let name = &bridge.name;
                writeln!(
                    f,
                    "ip link add {name} address {} mtu {} type bridge stp_state 0 forward_delay 0",
                    bridge.mac, bridge.mtu
                )?;
                writeln!(f, "sysctl -w net.ipv6.conf.{name}.disable_ipv6=1")?;
                writeln!(f, "sysctl -w net.ipv4.conf.{name}.route_localnet=1")?;
                writeln!(f, "ip address add {} dev {name}", bridge.address)?;
                writeln!(f, "ip link set {name} up")
            }
            Self::Forwarding => writeln!(f, "sysctl -w net.ipv4.ip_forward=1"),
            Self::Rules(rules) => {
                let (bridge, subnet) = (&rules.bridge, rules.subnet);
                // The base is a constant, which a test keeps in that file.
                writeln!(f, "nft -f docs/ruleset.nft")?;
                writeln!(f, "nft add element inet rrun br '{{ {bridge} }}'")?;
                writeln!(f, "nft add element inet rrun same '{{ {bridge} . {bridge} }}'")?;
                writeln!(f, "nft add element inet rrun hair4 '{{ {subnet} . {subnet} }}'")?;
                writeln!(f, "nft add element inet rrun net4 '{{ {subnet} }}'")
            }
        }
    }
}

fn own(f: &mut Formatter<'_>, step: &Own, netns: &str) -> fmt::Result {
    match step {
        Own::Lease(lease) => writeln!(f, "# lease {} in network {}", lease.address, lease.network),
        Own::Name(name) => writeln!(f, "ln -s /proc/$PID/ns/net /run/netns/{}", name.name),
        Own::Veth(veth) => {
            let (host, peer) = (&veth.host, &veth.peer);
            writeln!(
                f,
                "ip link add {host} address {} mtu {mtu} master {} up type veth \
                 peer name {peer} address {} mtu {mtu} netns {netns}",
                veth.host_mac,
                veth.bridge,
                veth.mac,
                mtu = veth.mtu
            )?;
            writeln!(f, "ip link set {host} alias '{}' addrgenmode none", veth.alias)?;
            writeln!(f, "bridge link set dev {host} hairpin on")?;
            if let Some(altname) = &veth.altname {
                writeln!(f, "ip link property add dev {host} altname {altname}")?;
            }
            writeln!(f, "ip -n {netns} link set lo up")?;
            writeln!(f, "ip netns exec {netns} sysctl -w net.ipv6.conf.{peer}.disable_ipv6=1")?;
            writeln!(f, "ip -n {netns} link set {peer} up")?;
            writeln!(f, "ip -n {netns} address add {} dev {peer}", veth.address)?;
            writeln!(f, "ip -n {netns} route add default via {} dev {peer}", veth.gateway)
        }
        Own::Publish(publish) => {
            publish.ports.iter().try_for_each(|ports| element(f, "add", ports, publish.address))
        }
    }
}

fn element(
    f: &mut Formatter<'_>,
    verb: &str,
    ports: &PortMapping,
    address: std::net::Ipv4Addr,
) -> fmt::Result {
    let protocol = ports.protocol;
    ports.pairs().try_for_each(|(host, container)| {
        let (set, key) = match ports.host_ip {
            Some(ip) => ("4", format!("{ip} . {protocol} . {host}")),
            None => ("4any", format!("{protocol} . {host}")),
        };
        let mut line = |set: String, element: String| {
            writeln!(f, "nft {verb} element inet rrun {set} '{{ {element} }}'")
        };
        line(format!("pub{set}"), format!("{key} : {address} . {container}"))?;
        if ports.from.is_empty() {
            return Ok(());
        }
        line(format!("limited{set}"), key)?;
        let at = ports.host_ip.map_or_else(|| "0.0.0.0/0".to_owned(), |ip| ip.to_string());
        ports.from.iter().try_for_each(|from| {
            line("from4".to_owned(), format!("{protocol} . {host} . {at} . {from}"))
        })
    })
}

impl Display for Undo<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Own::Lease(lease) => {
                writeln!(f, "# free {} in network {}", lease.address, lease.network)
            }
            Own::Name(name) => writeln!(f, "rm /run/netns/{}", name.name),
            Own::Veth(veth) => writeln!(f, "ip link delete {}", veth.host),
            Own::Publish(publish) => publish
                .ports
                .iter()
                .try_for_each(|ports| element(f, "delete", ports, publish.address)),
        }
    }
}
