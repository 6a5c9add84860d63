//! Networks and published ports: the elements of the table's sets and maps.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use netplan::{PortMapping, Protocol, Publish, Rules};
use nft::{Batch, Comment, Data, Element, Errno, IfName, InvalidIfName, Nft, Set, Value};

use super::{BR, FROM4, HAIR4, LIMITED4, LIMITED4ANY, NET4, PUB4, PUB4ANY, SAME};

/// Whose a published port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The container's id, of which an element holds the first 253 bytes; empty where somebody else than
    /// rrun put the element there.
    pub id: String,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The container's port.
    pub port: u16,
}

/// Adds a network. It may be there already.
///
/// # Errors
///
/// The bridge's name is no interface's name.
pub fn add_network(batch: &mut Batch, network: &Rules) -> Result<(), InvalidIfName> {
    for (set, element) in network_elements(network)? {
        batch.add_element(set, &element);
    }
    Ok(())
}

/// Removes a network; for [`Nft::commit_deletions`], as it may be gone already.
///
/// # Errors
///
/// The bridge's name is no interface's name.
pub fn remove_network(batch: &mut Batch, network: &Rules) -> Result<(), InvalidIfName> {
    for (set, element) in network_elements(network)? {
        batch.delete_element(set, &element);
    }
    Ok(())
}

/// Whether the table is loaded and has this network: a few short questions, however many networks and
/// ports there are.
///
/// # Errors
///
/// The kernel refuses a question. A bridge's name that is no interface's name is not known.
pub fn knows(nft: &mut Nft, network: &Rules) -> nft::Result<bool> {
    if !super::is_loaded(nft)? {
        return Ok(false);
    }
    for (set, element) in network_elements(network).unwrap_or_default() {
        // All were added at once, and of this set the kernel can only give a list.
        if set != NET4 && nft.element(set, &element.key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(IfName::new(&network.bridge).is_ok())
}

fn network_elements(network: &Rules) -> Result<Vec<(Set<'static>, Element)>, InvalidIfName> {
    let bridge = Value::IfName(IfName::new(&network.bridge)?);
    let subnet = prefix(network.subnet);
    Ok(vec![
        (BR, Element::new([bridge])),
        (SAME, Element::new([bridge, bridge])),
        (HAIR4, Element::new([subnet, subnet])),
        (NET4, Element::new([subnet])),
    ])
}

/// Publishes a container's ports. The kernel answers EEXIST where one is published already, by whomever,
/// on the same address or likewise on all of them. One on all addresses does not collide with one on a
/// single address, which takes precedence there: ask [`publishers`] first.
pub fn publish(batch: &mut Batch, publish: &Publish) {
    let comment = owner(&publish.id);
    for ports in &publish.ports {
        for (host, container) in ports.pairs() {
            let to = [Value::Ipv4(publish.address), Value::Port(container)];
            for (set, element) in port_elements(ports, host, &to) {
                let element = Element { comment: comment.clone(), ..element };
                batch.create_element(set, &element);
            }
        }
    }
}

/// Takes a container's ports back, but none that is another's by now; for [`Nft::commit_deletions`].
///
/// # Errors
///
/// The kernel cannot be asked whose the ports are.
pub fn unpublish(nft: &mut Nft, batch: &mut Batch, publish: &Publish) -> nft::Result<()> {
    let comment = owner(&publish.id);
    for ports in &publish.ports {
        for (host, container) in ports.pairs() {
            let to = [Value::Ipv4(publish.address), Value::Port(container)];
            for (set, element) in port_elements(ports, host, &to) {
                let found = nft.element(set, &element.key)?;
                if found.is_some_and(|it| it.comment == comment && it.data == element.data) {
                    batch.delete_element(set, &element);
                }
            }
        }
    }
    Ok(())
}

/// Who has a port that a packet to this address of the host, or to any of them, could be meant for.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn publishers(
    nft: &mut Nft,
    protocol: Protocol,
    host_ip: Option<Ipv4Addr>,
    port: u16,
) -> nft::Result<Vec<Publisher>> {
    let port = [transport(protocol), Value::Port(port)];
    let mut found: Vec<_> = nft.element(PUB4ANY, &port)?.into_iter().collect();
    match host_ip {
        Some(address) => {
            found.extend(nft.element(PUB4, &[&[Value::Ipv4(address)], &port[..]].concat())?);
        }
        None => match nft.elements(PUB4) {
            Ok(all) => {
                found.extend(all.into_iter().filter(|it| it.key.get(1..) == Some(&port)));
            }
            Err(error) if error.errno() == Some(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        },
    }
    Ok(found.iter().filter_map(publisher).collect())
}

fn publisher(element: &Element) -> Option<Publisher> {
    let Some(Data::Values(to)) = &element.data else { return None };
    let [Value::Ipv4(address), Value::Port(port)] = to[..] else { return None };
    let id = element.comment.as_ref().map_or("", Comment::as_str).to_owned();
    Some(Publisher { id, address, port })
}

/// All elements that publish one port, with the one that decides whose it is first.
fn port_elements(ports: &PortMapping, host: u16, to: &[Value]) -> Vec<(Set<'static>, Element)> {
    let port = [transport(ports.protocol), Value::Port(host)];
    let (map, limited, key) = match ports.host_ip {
        Some(address) => (PUB4, LIMITED4, [&[Value::Ipv4(address)], &port[..]].concat()),
        None => (PUB4ANY, LIMITED4ANY, port.to_vec()),
    };
    let mut elements = vec![(map, Element::new(key.clone()).to(to))];
    if !ports.from.is_empty() {
        elements.push((limited, Element::new(key)));
        let at = match ports.host_ip {
            Some(address) => Value::Ipv4(address),
            None => Value::Ipv4Prefix(Ipv4Addr::UNSPECIFIED, 0),
        };
        let sources = disjoint(&ports.from).into_iter().map(|source| {
            let key = [&port[..], &[at, prefix(source)]].concat();
            (FROM4, Element::new(key))
        });
        elements.extend(sources);
    }
    elements
}

/// Without those that lie within another, which the kernel would refuse as overlapping.
fn disjoint(networks: &[Ipv4Network]) -> Vec<Ipv4Network> {
    let mut kept: Vec<Ipv4Network> = Vec::new();
    let mut widest_first = networks.to_vec();
    widest_first.sort_by_key(|network| network.prefix());
    for network in widest_first {
        if !kept.iter().any(|wide| wide.contains(network.network())) {
            kept.push(network);
        }
    }
    kept
}

fn prefix(network: Ipv4Network) -> Value {
    Value::Ipv4Prefix(network.network(), network.prefix())
}

fn transport(protocol: Protocol) -> Value {
    match protocol {
        Protocol::Tcp => Value::TCP,
        Protocol::Udp => Value::UDP,
        Protocol::Sctp => Value::SCTP,
    }
}

/// The comment that names a container; ids longer than a comment are cut.
fn owner(id: &str) -> Option<Comment> {
    let cut = (0..=Comment::MAX.min(id.len())).rev().find(|at| id.is_char_boundary(*at))?;
    Comment::new(id.get(..cut)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_within_others_are_left_out() {
        let nets = |texts: &[&str]| -> Vec<Ipv4Network> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let given = nets(&["10.1.0.0/16", "192.0.2.1/32", "10.0.0.0/8", "192.0.2.1/32"]);
        assert_eq!(disjoint(&given), nets(&["10.0.0.0/8", "192.0.2.1/32"]));
        assert_eq!(disjoint(&nets(&["0.0.0.0/0", "10.0.0.0/8"])), nets(&["0.0.0.0/0"]));
    }

    #[test]
    fn the_longest_id_still_names_its_owner() {
        assert_eq!(owner("web").unwrap().as_str(), "web");
        assert_eq!(owner(&"ä".repeat(512)).unwrap().as_str(), "ä".repeat(126));
    }
}
